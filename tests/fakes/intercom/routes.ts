/**
 * Owns the API's endpoints: which path means what, and what each answers as JSON text. Errors are
 * thrown as ApiErrors.
 */

import type { WireRequest } from '../_shared/http.ts';
import { type CompanyLimits, companyPage, numberedPage, type Scroll } from './companies.ts';
import { errors, type MergedGone } from './errors.ts';
import { type Fields, type IntercomObject, toPlaintext } from './objects.ts';
import { envelope, MAX_PER_PAGE, readCount, type Tampering, walk } from './pages.ts';
import { compile, type DateRules, readSearch } from './search.ts';
import type { CollectionName, Row, Store } from './state.ts';

/** What an endpoint works on. */
export interface RouteContext extends Tampering {
  store: Store;
  scroll: Scroll;
  limits: CompanyLimits;
  contactDates: DateRules;
  conversationDates: DateRules;
  mergedGone: MergedGone;
  /** The fake's own address, as pages link to it. */
  baseUrl: string;
  me(): Fields;
}

/** A request that found its endpoint. */
export interface Route {
  /** What a token needs permission for. */
  resource: CollectionName;
  /** Answers JSON text, or throws an ApiError. */
  run: (context: RouteContext) => string;
}

/** Folds ids out of a path: `/contacts/64f.../tags` becomes `/contacts/:id/tags`. */
export const endpointOf = (path: string): string =>
  path.replace(
    /^(\/(?:contacts|companies|conversations|admins|tags|teams))\/(?!search$|scroll$|list$|deleted$)[^/]+/,
    '$1/:id',
  );

const need = (context: RouteContext, name: CollectionName, id: string): Row => {
  const row = context.store.collections[name].byId.get(id);
  if (row !== undefined) return row;
  const survivor = name === 'contact' ? context.store.survivorOf(id) : null;
  if (survivor !== null) throw errors.merged(survivor, context.mergedGone);
  throw errors.notFound(name);
};

const listed = {
  contact: { type: 'list', field: 'data', order: 'created', perPage: 50 },
  conversation: {
    type: 'conversation.list',
    field: 'conversations',
    order: 'updated',
    perPage: 20,
  },
} as const;

const listPage = (
  context: RouteContext,
  name: 'contact' | 'conversation',
  ask: {
    perPage: string | number | null | undefined;
    startingAfter: string | null | undefined;
    sort?: { field: string; order: string } | null | undefined;
    query: ReturnType<typeof compile> | null;
  },
): string => {
  const shape = listed[name];
  const key = ask.sort === undefined || ask.sort === null
    ? shape.order
    : ask.sort.field === 'created_at'
    ? 'created'
    : 'updated';
  const { rows, total, pages } = walk({
    rows: context.store.collections[name].orders[key],
    key,
    ascending: ask.sort?.order.startsWith('asc') ?? false,
    query: ask.query,
    perPage: readCount('per_page', ask.perPage, shape.perPage, MAX_PER_PAGE),
    startingAfter: ask.startingAfter ?? null,
  });
  return envelope(
    { type: shape.type, total_count: total, pages },
    shape.field,
    rows.map((row) => context.store.view(name, row)),
    context,
  );
};

const list = (request: WireRequest, name: 'contact' | 'conversation') => (context: RouteContext) =>
  listPage(context, name, {
    perPage: request.query.get('per_page'),
    startingAfter: request.query.get('starting_after'),
    query: null,
  });

const search =
  (request: WireRequest, name: 'contact' | 'conversation') => (context: RouteContext) => {
    const body = readSearch(request.body);
    const rules = name === 'contact' ? context.contactDates : context.conversationDates;
    return listPage(context, name, {
      perPage: body.pagination?.per_page,
      startingAfter: body.pagination?.starting_after,
      sort: body.sort,
      query: compile(body.query, name, rules),
    });
  };

const all = (
  name: 'admin' | 'tag' | 'team',
  type: string,
  field: string,
) =>
(context: RouteContext) =>
  envelope(
    { type },
    field,
    context.store.collections[name].orders.created.map((row) => row.object),
    context,
  );

const plain = (conversation: IntercomObject): IntercomObject => {
  const source = conversation['source'] as Fields;
  const parts = conversation['conversation_parts'] as { conversation_parts: IntercomObject[] };
  return {
    ...conversation,
    source: {
      ...source,
      body: toPlaintext(source['body']),
      subject: toPlaintext(source['subject']),
    },
    conversation_parts: {
      ...parts,
      conversation_parts: parts.conversation_parts.map((part) => ({
        ...part,
        body: toPlaintext(part['body']),
      })),
    },
  };
};

const one = (request: WireRequest, name: CollectionName, id: string) => (context: RouteContext) => {
  const row = need(context, name, id);
  if (name !== 'conversation') return JSON.stringify(context.store.view(name, row));
  const conversation = context.store.conversation(row);
  const asText = request.query.get('display_as') === 'plaintext';
  return JSON.stringify(asText ? plain(conversation) : conversation);
};

/** A contact's nested list in full. */
const nested = (request: WireRequest, id: string, what: string) => (context: RouteContext) => {
  const row = need(context, 'contact', id);
  const { tag, company } = context.store.collections;
  const objects = (what === 'tags' ? row.tags : row.companies)
    .map((one) => (what === 'tags' ? tag : company).byId.get(one)?.object)
    .filter((object) => object !== undefined);
  if (what === 'tags') return envelope({ type: 'list' }, 'data', objects, context);
  const url = `${context.baseUrl}${request.path}`;
  return numberedPage(objects, request.query, url, context);
};

/** A single company looked up by `company_id`, as `GET /companies` does when it is given. */
const lookUp = (context: RouteContext, companyId: string): string => {
  for (const row of context.store.collections.company.byId.values()) {
    if (row.object['company_id'] === companyId) return JSON.stringify(row.object);
  }
  throw errors.notFound('company');
};

const COLLECTION_OF: Record<string, CollectionName> = {
  contacts: 'contact',
  companies: 'company',
  conversations: 'conversation',
  admins: 'admin',
  tags: 'tag',
  teams: 'team',
};

/** `GET /conversations/deleted`, newest first; known from 2.16 on. */
const deleted = (request: WireRequest) => (context: RouteContext): string => {
  const [, minor = '14'] = (request.headers['intercom-version'] ?? '2.14').split('.');
  if (Number(minor) < 16) throw errors.notFound('conversation');
  const perPage = readCount('per_page', request.query.get('per_page'), 20, 60);
  const page = readCount('page', request.query.get('page'), 1, 10_000);
  const all = [...context.store.deletedConversations].reverse();
  const shown = all.slice((page - 1) * perPage, page * perPage)
    .map((row) => ({ type: 'conversation', ...row, metrics_retained: false }));
  const pages = Math.max(1, Math.ceil(all.length / perPage));
  const next = page < pages
    ? `${context.baseUrl}/conversations/deleted?per_page=${perPage}&order=desc&page=${page + 1}`
    : null;
  return JSON.stringify({
    type: 'conversations.list',
    total_count: all.length,
    pages: { type: 'pages', next, page, per_page: perPage, total_pages: pages },
    conversations: shown,
  });
};

/** Finds the endpoint of a request, or throws Intercom's 404 for an unknown one. */
export const findRoute = (request: WireRequest): Route => {
  const { method, path } = request;
  const [, root = '', id, sub, ...rest] = path.replace(/\/$/, '').split('/');
  const read = method === 'GET' && rest.length === 0;
  if (method === 'GET' && path === '/me') {
    return { resource: 'admin', run: (context) => JSON.stringify(context.me()) };
  }
  const resource = Object.hasOwn(COLLECTION_OF, root) ? COLLECTION_OF[root] : undefined;
  if (resource === undefined) throw errors.noRoute();
  const route = (run: Route['run']): Route => ({ resource, run });

  if (resource === 'contact' || resource === 'conversation') {
    if (method === 'POST' && id === 'search' && sub === undefined) {
      return route(search(request, resource));
    }
    if (read && id === undefined) return route(list(request, resource));
    if (read && resource === 'conversation' && id === 'deleted' && sub === undefined) {
      return route(deleted(request));
    }
    if (read && resource === 'contact' && (sub === 'tags' || sub === 'companies')) {
      return route(nested(request, id ?? '', sub));
    }
  }
  if (resource === 'company') {
    const numbered = (context: RouteContext): string => {
      const url = `${context.baseUrl}${path}`;
      return companyPage(context.store, request.query, url, context.limits, context);
    };
    if (method === 'POST' && id === 'list' && sub === undefined) return route(numbered);
    if (read && id === undefined) {
      const companyId = request.query.get('company_id');
      return route(companyId === null ? numbered : (context) => lookUp(context, companyId));
    }
    if (read && id === 'scroll' && sub === undefined) {
      const param = request.query.get('scroll_param');
      return route((context) => context.scroll.next(param, context));
    }
  }
  if (read && id === undefined) {
    if (resource === 'admin') return route(all('admin', 'admin.list', 'admins'));
    if (resource === 'tag') return route(all('tag', 'list', 'data'));
    if (resource === 'team') return route(all('team', 'team.list', 'teams'));
  }
  if (read && id !== undefined && sub === undefined) return route(one(request, resource, id));
  throw errors.noRoute();
};
