// Owns what a simulated provider is: a history of changes, answers to orders at any instant of simulated
// time, and what is true in the end.

/** A small seeded generator: the same seed plays the same history. */
export function random(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

/** How far a provider's clock may be off, in seconds. */
export const SKEW = 2;
/** The first full sync has begun by then, in simulated seconds. */
export const FIRST_SYNC = 20;

/** An event as the connectors normalise it. */
export interface ProviderEvent {
  id: string;
  created: number;
  api_version: string | null;
  account: null;
  livemode: boolean;
  resource: string;
  external_id: string;
  object: unknown;
  deleted: boolean;
}

/** What `begin_page` ordered. */
export interface Order {
  task_id: number;
  status: string;
  work_token: string;
  operation: 'list' | 'get' | 'events';
  resource: string;
  external_id: string | null;
  parent_id: string | null;
  params: Record<string, string>;
  created_gte: number | null;
  created_lt: number | null;
  updated_gte: number | null;
  cursor: string | null;
  page_size: number;
}

/** An answer, or the class of its error. */
export type Page =
  | {
    rows: unknown[];
    cursor: string | null;
    missing: string[];
    events: ProviderEvent[] | null;
    partial?: boolean;
    merged?: Record<string, string>;
  }
  | { error: string };

/** A provider with its whole history. */
export interface Simulation {
  connector: 'stripe' | 'intercom';
  /** What is synced. */
  resources: string[];
  /** What happened, in order, and the webhook that tells of it. */
  changes: { t: number; event: ProviderEvent }[];
  /** The answer to an order as of simulated time t. */
  answer(order: Order, t: number): Page;
  /** Everything alive at the end, by collection key: id to payload. */
  truth(): Map<string, Map<string, unknown>>;
  /** Whether a row that the truth does not show may be here all the same. */
  mayStay?(collection: string, id: string): boolean;
}
