import assert from 'node:assert/strict';
import { type Connector, type Page, ProviderError } from '../../connectors/connector.ts';
import { RpcError } from '../_shared/rpc.ts';
import { type Deps, handle, runPage } from './handler.ts';

const TOKEN = '11111111-1111-4111-8111-111111111111';
const WORK = '22222222-2222-4222-8222-222222222222';
const NEXT = { task_id: 8, token: '33333333-3333-4333-8333-333333333333' };
const KEY = 'sk_test_not_to_be_seen';

const order = {
  status: 'begun',
  work_token: WORK,
  wait_ms: 0,
  app_key: 'stripe_main',
  connector: 'stripe',
  api_version: '2026-10-28.endive',
  config: {},
  api_key: null as string | null,
  api_key_env: 'STRIPE_API_KEY',
  key_fingerprint: null as string | null,
  resource: 'customer',
  operation: 'list',
  external_id: null,
  parent_id: null,
  params: {},
  created_gte: null,
  created_lt: 1800000000,
  updated_gte: null,
  cursor: null,
  page_size: 100,
  webhook: null,
};

interface Call {
  name: string;
  args: Record<string, unknown>;
}

/** Deps that answer RPCs from a table, with what was called. */
function setUp(
  answers: Record<string, (args: Record<string, unknown>) => unknown>,
  options: { page?: () => Promise<Page>; env?: Record<string, string>; relayed?: boolean } = {},
): { deps: Deps; calls: Call[]; relays: unknown[]; work: Promise<unknown>[] } {
  const calls: Call[] = [];
  const relays: unknown[] = [];
  const work: Promise<unknown>[] = [];
  const connector: Connector = {
    name: 'stripe',
    identify: () => Promise.resolve({ accountId: 'acct_1', livemode: false }),
    readWebhook: () => Promise.resolve(null),
    manageWebhook: () => Promise.resolve({ endpointId: 'we_1', secret: null, did: 'kept' }),
    fetchPage: options.page ??
      (() => Promise.resolve({ rows: [{ id: 'cus_1' }], nextCursor: null, missing: [] })),
  };
  const env: Record<string, string> = options.env ?? { STRIPE_API_KEY: KEY };
  const deps: Deps = {
    rpc: (name, args) => {
      calls.push({ name, args });
      const found = answers[name];
      assert.ok(found, `unexpected call of ${name}`);
      return Promise.resolve().then(() => found(args));
    },
    connectors: { stripe: connector },
    env: (name) => env[name],
    relay: (start) => {
      relays.push(start);
      return Promise.resolve(options.relayed ?? true);
    },
    waitUntil: (promise) => work.push(promise),
    sleep: () => Promise.resolve(),
    log: () => {},
  };
  return { deps, calls, relays, work };
}

const ok = () => ({ status: 'ok', next: NEXT });
const start = { task_id: 7, token: TOKEN };

function post(body: string): Request {
  return new Request('http://functions/fetch-page', { method: 'POST', body });
}

const refusals: [string, Request, number][] = [
  ['another method', new Request('http://functions/fetch-page'), 405],
  ['a body that is not JSON', post('{'), 400],
  ['a body without a token', post('{"task_id":1}'), 400],
  ['a token that is no uuid', post('{"task_id":1,"token":"x"}'), 400],
  ['a task id that is no id', post(`{"task_id":-1,"token":"${TOKEN}"}`), 400],
  ['a body of more than 1 kB', post(`{"x":"${'y'.repeat(2000)}"}`), 413],
];
for (const [name, request, status] of refusals) {
  Deno.test(`${name} is answered ${status} without a call to Postgres`, async () => {
    const { deps, calls } = setUp({});
    const response = await handle(request, deps);
    assert.equal(response.status, status);
    assert.deepEqual(calls, []);
  });
}

Deno.test('a start is answered 202 before the page is fetched', async () => {
  let fetched = false;
  const page = async () => {
    await new Promise((resolve) => setTimeout(resolve, 10));
    fetched = true;
    return { rows: [], nextCursor: null, missing: [] };
  };
  const { deps, work } = setUp(
    { begin_page: () => ({ ...order, key_fingerprint: null }), pin_account: ok, complete_page: ok },
    { page },
  );
  const response = await handle(post(JSON.stringify(start)), deps);
  assert.equal(response.status, 202);
  assert.equal(fetched, false);
  await Promise.all(work);
});

Deno.test('a refused start does nothing more', async () => {
  const { deps, calls, relays } = setUp({
    begin_page: () => ({ status: 'refused', reason: 'the start token is not valid' }),
  });
  await runPage(start, deps);
  assert.equal(calls.length, 1);
  assert.deepEqual(relays, []);
});

Deno.test('a key that has not proved its account does that first, as the one request', async () => {
  const { deps, calls, relays } = setUp(
    { begin_page: () => ({ ...order, key_fingerprint: null }), pin_account: ok },
    { page: () => Promise.reject(new Error('a second request')) },
  );
  await runPage(start, deps);
  assert.deepEqual(calls.map((call) => call.name), ['begin_page', 'pin_account']);
  assert.equal(calls[1]?.args.p_account_id, 'acct_1');
  assert.deepEqual(relays, [NEXT]);
});

/** The fingerprint that the function computes for KEY. */
async function fingerprint(): Promise<string> {
  const { deps, calls } = setUp({
    begin_page: () => ({ ...order, key_fingerprint: null }),
    pin_account: ok,
  });
  await runPage(start, deps);
  return String(calls[1]?.args.p_key_fingerprint);
}

async function runProved(
  answers: Parameters<typeof setUp>[0],
  options: Parameters<typeof setUp>[1] = {},
): Promise<ReturnType<typeof setUp>> {
  const proved = await fingerprint();
  const set = setUp(
    { begin_page: () => ({ ...order, key_fingerprint: proved }), ...answers },
    options,
  );
  await runPage(start, set.deps);
  return set;
}

Deno.test('a page goes to Postgres repaired, and the next one is started', async () => {
  const { calls, relays } = await runProved({ complete_page: ok }, {
    page: () =>
      Promise.resolve({
        rows: [{ id: 'cus_1', name: 'a\u0000b' }],
        nextCursor: 'cus_1',
        missing: [],
      }),
  });
  assert.deepEqual(calls[1], {
    name: 'complete_page',
    args: {
      p_task_id: 7,
      p_work_token: WORK,
      p_rows: [{ id: 'cus_1', name: 'a\ufffdb' }],
      p_next_cursor: 'cus_1',
      p_missing: [],
      p_repaired: ['cus_1'],
      p_events: null,
      p_provider_time: null,
      p_is_partial: false,
      p_merged: null,
      p_rate: null,
    },
  });
  assert.deepEqual(relays, [NEXT]);
});

Deno.test('a refused relay gives its task back at once', async () => {
  const { calls } = await runProved({ complete_page: ok, release_task: () => true }, {
    relayed: false,
  });
  assert.deepEqual(calls.at(-1), {
    name: 'release_task',
    args: { p_task_id: NEXT.task_id, p_start_token: NEXT.token },
  });
});

Deno.test('a missing key is an auth error that names the variable', async () => {
  const { calls } = await runProved({ fail_page: ok }, { env: {} });
  assert.equal(calls[1]?.args.p_class, 'auth');
  assert.match(String(calls[1]?.args.p_message), /missing API key.*STRIPE_API_KEY/);
});

Deno.test('a provider error reaches Postgres with its class, and never with the key', async () => {
  const { calls } = await runProved({ fail_page: ok }, {
    page: () =>
      Promise.reject(
        new ProviderError('rate_limited', `slow down, ${KEY}`, { retryAfter: 3, reason: 'x' }),
      ),
  });
  assert.deepEqual(calls[1]?.args, {
    p_task_id: 7,
    p_work_token: WORK,
    p_class: 'rate_limited',
    p_message: 'slow down, [redacted]',
    p_retry_after: 3,
    p_reason: 'x',
  });
});

Deno.test('rows that Postgres refuses fail the page with its message', async () => {
  const { calls } = await runProved({
    complete_page: () => {
      throw new RpcError('22023', 'cannot store row 1 of a page of "stripe_customer": its id is 5');
    },
    fail_page: ok,
  });
  assert.equal(calls.at(-1)?.args.p_class, 'malformed');
  assert.match(String(calls.at(-1)?.args.p_message), /its id is 5/);
});

Deno.test('a completion whose answer was lost is repeated with the same token', async () => {
  let lost = 2;
  const { calls, relays } = await runProved({
    complete_page: () => {
      if (lost-- > 0) throw new RpcError('', 'connection closed');
      return ok();
    },
  });
  assert.equal(calls.filter((call) => call.name === 'complete_page').length, 3);
  assert.deepEqual(relays, [NEXT]);
});
