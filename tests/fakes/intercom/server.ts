/**
 * Owns the fake as a whole: workspaces, their tokens, and what happens to a request on its way
 * (log, latency, faults, token, rate limit, endpoint).
 */

import { createFaults, type Fault, type Faults } from '../_shared/faults.ts';
import { type Reply, serveWire, type WireRequest } from '../_shared/http.ts';
import { createPrng } from '../_shared/prng.ts';
import { createRequestLog, type RequestLog } from '../_shared/request_log.ts';
import { type CompanyLimits, createScroll, DOCUMENTED_LIMITS, type Scroll } from './companies.ts';
import { errors, isApiError, type MergedGone } from './errors.ts';
import { answerOfFault, deliveryOfFault, errorReply, jsonReply } from './fault_answers.ts';
import { type DataOptions, DEFAULT_DATA, generateWorld } from './generate.ts';
import { createIds } from './ids.ts';
import { API_VERSION, buildMe, type Fields } from './objects.ts';
import { createOps, type Ops } from './ops.ts';
import { createRateGate, type RateGate, type RateLimit } from './rate_limit.ts';
import { endpointOf, findRoute, type RouteContext } from './routes.ts';
import type { DateRules } from './search.ts';
import { type CollectionName, createStore, type Store } from './state.ts';
import { createWebhooks, type Timestamps, type Webhooks } from './webhooks.ts';

/** The token a workspace has unless others are given. */
export const DEFAULT_TOKEN = 'dG9rOmZha2VfaW50ZXJjb21fdG9rZW4=';
/** The workspace there is unless another is given. */
export const DEFAULT_WORKSPACE = 'fk4supa1';

/** A token. Without `scopes` it may read everything. Tests may change it while the fake runs. */
export interface AccessToken {
  token: string;
  scopes?: readonly CollectionName[];
  /** A revoked token answers 401 `token_revoked`. */
  revoked?: boolean;
  /** The admin `GET /me` answers; the first one by default. */
  admin?: string;
}

/** One workspace. */
export interface AccountOptions {
  /** Its id_code, which webhooks call app_id. */
  id?: string;
  tokens?: readonly (string | AccessToken)[];
  name?: string;
  region?: 'US' | 'EU' | 'AU';
  /** Contacts are searched by its days. */
  timezone?: { name: string; utcOffsetHours: number };
  seed?: string | number;
  data?: PartialData;
}

/** Part of the data options. */
export type PartialData = { [Name in keyof DataOptions]?: DataOptions[Name] | undefined };

/** How the fake behaves. Everything has a default. */
export interface FakeIntercomOptions {
  /** 0 takes any free port. */
  port?: number;
  seed?: string | number;
  data?: PartialData;
  /** Tokens of the one workspace; use `accounts` for several. */
  tokens?: readonly (string | AccessToken)[];
  account?: Omit<AccountOptions, 'tokens' | 'data'>;
  /** Replaces `tokens` and `account`; `data` and `seed` are still the defaults of each. */
  accounts?: readonly AccountOptions[];
  /** The fake's clock in milliseconds since 1970; real time by default. */
  now?: () => number;
  /** True (the default) for 10,000 a minute, false for none. Real time. */
  rateLimit?: boolean | RateLimit;
  /** Milliseconds before every answer, fixed or a seeded range. */
  latencyMs?: number | { min: number; max: number };
  /** How GET of a merged contact answers; `link` by default. */
  mergedGone?: MergedGone;
  /** Whether contact searches take >=, <=, != and lists for dates, which Intercom refuses. */
  lenientContactDates?: boolean;
  /** Whether > and < of a conversation search include the second itself. */
  inclusiveConversationDates?: boolean;
  companyLimits?: Partial<CompanyLimits>;
  /** How webhooks write times. */
  webhookTimestamps?: Timestamps;
}

/** One workspace as tests hold it. */
export interface FakeAccount {
  /** Its id_code. */
  id: string;
  /** The first token: the one to use. */
  key: string;
  tokens: Map<string, AccessToken>;
  state: Store;
  ops: Ops;
  scroll: Scroll;
}
interface Owner extends FakeAccount {
  gate: RateGate;
  contactDates: DateRules;
  me(token: AccessToken): Fields;
}

/** A fake Intercom that runs. `state`, `ops` and `key` are those of the first workspace. */
export interface FakeIntercom {
  url: string;
  port: number;
  accounts: readonly FakeAccount[];
  account: FakeAccount;
  key: string;
  state: Store;
  ops: Ops;
  /** Notifications of all workspaces, and where they go. */
  webhooks: Webhooks;
  faults: Faults;
  log: RequestLog;
  /** The fake's clock in milliseconds. */
  now: () => number;
  stop(): Promise<void>;
}

const mergeData = (...layers: (PartialData | undefined)[]): DataOptions => {
  const data: DataOptions = { ...DEFAULT_DATA };
  for (const layer of layers) {
    const given = Object.entries(layer ?? {}).filter(([, value]) => value !== undefined);
    Object.assign(data, Object.fromEntries(given));
  }
  return data;
};

const createAccount = (
  options: AccountOptions,
  fake: FakeIntercomOptions,
  now: () => number,
  webhooks: Webhooks,
): Owner => {
  const id = options.id ?? DEFAULT_WORKSPACE;
  const seed = `${options.seed ?? fake.seed ?? 1}/${id}`;
  const tokens = new Map(
    (options.tokens ?? [DEFAULT_TOKEN]).map((given) => {
      const token = typeof given === 'string' ? { token: given } : { ...given };
      return [token.token, token];
    }),
  );
  const key = tokens.keys().next().value;
  if (key === undefined) throw new Error(`workspace '${id}' needs at least one token`);
  const data = mergeData(fake.data, options.data);
  const store = createStore();
  const newId = createIds(createPrng(`${seed}/ids`));
  const anchor = Math.floor(now() / 1000);
  generateWorld({ store, seed, workspace: id, newId, anchor, data });
  const timezone = options.timezone ?? { name: 'Etc/UTC', utcOffsetHours: 0 };
  const limits = { ...DOCUMENTED_LIMITS, ...fake.companyLimits };
  return {
    id,
    key,
    tokens,
    state: store,
    ops: createOps({
      store,
      workspace: id,
      newId,
      now,
      emit: (topic, item) => void webhooks.emit(id, topic, item),
    }),
    scroll: createScroll(store, createPrng(`${seed}/scroll`), now, limits),
    gate: createRateGate(fake.rateLimit ?? true),
    contactDates: {
      match: 'day',
      utcOffset: timezone.utcOffsetHours * 3600,
      lenient: fake.lenientContactDates ?? false,
      inclusive: false,
    },
    me(token) {
      const admin = store.get('admin', token.admin ?? store.ids('admin')[0] ?? '');
      if (admin === null) throw errors.unauthorized();
      return buildMe(admin, {
        id,
        name: options.name ?? 'Example Workspace',
        region: options.region ?? 'US',
        timezone: timezone.name,
        created: anchor - data.years * 365 * 86_400 - 86_400,
      });
    },
  };
};

const readToken = (authorization: string | undefined): string | null =>
  /^Bearer\s+(\S+)$/i.exec(authorization ?? '')?.[1] ?? null;

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/**
 * Starts a fake Intercom on 127.0.0.1 and resolves when it listens. Throws for a token that two
 * workspaces have and for a port that is taken.
 */
export const startFakeIntercom = async (
  options: FakeIntercomOptions = {},
): Promise<FakeIntercom> => {
  const now = options.now ?? Date.now;
  const seed = options.seed ?? 1;
  const webhooks = createWebhooks(createPrng(`${seed}/webhooks`), now, {
    timestamps: options.webhookTimestamps ?? 'unix',
  });
  const wanted: readonly AccountOptions[] = options.accounts ?? [{
    ...options.account,
    ...(options.tokens === undefined ? {} : { tokens: options.tokens }),
  }];
  const accounts = wanted.map((account) => createAccount(account, options, now, webhooks));
  const account = accounts[0];
  if (account === undefined) throw new Error('accounts is empty; give at least one workspace');
  const byToken = new Map<string, Owner>();
  for (const owner of accounts) {
    for (const token of owner.tokens.keys()) {
      if (byToken.has(token)) {
        throw new Error(`token '****${token.slice(-4)}' is given to two workspaces`);
      }
      byToken.set(token, owner);
    }
  }
  const faults = createFaults(seed);
  const log = createRequestLog(endpointOf);
  const chance = createPrng(`${seed}/server`);
  const latency = typeof options.latencyMs === 'number'
    ? { min: options.latencyMs, max: options.latencyMs }
    : options.latencyMs ?? { min: 0, max: 0 };
  const conversationDates: DateRules = {
    match: 'second',
    utcOffset: 0,
    lenient: false,
    inclusive: options.inclusiveConversationDates ?? false,
  };

  const contextOf = (owner: Owner, token: AccessToken, fault: Fault | null): RouteContext => ({
    store: owner.state,
    scroll: owner.scroll,
    limits: { ...DOCUMENTED_LIMITS, ...options.companyLimits },
    contactDates: owner.contactDates,
    conversationDates,
    mergedGone: options.mergedGone ?? 'link',
    baseUrl: wire.url,
    me: () => owner.me(token),
    omitted: fault?.kind === 'omit'
      ? new Set(fault.ids)
      : fault?.kind === 'empty_list'
      ? 'all'
      : null,
    injected: fault?.kind === 'inject_rows' ? fault.rows : [],
  });

  const answer = (
    request: WireRequest,
    owner: Owner | undefined,
    key: string | null,
    fault: Fault | null,
    requestId: string,
  ): Reply => {
    try {
      const token = owner?.tokens.get(key ?? '');
      if (owner === undefined || token === undefined) throw errors.unauthorized();
      if (token.revoked === true) throw errors.revoked();
      if (!owner.gate.enter()) throw errors.rateLimited();
      const version = request.headers['intercom-version'];
      if (version !== undefined && !/^(1\.\d|2\.\d{1,2}|Unstable|Preview)$/.test(version)) {
        throw errors.badVersion(version);
      }
      const route = findRoute(request);
      if (token.scopes?.includes(route.resource) === false && request.path !== '/me') {
        throw errors.forbidden(route.resource);
      }
      return jsonReply(route.run(contextOf(owner, token, fault)));
    } catch (error) {
      if (!isApiError(error)) throw error;
      return errorReply(error, requestId);
    }
  };

  const serve = async (request: WireRequest): Promise<Reply> => {
    const began = performance.now();
    const at = new Date(now()).toISOString();
    const key = readToken(request.headers['authorization']);
    const owner = key === null ? undefined : byToken.get(key);
    const verdict = faults.judge({
      method: request.method,
      path: request.path,
      account: owner?.id ?? null,
    });
    const { fault } = verdict;
    const requestId = `${chance.token(8).toLowerCase()}-fake-4000-8000-${chance.token(12)}`;
    const made = answerOfFault(fault, requestId) ??
      answer(request, owner, key, fault, requestId);
    const headers = {
      'x-request-id': requestId,
      'intercom-version': request.headers['intercom-version'] ?? API_VERSION,
      'cache-control': 'max-age=0, private, must-revalidate',
      server: 'nginx',
      ...(owner ?? account).gate.headers(now()),
    };
    const wait = latency.min + chance.next() * (latency.max - latency.min) + verdict.latencyMs;
    if (wait > 0) await sleep(wait);
    const delivery = made.delivery ?? deliveryOfFault(fault);
    const unanswered = delivery.how === 'never' || delivery.how === 'reset';
    log.add({
      at,
      method: request.method,
      path: request.path,
      query: request.rawQuery,
      key: key === null ? null : key.slice(-4),
      status: unanswered ? 0 : made.status,
      api_version: request.headers['intercom-version'] ?? null,
      fault: fault?.kind ?? (verdict.latencyMs > 0 ? 'latency' : null),
      ms: Math.round((performance.now() - began) * 100) / 100,
    });
    return {
      ...made,
      headers: { ...headers, date: new Date(now()).toUTCString(), ...made.headers },
      delivery,
    };
  };

  const wire = await serveWire(options.port ?? 0, serve);
  return {
    url: wire.url,
    port: wire.port,
    accounts,
    account,
    key: account.key,
    state: account.state,
    ops: account.ops,
    webhooks,
    faults,
    log,
    now,
    async stop() {
      webhooks.stop();
      await wire.stop();
    },
  };
};
