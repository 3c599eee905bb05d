// Owns what a connector is: how one page or one object is asked for, and how a provider's errors
// are told apart. What the rows mean is declared in each connector's connector.sql.

/**
 * What Postgres wants fetched: one page of a resource, one object, or one page of the provider's
 * events. Times are unix seconds.
 */
export interface PageRequest {
  operation: 'list' | 'get' | 'events';
  /** The resource's name without the connector's, such as `customer`. */
  resource: string;
  /** The object to fetch, for `get`. */
  externalId: string | null;
  /** The parent whose children to list, or in which the object to `get` was last seen. */
  parentId: string | null;
  /** Fixed filters of this listing. */
  params: Record<string, string>;
  /** First creation second wanted, and the first one no longer wanted. */
  createdGte: number | null;
  createdLt: number | null;
  /** Only what changed since this second; null for everything. More may be given, never less. */
  updatedGte: number | null;
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
  /** Of the missing ones, those that were merged into another, with its id. */
  merged?: Record<string, string>;
  /** Whether children of a parent were left out: then none is deleted for its absence. */
  isPartial?: boolean;
  /** The provider's own window of requests, if it tells; `reset` is in unix seconds. */
  rate?: { limit: number; remaining: number; reset: number };
  /** A page of the provider's events, newest first; null for every other page. */
  events?: ProviderEvent[];
  /** The provider's clock when it answered, if it says so. */
  providerTime?: Date;
}

/** A provider's event in the form that SQL applies (sql/150_events.sql). */
export interface ProviderEvent {
  id: string;
  /** Unix seconds by the provider's clock. */
  created: number;
  /** The API version that `object` is rendered in; null if the event does not say. */
  api_version: string | null;
  /** The account that the event is of, if it is not the webhook's own. */
  account: string | null;
  livemode: boolean;
  /** The resource that changed, and which object of it. */
  resource: string;
  external_id: string;
  /** The object after the change; null when the event does not carry it whole. */
  object: unknown;
  deleted: boolean;
}

/** The webhook endpoint that an app should have at its provider. */
export interface WantedEndpoint {
  appKey: string;
  /** Where the provider sends events. */
  url: string;
  /** Exactly the events in use. */
  types: string[];
  /** The endpoint that we made before, and whether its secret is still known. */
  endpointId: string | null;
  secretIsKnown: boolean;
}

/** The endpoint as it now is. `secret` is there when it was made just now. */
export interface ManagedEndpoint {
  endpointId: string;
  secret: string | null;
  /** What was done: created, repaired, recreated, or nothing; and orphans removed. */
  did: string;
}

/** What a webhook request holds, before anybody trusts it. */
export interface WebhookRequest {
  /** The body exactly as received. */
  body: string;
  headers: Headers;
  /** Every secret that is valid at present. */
  secrets: string[];
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
  /** The keys of the app's config that are the connector's own, such as a region. */
  config: Record<string, unknown>;
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
  /**
   * Verifies a webhook and normalises its event; null for an event that is not about a resource.
   * @throws InvalidSignature when no secret fits, or the signature is too old
   */
  readWebhook(request: WebhookRequest): Promise<ProviderEvent | null>;
  /**
   * Makes the provider's endpoint what is wanted: found, created or repaired, its own orphans
   * removed, others never touched. The only operation of several requests. Throws ProviderError.
   */
  manageWebhook(access: Access, wanted: WantedEndpoint): Promise<ManagedEndpoint>;
}

/** A webhook that nobody with a valid secret has signed, or one signed too long ago. */
export class InvalidSignature extends Error {
  override name = 'InvalidSignature';
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
