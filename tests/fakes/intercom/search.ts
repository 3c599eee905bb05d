/**
 * Owns search queries: checking them, and turning them into a test of a row together with the
 * range of created_at and updated_at that can match, so that a search by time need not look at
 * every row.
 */

import { z } from 'zod';
import { errors } from './errors.ts';
import type { OrderKey, Row } from './state.ts';

/** How dates are compared. */
export interface DateRules {
  /** `day` is how contacts are searched, `second` how conversations are. */
  match: 'day' | 'second';
  /** Seconds the workspace's midnight is away from UTC's, for `day`. */
  utcOffset: number;
  /** `day`: whether >=, <=, !=, IN and NIN work on dates; Intercom refuses them. */
  lenient: boolean;
  /** `second`: whether > and < include the value itself. */
  inclusive: boolean;
}

/** A compiled query. */
export interface Query {
  test(row: Row): boolean;
  /** The seconds that can match, both ends included. */
  bounds: Record<OrderKey, Bounds>;
  /** True when `bounds` alone decide, so that `test` need not be asked. */
  boundsDecide: boolean;
}
interface Bounds {
  min: number;
  max: number;
}

const OPERATORS = ['=', '!=', 'IN', 'NIN', '<', '<=', '>', '>=', '~', '!~', '^', '$'] as const;
type Operator = typeof OPERATORS[number];
type Kind = 'date' | 'integer' | 'string' | 'boolean' | 'ids';

const scalar = z.union([z.string(), z.number(), z.boolean()]);
const leafSchema = z.object({
  field: z.string(),
  operator: z.enum(OPERATORS),
  value: z.union([scalar, z.null(), z.array(scalar)]),
});
const groupSchema = z.object({
  operator: z.enum(['AND', 'OR']),
  get value() {
    return z.array(z.union([leafSchema, groupSchema])).min(1).max(15);
  },
});
type Leaf = z.infer<typeof leafSchema>;
type Group = z.infer<typeof groupSchema>;

const searchSchema = z.object({
  query: z.union([leafSchema, groupSchema]),
  pagination: z.object({
    per_page: z.int().optional(),
    starting_after: z.string().nullish(),
  }).nullish(),
  sort: z.object({
    field: z.enum(['created_at', 'updated_at']),
    order: z.enum(['ascending', 'descending', 'asc', 'desc']).default('descending'),
  }).nullish(),
});

/** What a search asks for. */
export type SearchBody = z.infer<typeof searchSchema>;

const words = (kind: Kind, names: string): [string, Kind][] =>
  names.split(' ').map((name) => [name, kind]);

/** The fields that can be searched. Custom attributes are texts. */
const FIELDS: Record<'contact' | 'conversation', Map<string, Kind>> = {
  contact: new Map([
    ...words('date', 'created_at updated_at signed_up_at last_seen_at last_contacted_at'),
    ...words('date', 'last_replied_at last_email_opened_at last_email_clicked_at'),
    ...words('string', 'id role name email phone external_id language_override browser os'),
    ...words('string', 'location.country location.region location.city'),
    ...words('boolean', 'unsubscribed_from_emails marked_email_as_spam has_hard_bounced'),
    ...words('integer', 'owner_id'),
    ...words('ids', 'tag_id'),
  ]),
  conversation: new Map([
    ...words('date', 'created_at updated_at waiting_since snoozed_until'),
    ...words('string', 'id state priority source.type source.id source.delivered_as'),
    ...words('string', 'source.subject source.body source.author.id source.author.type'),
    ...words('integer', 'admin_assignee_id team_assignee_id'),
    ...words('integer', 'statistics.count_conversation_parts statistics.count_reopens'),
    ...words('date', 'statistics.last_close_at statistics.last_admin_reply_at'),
    ...words('boolean', 'open read ai_agent_participated'),
    ...words('ids', 'contact_ids tag_ids'),
  ]),
};

const WORKS_ON: Record<Kind, readonly Operator[]> = {
  date: ['=', '!=', 'IN', 'NIN', '<', '<=', '>', '>='],
  integer: ['=', '!=', 'IN', 'NIN', '<', '<=', '>', '>='],
  string: ['=', '!=', 'IN', 'NIN', '~', '!~', '^', '$'],
  boolean: ['=', '!=', 'IN', 'NIN'],
  ids: ['=', '!=', 'IN', 'NIN'],
};

const DAY = 86_400;
const ALL: Bounds = { min: -Infinity, max: Infinity };

/** Reads the body of a search, or throws Intercom's 400. */
export const readSearch = (body: string): SearchBody => {
  let json: unknown;
  try {
    json = JSON.parse(body === '' ? '{}' : body);
  } catch {
    throw errors.invalid('the body is not JSON');
  }
  const parsed = searchSchema.safeParse(json);
  if (!parsed.success) throw errors.invalid(z.prettifyError(parsed.error));
  return parsed.data;
};

const toNumber = (leaf: Leaf, value: unknown): number => {
  const number = typeof value === 'string' && value.trim() !== '' ? Number(value) : value;
  if (typeof number === 'number' && Number.isFinite(number)) return number;
  throw errors.invalid(`'${leaf.field}' takes a number, not ${JSON.stringify(value)}`);
};

const list = (leaf: Leaf): unknown[] => {
  const many = leaf.operator === 'IN' || leaf.operator === 'NIN';
  if (many !== Array.isArray(leaf.value)) {
    throw errors.invalid(
      `'${leaf.operator}' on '${leaf.field}' takes ${many ? 'a list' : 'one value'}`,
    );
  }
  return Array.isArray(leaf.value) ? leaf.value : [leaf.value];
};

const read = (row: Row, path: readonly string[]): unknown => {
  let value: unknown = row.object;
  for (const name of path) {
    value = typeof value === 'object' && value !== null
      ? (value as Record<string, unknown>)[name]
      : undefined;
  }
  return value;
};

/** The seconds that one comparison with a date lets through, or null for != and lists. */
const secondsOf = (leaf: Leaf, value: number, rules: DateRules): Bounds | null => {
  const day = rules.match === 'day';
  const first = day
    ? Math.floor((value + rules.utcOffset) / DAY) * DAY - rules.utcOffset
    : Math.ceil(value);
  const last = day ? first + DAY - 1 : Math.floor(value);
  const inside = !day && rules.inclusive;
  switch (leaf.operator) {
    case '=':
      return { min: first, max: last };
    case '>':
      return { min: inside ? first : last + 1, max: Infinity };
    case '<':
      return { min: -Infinity, max: inside ? last : first - 1 };
    case '>=':
      return { min: first, max: Infinity };
    case '<=':
      return { min: -Infinity, max: last };
    default:
      return null;
  }
};

const query = (
  test: (row: Row) => boolean,
  bounds: Partial<Record<OrderKey, Bounds>> = {},
  boundsDecide = false,
): Query => ({ test, bounds: { created: ALL, updated: ALL, ...bounds }, boundsDecide });

const compileDate = (leaf: Leaf, path: readonly string[], rules: DateRules): Query => {
  const refused = rules.match === 'second'
    ? ['>=', '<=']
    : rules.lenient
    ? []
    : ['>=', '<=', '!=', 'IN', 'NIN'];
  if (refused.includes(leaf.operator)) {
    throw errors.invalid(`'${leaf.operator}' is not supported for the date '${leaf.field}'`);
  }
  const within = (bounds: Bounds) => (row: Row): boolean => {
    const value = read(row, path);
    return typeof value === 'number' && value >= bounds.min && value <= bounds.max;
  };
  const values = list(leaf).map((value) => toNumber(leaf, value));
  const bounds = secondsOf(leaf, values[0] ?? 0, rules);
  if (bounds === null) {
    const days = values.map((value) =>
      within(secondsOf({ ...leaf, operator: '=' }, value, rules) ?? ALL)
    );
    const wanted = leaf.operator === 'IN';
    return query((row) => days.some((day) => day(row)) === wanted);
  }
  if (leaf.field === 'created_at') return query(within(bounds), { created: bounds }, true);
  if (leaf.field === 'updated_at') return query(within(bounds), { updated: bounds }, true);
  return query(within(bounds));
};

const idsOf = (row: Row, field: string): string[] => {
  if (field === 'tag_id') return row.tags;
  const [outer, inner] = field === 'tag_ids' ? ['tags', 'tags'] : ['contacts', 'contacts'];
  const found = read(row, [outer, inner]);
  return Array.isArray(found) ? found.map((entry) => String(entry.id)) : [];
};

const compileLeaf = (
  leaf: Leaf,
  resource: 'contact' | 'conversation',
  rules: DateRules,
): Query => {
  const { field, operator } = leaf;
  const kind = field.startsWith('custom_attributes.') ? 'string' : FIELDS[resource].get(field);
  if (kind === undefined) throw errors.invalid(`'${field}' cannot be searched`);
  if (!WORKS_ON[kind].includes(operator)) {
    throw errors.invalid(`'${operator}' does not work on '${field}', which is of type ${kind}`);
  }
  const path = field.split('.');
  if (kind === 'date') return compileDate(leaf, path, rules);
  const values = list(leaf);
  if (kind === 'ids') {
    const wanted = operator === '=' || operator === 'IN';
    return query((row) => {
      const ids = idsOf(row, field);
      return values.some((value) => ids.includes(String(value))) === wanted;
    });
  }
  if (kind === 'integer' && values[0] !== null) values.forEach((value) => toNumber(leaf, value));
  const same = (value: unknown, wanted: unknown): boolean =>
    wanted === null ? value === null || value === undefined : String(value) === String(wanted);
  return query((row) => {
    const value = read(row, path);
    const text = String(value ?? '').toLowerCase();
    const wanted = String(values[0] ?? '').toLowerCase();
    if (operator === '=' || operator === 'IN') return values.some((one) => same(value, one));
    if (operator === '!=' || operator === 'NIN') return !values.some((one) => same(value, one));
    if (operator === '~') return text.includes(wanted);
    if (operator === '!~') return !text.includes(wanted);
    if (operator === '^') return text.startsWith(wanted);
    if (operator === '$') return text.endsWith(wanted);
    if (typeof value !== 'number') return false;
    const number = Number(values[0]);
    if (operator === '>') return value > number;
    if (operator === '>=') return value >= number;
    return operator === '<' ? value < number : value <= number;
  });
};

const meet = (a: Bounds, b: Bounds): Bounds => ({
  min: Math.max(a.min, b.min),
  max: Math.min(a.max, b.max),
});

/** Compiles a query, or throws Intercom's 400. Groups nest two deep at most. */
export const compile = (
  node: Leaf | Group,
  resource: 'contact' | 'conversation',
  rules: DateRules,
  depth = 0,
): Query => {
  if ('field' in node) return compileLeaf(node, resource, rules);
  if (depth === 2) throw errors.invalid('a query takes two nested groups at most');
  const parts = node.value.map((one) => compile(one, resource, rules, depth + 1));
  if (node.operator === 'OR') return query((row) => parts.some((part) => part.test(row)));
  return query(
    (row) => parts.every((part) => part.test(row)),
    {
      created: parts.map((part) => part.bounds.created).reduce(meet, ALL),
      updated: parts.map((part) => part.bounds.updated).reduce(meet, ALL),
    },
    parts.every((part) => part.boundsDecide),
  );
};
