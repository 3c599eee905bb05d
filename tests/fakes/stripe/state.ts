/**
 * Owns the objects of one account: sorted rows per collection, each an immutable JSON text, so
 * that a list page is a slice and a join. Knows nothing of HTTP, events or rules of change.
 *
 * A subscription's text holds all items; what the API shows of it (capped items, prices as they
 * are now) is derived when read and kept until a price changes.
 */

import { buildPlan, type Price, type StripeObject, type Subscription } from './objects.ts';

/** The collections an account holds. Subscription items live within their subscription. */
export const COLLECTIONS = ['customer', 'product', 'price', 'plan', 'subscription'] as const;
/** A collection with rows of its own. */
export type CollectionName = typeof COLLECTIONS[number];
/** A collection a snapshot can be taken of. */
export type SnapshotName = CollectionName | 'subscription_item';

/** One object as stored. Filters read `facets`, which is the parsed top level without big parts. */
export interface Row {
  id: string;
  created: number;
  /** The whole object as JSON. */
  text: string;
  /** Left out of lists: it belongs to a test clock. */
  hidden: boolean;
  facets: Facets;
  /** What the API shows, if that differs from `text` or was derived for a price version. */
  view: { text: string; version: number } | null;
}

/** The fields lists filter by. */
export interface Facets {
  active: unknown;
  status: unknown;
  customer: unknown;
  product: unknown;
  email: unknown;
  currency: unknown;
  type: unknown;
  lookup_key: unknown;
  collection_method: unknown;
  shippable: unknown;
  url: unknown;
  test_clock: unknown;
  /** The prices of a subscription's items. */
  prices: string[];
}

/** The rows of one collection. */
export interface Collection {
  name: CollectionName;
  /** Newest first; ties by descending id. */
  rows: Row[];
  byId: Map<string, Row>;
  /** Deleted ids. */
  gone: Set<string>;
}

/** The objects of one account in one mode. */
export interface Store {
  collections: Record<CollectionName, Collection>;
  /** Takes rows in any order and sorts once. */
  load(name: CollectionName, objects: Iterable<StripeObject>): void;
  /** Inserts or replaces an object. */
  put(name: CollectionName, object: StripeObject): void;
  /** Inserts or replaces raw JSON text, which need not be a valid Stripe object. */
  putText(name: CollectionName, row: { id: string; created: number; text: string }): void;
  /** True if it was there. */
  remove(name: CollectionName, id: string): boolean;
  /** A fresh copy of the whole object (a subscription with all items), or null. */
  get<T extends StripeObject = StripeObject>(name: CollectionName, id: string): T | null;
  /** The text GET answers, or null. Takes items as well. */
  viewText(name: SnapshotName, id: string): string | null;
  /** The text a list shows of a row. */
  rowText(name: CollectionName, row: Row): string;
  /** The rows of a customer's subscriptions, newest first. */
  subscriptionsOf(customer: string): Row[];
  /** The subscription an item belongs to, or null. */
  parentOfItem(itemId: string): string | null;
  /** Each id with the object as GET would return it now; deleted ones are not in it. */
  snapshot(name: SnapshotName, options?: { listedOnly?: boolean }): Map<string, StripeObject>;
  ids(name: SnapshotName): string[];
  count(name: SnapshotName): number;
}

const text = (value: unknown): string | null => typeof value === 'string' ? value : null;

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const itemsOf = (object: Record<string, unknown>): Record<string, unknown>[] => {
  const data = isRecord(object['items']) ? object['items']['data'] : null;
  return Array.isArray(data) ? data.filter(isRecord) : [];
};

const facetsOf = (object: Record<string, unknown>): Facets => ({
  active: object['active'],
  status: object['status'],
  customer: object['customer'],
  product: object['product'],
  email: object['email'],
  currency: object['currency'],
  type: object['type'],
  lookup_key: object['lookup_key'],
  collection_method: object['collection_method'],
  shippable: object['shippable'],
  url: object['url'],
  test_clock: object['test_clock'] ?? null,
  prices: itemsOf(object).map((item) => isRecord(item['price']) ? text(item['price']['id']) : null)
    .filter((id) => id !== null),
});

/** Newest first; within a second, by descending id. */
const before = (a: { created: number; id: string }, b: { created: number; id: string }): boolean =>
  a.created !== b.created ? a.created > b.created : a.id > b.id;

/** The first position whose row does not come before `key`. */
export const positionOf = (rows: readonly Row[], key: { created: number; id: string }): number => {
  let low = 0;
  let high = rows.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (before(rows[middle] as Row, key)) low = middle + 1;
    else high = middle;
  }
  return low;
};

/**
 * An empty store. `itemsCap` is how many items a subscription shows; with `frozenPrices` a
 * subscription keeps the price as it was when the item was written, instead of showing it as it
 * is now.
 */
export const createStore = (options: { itemsCap: number; frozenPrices: boolean }): Store => {
  const collection = (name: CollectionName): Collection => ({
    name,
    rows: [],
    byId: new Map(),
    gone: new Set(),
  });
  const collections: Record<CollectionName, Collection> = {
    customer: collection('customer'),
    product: collection('product'),
    price: collection('price'),
    plan: collection('plan'),
    subscription: collection('subscription'),
  };
  const itemParents = new Map<string, string>();
  const byCustomer = new Map<string, Set<string>>();
  const itemCounts = new Map<string, number>();
  let version = 0;
  const priceVersions = new Map<string, number>();

  const indexSubscription = (row: Row, object: Record<string, unknown>): void => {
    const items = itemsOf(object);
    for (const item of items) {
      if (typeof item['id'] === 'string') itemParents.set(item['id'], row.id);
    }
    itemCounts.set(row.id, items.length);
    const customer = String(row.facets.customer);
    const own = byCustomer.get(customer) ?? new Set();
    byCustomer.set(customer, own.add(row.id));
  };
  const forgetSubscription = (row: Row): void => {
    for (const item of itemsOf(parse(row))) {
      if (typeof item['id'] === 'string') itemParents.delete(item['id']);
    }
    itemCounts.delete(row.id);
    byCustomer.get(String(row.facets.customer))?.delete(row.id);
  };
  const parse = (row: Row): Record<string, unknown> => {
    const value: unknown = JSON.parse(row.text);
    return isRecord(value) ? value : {};
  };
  const toRow = (id: string, created: number, body: string, object: unknown): Row => {
    const fields = isRecord(object) ? object : {};
    const facets = facetsOf(fields);
    return { id, created, text: body, hidden: facets.test_clock !== null, facets, view: null };
  };
  const place = (name: CollectionName, row: Row, object: unknown): void => {
    const target = collections[name];
    const old = target.byId.get(row.id);
    if (old !== undefined && name === 'subscription') forgetSubscription(old);
    if (old !== undefined && old.created === row.created) {
      target.rows[positionOf(target.rows, old)] = row;
    } else {
      if (old !== undefined) target.rows.splice(positionOf(target.rows, old), 1);
      target.rows.splice(positionOf(target.rows, row), 0, row);
    }
    target.byId.set(row.id, row);
    target.gone.delete(row.id);
    if (name === 'subscription') indexSubscription(row, isRecord(object) ? object : {});
    if (name === 'price') priceVersions.set(row.id, ++version);
  };

  /** All items, each with its price as it is now. A deleted price stays as it was last. */
  const refreshed = (row: Row): Subscription => {
    const object = JSON.parse(row.text) as Subscription;
    if (options.frozenPrices || row.facets.prices.length === 0) return object;
    for (const item of object.items.data) {
      const current = priceVersions.has(item.price.id)
        ? collections.price.byId.get(item.price.id)
        : undefined;
      if (current === undefined) continue;
      item.price = JSON.parse(current.text) as Price;
      item.plan = buildPlan(item.price);
    }
    return object;
  };
  const isStale = (row: Row): boolean => {
    if (row.view === null) {
      if ((itemCounts.get(row.id) ?? 0) > options.itemsCap) return true;
      if (options.frozenPrices) return false;
      return row.facets.prices.some((id) => priceVersions.has(id));
    }
    const seen = row.view.version;
    return row.facets.prices.some((id) => (priceVersions.get(id) ?? 0) > seen);
  };
  const rowText = (name: CollectionName, row: Row): string => {
    if (name !== 'subscription') return row.text;
    if (version === (row.view?.version ?? -1)) return row.view?.text ?? row.text;
    if (!isStale(row)) return row.view?.text ?? row.text;
    const object = refreshed(row);
    // The full text keeps what it learnt, so that a price deleted later stays as it was last.
    row.text = JSON.stringify(object);
    const data = object.items.data;
    if (data.length > options.itemsCap) {
      object.items = { ...object.items, data: data.slice(0, options.itemsCap), has_more: true };
    }
    row.view = { text: JSON.stringify(object), version };
    return row.view.text;
  };
  const itemText = (id: string): string | null => {
    const row = collections.subscription.byId.get(itemParents.get(id) ?? '');
    if (row === undefined) return null;
    const item = refreshed(row).items.data.find((candidate) => candidate.id === id);
    return item === undefined ? null : JSON.stringify(item);
  };

  const store: Store = {
    collections,
    load(name, objects) {
      const target = collections[name];
      for (const object of objects) {
        const row = toRow(object.id, object.created, JSON.stringify(object), object);
        target.rows.push(row);
        target.byId.set(row.id, row);
        if (name === 'subscription') indexSubscription(row, object);
      }
      target.rows.sort((a, b) => before(a, b) ? -1 : 1);
    },
    put: (name, object) =>
      place(name, toRow(object.id, object.created, JSON.stringify(object), object), object),
    putText(name, row) {
      const object: unknown = JSON.parse(row.text);
      place(name, toRow(row.id, row.created, row.text, object), object);
    },
    remove(name, id) {
      const target = collections[name];
      const row = target.byId.get(id);
      if (row === undefined) return false;
      // Subscriptions that showed this price take it in before it is gone.
      if (name === 'price' && priceVersions.has(id)) {
        for (const user of collections.subscription.rows) {
          if (user.facets.prices.includes(id)) rowText('subscription', user);
        }
      }
      if (name === 'subscription') forgetSubscription(row);
      target.rows.splice(positionOf(target.rows, row), 1);
      target.byId.delete(id);
      target.gone.add(id);
      return true;
    },
    get<T extends StripeObject>(name: CollectionName, id: string): T | null {
      const row = collections[name].byId.get(id);
      if (row === undefined) return null;
      const object: unknown = name === 'subscription' ? refreshed(row) : JSON.parse(row.text);
      return object as T;
    },
    viewText(name, id) {
      if (name === 'subscription_item') return itemText(id);
      const row = collections[name].byId.get(id);
      return row === undefined ? null : rowText(name, row);
    },
    rowText,
    subscriptionsOf(customer) {
      const own: Row[] = [];
      for (const id of byCustomer.get(customer) ?? []) {
        const row = collections.subscription.byId.get(id);
        if (row !== undefined) own.push(row);
      }
      return own.sort((a, b) => before(a, b) ? -1 : 1);
    },
    parentOfItem: (itemId) => itemParents.get(itemId) ?? null,
    snapshot(name, { listedOnly = false } = {}) {
      const found = new Map<string, StripeObject>();
      const source = name === 'subscription_item' ? 'subscription' : name;
      for (const row of collections[source].rows) {
        if (listedOnly && row.hidden) continue;
        if (name === 'subscription_item') {
          if ((itemCounts.get(row.id) ?? 0) === 0) continue;
          for (const item of refreshed(row).items.data) found.set(item.id, item);
        } else {
          found.set(row.id, JSON.parse(rowText(source, row)) as StripeObject);
        }
      }
      return found;
    },
    ids: (name) =>
      name === 'subscription_item'
        ? [...itemParents.keys()]
        : collections[name].rows.map((row) => row.id),
    count: (name) =>
      name === 'subscription_item' ? itemParents.size : collections[name].rows.length,
  };
  return store;
};
