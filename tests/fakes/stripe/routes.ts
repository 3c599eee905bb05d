/**
 * Owns the API's endpoints: which path means what, and what each answers as JSON text. Errors are
 * thrown as ApiErrors.
 */

import type { WireRequest } from '../_shared/http.ts';
import type { Resource } from './auth.ts';
import type { Endpoints } from './endpoints.ts';
import { errors } from './errors.ts';
import { listCollection, type ListContext, listEvents, listItems } from './list.ts';
import type { StripeObject } from './objects.ts';
import type { Ops } from './ops.ts';
import { readParams, readTree, type Spec, type Tree, WRITABLE } from './params.ts';
import type { CollectionName } from './state.ts';

/** What an endpoint works on. */
export interface RouteContext extends ListContext {
  ops: Ops;
  endpoints: Endpoints;
  account: StripeObject;
}

/** A request that found its endpoint. */
export interface Route {
  /** `GET /v1/customers/:id`: rate limits and counts go by this. */
  endpoint: string;
  resource: Resource;
  /** Answers JSON text, or throws an ApiError. */
  run: (context: RouteContext) => string;
}

type Query = { [key: string]: Tree };

const COLLECTION_OF: Record<string, CollectionName | 'subscription_item'> = {
  customers: 'customer',
  products: 'product',
  prices: 'price',
  plans: 'plan',
  subscriptions: 'subscription',
  subscription_items: 'subscription_item',
};
const RESOURCE_OF: Record<CollectionName | 'subscription_item', Resource> = {
  customer: 'customer',
  product: 'product',
  price: 'plan',
  plan: 'plan',
  subscription: 'subscription',
  subscription_item: 'subscription',
};

/** Folds the id out of a path: `/v1/customers/cus_x` becomes `/v1/customers/:id`. */
export const endpointOf = (path: string): string =>
  path.replace(/^(\/v1\/[a-z_]+)\/[^/]+/, '$1/:id');

const EXPAND_ONLY: Spec = { expand: { list: 'string' } };

const retrieve = (
  context: RouteContext,
  name: CollectionName | 'subscription_item',
  id: string,
): string => {
  const text = context.store.viewText(name, id);
  if (text !== null) return text;
  if (name === 'customer' && context.store.collections.customer.gone.has(id)) {
    return JSON.stringify({ id, object: 'customer', deleted: true });
  }
  throw errors.missing(name, id);
};

type Fields = Record<string, unknown>;

const createItem = (context: RouteContext, fields: Fields): string => {
  const { subscription, price, plan, quantity, metadata } = fields;
  if (typeof subscription !== 'string') throw errors.missingParam('subscription');
  const priceId = price ?? plan;
  if (typeof priceId !== 'string') throw errors.missingParam('price');
  const item = context.ops.addItem(subscription, {
    price: priceId,
    ...(typeof quantity === 'number' ? { quantity } : {}),
    ...(metadata === undefined ? {} : { metadata: metadata as Fields }),
  });
  return retrieve(context, 'subscription_item', item.id);
};

const updateItem = (context: RouteContext, id: string, fields: Fields): string => {
  const { price, plan, quantity, metadata } = fields;
  const priceId = price ?? plan;
  context.ops.updateItem(id, {
    ...(typeof priceId === 'string' ? { price: priceId } : {}),
    ...(typeof quantity === 'number' ? { quantity } : {}),
    ...(metadata === undefined ? {} : { metadata: metadata as Fields | '' }),
  });
  return retrieve(context, 'subscription_item', id);
};

const removed = (name: string, id: string): string =>
  JSON.stringify({ id, object: name, deleted: true });

const destroy = (
  context: RouteContext,
  name: CollectionName | 'subscription_item',
  id: string,
  fields: Fields,
): string => {
  if (name === 'subscription') {
    context.ops.cancel(id, fields['cancellation_details'] as { comment?: string } ?? {});
    return retrieve(context, name, id);
  }
  if (name === 'subscription_item') {
    context.ops.removeItem(id);
    return removed(name, id);
  }
  const { price } = context.store.collections;
  if (name === 'product' && price.rows.some((row) => row.facets.product === id)) {
    throw errors.invalid(
      'This product cannot be deleted because it has one or more user-created prices.',
    );
  }
  context.ops.delete(name, id);
  return removed(name, id);
};

/** What a request about webhook endpoints does. */
const endpointsRoute = (
  method: string,
  id: string | undefined,
  query: () => Query,
  request: WireRequest,
) =>
(context: RouteContext): string => {
  const { endpoints } = context;
  const form = () => readTree(new URLSearchParams(request.body));
  if (method === 'GET' && id === undefined) {
    readParams(query(), { limit: 'integer', starting_after: 'string', ...EXPAND_ONLY });
    const data = endpoints.list();
    return JSON.stringify({ object: 'list', url: '/v1/webhook_endpoints', has_more: false, data });
  }
  if (method === 'GET') return JSON.stringify(endpoints.get(id ?? ''));
  if (method === 'POST' && id === undefined) return JSON.stringify(endpoints.create(form()));
  if (method === 'POST') return JSON.stringify(endpoints.update(id ?? '', form()));
  endpoints.remove(id ?? '');
  return removed('webhook_endpoint', id ?? '');
};

/** Finds the endpoint of a request, or throws Stripe's 404 for an unknown URL. */
export const findRoute = (request: WireRequest): Route => {
  const { method, path } = request;
  const [, root, segment = '', id, ...rest] = path.replace(/\/$/, '').split('/').map((part) =>
    decodePart(part)
  );
  const endpoint = `${method} ${endpointOf(path)}`;
  const query = () => readTree(request.query);
  const body = (spec: Spec): Fields => {
    const form = readTree(new URLSearchParams(request.body));
    return readParams({ ...query(), ...form }, spec);
  };
  const get = (
    read: (context: RouteContext, query: Query) => string,
    resource: Resource,
  ): Route => ({
    endpoint,
    resource,
    run: (context) => read(context, query()),
  });
  if (root !== 'v1' || rest.length > 0) throw errors.noRoute(method, path);

  if (segment === 'account' && method === 'GET' && id === undefined) {
    return get((context, query) => {
      readParams(query, EXPAND_ONLY);
      return JSON.stringify(context.account);
    }, 'account');
  }
  if (segment === 'events' && method === 'GET') {
    if (id === undefined) return get(listEvents, 'event');
    return get((context, query) => {
      readParams(query, EXPAND_ONLY);
      const event = context.events.get(id);
      if (event === null) throw errors.missing('event', id);
      return event.text;
    }, 'event');
  }
  if (segment === 'webhook_endpoints') {
    return {
      endpoint,
      resource: 'webhook_endpoint',
      run: endpointsRoute(method, id, query, request),
    };
  }
  const name = Object.hasOwn(COLLECTION_OF, segment) ? COLLECTION_OF[segment] : undefined;
  if (name === undefined) throw errors.noRoute(method, path);
  const resource = RESOURCE_OF[name];
  if (method === 'GET') {
    if (id !== undefined) {
      return get((context, query) => {
        readParams(query, EXPAND_ONLY);
        return retrieve(context, name, id);
      }, resource);
    }
    if (name === 'subscription_item') return get(listItems, resource);
    return get((context, query) => listCollection(context, name, query), resource);
  }
  if (method === 'POST' && id === undefined) {
    return {
      endpoint,
      resource,
      run(context) {
        const fields = body(WRITABLE[name].create);
        if (name === 'subscription_item') return createItem(context, fields);
        return retrieve(context, name, context.ops.create(name, fields).id);
      },
    };
  }
  if (method === 'POST' && id !== undefined) {
    return {
      endpoint,
      resource,
      run(context) {
        const fields = body(WRITABLE[name].update);
        if (name === 'subscription_item') return updateItem(context, id, fields);
        context.ops.update(name, id, fields);
        return retrieve(context, name, id);
      },
    };
  }
  // Prices have no DELETE.
  if (method === 'DELETE' && id !== undefined && name !== 'price') {
    const spec: Spec = name === 'subscription' || name === 'subscription_item'
      ? WRITABLE[name].delete
      : {};
    return { endpoint, resource, run: (context) => destroy(context, name, id, body(spec)) };
  }
  throw errors.noRoute(method, path);
};

const decodePart = (part: string): string => {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
};
