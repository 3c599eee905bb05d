/**
 * Owns reading parameters: bracketed form encoding into a tree, and trees into typed values by a
 * specification, refusing what Stripe would refuse.
 */

import { errors } from './errors.ts';

/** What came in: texts, hashes and lists of them. */
export type Tree = string | Tree[] | { [key: string]: Tree };

/** What a parameter may hold. `unset` values (empty texts) become null. */
export type Kind =
  | 'string'
  | 'integer'
  | 'boolean'
  | 'metadata'
  | { hash: Spec }
  | { list: Kind };
/** The parameters an endpoint knows. */
export interface Spec {
  [name: string]: Kind;
}

const isHash = (value: Tree | undefined): value is { [key: string]: Tree } =>
  typeof value === 'object' && !Array.isArray(value);

/** Indexed hashes (`items[0]`, `items[1]`) are lists. */
const settle = (value: Tree): Tree => {
  if (typeof value === 'string') return value;
  if (Array.isArray(value)) return value.map(settle);
  const keys = Object.keys(value);
  if (keys.length > 0 && keys.every((key) => /^\d+$/.test(key))) {
    return keys.map(Number).sort((a, b) => a - b).map((key) => settle(value[key] as Tree));
  }
  const hash: { [key: string]: Tree } = Object.create(null);
  for (const key of keys) hash[key] = settle(value[key] as Tree);
  return hash;
};

/** Reads `a[b][]=x` pairs into a tree. A name given twice keeps its last value. */
export const readTree = (params: URLSearchParams): { [key: string]: Tree } => {
  const root: { [key: string]: Tree } = Object.create(null);
  for (const [name, value] of params) {
    const open = name.indexOf('[');
    const path = open === -1
      ? [name]
      : [name.slice(0, open), ...name.slice(open + 1).replace(/\]$/, '').split('][')];
    let node = root;
    for (const [depth, raw] of path.entries()) {
      const key = raw === '' ? String(Object.keys(node).length) : raw;
      if (depth === path.length - 1) {
        node[key] = value;
        break;
      }
      const next = node[key];
      if (isHash(next)) {
        node = next;
      } else {
        const made: { [key: string]: Tree } = Object.create(null);
        node[key] = made;
        node = made;
      }
    }
  }
  return settle(root) as { [key: string]: Tree };
};

/** A whole number, or Stripe's error. */
export const readInteger = (param: string, value: Tree): number => {
  if (typeof value !== 'string' || !/^-?\d{1,15}$/.test(value)) {
    throw errors.invalidInteger(param, typeof value === 'string' ? value : '[object]');
  }
  return Number(value);
};

/** `true` or `false`, or Stripe's error. */
export const readBoolean = (param: string, value: Tree): boolean => {
  if (value === 'true') return true;
  if (value === 'false') return false;
  throw errors.invalidBoolean(param, typeof value === 'string' ? value : '[object]');
};

const readValue = (param: string, value: Tree, kind: Kind): unknown => {
  if (kind === 'metadata') {
    if (value === '') return '';
    if (!isHash(value)) throw errors.invalidHash(param);
    return { ...value };
  }
  if (value === '') return null;
  if (kind === 'string') {
    if (typeof value !== 'string') throw errors.invalid('Invalid string', param);
    return value;
  }
  if (kind === 'integer') return readInteger(param, value);
  if (kind === 'boolean') return readBoolean(param, value);
  if ('list' in kind) {
    if (!Array.isArray(value)) throw errors.invalidArray(param);
    return value.map((entry, i) => readValue(`${param}[${i}]`, entry, kind.list));
  }
  if (!isHash(value)) throw errors.invalidHash(param);
  return readParams(value, kind.hash, param);
};

/** Reads a tree by a specification; an unknown name is Stripe's `parameter_unknown`. */
export const readParams = (
  tree: { [key: string]: Tree },
  spec: Spec,
  prefix = '',
): Record<string, unknown> => {
  const read: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(tree)) {
    const param = prefix === '' ? name : `${prefix}[${name}]`;
    const kind = Object.hasOwn(spec, name) ? spec[name] : undefined;
    if (kind === undefined) throw errors.unknownParam(param);
    read[name] = readValue(param, value, kind);
  }
  return read;
};

const ADDRESS: Kind = {
  hash: {
    city: 'string',
    country: 'string',
    line1: 'string',
    line2: 'string',
    postal_code: 'string',
    state: 'string',
  },
};
const EXPAND: Spec = { expand: { list: 'string' } };
const BILLING: Spec = { proration_behavior: 'string', payment_behavior: 'string', ...EXPAND };
const CUSTOMER: Spec = {
  address: ADDRESS,
  balance: 'integer',
  description: 'string',
  email: 'string',
  invoice_prefix: 'string',
  metadata: 'metadata',
  name: 'string',
  next_invoice_sequence: 'integer',
  phone: 'string',
  preferred_locales: { list: 'string' },
  shipping: { hash: { address: ADDRESS, name: 'string', phone: 'string' } },
  tax_exempt: 'string',
  ...EXPAND,
};
const PRODUCT: Spec = {
  active: 'boolean',
  default_price: 'string',
  description: 'string',
  images: { list: 'string' },
  metadata: 'metadata',
  name: 'string',
  shippable: 'boolean',
  statement_descriptor: 'string',
  tax_code: 'string',
  unit_label: 'string',
  url: 'string',
  ...EXPAND,
};
const PRICE: Spec = {
  active: 'boolean',
  lookup_key: 'string',
  metadata: 'metadata',
  nickname: 'string',
  tax_behavior: 'string',
  ...EXPAND,
};
const PLAN: Spec = {
  active: 'boolean',
  metadata: 'metadata',
  nickname: 'string',
  product: 'string',
  trial_period_days: 'integer',
  ...EXPAND,
};
const ITEM: Spec = { price: 'string', plan: 'string', quantity: 'integer', metadata: 'metadata' };
const SUBSCRIPTION: Spec = {
  billing_cycle_anchor: 'string',
  cancel_at: 'integer',
  cancel_at_period_end: 'boolean',
  collection_method: 'string',
  days_until_due: 'integer',
  default_payment_method: 'string',
  description: 'string',
  metadata: 'metadata',
  trial_end: 'string',
  ...BILLING,
};

/** What may be written, by collection. Other parameters of the API are refused as unknown. */
export const WRITABLE = {
  customer: { create: { ...CUSTOMER, test_clock: 'string' }, update: CUSTOMER },
  product: { create: { ...PRODUCT, id: 'string' }, update: PRODUCT },
  price: {
    create: {
      ...PRICE,
      billing_scheme: 'string',
      currency: 'string',
      product: 'string',
      product_data: { hash: { name: 'string', metadata: 'metadata', active: 'boolean' } },
      recurring: {
        hash: {
          interval: 'string',
          interval_count: 'integer',
          meter: 'string',
          trial_period_days: 'integer',
          usage_type: 'string',
        },
      },
      unit_amount: 'integer',
      unit_amount_decimal: 'string',
    },
    update: PRICE,
  },
  plan: {
    create: {
      ...PLAN,
      amount: 'integer',
      currency: 'string',
      id: 'string',
      interval: 'string',
      interval_count: 'integer',
      usage_type: 'string',
    },
    update: PLAN,
  },
  subscription: {
    create: {
      ...SUBSCRIPTION,
      currency: 'string',
      customer: 'string',
      items: { list: { hash: ITEM } },
      trial_period_days: 'integer',
    },
    update: {
      ...SUBSCRIPTION,
      items: { list: { hash: { ...ITEM, id: 'string', deleted: 'boolean' } } },
      pause_collection: { hash: { behavior: 'string', resumes_at: 'integer' } },
    },
    delete: {
      cancellation_details: { hash: { comment: 'string', feedback: 'string' } },
      invoice_now: 'boolean',
      prorate: 'boolean',
      ...EXPAND,
    },
  },
  subscription_item: {
    create: { ...ITEM, subscription: 'string', ...BILLING },
    update: { ...ITEM, ...BILLING },
    delete: { clear_usage: 'boolean', ...BILLING },
  },
} satisfies Record<string, { create: Spec; update: Spec; delete?: Spec }>;
