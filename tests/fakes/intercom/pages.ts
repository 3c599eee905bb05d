/**
 * Owns pages: cursors, and the envelopes lists come in. A page is a walk along a sorted order; the
 * cursor holds the place (time and id), so that rows that move meanwhile are met again or missed
 * as they would be.
 */

import { errors } from './errors.ts';
import type { Fields } from './objects.ts';
import type { Query } from './search.ts';
import { type OrderKey, positionOf, type Row } from './state.ts';

/** What faults do to the rows of lists. */
export interface Tampering {
  /** Ids left out, or everything. */
  omitted: ReadonlySet<string> | 'all' | null;
  /** Raw JSON texts at the head of each page. */
  injected: readonly string[];
}

/** The largest page of contacts and of conversations. */
export const MAX_PER_PAGE = 150;

/** Reads `per_page` or `page`: a whole number from 1 to `max`, or Intercom's 400. */
export const readCount = (
  name: string,
  value: string | number | null | undefined,
  fallback: number,
  max: number,
): number => {
  if (value === null || value === undefined || value === '') return fallback;
  const count = Number(value);
  if (!Number.isInteger(count) || count < 1) {
    throw errors.invalid(`'${name}' must be a whole number above 0, not '${value}'`);
  }
  if (count > max) throw errors.invalid(`'${name}' is too big: ${count}, the maximum is ${max}`);
  return count;
};

interface Cursor {
  time: number;
  id: string;
  page: number;
}

const writeCursor = (cursor: Cursor): string =>
  btoa(JSON.stringify([cursor.time * 1000, cursor.id, cursor.page]));

const readCursor = (text: string): Cursor => {
  try {
    const [time, id, page] = JSON.parse(atob(text)) as unknown[];
    if (typeof time === 'number' && typeof id === 'string' && typeof page === 'number') {
      return { time: time / 1000, id, page };
    }
  } catch { /* Refused below. */ }
  throw errors.invalid(`'starting_after' is not a cursor: '${text}'`);
};

/** What is walked along. */
export interface Walk {
  rows: readonly Row[];
  key: OrderKey;
  ascending: boolean;
  query: Query | null;
  perPage: number;
  startingAfter: string | null;
}

/** One page: its rows, and the envelope's `total_count` and `pages`. */
export const walk = (ask: Walk): { rows: Row[]; total: number; pages: Fields } => {
  const { rows, key, ascending, query, perPage } = ask;
  const bounds = query?.bounds[key];
  const low = bounds === undefined ? 0 : positionOf(rows, key, bounds.min, '', true);
  const high = bounds === undefined
    ? rows.length
    : Math.max(low, positionOf(rows, key, bounds.max + 1, '', true));
  // Bounds decide alone only when none of them is about the other key.
  const other = query?.bounds[key === 'created' ? 'updated' : 'created'];
  const unbounded = other === undefined || (other.min === -Infinity && other.max === Infinity);
  const test = query === null || (query.boundsDecide && unbounded) ? null : query.test;

  let total = high - low;
  if (test !== null) {
    total = 0;
    for (let index = low; index < high; index++) if (test(rows[index] as Row)) total += 1;
  }
  const after = ask.startingAfter === null ? null : readCursor(ask.startingAfter);
  const found: Row[] = [];
  let index = ascending ? low : high - 1;
  if (after !== null) {
    const place = positionOf(rows, key, after.time, after.id, !ascending);
    index = ascending ? Math.max(low, place) : Math.min(high, place) - 1;
  }
  for (; index >= low && index < high && found.length <= perPage; index += ascending ? 1 : -1) {
    const row = rows[index] as Row;
    if (test === null || test(row)) found.push(row);
  }
  const more = found.length > perPage;
  if (more) found.pop();
  const last = found.at(-1);
  const page = after?.page ?? 1;
  return {
    rows: found,
    total,
    pages: {
      type: 'pages',
      ...(more && last !== undefined
        ? {
          next: {
            per_page: perPage,
            starting_after: writeCursor({ time: last[key], id: last.id, page: page + 1 }),
          },
        }
        : {}),
      page,
      per_page: perPage,
      total_pages: Math.ceil(total / perPage),
    },
  };
};

/** A list answer as JSON text: `{...head, [field]: rows}`, with what faults do to rows. */
export const envelope = (
  head: Fields,
  field: string,
  objects: readonly { id: string }[],
  { omitted, injected }: Tampering,
): string => {
  const kept = omitted === 'all'
    ? []
    : omitted === null
    ? objects
    : objects.filter((object) => !omitted.has(object.id));
  const texts = [...injected, ...kept.map((object) => JSON.stringify(object))];
  return `${JSON.stringify(head).slice(0, -1)},${JSON.stringify(field)}:[${texts.join(',')}]}`;
};
