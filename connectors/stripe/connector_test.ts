import assert from 'node:assert/strict';
import { connectors } from '../registry.ts';
import { type Access, type ErrorClass, type PageRequest, ProviderError } from '../connector.ts';
import { type FakeStripe, startFakeStripe } from '../../tests/fakes/stripe/server.ts';
import type { Fault } from '../../tests/fakes/_shared/faults.ts';
import { stripe } from './connector.ts';

const API_VERSION = '2026-10-28.endive';

async function withFake(run: (fake: FakeStripe, access: Access) => Promise<void>): Promise<void> {
  const fake = await startFakeStripe({
    seed: 7,
    data: {
      customers: 230,
      subscriptions: 40,
      largeSubscriptions: { count: 1, items: 30 },
    },
  });
  try {
    const env = (name: string) => name === 'STRIPE_API_BASE' ? fake.url : undefined;
    await run(fake, { apiKey: fake.key, apiVersion: API_VERSION, config: {}, env });
  } finally {
    await fake.stop();
  }
}

function request(changes: Partial<PageRequest> = {}): PageRequest {
  return {
    operation: 'list',
    resource: 'customer',
    externalId: null,
    parentId: null,
    params: {},
    createdGte: null,
    createdLt: null,
    updatedGte: null,
    cursor: null,
    pageSize: 100,
    ...changes,
  };
}

async function collect(access: Access, changes: Partial<PageRequest>): Promise<unknown[]> {
  const rows: unknown[] = [];
  let cursor: string | null = null;
  do {
    const page = await stripe.fetchPage(access, request({ ...changes, cursor }));
    rows.push(...page.rows);
    cursor = page.nextCursor;
  } while (cursor !== null);
  return rows;
}

async function failure(run: () => Promise<unknown>): Promise<ProviderError> {
  try {
    await run();
  } catch (error) {
    assert.ok(error instanceof ProviderError, String(error));
    return error;
  }
  assert.fail('it did not fail');
}

Deno.test('every resource is listed to its end, as the provider holds it', async () => {
  await withFake(async (fake, access) => {
    const listings = [
      ['customer', [{}]],
      ['product', [{}]],
      ['price', [{ active: 'true' }, { active: 'false' }]],
      ['plan', [{}]],
      ['subscription', [{ status: 'all' }]],
    ] as const;
    for (const [resource, variants] of listings) {
      const rows: unknown[] = [];
      for (const params of variants) rows.push(...await collect(access, { resource, params }));
      const expected = fake.state.snapshot(resource);
      assert.equal(rows.length, expected.size, resource);
      for (const row of rows as { id: string }[]) {
        const plain = JSON.parse(JSON.stringify(row));
        assert.deepEqual(plain, JSON.parse(JSON.stringify(expected.get(row.id))));
      }
    }
  });
});

Deno.test('a page is one request, in the API version that Postgres pins', async () => {
  await withFake(async (fake, access) => {
    await stripe.fetchPage(access, request());
    await stripe.identify(access);
    const log = fake.log.entries();
    assert.deepEqual(log.map((entry) => entry.path), ['/v1/customers', '/v1/account']);
    assert.ok(log.every((entry) => entry.api_version === API_VERSION));
  });
});

Deno.test('a slice is half-open in whole seconds', async () => {
  await withFake(async (_fake, access) => {
    const all = await collect(access, {}) as { id: string; created: number }[];
    const middle = all[100]?.created ?? 0;
    const newer = await collect(access, { createdGte: middle }) as { id: string }[];
    const older = await collect(access, { createdLt: middle }) as { id: string }[];
    assert.deepEqual([...newer, ...older].map((row) => row.id), all.map((row) => row.id));
  });
});

Deno.test('the items of one subscription are listed under it', async () => {
  await withFake(async (fake, access) => {
    const large = [...fake.state.snapshot('subscription').values()]
      .find((row) => (row.items as { has_more: boolean }).has_more);
    const parentId = String(large?.id);
    const items = await collect(access, { resource: 'subscription_item', parentId, pageSize: 10 });
    assert.equal(items.length, 30);
  });
});

Deno.test('an object is fetched by id; a deleted or unknown one is said to be so', async () => {
  await withFake(async (fake, access) => {
    const [customer] = [...fake.state.snapshot('customer').keys()];
    const id = String(customer);
    const get = (resource: string, externalId: string) =>
      stripe.fetchPage(access, request({ operation: 'get', resource, externalId }));
    assert.equal((await get('customer', id)).rows.length, 1);
    fake.ops.delete('customer', id);
    const [deleted] = (await get('customer', id)).rows as { deleted?: boolean }[];
    assert.equal(deleted?.deleted, true);
    assert.deepEqual((await get('product', 'prod_none')).missing, ['prod_none']);
  });
});

Deno.test('a key tells its account and its mode', async () => {
  await withFake(async (fake, access) => {
    assert.deepEqual(await stripe.identify(access), {
      accountId: fake.account.id,
      livemode: false,
    });
  });
});

const faults: [string, Fault, ErrorClass, Partial<{ retryAfter: number; reason: string }>][] = [
  [
    'a rate limit, with its reason and how long to wait',
    {
      kind: 'status',
      status: 429,
      headers: { 'stripe-rate-limited-reason': 'endpoint-rate', 'retry-after': '3' },
    },
    'rate_limited',
    { reason: 'endpoint-rate', retryAfter: 3 },
  ],
  ['a lock timeout', { kind: 'lock_timeout' }, 'rate_limited', { reason: 'lock_timeout' }],
  ['a server error', { kind: 'status', status: 500 }, 'transient', {}],
  ['a closed connection', { kind: 'reset', when: 'before' }, 'transient', {}],
  ['a body that ends too early', { kind: 'truncate', close: false }, 'transient', {}],
  ['a body that is not JSON', { kind: 'not_json' }, 'transient', {}],
  ['a refused key', { kind: 'status', status: 401 }, 'auth', {}],
  ['a missing permission', { kind: 'status', status: 403 }, 'forbidden', {}],
  ['a list that is no list', { kind: 'malformed', body: { data: 'nope' } }, 'malformed', {}],
];

for (const [name, fault, errorClass, detail] of faults) {
  Deno.test(`${name} is ${errorClass}`, async () => {
    await withFake(async (fake, access) => {
      fake.faults.add({ match: { pathPrefix: '/v1/customers' }, fault });
      const error = await failure(() => stripe.fetchPage(access, request()));
      assert.equal(error.errorClass, errorClass, error.message);
      assert.deepEqual(error.detail, detail);
    });
  });
}

Deno.test('a malformed answer keeps the raw message', async () => {
  await withFake(async (fake, access) => {
    fake.faults.add({ fault: { kind: 'malformed', body: { data: 'nope' } } });
    const error = await failure(() => stripe.fetchPage(access, request()));
    assert.match(error.message, /"data":"nope"/);
  });
});

Deno.test('a cursor whose object was deleted is cursor_gone', async () => {
  await withFake(async (fake, access) => {
    const page = await stripe.fetchPage(access, request());
    fake.ops.vanish('customer', String(page.nextCursor));
    const error = await failure(() =>
      stripe.fetchPage(access, request({ cursor: page.nextCursor }))
    );
    assert.equal(error.errorClass, 'cursor_gone', error.message);
  });
});

Deno.test('an unknown resource and a bad STRIPE_API_BASE are named', async () => {
  await withFake(async (_fake, access) => {
    const unknown = await failure(() => stripe.fetchPage(access, request({ resource: 'unicorn' })));
    assert.match(unknown.message, /"unicorn"/);
    const env = () => 'api.stripe.com';
    const base = await failure(() => stripe.fetchPage({ ...access, env }, request()));
    assert.match(base.message, /"api\.stripe\.com"/);
  });
});

Deno.test('connector.sql pins the API version of the SDK', async () => {
  const { default: Stripe } = await import('stripe');
  const sql = await Deno.readTextFile(new URL('connector.sql', import.meta.url));
  assert.equal(Stripe.API_VERSION, API_VERSION);
  assert.ok(sql.includes(`'${Stripe.API_VERSION}'`));
  assert.equal(connectors.stripe, stripe);
});
