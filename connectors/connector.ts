// Owns what a connector is: how one page or one object is asked for, and how a provider's errors
// are told apart. What the rows mean is declared in each connector's connector.sql.

/** What Postgres wants fetched: one page of a resource, or one object. Times are unix seconds. */
export interface PageRequest {
  operation: 'list' | 'get';
  /** The resource's name without the connector's, such as `customer`. */
  resource: string;
  /** The object to fetch, for `get`. */
  externalId: string | null;
  /** The parent whose children to list, for resources that live inside one. */
  parentId: string | null;
  /** Fixed filters of this listing. */
  params: Record<string, string>;
  /** First creation second wanted, and the first one no longer wanted. */
  createdGte: number | null;
  createdLt: number | null;
  /** What the last page gave as `nextCursor`; null on the first. */
  cursor: string | null;
  pageSize: number;
}

/** What the provider answered. */
export interface Page {
  /** The objects, newest first where the provider lists them so, exactly as sent. */
  rows: unknown[];
  /** Where the next page starts; null after the last. */
  nextCursor: string | null;
  /** Ids that the provider says do not exist (any more). */
  missing: string[];
}

/** Whose key it is. */
export interface Account {
  accountId: string;
  livemode: boolean;
}

/** What a connector may use while it makes its one request. */
export interface Access {
  apiKey: string;
  /** The API version that Postgres has pinned for the connector. */
  apiVersion: string;
  /** Reads an environment variable of the functions. */
  env(name: string): string | undefined;
}

/** A provider, as the functions see it. Each call makes exactly one request: Postgres counts them. */
export interface Connector {
  name: string;
  /** Whose account the key belongs to. Throws ProviderError. */
  identify(access: Access): Promise<Account>;
  /** Fetches one page or one object. Throws ProviderError. */
  fetchPage(access: Access, request: PageRequest): Promise<Page>;
}

/** What went wrong, in the classes that `fail_page` knows (sql/250_fail.sql). */
export type ErrorClass =
  | 'rate_limited'
  | 'transient'
  | 'cursor_gone'
  | 'auth'
  | 'forbidden'
  | 'malformed'
  | 'permanent';

/** An error of the provider, classified. `retryAfter` is in seconds, as the provider asked. */
export class ProviderError extends Error {
  constructor(
    readonly errorClass: ErrorClass,
    message: string,
    readonly detail: { retryAfter?: number; reason?: string } = {},
  ) {
    super(message);
    this.name = 'ProviderError';
  }
}
