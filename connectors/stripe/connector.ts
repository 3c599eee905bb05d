// Owns talking to Stripe: one request through the official SDK, its retries off because Postgres
// owns them, and its errors classified.

import Stripe from 'stripe';
import { z } from 'zod';
import {
  type Access,
  type Connector,
  type ErrorClass,
  InvalidSignature,
  type Page,
  type PageRequest,
  ProviderError,
  type ProviderEvent,
} from '../connector.ts';
import { manageEndpoint } from './endpoints.ts';
import { normalise } from './events.ts';

const listSchema = z.object({ data: z.array(z.unknown()), has_more: z.boolean() });
const objectSchema = z.looseObject({ id: z.string() });
const accountSchema = z.object({ id: z.string().min(1) });

const TOLERANCE_SECONDS = 300;

/** The SDK's verifier of signatures, which needs neither a key nor a request. */
function signatures(): NonNullable<Stripe['webhooks']['signature']> {
  const { signature } = new Stripe('none', { httpClient: Stripe.createFetchHttpClient() }).webhooks;
  if (!signature) throw new Error('the Stripe SDK has no verifier of signatures');
  return signature;
}

/** The SDK, set up for one request. `STRIPE_API_BASE` points it at a proxy or a fake. */
function client(access: Access): Stripe {
  const base = access.env('STRIPE_API_BASE');
  const at = base === undefined ? undefined : parseBase(base);
  return new Stripe(access.apiKey, {
    apiVersion: access.apiVersion as typeof Stripe.API_VERSION,
    httpClient: Stripe.createFetchHttpClient(),
    maxNetworkRetries: 0,
    timeout: 30_000,
    telemetry: false,
    ...(at && {
      host: at.hostname,
      port: at.port || (at.protocol === 'http:' ? 80 : 443),
      protocol: at.protocol === 'http:' ? 'http' : 'https',
    }),
  });
}

function parseBase(base: string): URL {
  const url = URL.canParse(base) ? new URL(base) : undefined;
  if (!url || !['http:', 'https:'].includes(url.protocol) || url.pathname !== '/') {
    throw new ProviderError(
      'permanent',
      `STRIPE_API_BASE is "${base}": give a URL without a path, such as https://api.stripe.com`,
    );
  }
  return url;
}

/** The list and retrieve calls of each resource. The SDK's types differ by resource; ours do not. */
interface Endpoint {
  list(params: Record<string, unknown>): PromiseLike<unknown>;
  retrieve(id: string): PromiseLike<unknown>;
}

function endpoint(sdk: Stripe, resource: string): Endpoint {
  const endpoints: Record<string, unknown> = {
    customer: sdk.customers,
    product: sdk.products,
    price: sdk.prices,
    plan: sdk.plans,
    subscription: sdk.subscriptions,
    subscription_item: sdk.subscriptionItems,
    event: sdk.events,
  };
  const found = endpoints[resource];
  if (found === undefined) {
    throw new ProviderError('permanent', `the Stripe connector has no resource "${resource}"`);
  }
  return found as Endpoint;
}

function listParams(request: PageRequest): Record<string, unknown> {
  const created = {
    ...(request.createdGte !== null && { gte: request.createdGte }),
    ...(request.createdLt !== null && { lt: request.createdLt }),
  };
  const { types, ...params } = request.params;
  return {
    ...params,
    ...(types !== undefined && { types: types.split(',') }),
    limit: request.pageSize,
    ...(request.parentId !== null && { subscription: request.parentId }),
    ...(request.cursor !== null && { starting_after: request.cursor }),
    ...(Object.keys(created).length > 0 && { created }),
  };
}

async function list(sdk: Stripe, request: PageRequest): Promise<Page> {
  const answer = await endpoint(sdk, request.resource).list(listParams(request));
  const providerTime = dateOf(answer);
  const parsed = listSchema.safeParse(answer);
  if (!parsed.success) throw malformed('a list', answer);
  const last = parsed.data.data.at(-1);
  const page = { rows: parsed.data.data, missing: [], ...providerTime };
  if (!parsed.data.has_more) return { ...page, nextCursor: null };
  const cursor = objectSchema.safeParse(last);
  if (!cursor.success) throw malformed('a list whose last object has an id', answer);
  return { ...page, nextCursor: cursor.data.id };
}

/** The provider's clock, out of the answer's Date header: it is in whole seconds. */
function dateOf(answer: unknown): { providerTime?: Date } {
  const headers = (answer as { lastResponse?: { headers?: Record<string, string> } }).lastResponse
    ?.headers;
  const time = new Date(headers?.date ?? Number.NaN);
  return Number.isNaN(time.getTime()) ? {} : { providerTime: time };
}

/** A page of events. One whose cursor is no longer listed is the end: all older ones are gone too. */
async function listEvents(sdk: Stripe, request: PageRequest): Promise<Page> {
  try {
    const page = await list(sdk, request);
    const events = page.rows.map((row) => normalise(row)).filter((event) => event !== null);
    return { ...page, rows: [], events };
  } catch (error) {
    if (errorClass(error) !== 'cursor_gone') throw error;
    return { rows: [], events: [], nextCursor: null, missing: [] };
  }
}

async function get(sdk: Stripe, request: PageRequest): Promise<Page> {
  const id = request.externalId ?? '';
  try {
    const answer = await endpoint(sdk, request.resource).retrieve(id);
    if (!objectSchema.safeParse(answer).success) throw malformed('an object with an id', answer);
    return { rows: [answer], nextCursor: null, missing: [] };
  } catch (error) {
    if (error instanceof Stripe.errors.StripeError && error.statusCode === 404) {
      return { rows: [], nextCursor: null, missing: [id] };
    }
    throw error;
  }
}

function malformed(promised: string, answer: unknown): ProviderError {
  const body = JSON.stringify(answer) ?? String(answer);
  return new ProviderError(
    'malformed',
    `Stripe answered with something other than ${promised}: ${body.slice(0, 500)}`,
  );
}

/**
 * Classifies what the SDK threw. Source: Stripe's error reference; a lock timeout is a 429 too, and
 * a cursor whose object was deleted is a 400 about `starting_after`.
 */
export function classify(error: unknown): ProviderError {
  if (error instanceof ProviderError) return error;
  if (!(error instanceof Stripe.errors.StripeError)) {
    const message = error instanceof Error ? error.message : String(error);
    return new ProviderError('transient', `no answer from Stripe: ${message}`);
  }
  const header = (name: string) => error.headers?.[name];
  const status = error.statusCode;
  const message = [
    status === undefined ? 'no usable answer from Stripe' : `Stripe answered ${status}`,
    error.message,
    error.requestId && `request ${error.requestId}`,
  ].filter(Boolean).join(': ');
  const detail: { retryAfter?: number; reason?: string } = {};
  const retryAfter = Number(header('retry-after') ?? Number.NaN);
  if (Number.isFinite(retryAfter)) detail.retryAfter = retryAfter;
  const reason = header('stripe-rate-limited-reason') ?? error.code;
  if (reason) detail.reason = reason;
  return new ProviderError(errorClass(error), message, detail);
}

function errorClass(error: unknown): ErrorClass {
  if (!(error instanceof Stripe.errors.StripeError)) return 'transient';
  const status = error.statusCode;
  if (status === 429) return 'rate_limited';
  if (status === 401) return 'auth';
  if (status === 403) return 'forbidden';
  if (error.code === 'resource_missing' && error.param === 'starting_after') return 'cursor_gone';
  if (status === undefined || status === 200 || status === 408 || status === 409 || status >= 500) {
    return 'transient';
  }
  return 'permanent';
}

/** Stripe. Lists are newest first and paged by object id; deleted objects are 404 or `deleted`. */
export const stripe: Connector = {
  name: 'stripe',

  async identify(access) {
    try {
      const answer = await client(access).accounts.retrieveCurrent();
      const account = accountSchema.safeParse(answer);
      if (!account.success) throw malformed('an account', answer);
      return {
        accountId: account.data.id,
        livemode: /^[a-z]+_live_/.test(access.apiKey),
      };
    } catch (error) {
      throw classify(error);
    }
  },

  async fetchPage(access, request) {
    try {
      const sdk = client(access);
      const operations = { get, list, events: listEvents };
      return await operations[request.operation](sdk, request);
    } catch (error) {
      throw classify(error);
    }
  },

  async manageWebhook(access, wanted) {
    try {
      return await manageEndpoint(client(access), access.apiVersion, wanted);
    } catch (error) {
      throw classify(error);
    }
  },

  async readWebhook({ body, headers, secrets }): Promise<ProviderEvent | null> {
    const signature = headers.get('stripe-signature');
    if (!signature) throw new InvalidSignature('no Stripe-Signature');
    const crypto = Stripe.createSubtleCryptoProvider();
    const verifier = signatures();
    for (const secret of secrets) {
      try {
        await verifier.verifyHeaderAsync(
          body,
          signature,
          secret,
          TOLERANCE_SECONDS,
          crypto,
        );
        return normalise(JSON.parse(body));
      } catch (error) {
        if (!(error instanceof Stripe.errors.StripeSignatureVerificationError)) throw error;
      }
    }
    throw new InvalidSignature('no secret fits, or the signature is too old');
  },
};
