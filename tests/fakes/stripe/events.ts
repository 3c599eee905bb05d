/**
 * Owns the event log of one account: what happened, when it becomes visible (events lag, so they
 * show up out of order), and for how long it stays.
 */

import type { Prng } from '../_shared/prng.ts';

/** Stripe keeps events for 30 days. */
export const RETENTION_SECONDS = 30 * 24 * 3600;

/** One event as stored. */
export interface EventRow {
  id: string;
  /** Whole unix seconds. */
  created: number;
  type: string;
  text: string;
  /** Milliseconds by the fake's clock. */
  visibleAt: number;
  /** What became of its webhooks: none sent, all accepted, or one refused. */
  delivery: 'none' | 'accepted' | 'failed';
}

/** What there is to say about a change. `object` is the JSON text as the API shows it. */
export interface EventInput {
  type: string;
  object: string;
  previous?: Record<string, unknown>;
  /** Whole seconds; the fake's clock by default. */
  created?: number;
  /** Visible at once, whatever the lag. */
  immediate?: boolean;
}

/** The event log. */
export interface EventLog {
  record(input: EventInput): EventRow;
  /** By id, whether visible or not; null when unknown or older than the retention. */
  get(id: string): EventRow | null;
  /** Oldest first, also what is not visible yet; without what aged out. */
  all(): readonly EventRow[];
  /** Where a row is in `all()`. */
  positionOf(row: EventRow): number;
  /** Rows a list may show now, newest first. */
  visible(): EventRow[];
  /** Makes every event visible now. */
  settle(): void;
  setDelivery(id: string, delivery: EventRow['delivery']): void;
  /** Calls back for each event as it happens; returns the way to stop. */
  subscribe(listener: (event: EventRow) => void): () => void;
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/**
 * What `previous_attributes` holds: the old values of changed fields, nested hashes only where
 * they differ, null for a metadata key that is new, lists and items as a whole.
 */
export const previousAttributes = (
  old: Record<string, unknown>,
  current: Record<string, unknown>,
): Record<string, unknown> => {
  const changed: Record<string, unknown> = {};
  for (const key of new Set([...Object.keys(old), ...Object.keys(current)])) {
    const from = old[key];
    const to = current[key];
    if (JSON.stringify(from) === JSON.stringify(to)) continue;
    if (isRecord(from) && isRecord(to)) {
      changed[key] = from['object'] === 'list'
        ? { data: from['data'] }
        : previousAttributes(from, to);
    } else {
      changed[key] = from ?? null;
    }
  }
  return changed;
};

/** An empty log. `lagSeconds` is the range each event's delay is drawn from. */
export const createEventLog = (options: {
  prng: Prng;
  now: () => number;
  lagSeconds: { min: number; max: number };
  apiVersion: string;
  livemode: boolean;
  newId: () => string;
}): EventLog => {
  // Sorted by created, oldest first; ids within a second are in no order.
  let rows: EventRow[] = [];
  const byId = new Map<string, EventRow>();
  const listeners = new Set<(event: EventRow) => void>();

  const dropAged = (): void => {
    const oldest = Math.floor(options.now() / 1000) - RETENTION_SECONDS;
    const keepFrom = rows.findIndex((row) => row.created >= oldest);
    if (keepFrom === 0) return;
    const aged = keepFrom === -1 ? rows : rows.slice(0, keepFrom);
    for (const row of aged) byId.delete(row.id);
    rows = keepFrom === -1 ? [] : rows.slice(keepFrom);
  };

  return {
    record(input) {
      const now = options.now();
      const created = input.created ?? Math.floor(now / 1000);
      const { min, max } = options.lagSeconds;
      const lag = input.immediate === true ? 0 : min + options.prng.next() * (max - min);
      const id = options.newId();
      const head = {
        id,
        object: 'event',
        api_version: options.apiVersion,
        created,
      };
      const previous = input.previous === undefined
        ? ''
        : `,"previous_attributes":${JSON.stringify(input.previous)}`;
      const tail = {
        livemode: options.livemode,
        pending_webhooks: 0,
        request: { id: null, idempotency_key: null },
        type: input.type,
      };
      const text =
        `${JSON.stringify(head).slice(0, -1)},"data":{"object":${input.object}${previous}},` +
        JSON.stringify(tail).slice(1);
      const row: EventRow = {
        id,
        created,
        type: input.type,
        text,
        visibleAt: now + lag * 1000,
        delivery: 'none',
      };
      let at = rows.length;
      while (at > 0 && (rows[at - 1] as EventRow).created > created) at -= 1;
      rows.splice(at, 0, row);
      byId.set(id, row);
      for (const listener of listeners) listener(row);
      return row;
    },
    get(id) {
      dropAged();
      return byId.get(id) ?? null;
    },
    all() {
      dropAged();
      return rows;
    },
    positionOf(row) {
      let low = 0;
      let high = rows.length;
      while (low < high) {
        const middle = (low + high) >>> 1;
        if ((rows[middle] as EventRow).created < row.created) low = middle + 1;
        else high = middle;
      }
      return rows.indexOf(row, low);
    },
    visible() {
      dropAged();
      const now = options.now();
      return rows.filter((row) => row.visibleAt <= now).reverse();
    },
    settle() {
      const now = options.now();
      for (const row of rows) row.visibleAt = Math.min(row.visibleAt, now);
    },
    setDelivery(id, delivery) {
      const row = byId.get(id);
      if (row === undefined) throw new Error(`no event '${id}'; take an id from the event log`);
      row.delivery = delivery;
    },
    subscribe(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
};
