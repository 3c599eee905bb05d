/**
 * Owns listing: pages of a collection, newest first, by cursor and filter, with Stripe's checks of
 * every parameter. Answers JSON text.
 */

import { errors } from './errors.ts';
import type { EventLog, EventRow } from './events.ts';
import type { Subscription, SubscriptionItem } from './objects.ts';
import { readBoolean, readInteger, type Tree } from './params.ts';
import { type CollectionName, positionOf, type Row, type Store } from './state.ts';

type Query = { [key: string]: Tree };

/** What a fault leaves out of a listing: some ids, or all. */
export type Omitted = ReadonlySet<string> | 'all' | null;

/** How one listing is made. */
export interface ListContext {
  store: Store;
  events: EventLog;
  /** Milliseconds by the fake's clock. */
  now: () => number;
  pricesDefaultActiveOnly: boolean;
  omitted: Omitted;
  /** Raw rows put before the real ones. */
  injected: readonly string[];
}

const PATHS: Record<CollectionName, string> = {
  customer: '/v1/customers',
  product: '/v1/products',
  price: '/v1/prices',
  plan: '/v1/plans',
  subscription: '/v1/subscriptions',
};

const PAGING = ['limit', 'starting_after', 'ending_before', 'expand'];
const FILTERS: Record<CollectionName, readonly string[]> = {
  customer: ['created', 'email', 'test_clock'],
  product: ['created', 'active', 'ids', 'shippable', 'url'],
  price: ['created', 'active', 'product', 'type', 'currency', 'lookup_keys'],
  plan: ['created', 'active', 'product'],
  subscription: [
    'created',
    'status',
    'customer',
    'price',
    'plan',
    'collection_method',
    'test_clock',
  ],
};
const STATUSES = [
  'active',
  'past_due',
  'unpaid',
  'canceled',
  'incomplete',
  'incomplete_expired',
  'trialing',
  'paused',
  'all',
  'ended',
] as const;

const refuseUnknown = (query: Query, known: readonly string[]): void => {
  for (const name of Object.keys(query)) {
    if (!known.includes(name)) throw errors.unknownParam(name);
  }
};

const readText = (query: Query, name: string): string | null => {
  const value = query[name];
  if (value === undefined) return null;
  if (typeof value !== 'string') throw errors.invalid('Invalid string', name);
  return value;
};

const readTexts = (query: Query, name: string): string[] | null => {
  const value = query[name];
  if (value === undefined) return null;
  if (!Array.isArray(value)) throw errors.invalidArray(name);
  return value.filter((entry) => typeof entry === 'string');
};

interface Paging {
  limit: number;
  after: string | null;
  before: string | null;
}

const readPaging = (query: Query): Paging => {
  const limit = query['limit'] === undefined ? 10 : readInteger('limit', query['limit']);
  if (limit < 1) throw errors.tooSmall('limit', 1);
  if (limit > 100) throw errors.tooLarge('limit', 100, limit);
  const after = readText(query, 'starting_after');
  const before = readText(query, 'ending_before');
  if (after !== null && before !== null) {
    throw errors.invalid(
      'You may only specify one of these parameters: ending_before, starting_after.',
      'ending_before',
    );
  }
  return { limit, after, before };
};

/** Both bounds included, in whole seconds. */
const readCreated = (query: Query): { from: number; to: number } => {
  const range = { from: -Infinity, to: Infinity };
  const created = query['created'];
  if (created === undefined) return range;
  if (typeof created === 'string') {
    const at = readInteger('created', created);
    return { from: at, to: at };
  }
  if (Array.isArray(created)) throw errors.invalidHash('created');
  for (const [bound, raw] of Object.entries(created)) {
    const param = `created[${bound}]`;
    if (!['gt', 'gte', 'lt', 'lte'].includes(bound)) throw errors.unknownParam(param);
    const at = readInteger(param, raw);
    if (bound === 'gt') range.from = Math.max(range.from, at + 1);
    if (bound === 'gte') range.from = Math.max(range.from, at);
    if (bound === 'lt') range.to = Math.min(range.to, at - 1);
    if (bound === 'lte') range.to = Math.min(range.to, at);
  }
  return range;
};

type Test = (row: Row) => boolean;

const equals = (query: Query, name: 'email' | 'product' | 'type' | 'currency' | 'url'): Test[] => {
  const wanted = readText(query, name);
  return wanted === null ? [] : [(row) => row.facets[name] === wanted];
};

const readFilters = (context: ListContext, name: CollectionName, query: Query): Test[] => {
  const tests: Test[] = [];
  for (const field of ['email', 'product', 'type', 'currency', 'url'] as const) {
    if (FILTERS[name].includes(field)) tests.push(...equals(query, field));
  }
  for (const field of ['active', 'shippable'] as const) {
    const raw = query[field];
    if (raw !== undefined) {
      const wanted = readBoolean(field, raw);
      tests.push((row) => row.facets[field] === wanted);
    }
  }
  if (name === 'price' && query['active'] === undefined && context.pricesDefaultActiveOnly) {
    tests.push((row) => row.facets.active !== false);
  }
  const ids = readTexts(query, 'ids');
  if (ids !== null) tests.push((row) => ids.includes(row.id));
  const keys = readTexts(query, 'lookup_keys');
  if (keys !== null) tests.push((row) => keys.includes(String(row.facets.lookup_key)));
  if (name === 'customer' || name === 'subscription') {
    const clock = readText(query, 'test_clock');
    tests.push(clock === null ? (row) => !row.hidden : (row) => row.facets.test_clock === clock);
  }
  if (name === 'subscription') tests.push(...readSubscriptionFilters(context, query));
  return tests;
};

const readSubscriptionFilters = (context: ListContext, query: Query): Test[] => {
  const tests: Test[] = [];
  const status = readText(query, 'status');
  if (status !== null && !STATUSES.some((known) => known === status)) {
    throw errors.notOneOf('status', STATUSES);
  }
  if (status === null) tests.push((row) => row.facets.status !== 'canceled');
  else if (status === 'ended') {
    tests.push((row) =>
      row.facets.status === 'canceled' || row.facets.status === 'incomplete_expired'
    );
  } else if (status !== 'all') tests.push((row) => row.facets.status === status);
  const customer = readText(query, 'customer');
  if (customer !== null) {
    const customers = context.store.collections.customer;
    if (!customers.byId.has(customer) && !customers.gone.has(customer)) {
      throw errors.missing('customer', customer, 'customer');
    }
  }
  for (const field of ['price', 'plan'] as const) {
    const wanted = readText(query, field);
    if (wanted !== null) tests.push((row) => row.facets.prices.includes(wanted));
  }
  const method = readText(query, 'collection_method');
  if (method !== null) tests.push((row) => row.facets.collection_method === method);
  return tests;
};

/** One page out of rows that are newest first, between two positions (`to` not included). */
const cutPage = <T>(
  rowAt: (position: number) => T,
  span: { from: number; to: number },
  paging: Paging,
  passes: (row: T) => boolean,
): { page: T[]; hasMore: boolean } => {
  const page: T[] = [];
  if (paging.before === null) {
    for (let at = span.from; at < span.to; at++) {
      const row = rowAt(at);
      if (!passes(row)) continue;
      if (page.length === paging.limit) return { page, hasMore: true };
      page.push(row);
    }
    return { page, hasMore: false };
  }
  for (let at = span.to - 1; at >= span.from; at--) {
    const row = rowAt(at);
    if (!passes(row)) continue;
    if (page.length === paging.limit) return { page: page.reverse(), hasMore: true };
    page.push(row);
  }
  return { page: page.reverse(), hasMore: false };
};

const render = (context: ListContext, texts: string[], hasMore: boolean, url: string): string => {
  if (context.omitted === 'all') {
    return `{"object":"list","data":[],"has_more":false,"url":${JSON.stringify(url)}}`;
  }
  const rows = context.injected.length === 0 ? texts : [...context.injected, ...texts];
  return `{"object":"list","data":[${rows.join(',')}],"has_more":${hasMore},"url":${
    JSON.stringify(url)
  }}`;
};

const isOmitted = (context: ListContext, id: string): boolean =>
  context.omitted !== null && context.omitted !== 'all' && context.omitted.has(id);

/** A page of a collection. Throws an ApiError for a parameter Stripe would refuse. */
export const listCollection = (
  context: ListContext,
  name: CollectionName,
  query: Query,
): string => {
  refuseUnknown(query, [...PAGING, ...FILTERS[name]]);
  const paging = readPaging(query);
  const created = readCreated(query);
  const tests = readFilters(context, name, query);
  const { byId, rows: all } = context.store.collections[name];
  const customer = name === 'subscription' ? readText(query, 'customer') : null;
  const rows = customer === null ? all : context.store.subscriptionsOf(customer);

  // Positions: a higher id sorts first within a second, so these keys bracket whole seconds.
  const span = {
    from: created.to === Infinity ? 0 : positionOf(rows, { created: created.to + 1, id: '' }),
    to: created.from === -Infinity
      ? rows.length
      : positionOf(rows, { created: created.from, id: '' }),
  };
  const cursor = paging.after ?? paging.before;
  if (cursor !== null) {
    const row = byId.get(cursor);
    if (row === undefined) {
      throw errors.missing(
        name,
        cursor,
        paging.after === null ? 'ending_before' : 'starting_after',
      );
    }
    const at = positionOf(rows, row);
    if (paging.after === null) span.to = Math.min(span.to, at);
    else span.from = Math.max(span.from, at + 1);
  }
  const { page, hasMore } = cutPage(
    (position) => rows[position] as Row,
    span,
    paging,
    (row) => !isOmitted(context, row.id) && tests.every((test) => test(row)),
  );
  return render(context, page.map((row) => context.store.rowText(name, row)), hasMore, PATHS[name]);
};

/** A page of the items of one subscription, in the order the subscription shows them. */
export const listItems = (context: ListContext, query: Query): string => {
  refuseUnknown(query, [...PAGING, 'subscription']);
  const parent = readText(query, 'subscription');
  if (parent === null) throw errors.missingParam('subscription');
  const paging = readPaging(query);
  const subscription = context.store.get<Subscription>(
    'subscription',
    parent,
  );
  if (subscription === null) throw errors.missing('subscription', parent, 'subscription');
  const items = subscription.items.data;
  const span = { from: 0, to: items.length };
  const cursor = paging.after ?? paging.before;
  if (cursor !== null) {
    const at = items.findIndex((item) => item.id === cursor);
    if (at === -1) {
      const param = paging.after === null ? 'ending_before' : 'starting_after';
      throw errors.missing('subscription_item', cursor, param);
    }
    if (paging.after === null) span.to = at;
    else span.from = at + 1;
  }
  const { page, hasMore } = cutPage(
    (position) => items[position] as SubscriptionItem,
    span,
    paging,
    (item) => !isOmitted(context, item.id),
  );
  return render(
    context,
    page.map((item) => JSON.stringify(item)),
    hasMore,
    `/v1/subscription_items?subscription=${parent}`,
  );
};

const matchesType = (pattern: string, type: string): boolean =>
  pattern.endsWith('*') ? type.startsWith(pattern.slice(0, -1)) : type === pattern;

/** A page of the event log: only what is visible by now and within the retention. */
export const listEvents = (context: ListContext, query: Query): string => {
  refuseUnknown(query, [...PAGING, 'created', 'type', 'types', 'delivery_success']);
  const paging = readPaging(query);
  const created = readCreated(query);
  const type = readText(query, 'type');
  const types = readTexts(query, 'types');
  if (type !== null && types !== null) {
    throw errors.invalid('You may only specify one of these parameters: type, types.', 'types');
  }
  if (types !== null && types.length > 20) {
    throw errors.invalid('Array must contain at most 20 elements.', 'types');
  }
  if (types?.some((entry) => entry.includes('*'))) {
    throw errors.invalid('types may not contain wildcards; use type instead.', 'types');
  }
  const success = query['delivery_success'] === undefined
    ? null
    : readBoolean('delivery_success', query['delivery_success']);

  const now = context.now();
  const rows = context.events.all();
  const last = rows.length - 1;
  const span = { from: 0, to: rows.length };
  const cursor = paging.after ?? paging.before;
  if (cursor !== null) {
    const row = context.events.get(cursor);
    if (row === null || row.visibleAt > now) {
      const param = paging.after === null ? 'ending_before' : 'starting_after';
      throw errors.missing('event', cursor, param);
    }
    const at = last - context.events.positionOf(row);
    if (paging.after === null) span.to = at;
    else span.from = at + 1;
  }
  const passes = (row: EventRow): boolean =>
    row.visibleAt <= now && row.created >= created.from && row.created <= created.to &&
    (type === null || matchesType(type, row.type)) &&
    (types === null || types.includes(row.type)) &&
    (success === null || (row.delivery === 'failed') === !success) &&
    !isOmitted(context, row.id);
  const { page, hasMore } = cutPage(
    (position) => rows[last - position] as EventRow,
    span,
    paging,
    passes,
  );
  return render(context, page.map((row) => row.text), hasMore, '/v1/events');
};
