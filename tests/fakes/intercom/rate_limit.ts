/**
 * Owns the rate limit: so many requests a minute, handed out in windows of ten seconds. Windows go
 * by real time, whatever the fake's clock says.
 */

/** The limit. Intercom's is 10,000 a minute for an app. */
export interface RateLimit {
  perMinute?: number;
  windowSeconds?: number;
}

/** A gate for one workspace. */
export interface RateGate {
  /** Counts a request; false when the window has none left. Refusals do not count. */
  enter(): boolean;
  /** `X-RateLimit-*`; the reset is unix seconds by the fake's clock, which is `nowMs`. */
  headers(nowMs: number): Record<string, string>;
}

/** A gate; with `limit` false it counts and refuses nothing. `clock` gives real milliseconds. */
export const createRateGate = (
  limit: boolean | RateLimit,
  clock: () => number = () => performance.now(),
): RateGate => {
  const { perMinute = 10_000, windowSeconds = 10 } = typeof limit === 'boolean' ? {} : limit;
  const allowed = Math.max(1, Math.floor(perMinute * windowSeconds / 60));
  const windowMs = windowSeconds * 1000;
  let current = -1;
  let used = 0;
  const turn = (): number => {
    const now = clock();
    const index = Math.floor(now / windowMs);
    if (index !== current) {
      current = index;
      used = 0;
    }
    return (index + 1) * windowMs - now;
  };
  return {
    enter() {
      turn();
      if (limit !== false && used >= allowed) return false;
      used += 1;
      return true;
    },
    headers(nowMs) {
      const left = turn();
      return {
        'x-ratelimit-limit': String(allowed),
        'x-ratelimit-remaining': String(Math.max(0, allowed - used)),
        'x-ratelimit-reset': String(Math.ceil((nowMs + left) / 1000)),
      };
    },
  };
};
