/**
 * Owns the fake as a whole: accounts, their keys, and what happens to a request on its way
 * (log, latency, faults, key, rate limit, endpoint).
 */

import { createFaults, type Fault, type Faults, type Verdict } from '../_shared/faults.ts';
import { type Delivery, type Reply, serveWire, type WireRequest } from '../_shared/http.ts';
import { createPrng, type Prng } from '../_shared/prng.ts';
import { createRequestLog, type RequestLog } from '../_shared/request_log.ts';
import { type ApiKey, isLiveKey, readKey, requirePermission } from './auth.ts';
import { type Churn, createChurn } from './churn.ts';
import { answerControl } from './control.ts';
import { errors, isApiError } from './errors.ts';
import { createEndpoints, type Endpoints } from './endpoints.ts';
import { createEventLog, type EventLog } from './events.ts';
import { type DataOptions, DEFAULT_DATA, generateWorld } from './generate.ts';
import { createIds } from './ids.ts';
import { API_VERSION, buildAccount, type StripeObject } from './objects.ts';
import { createOps, type Ops } from './ops.ts';
import { createRateGate, documentedLimits, type RateGate, type RateLimits } from './rate_limit.ts';
import { endpointOf, findRoute, type RouteContext } from './routes.ts';
import { createStore, type Store } from './state.ts';
import { createWebhooks, type Webhooks } from './webhooks.ts';

/** The keys an account has unless others are given. */
export const DEFAULT_TEST_KEY = 'sk_test_supasaasy_fake_key';
/** The same for an account in live mode. */
export const DEFAULT_LIVE_KEY = 'sk_live_supasaasy_fake_key';
/** The account there is unless another is given. */
export const DEFAULT_ACCOUNT = 'acct_1Fake4SupaSaaSyA';

/** One account in one mode. The same id may be there twice, once in live mode. */
export interface AccountOptions {
  id?: string;
  livemode?: boolean;
  /** Keys; their prefix must agree with `livemode`. */
  apiKeys?: readonly (string | ApiKey)[];
  name?: string;
  country?: string;
  seed?: string | number;
  data?: Partial<DataOptions>;
}

/** How the fake behaves. Everything has a default. */
export interface FakeStripeOptions {
  /** 0 takes any free port. */
  port?: number;
  seed?: string | number;
  /** Keys of the one account; use `accounts` for several. */
  apiKeys?: readonly (string | ApiKey)[];
  account?: Omit<AccountOptions, 'apiKeys' | 'seed' | 'data'>;
  data?: Partial<DataOptions>;
  /** Replaces `apiKeys`, `account` and `data`. */
  accounts?: readonly AccountOptions[];
  /** The fake's clock in milliseconds since 1970; real time by default. */
  now?: () => number;
  /** Added to `now`: how far the fake's clock is ahead of real time, in seconds. */
  skewSeconds?: number;
  /** The account's own API version, in which events are rendered. */
  apiVersion?: string;
  /** How many items a subscription shows before `has_more`. */
  itemsCap?: number;
  /** Whether a price list without `active` shows only active prices. */
  pricesDefaultActiveOnly?: boolean;
  /** `live` shows a subscription's prices as they are now, `frozen` as when the item was written. */
  nestedPrices?: 'live' | 'frozen';
  /** How late events show up: at most this, or a range; seeded for each event. */
  eventLagSeconds?: number | { min: number; max: number };
  /** False for none, true for the documented limits. Real time. */
  rateLimit?: boolean | RateLimits;
  /** Milliseconds before every answer, fixed or a seeded range. */
  latencyMs?: number | { min: number; max: number };
}

/** One account as tests hold it. */
export interface FakeAccount {
  id: string;
  livemode: boolean;
  /** The first key: the one to use. */
  key: string;
  keys: Map<string, ApiKey>;
  object: StripeObject;
  state: Store;
  events: EventLog;
  ops: Ops;
  churn: Churn;
  webhooks: Webhooks;
  /** The webhook endpoints that the API manages. */
  endpoints: Endpoints;
  gate: RateGate | null;
}

/** A fake Stripe that runs. `state`, `ops`, ... are those of the first account. */
export interface FakeStripe {
  url: string;
  port: number;
  accounts: readonly FakeAccount[];
  /** The first account. */
  account: FakeAccount;
  key: string;
  state: Store;
  events: EventLog;
  ops: Ops;
  churn: Churn;
  webhooks: Webhooks;
  faults: Faults;
  log: RequestLog;
  /** The fake's clock in milliseconds. */
  now: () => number;
  stop(): Promise<void>;
}

const range = (value: number | { min: number; max: number }) =>
  typeof value === 'number' ? { min: 0, max: value } : value;

const createAccount = (
  options: AccountOptions,
  fake: FakeStripeOptions,
  now: () => number,
): FakeAccount => {
  const id = options.id ?? DEFAULT_ACCOUNT;
  const livemode = options.livemode ?? false;
  const seed = `${options.seed ?? fake.seed ?? 1}/${id}/${livemode ? 'live' : 'test'}`;
  const given = options.apiKeys ?? [livemode ? DEFAULT_LIVE_KEY : DEFAULT_TEST_KEY];
  const keys = new Map<string, ApiKey>();
  for (const entry of given) {
    const key = typeof entry === 'string' ? { key: entry } : entry;
    if (isLiveKey(key.key) !== livemode) {
      throw new Error(
        `key '****${key.key.slice(-4)}' is for the other mode than account '${id}', which is ${
          livemode ? 'live' : 'test'
        }; give it a key with the prefix sk_${livemode ? 'live' : 'test'}_`,
      );
    }
    keys.set(key.key, key);
  }
  const first = keys.keys().next().value;
  if (first === undefined) throw new Error(`account '${id}' needs at least one key`);

  const store = createStore({
    itemsCap: fake.itemsCap ?? 20,
    frozenPrices: fake.nestedPrices === 'frozen',
  });
  const newId = createIds(createPrng(`${seed}/ids`), id);
  const events = createEventLog({
    prng: createPrng(`${seed}/lag`),
    now,
    lagSeconds: range(fake.eventLagSeconds ?? 30),
    apiVersion: fake.apiVersion ?? API_VERSION,
    livemode,
    newId: () => newId('event'),
  });
  const data = { ...DEFAULT_DATA, ...fake.data, ...options.data };
  const anchor = Math.floor(now() / 1000);
  generateWorld(store, events, { accountId: id, livemode, seed, anchor, data });
  const prng = createPrng(`${seed}/ops`);
  const ops = createOps({ store, events, newId, livemode, now });
  const limits = fake.rateLimit === true ? documentedLimits(livemode) : fake.rateLimit;
  const name = options.name ?? 'Example Company';
  return {
    id,
    livemode,
    key: first,
    keys,
    object: buildAccount({
      id,
      created: anchor - data.years * 365 * 86400 - 86400,
      livemode,
      name,
      country: options.country ?? 'US',
    }),
    state: store,
    events,
    ops,
    churn: createChurn(store, ops, prng),
    webhooks: createWebhooks(events, now),
    endpoints: createEndpoints(createPrng(`${seed}/endpoints`), livemode, now),
    gate: limits === undefined || limits === false ? null : createRateGate(limits),
  };
};

const json = { 'content-type': 'application/json' };

/** The answer a fault gives by itself, without the endpoint being run; null for other faults. */
const answerOfFault = (fault: Fault | null, fallback: () => Reply): Reply | null => {
  switch (fault?.kind) {
    case 'status': {
      if (fault.body === undefined && fault.status >= 400) {
        const own = errorReply(errors.forStatus(fault.status));
        return { ...own, headers: { ...own.headers, ...fault.headers } };
      }
      const body = typeof fault.body === 'string' ? fault.body : JSON.stringify(fault.body ?? {});
      return { status: fault.status, headers: { ...json, ...fault.headers }, body };
    }
    case 'lock_timeout':
      return errorReply(errors.lockTimeout());
    case 'timeout':
      return { ...fallback(), delivery: { how: 'never' } };
    case 'reset':
      return fault.when === 'before'
        ? { ...fallback(), delivery: { how: 'reset', afterHeaders: false } }
        : null;
    case 'malformed':
      return { status: 200, headers: json, body: JSON.stringify(fault.body ?? { data: 'nope' }) };
    case 'not_json':
      return {
        status: 200,
        headers: { 'content-type': 'text/html' },
        body: fault.body ?? '<!DOCTYPE html><html><body><h1>Bad gateway</h1></body></html>',
      };
    case 'replace_body':
      return { status: fault.status, headers: { ...json, ...fault.headers }, body: fault.body };
    default:
      return null;
  }
};

const deliveryOfFault = (fault: Fault | null): Delivery => {
  if (fault?.kind === 'reset') {
    return { how: 'reset', afterHeaders: fault.when === 'after_headers' };
  }
  if (fault?.kind === 'truncate') {
    return { how: 'cut', bytes: fault.bytes ?? null, close: fault.close };
  }
  return { how: 'whole' };
};

const errorReply = (error: unknown): Reply => {
  if (!isApiError(error)) throw error;
  return {
    status: error.status,
    headers: { ...json, ...error.headers },
    body: JSON.stringify({ error: error.error }),
  };
};

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/**
 * Starts a fake Stripe on 127.0.0.1 and resolves when it listens. Throws for a key that does not
 * fit its account and for a port that is taken.
 */
export const startFakeStripe = async (options: FakeStripeOptions = {}): Promise<FakeStripe> => {
  const clock = options.now ?? Date.now;
  const skewMs = (options.skewSeconds ?? 0) * 1000;
  const now = (): number => clock() + skewMs;
  const seed = options.seed ?? 1;
  const wanted: readonly AccountOptions[] = options.accounts ?? [{
    ...options.account,
    ...(options.apiKeys === undefined ? {} : { apiKeys: options.apiKeys }),
  }];
  const accounts = wanted.map((account) => createAccount(account, options, now));
  const account = accounts[0];
  if (account === undefined) throw new Error('accounts is empty; give at least one account');
  const byKey = new Map<string, FakeAccount>();
  for (const owner of accounts) {
    for (const key of owner.keys.keys()) {
      if (byKey.has(key)) {
        throw new Error(
          `key '****${key.slice(-4)}' is given to two accounts; give each account keys of its own`,
        );
      }
      byKey.set(key, owner);
    }
  }
  const faults = createFaults(seed);
  const log = createRequestLog(endpointOf);
  const chance: Prng = createPrng(`${seed}/server`);
  const latency = typeof options.latencyMs === 'number'
    ? { min: options.latencyMs, max: options.latencyMs }
    : options.latencyMs ?? { min: 0, max: 0 };

  const contextOf = (owner: FakeAccount, fault: Fault | null): RouteContext => ({
    store: owner.state,
    events: owner.events,
    ops: owner.ops,
    endpoints: owner.endpoints,
    account: owner.object,
    now,
    pricesDefaultActiveOnly: options.pricesDefaultActiveOnly ?? true,
    omitted: fault?.kind === 'omit'
      ? new Set(fault.ids)
      : fault?.kind === 'empty_list'
      ? 'all'
      : null,
    injected: fault?.kind === 'inject_rows' ? fault.rows : [],
  });

  const answer = (
    request: WireRequest,
    key: string | null,
    owner: FakeAccount | undefined,
    fault: Fault | null,
  ): { reply: Reply; leave: () => void } => {
    let leave = (): void => {};
    try {
      if (key === null) throw errors.noKey();
      const known = owner?.keys.get(key);
      if (owner === undefined || known === undefined) throw errors.badKey(key);
      const version = request.headers['stripe-version'];
      if (version !== undefined && !/^\d{4}-\d{2}-\d{2}(\.[a-z]+)?$/.test(version)) {
        throw errors.badVersion(version);
      }
      const connected = request.headers['stripe-account'];
      if (connected !== undefined && connected !== owner.id) {
        throw errors.noConnectedAccount(key, connected);
      }
      const route = findRoute(request);
      requirePermission(known, owner.id, route.resource, request.method);
      const entered = owner.gate?.enter(route.endpoint);
      if (entered !== undefined) {
        if ('refused' in entered) throw errors.rateLimited(entered.refused);
        leave = entered.leave;
      }
      const body = route.run(contextOf(owner, fault));
      return { reply: { status: 200, headers: json, body }, leave };
    } catch (error) {
      return { reply: errorReply(error), leave };
    }
  };

  const serve = async (request: WireRequest): Promise<Reply> => {
    if (request.path.startsWith('/_fake/')) return answerControl(request, fake);
    const began = performance.now();
    const at = new Date(now()).toISOString();
    const key = readKey(request.headers['authorization']);
    const owner = key === null ? undefined : byKey.get(key);
    const verdict: Verdict = faults.judge({
      method: request.method,
      path: request.path,
      account: owner?.id ?? null,
    });
    const { fault } = verdict;
    const headers: Record<string, string> = {
      'request-id': `req_${chance.token(14)}`,
      'stripe-version': request.headers['stripe-version'] ?? options.apiVersion ?? API_VERSION,
      'cache-control': 'no-cache, no-store',
      server: 'nginx',
    };
    const alone = answerOfFault(fault, () => ({ status: 200, headers: json, body: '{}' }));
    const made = alone === null
      ? answer(request, key, owner, fault)
      : { reply: alone, leave: () => {} };
    const wait = latency.min + chance.next() * (latency.max - latency.min) + verdict.latencyMs;
    if (wait > 0) await sleep(wait);
    made.leave();
    const delivery = made.reply.delivery ?? deliveryOfFault(fault);
    const unanswered = delivery.how === 'never' || delivery.how === 'reset';
    log.add({
      at,
      method: request.method,
      path: request.path,
      query: request.rawQuery,
      key: key === null ? null : key.slice(-4),
      status: unanswered ? 0 : made.reply.status,
      api_version: request.headers['stripe-version'] ?? null,
      fault: fault?.kind ?? (verdict.latencyMs > 0 ? 'latency' : null),
      ms: Math.round((performance.now() - began) * 100) / 100,
    });
    return {
      ...made.reply,
      headers: { ...headers, date: new Date(now()).toUTCString(), ...made.reply.headers },
      delivery,
    };
  };

  const wire = await serveWire(options.port ?? 0, serve);
  const fake: FakeStripe = {
    url: wire.url,
    port: wire.port,
    accounts,
    account,
    key: account.key,
    state: account.state,
    events: account.events,
    ops: account.ops,
    churn: account.churn,
    webhooks: account.webhooks,
    faults,
    log,
    now,
    async stop() {
      for (const owner of accounts) owner.webhooks.stop();
      await wire.stop();
    },
  };
  return fake;
};
