/**
 * Owns the objects of one workspace: rows by id, two sorted orders per collection so that a page is
 * found by binary search, and what the API shows of a row. Knows nothing of HTTP, notifications or
 * rules of change.
 */

import type { Fields, IntercomObject } from './objects.ts';

/** The collections a workspace holds. Conversation parts live within their conversation. */
export const COLLECTIONS = ['contact', 'company', 'conversation', 'admin', 'tag', 'team'] as const;
/** A collection with rows of its own. */
export type CollectionName = typeof COLLECTIONS[number];
/** What a snapshot can be taken of. */
export type SnapshotName = CollectionName | 'conversation_part';
/** What rows are sorted by. */
export type OrderKey = 'created' | 'updated';

/** One object as stored. It is replaced, never changed, except that parts are appended. */
export interface Row {
  id: string;
  created: number;
  updated: number;
  /** The object as lists show it, without a contact's nested lists. */
  object: IntercomObject;
  /** Contacts: all tag ids. */
  tags: string[];
  /** Contacts: all company ids. */
  companies: string[];
  /** Conversations: all parts, oldest first. */
  parts: IntercomObject[];
}

/** The rows of one collection. */
export interface Collection {
  byId: Map<string, Row>;
  /** Listed rows, ascending by time and then id. */
  orders: Record<OrderKey, Row[]>;
  /** Contacts that are archived: not listed, and 404 by id. */
  archived: Map<string, Row>;
  /** Deleted ids; a merged contact's has its survivor. */
  gone: Map<string, string | null>;
}

/** How many entries of a contact's nested lists the API shows. */
export const NESTED_CAP = 10;
/** How many parts of a conversation the API shows: the newest. */
export const PARTS_CAP = 500;

/** The objects of one workspace. */
export interface Store {
  collections: Record<CollectionName, Collection>;
  /** Deleted conversations with the second of their deletion, oldest first. */
  deletedConversations: { id: string; deleted_at: number }[];
  /** Takes rows in any order and sorts once. */
  load(name: CollectionName, rows: Iterable<Row>): void;
  /** Inserts or replaces a row. */
  put(name: CollectionName, row: Row): void;
  /** Takes a row away; `into` names the survivor of a merge. */
  remove(name: CollectionName, id: string, into?: string): Row | null;
  /** Moves a contact out of what is listed, or back; null if it is not there. */
  archive(id: string): Row | null;
  unarchive(id: string): Row | null;
  /** What lists show of a row, sharing its parts; do not change it. */
  view(name: CollectionName, row: Row): IntercomObject;
  /** What GET of a conversation shows: with its newest parts. */
  conversation(row: Row): IntercomObject;
  /** The survivor at the end of a chain of merges, or null. */
  survivorOf(contact: string): string | null;
  /**
   * Each id with a copy of the object as the API shows it now. Conversations are in list form.
   * Parts that no API call shows are left out unless `all` is set.
   */
  snapshot(name: SnapshotName, options?: { all?: boolean }): Map<string, IntercomObject>;
  ids(name: SnapshotName, options?: { all?: boolean }): string[];
  count(name: SnapshotName): number;
  /** One object as `snapshot` shows it, or null. */
  get(name: CollectionName, id: string): IntercomObject | null;
  /** All parts of a conversation, oldest first; also those the API does not show. */
  partsOf(conversation: string): IntercomObject[];
}

/** A row around an object. */
export const toRow = (
  object: IntercomObject,
  rest: { tags?: string[]; companies?: string[]; parts?: IntercomObject[] } = {},
): Row => ({
  id: object.id,
  created: typeof object['created_at'] === 'number' ? object['created_at'] : 0,
  updated: typeof object['updated_at'] === 'number' ? object['updated_at'] : 0,
  object,
  tags: rest.tags ?? [],
  companies: rest.companies ?? [],
  parts: rest.parts ?? [],
});

const ORDER_KEYS: readonly OrderKey[] = ['created', 'updated'];

/** The first position whose row comes after (time, id), or is it when `orEqual`. */
export const positionOf = (
  rows: readonly Row[],
  key: OrderKey,
  time: number,
  id: string,
  orEqual: boolean,
): number => {
  let low = 0;
  let high = rows.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const row = rows[middle] as Row;
    const before = row[key] !== time ? row[key] < time : orEqual ? row.id < id : row.id <= id;
    if (before) low = middle + 1;
    else high = middle;
  }
  return low;
};

const copy = <T>(value: T): T => JSON.parse(JSON.stringify(value)) as T;

const nested = (
  contact: string,
  path: string,
  type: string,
  ids: readonly string[],
): Fields => ({
  type: 'list',
  data: ids.slice(0, NESTED_CAP).map((id) => ({ type, id, url: `/${path}/${id}` })),
  url: `/contacts/${contact}/${path}`,
  total_count: ids.length,
  has_more: ids.length > NESTED_CAP,
});

/** An empty store. */
export const createStore = (): Store => {
  const collection = (): Collection => ({
    byId: new Map(),
    orders: { created: [], updated: [] },
    archived: new Map(),
    gone: new Map(),
  });
  const collections: Record<CollectionName, Collection> = {
    contact: collection(),
    company: collection(),
    conversation: collection(),
    admin: collection(),
    tag: collection(),
    team: collection(),
  };

  const unlist = (target: Collection, row: Row): void => {
    for (const key of ORDER_KEYS) {
      const rows = target.orders[key];
      rows.splice(positionOf(rows, key, row[key], row.id, true), 1);
    }
    target.byId.delete(row.id);
  };
  const list = (target: Collection, row: Row): void => {
    for (const key of ORDER_KEYS) {
      const rows = target.orders[key];
      rows.splice(positionOf(rows, key, row[key], row.id, true), 0, row);
    }
    target.byId.set(row.id, row);
  };
  const shownParts = (row: Row): IntercomObject[] =>
    row.parts.length > PARTS_CAP ? row.parts.slice(-PARTS_CAP) : row.parts;

  const view = (name: CollectionName, row: Row): IntercomObject => {
    if (name !== 'contact') return row.object;
    const { id } = row;
    return {
      ...row.object,
      tags: nested(id, 'tags', 'tag', row.tags),
      notes: nested(id, 'notes', 'note', []),
      companies: nested(id, 'companies', 'company', row.companies),
      opted_out_subscription_types: nested(id, 'subscriptions', 'subscription', []),
      opted_in_subscription_types: nested(id, 'subscriptions', 'subscription', []),
    };
  };

  return {
    collections,
    deletedConversations: [],
    load(name, rows) {
      const target = collections[name];
      for (const row of rows) {
        target.byId.set(row.id, row);
        for (const key of ORDER_KEYS) target.orders[key].push(row);
      }
      for (const key of ORDER_KEYS) {
        target.orders[key].sort((a, b) => a[key] - b[key] || (a.id < b.id ? -1 : 1));
      }
    },
    put(name, row) {
      const target = collections[name];
      const old = target.byId.get(row.id);
      if (old !== undefined) unlist(target, old);
      list(target, row);
      target.gone.delete(row.id);
    },
    remove(name, id, into) {
      const target = collections[name];
      const row = target.byId.get(id) ?? target.archived.get(id);
      if (row === undefined) return null;
      if (!target.archived.delete(id)) unlist(target, row);
      target.gone.set(id, into ?? null);
      return row;
    },
    archive(id) {
      const { contact } = collections;
      const row = contact.byId.get(id);
      if (row === undefined) return null;
      unlist(contact, row);
      contact.archived.set(id, row);
      return row;
    },
    unarchive(id) {
      const { contact } = collections;
      const row = contact.archived.get(id);
      if (row === undefined) return null;
      contact.archived.delete(id);
      list(contact, row);
      return row;
    },
    view,
    conversation: (row) => ({
      ...row.object,
      conversation_parts: {
        type: 'conversation_part.list',
        conversation_parts: shownParts(row),
        total_count: row.parts.length,
      },
    }),
    survivorOf(contact) {
      const { gone } = collections.contact;
      let survivor = gone.get(contact) ?? null;
      while (survivor !== null && gone.get(survivor)) survivor = gone.get(survivor) ?? null;
      return survivor;
    },
    snapshot(name, { all = false } = {}) {
      const found = new Map<string, IntercomObject>();
      if (name === 'conversation_part') {
        for (const row of collections.conversation.orders.created) {
          for (const part of all ? row.parts : shownParts(row)) found.set(part.id, copy(part));
        }
        return found;
      }
      for (const row of collections[name].orders.created) found.set(row.id, copy(view(name, row)));
      return found;
    },
    ids(name, { all = false } = {}) {
      if (name !== 'conversation_part') {
        return collections[name].orders.created.map((row) => row.id);
      }
      return collections.conversation.orders.created.flatMap((row) =>
        (all ? row.parts : shownParts(row)).map((part) => part.id)
      );
    },
    count(name) {
      if (name !== 'conversation_part') return collections[name].byId.size;
      let sum = 0;
      for (const row of collections.conversation.byId.values()) sum += shownParts(row).length;
      return sum;
    },
    get(name, id) {
      const row = collections[name].byId.get(id);
      return row === undefined ? null : copy(view(name, row));
    },
    partsOf: (conversation) => copy(collections.conversation.byId.get(conversation)?.parts ?? []),
  };
};
