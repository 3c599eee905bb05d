/** Owns the memory of what a fake was asked: a ring of requests that never holds a whole key. */

/** One request as it was answered. */
export interface LoggedRequest {
  /** ISO time of arrival, by the fake's clock. */
  at: string;
  method: string;
  path: string;
  /** The raw query string without `?`. */
  query: string;
  /** The last four characters of the key, or null when none was sent. */
  key: string | null;
  /** 0 when the connection was reset or never answered. */
  status: number;
  api_version: string | null;
  /** The kind of the fault that shaped the answer, or null. */
  fault: string | null;
  /** Milliseconds from arrival to answer. */
  ms: number;
}

/** A ring of the latest requests, with counters that do not forget until cleared. */
export interface RequestLog {
  add(entry: LoggedRequest): void;
  /** Oldest first. */
  entries(): LoggedRequest[];
  /** How many requests arrived since the last clear, by `METHOD /path/:id`, and in all. */
  counts(): {
    total: number;
    by_endpoint: Record<string, number>;
    by_status: Record<string, number>;
  };
  clear(): void;
}

/** Keeps the latest `capacity` requests; `endpointOf` folds ids out of a path. */
export const createRequestLog = (
  endpointOf: (path: string) => string,
  capacity = 10_000,
): RequestLog => {
  let ring: LoggedRequest[] = [];
  let start = 0;
  let total = 0;
  let endpoints = new Map<string, number>();
  let statuses = new Map<string, number>();
  const bump = (map: Map<string, number>, key: string) => map.set(key, (map.get(key) ?? 0) + 1);
  return {
    add(entry) {
      total += 1;
      bump(endpoints, `${entry.method} ${endpointOf(entry.path)}`);
      bump(statuses, String(entry.status));
      if (ring.length < capacity) {
        ring.push(entry);
      } else {
        ring[start] = entry;
        start = (start + 1) % capacity;
      }
    },
    entries: () => [...ring.slice(start), ...ring.slice(0, start)],
    counts: () => ({
      total,
      by_endpoint: Object.fromEntries(endpoints),
      by_status: Object.fromEntries(statuses),
    }),
    clear() {
      ring = [];
      start = 0;
      total = 0;
      endpoints = new Map();
      statuses = new Map();
    },
  };
};
