/**
 * Owns fault injection: rules that say which requests go wrong, and how. This file decides; the
 * fake's server carries the verdict out.
 */

import { z } from 'zod';
import { createPrng } from './prng.ts';

const matchSchema = z.strictObject({
  method: z.string().toUpperCase().optional(),
  pathPrefix: z.string().startsWith('/').optional(),
  /** Only requests made with a key of this account. */
  account: z.string().optional(),
  /** Lets this many matching requests through first. */
  afterRequests: z.int().min(0).optional(),
  /** Of the matching requests, only each nth (the nth, the 2nth, ...). */
  everyNth: z.int().min(1).optional(),
  /** Of those, each with this probability, by the seed. */
  probability: z.number().min(0).max(1).optional(),
});

const headers = z.record(z.string(), z.string());

const faultSchema = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('latency'), ms: z.number().min(0).max(600_000) }),
  z.strictObject({
    kind: z.literal('status'),
    status: z.int().min(200).max(599),
    /** An object is sent as JSON, a string as it is; without one the provider's own body is used. */
    body: z.unknown().optional(),
    headers: headers.optional(),
  }),
  z.strictObject({ kind: z.literal('lock_timeout') }),
  /** Never answers; ends when the client gives up or the fake stops. */
  z.strictObject({ kind: z.literal('timeout') }),
  z.strictObject({
    kind: z.literal('reset'),
    /**
     * `before`: closed without doing anything. `after_work`: the request took effect, then the
     * connection closed without an answer. `after_headers`: the head was sent, the body was not.
     */
    when: z.enum(['before', 'after_work', 'after_headers']).default('before'),
  }),
  z.strictObject({
    kind: z.literal('truncate'),
    /** Bytes kept; by default half of the body. */
    bytes: z.int().min(0).optional(),
    /** True announces the whole length and then closes; false is a whole answer with a cut body. */
    close: z.boolean().default(false),
  }),
  z.strictObject({ kind: z.literal('empty_list') }),
  z.strictObject({ kind: z.literal('omit'), ids: z.array(z.string()).min(1) }),
  /** Raw JSON texts put at the head of each list page, so that hostile rows meet the real ones. */
  z.strictObject({ kind: z.literal('inject_rows'), rows: z.array(z.string()).min(1) }),
  z.strictObject({ kind: z.literal('malformed'), body: z.unknown().optional() }),
  z.strictObject({ kind: z.literal('not_json'), body: z.string().optional() }),
  z.strictObject({
    kind: z.literal('replace_body'),
    /** The raw body text. */
    body: z.string(),
    status: z.int().min(200).max(599).default(200),
    headers: headers.optional(),
  }),
]);

/** Checks one rule at the border; unknown fields are refused. */
export const faultRuleSchema = z.strictObject({
  match: matchSchema.default({}),
  fault: faultSchema,
  /** How often the rule may fire; without it, always. */
  times: z.int().min(1).optional(),
});

/** What goes wrong. */
export type Fault = z.infer<typeof faultSchema>;
/** A rule as it is written: defaults may be left out. */
export type FaultRule = z.input<typeof faultRuleSchema>;

/** A rule with its number and its counters. */
export interface ActiveFault {
  id: number;
  rule: z.infer<typeof faultRuleSchema>;
  /** Requests that matched method, path and account. */
  seen: number;
  fired: number;
}

/** What happens to one request. */
export interface Verdict {
  /** The sum of all latency rules that fired, in milliseconds. */
  latencyMs: number;
  /** The first other rule that fired. */
  fault: Fault | null;
}

/** The rules in force. */
export interface Faults {
  /** Adds a rule at the end and returns its id; throws a ZodError for a rule of the wrong shape. */
  add(rule: FaultRule): number;
  remove(id: number): boolean;
  clear(): void;
  list(): ActiveFault[];
  /** Counts the request against every rule and says what happens to it. */
  judge(request: { method: string; path: string; account: string | null }): Verdict;
}

/** An empty set of rules; `seed` decides the probable ones. */
export const createFaults = (seed: string | number): Faults => {
  const prng = createPrng(`${seed}/faults`);
  let active: ActiveFault[] = [];
  let lastId = 0;

  const fires = (entry: ActiveFault): boolean => {
    const { match, times } = entry.rule;
    const counted = entry.seen - (match.afterRequests ?? 0);
    if (counted <= 0) return false;
    if (match.everyNth !== undefined && counted % match.everyNth !== 0) return false;
    if (match.probability !== undefined && !prng.chance(match.probability)) return false;
    return times === undefined || entry.fired < times;
  };

  return {
    add(rule) {
      lastId += 1;
      active.push({ id: lastId, rule: faultRuleSchema.parse(rule), seen: 0, fired: 0 });
      return lastId;
    },
    remove(id) {
      const before = active.length;
      active = active.filter((entry) => entry.id !== id);
      return active.length < before;
    },
    clear() {
      active = [];
    },
    list: () => structuredClone(active),
    judge(request) {
      const verdict: Verdict = { latencyMs: 0, fault: null };
      for (const entry of active) {
        const { match, fault } = entry.rule;
        if (match.method !== undefined && match.method !== request.method) continue;
        if (match.pathPrefix !== undefined && !request.path.startsWith(match.pathPrefix)) continue;
        if (match.account !== undefined && match.account !== request.account) continue;
        entry.seen += 1;
        if (fault.kind !== 'latency' && verdict.fault !== null) continue;
        if (!fires(entry)) continue;
        entry.fired += 1;
        if (fault.kind === 'latency') verdict.latencyMs += fault.ms;
        else verdict.fault = fault;
      }
      return verdict;
    },
  };
};
