/**
 * Owns change: what creating, updating, merging, replying and deleting do to the objects of one
 * workspace, and which notifications they leave behind. The fake's API only reads; tests write
 * here.
 */

import type { IdKind } from './ids.ts';
import {
  type Author,
  authorOf,
  buildAdmin,
  buildCompany,
  buildContact,
  buildConversation,
  buildPart,
  buildTag,
  type Fields,
  type IntercomObject,
} from './objects.ts';
import { type CollectionName, type Row, type Store, toRow } from './state.ts';

/** What the operations work with. */
export interface OpsContext {
  store: Store;
  workspace: string;
  newId: (kind: IdKind, created: number) => string;
  /** Milliseconds. */
  now: () => number;
  emit: (topic: string, item: Fields) => void;
}

/** Who replies, and what: a comment of the contact unless told otherwise. */
export interface Reply {
  by?: 'contact' | { admin: string };
  body?: string;
  /** `note` is an admin's internal note. */
  type?: 'comment' | 'note';
}

/**
 * The operations. Each sets `updated_at` to the fake's second unless the fields say otherwise,
 * and answers what the API would show. Unknown ids throw.
 */
export interface Ops {
  createContact(fields?: Fields): IntercomObject;
  updateContact(id: string, fields: Fields): IntercomObject;
  deleteContact(id: string): void;
  /** `from` is gone from now on, its tags, companies and conversations belong to `into`. */
  mergeContact(from: string, into: string): IntercomObject;
  archiveContact(id: string): void;
  unarchiveContact(id: string): IntercomObject;
  tagContact(id: string, tag: string): IntercomObject;
  untagContact(id: string, tag: string): IntercomObject;
  /** Makes a contact a member of a company, or no longer one; both objects change. */
  attachCompany(contact: string, company: string): IntercomObject;
  detachCompany(contact: string, company: string): IntercomObject;
  createCompany(fields?: Fields): IntercomObject;
  updateCompany(id: string, fields: Fields): IntercomObject;
  deleteCompany(id: string): void;
  /** A contact's conversation, or an admin's with `admin`. */
  createConversation(
    about: { contact: string; admin?: string; body?: string },
    fields?: Fields,
  ): IntercomObject;
  /** Sets fields without a part and, like many a change at Intercom, without a notification. */
  updateConversation(id: string, fields: Fields): IntercomObject;
  reply(id: string, reply?: Reply): IntercomObject;
  closeConversation(id: string, admin?: string): IntercomObject;
  openConversation(id: string, admin?: string): IntercomObject;
  snoozeConversation(id: string, until: number, admin?: string): IntercomObject;
  assignConversation(id: string, to: string, admin?: string): IntercomObject;
  /** Blanks a part, as a redaction does. */
  redactPart(conversation: string, part: string): IntercomObject;
  deleteConversation(id: string): void;
  /** Sets fields of many conversations in one second, as a rule does; no notifications. */
  bulkUpdateConversations(ids: readonly string[], fields: Fields): number;
  addAdmin(fields?: Fields): IntercomObject;
  updateAdmin(id: string, fields: Fields): IntercomObject;
  removeAdmin(id: string): void;
  createTag(name: string): IntercomObject;
  /** Removes an object without a notification. */
  vanish(name: CollectionName, id: string): void;
  /** Runs operations without any notification, as if none had been subscribed to. */
  quietly<T>(work: () => T): T;
}

/** The operations on one workspace. */
export const createOps = (context: OpsContext): Ops => {
  const { store, workspace, newId } = context;
  const seconds = (): number => Math.floor(context.now() / 1000);
  let quiet = 0;
  const emit = (topic: string, item: Fields): void => {
    if (quiet === 0) context.emit(topic, item);
  };
  const need = (name: CollectionName, id: string): Row => {
    const row = store.collections[name].byId.get(id);
    if (row === undefined) throw new Error(`no ${name} '${id}' in workspace '${workspace}'`);
    return row;
  };
  const shown = (name: CollectionName, row: Row): IntercomObject =>
    structuredClone(store.view(name, row));
  const save = (name: CollectionName, row: Row): IntercomObject => {
    store.put(name, row);
    return shown(name, row);
  };
  /** Replaces a row by one with other fields and lists, changed now. */
  const change = (
    name: CollectionName,
    old: Row,
    fields: Fields,
    lists: { tags?: string[]; companies?: string[]; parts?: IntercomObject[] } = {},
  ): IntercomObject => {
    const timed = typeof old.object['updated_at'] === 'number' ? { updated_at: seconds() } : {};
    const object = { ...old.object, ...timed, ...fields, id: old.id, type: old.object.type };
    const { tags, companies, parts } = old;
    return save(name, toRow(object, { tags, companies, parts, ...lists }));
  };
  const baseOf = (fields: Fields, kind: IdKind) => {
    const created = typeof fields['created_at'] === 'number' ? fields['created_at'] : seconds();
    const id = typeof fields['id'] === 'string' ? fields['id'] : newId(kind, created);
    return { id, created };
  };
  const drop = (name: CollectionName, id: string, into?: string): Row => {
    const row = store.remove(name, id, into);
    if (row === null) throw new Error(`no ${name} '${id}' in workspace '${workspace}'`);
    return row;
  };

  const roleOf = (contact: IntercomObject): string =>
    contact['role'] === 'lead' ? 'contact.lead' : 'contact.user';
  const retag = (id: string, tag: string, has: boolean): IntercomObject => {
    const row = need('contact', id);
    const tagObject = shown('tag', need('tag', tag));
    const others = row.tags.filter((one) => one !== tag);
    const contact = change('contact', row, {}, { tags: has ? [...others, tag] : others });
    emit(`${roleOf(contact)}.tag.${has ? 'created' : 'deleted'}`, {
      type: 'contact_tag',
      created_at: seconds(),
      tag: tagObject,
      contact,
    });
    return contact;
  };
  const relate = (contact: string, company: string, has: boolean): IntercomObject => {
    const row = need('contact', contact);
    const firm = need('company', company);
    const was = row.companies.includes(company);
    const others = row.companies.filter((one) => one !== company);
    if (was !== has) {
      const users = (firm.object['user_count'] as number) + (has ? 1 : -1);
      ops.updateCompany(company, { user_count: Math.max(0, users) });
    }
    const result = change('contact', row, {}, { companies: has ? [...others, company] : others });
    emit(`${roleOf(result)}.updated`, result);
    return result;
  };

  const adminOf = (id: string | undefined): Author => {
    const first = id ?? store.ids('admin')[0];
    if (first === undefined) throw new Error(`workspace '${workspace}' has no admin; add one`);
    return authorOf(need('admin', first).object);
  };
  const contactOf = (row: Row): Author => {
    const { contacts } = row.object['contacts'] as { contacts: { id: string }[] };
    const contact = store.collections.contact.byId.get(contacts[0]?.id ?? '');
    return contact === undefined
      ? { type: 'user', id: contacts[0]?.id ?? '', name: null, email: null }
      : authorOf(contact.object);
  };
  /** Conversations in notifications carry only the part they are about. */
  const tell = (topic: string, object: IntercomObject, part: IntercomObject | null): void =>
    emit(topic, {
      ...object,
      conversation_parts: {
        type: 'conversation_part.list',
        conversation_parts: part === null ? [] : [part],
        total_count: part === null ? 0 : 1,
      },
    });
  const addPart = (
    id: string,
    topic: string,
    author: Author,
    partFields: Fields,
    fields: Fields = {},
  ): IntercomObject => {
    const row = need('conversation', id);
    const at = seconds();
    const state = fields['state'] ?? row.object['state'];
    const base = { id: newId('part', at), created: at };
    const part = buildPart(base, author, { state, ...partFields });
    const parts = [...row.parts, part];
    const statistics = {
      ...row.object['statistics'] as Fields,
      ...(author.type === 'admin' ? { last_admin_reply_at: at } : { last_contact_reply_at: at }),
      ...(partFields['part_type'] === 'close' ? { last_close_at: at } : {}),
      count_conversation_parts: parts.length,
    };
    const object = change('conversation', row, { statistics, ...fields }, { parts });
    tell(topic, object, part);
    return object;
  };

  const ops: Ops = {
    createContact(fields = {}) {
      const object = buildContact(baseOf(fields, 'contact'), workspace, fields);
      const contact = save('contact', toRow(object));
      emit(`${roleOf(contact)}.created`, contact);
      return contact;
    },
    updateContact(id, fields) {
      const contact = change('contact', need('contact', id), fields);
      emit(`${roleOf(contact)}.updated`, contact);
      return contact;
    },
    deleteContact(id) {
      const { object } = drop('contact', id);
      emit('contact.deleted', { type: 'contact', id, external_id: object['external_id'] });
    },
    mergeContact(from, into) {
      if (from === into) throw new Error(`contact '${from}' cannot be merged into itself`);
      const target = need('contact', into);
      const source = drop('contact', from, into);
      const survivor = change('contact', target, {}, {
        tags: [...new Set([...target.tags, ...source.tags])],
        companies: [...new Set([...target.companies, ...source.companies])],
      });
      const named = { type: 'contact', id: into, external_id: survivor['external_id'] };
      for (const row of [...store.collections.conversation.byId.values()]) {
        const list = row.object['contacts'] as { contacts: { id: string }[] };
        if (!list.contacts.some((one) => one.id === from)) continue;
        const others = list.contacts.filter((one) => one.id !== from && one.id !== into);
        change('conversation', row, { contacts: { ...list, contacts: [named, ...others] } });
      }
      emit('contact.merged', survivor);
      return survivor;
    },
    archiveContact(id) {
      const contact = shown('contact', need('contact', id));
      store.archive(id);
      emit('contact.archived', { ...contact, archived: true });
    },
    unarchiveContact(id) {
      const row = store.unarchive(id);
      if (row === null) throw new Error(`no archived contact '${id}' in '${workspace}'`);
      const contact = change('contact', row, {});
      emit('contact.unarchived', contact);
      return contact;
    },
    tagContact: (id, tag) => retag(id, tag, true),
    untagContact: (id, tag) => retag(id, tag, false),
    attachCompany: (contact, company) => relate(contact, company, true),
    detachCompany: (contact, company) => relate(contact, company, false),
    createCompany(fields = {}) {
      const object = buildCompany(baseOf(fields, 'company'), workspace, fields);
      const company = save('company', toRow(object));
      emit('company.created', company);
      return company;
    },
    updateCompany(id, fields) {
      const company = change('company', need('company', id), fields);
      emit('company.updated', company);
      return company;
    },
    deleteCompany(id) {
      const { object } = drop('company', id);
      for (const row of [...store.collections.contact.byId.values()]) {
        if (!row.companies.includes(id)) continue;
        change('contact', row, {}, { companies: row.companies.filter((one) => one !== id) });
      }
      emit('company.deleted', { type: 'company', id, company_id: object['company_id'] });
    },
    createConversation(about, fields = {}) {
      const contact = need('contact', about.contact).object;
      const author = about.admin === undefined ? authorOf(contact) : adminOf(about.admin);
      const base = baseOf(fields, 'conversation');
      const object = buildConversation(base, {
        contact,
        author,
        messageId: newId('message', base.created),
        body: about.body ?? '<p>Hello</p>',
      }, fields);
      const conversation = save('conversation', toRow(object));
      const by = author.type === 'admin' ? 'admin.single' : 'user';
      tell(`conversation.${by}.created`, conversation, null);
      return conversation;
    },
    updateConversation: (id, fields) => change('conversation', need('conversation', id), fields),
    reply(id, { by = 'contact', body = '<p>A reply</p>', type = 'comment' } = {}) {
      const author = by === 'contact' ? contactOf(need('conversation', id)) : adminOf(by.admin);
      const who = author.type === 'admin' ? 'admin' : 'user';
      const topic = type === 'note' ? 'admin.noted' : `${who}.replied`;
      return addPart(id, `conversation.${topic}`, author, { part_type: type, body });
    },
    closeConversation: (id, admin) =>
      addPart(id, 'conversation.admin.closed', adminOf(admin), { part_type: 'close' }, {
        state: 'closed',
        open: false,
        snoozed_until: null,
      }),
    openConversation: (id, admin) =>
      addPart(id, 'conversation.admin.opened', adminOf(admin), { part_type: 'open' }, {
        state: 'open',
        open: true,
        snoozed_until: null,
      }),
    snoozeConversation: (id, until, admin) =>
      addPart(id, 'conversation.admin.snoozed', adminOf(admin), { part_type: 'snoozed' }, {
        state: 'snoozed',
        open: true,
        snoozed_until: until,
      }),
    assignConversation: (id, to, admin) =>
      addPart(id, 'conversation.admin.assigned', adminOf(admin), {
        part_type: 'assignment',
        assigned_to: { type: 'admin', id: need('admin', to).id },
      }, { admin_assignee_id: Number(to) }),
    redactPart(conversation, part) {
      const row = need('conversation', conversation);
      const index = row.parts.findIndex((one) => one.id === part);
      const old = row.parts[index];
      if (old === undefined) throw new Error(`no part '${part}' in '${conversation}'`);
      const body = '<p>This message was deleted</p>';
      const redacted = { ...old, body, redacted: true, updated_at: seconds() };
      const parts = row.parts.with(index, redacted);
      const object = change('conversation', row, {}, { parts });
      tell('conversation_part.redacted', object, redacted);
      return object;
    },
    deleteConversation(id) {
      drop('conversation', id);
      store.deletedConversations.push({ id, deleted_at: seconds() });
      emit('conversation.deleted', { type: 'conversation', id });
    },
    bulkUpdateConversations(ids, fields) {
      const updated_at = seconds();
      for (const id of ids) {
        change('conversation', need('conversation', id), { updated_at, ...fields });
      }
      return updated_at;
    },
    addAdmin(fields = {}) {
      const id = typeof fields['id'] === 'string' ? fields['id'] : newId('admin', seconds());
      const admin = save('admin', toRow(buildAdmin(id, fields)));
      emit('admin.added_to_workspace', admin);
      return admin;
    },
    updateAdmin: (id, fields) => change('admin', need('admin', id), fields),
    removeAdmin(id) {
      const { object } = drop('admin', id);
      emit('admin.removed_from_workspace', { ...object });
    },
    createTag: (name) => save('tag', toRow(buildTag(newId('tag', seconds()), name))),
    vanish(name, id) {
      drop(name, id);
    },
    quietly(work) {
      quiet += 1;
      try {
        return work();
      } finally {
        quiet -= 1;
      }
    },
  };
  return ops;
};
