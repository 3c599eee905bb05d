/**
 * Owns rate limits: requests in any one second, and requests at the same time, over the account
 * and over each endpoint. They go by real time, whatever the fake's clock says.
 */

/** Requests a second (rates) or at once (concurrency); a missing limit is no limit. */
export interface RateLimits {
  global?: number;
  endpoint?: number;
  globalConcurrency?: number;
  endpointConcurrency?: number;
}

/** What Stripe documents: 100 a second live, 25 in a sandbox, 25 for each endpoint. */
export const documentedLimits = (livemode: boolean): RateLimits => ({
  global: livemode ? 100 : 25,
  endpoint: 25,
});

/** Why a request was refused, as in `Stripe-Rate-Limited-Reason`. */
export type RateReason =
  | 'global-rate'
  | 'global-concurrency'
  | 'endpoint-rate'
  | 'endpoint-concurrency';

/** A gate for one account. */
export interface RateGate {
  /** Lets a request in (call `leave` when it is answered) or says why not; refusals do not count. */
  enter(endpoint: string): { refused: RateReason } | { leave: () => void };
}

interface Lane {
  /** Arrivals within the last second, oldest first. */
  arrivals: number[];
  inFlight: number;
}

/** A gate; `clock` gives milliseconds of real time. */
export const createRateGate = (
  limits: RateLimits,
  clock: () => number = () => performance.now(),
): RateGate => {
  const all: Lane = { arrivals: [], inFlight: 0 };
  const lanes = new Map<string, Lane>();
  const recent = (lane: Lane, now: number): number => {
    while ((lane.arrivals[0] ?? Infinity) <= now - 1000) lane.arrivals.shift();
    return lane.arrivals.length;
  };
  return {
    enter(endpoint) {
      const now = clock();
      const own = lanes.get(endpoint) ?? { arrivals: [], inFlight: 0 };
      lanes.set(endpoint, own);
      if (recent(own, now) >= (limits.endpoint ?? Infinity)) return { refused: 'endpoint-rate' };
      if (recent(all, now) >= (limits.global ?? Infinity)) return { refused: 'global-rate' };
      if (own.inFlight >= (limits.endpointConcurrency ?? Infinity)) {
        return { refused: 'endpoint-concurrency' };
      }
      if (all.inFlight >= (limits.globalConcurrency ?? Infinity)) {
        return { refused: 'global-concurrency' };
      }
      for (const lane of [all, own]) {
        lane.arrivals.push(now);
        lane.inFlight += 1;
      }
      return {
        leave() {
          all.inFlight -= 1;
          own.inFlight -= 1;
        },
      };
    },
  };
};
