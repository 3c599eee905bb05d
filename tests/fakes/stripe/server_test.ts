import assert from 'node:assert/strict';
import { DEFAULT_ACCOUNT, type FakeStripe, startFakeStripe } from './server.ts';
import { get, sdkFor, withFake } from './testing.ts';

const fingerprint = (fake: FakeStripe) =>
  (['customer', 'product', 'price', 'subscription'] as const).map((
    name,
  ) => [...fake.state.snapshot(name).values()]);

Deno.test('the same seed makes the same world, another seed another', async () => {
  const now = () => Date.UTC(2026, 5, 1);
  const worlds: string[] = [];
  for (const seed of [7, 7, 8]) {
    await withFake({ seed, now }, (fake) => {
      fake.churn(50);
      worlds.push(JSON.stringify([
        fingerprint(fake),
        fake.events.all().map((event) => event.text),
      ]));
      return Promise.resolve();
    });
  }
  assert.equal(worlds[0], worlds[1]);
  assert.notEqual(worlds[0], worlds[2]);
});

Deno.test('a generated world is coherent and has every kind of subscription', async () => {
  await withFake({ data: { customers: 500, subscriptions: 600 } }, (fake) => {
    const now = fake.now() / 1000;
    const customers = fake.state.snapshot('customer');
    const prices = fake.state.snapshot('price');
    const statuses = new Set<string>();
    for (const row of fake.state.collections.subscription.rows) {
      const sub = JSON.parse(row.text);
      statuses.add(sub.cancel_at_period_end ? 'canceling' : sub.status);
      const customer = customers.get(sub.customer);
      assert.ok(customer && customer.created <= sub.created && sub.created <= now);
      assert.equal(sub.ended_at !== null, ['canceled', 'incomplete_expired'].includes(sub.status));
      if (sub.cancel_at_period_end) assert.ok(sub.status === 'active' && sub.canceled_at);
      assert.ok(!('current_period_end' in sub));
      for (const item of sub.items.data) assert.deepEqual(item.price, prices.get(item.price.id));
    }
    assert.deepEqual([...statuses].sort(), [
      'active',
      'canceled',
      'canceling',
      'incomplete',
      'incomplete_expired',
      'past_due',
      'paused',
      'trialing',
      'unpaid',
    ]);
    return Promise.resolve();
  });
});

Deno.test('the account answers with its id, and headers are those of Stripe', async () => {
  await withFake({}, async (fake, stripe) => {
    const account = await stripe.accounts.retrieveCurrent();
    assert.equal(account.id, DEFAULT_ACCOUNT);
    const response = await get(fake, '/v1/account', {
      headers: { 'stripe-version': '2024-06-20' },
    });
    await response.body?.cancel();
    assert.equal(response.headers.get('stripe-version'), '2024-06-20');
    assert.match(response.headers.get('request-id') ?? '', /^req_\w{14}$/);
    const other = await get(fake, '/v1/account', { headers: { 'stripe-account': 'acct_other' } });
    assert.equal(other.status, 403);
    await other.body?.cancel();
  });
});

Deno.test('a wrong key, no key and an expired key are 401 and never shown whole', async () => {
  const apiKeys = ['sk_test_good_key_1', { key: 'sk_test_old_key_22', expired: true }];
  await withFake({ apiKeys }, async (fake) => {
    const wrong = 'sk_test_51Habcdefghijklmnop1234';
    await assert.rejects(sdkFor(fake, wrong).customers.list(), (error: Error) => {
      assert.equal((error as Error & { type: string }).type, 'StripeAuthenticationError');
      assert.match(error.message, /^Invalid API Key provided: sk_test_\*+1234$/);
      return true;
    });
    const none = await fetch(`${fake.url}/v1/customers`);
    assert.equal(none.status, 401);
    assert.match((await none.json()).error.message, /did not provide an API key/);
    await assert.rejects(sdkFor(fake, 'sk_test_old_key_22').customers.list(), {
      code: 'api_key_expired',
    });
    const text = JSON.stringify(fake.log.entries());
    assert.ok(!text.includes(wrong) && text.includes('1234'));
  });
});

Deno.test('a restricted key may do what it was given, and no more', async () => {
  const restricted = { key: 'rk_test_restricted_9', permissions: { customer: 'read' as const } };
  await withFake({ apiKeys: [restricted] }, async (_, stripe) => {
    await stripe.customers.list();
    await assert.rejects(stripe.customers.create({ name: 'x' }), /rak_customer_write/);
    await assert.rejects(stripe.subscriptions.list(), {
      type: 'StripePermissionError',
      statusCode: 403,
    });
    await assert.rejects(stripe.accounts.retrieveCurrent(), /rak_accounts_kyc_basic_read/);
  });
});

Deno.test('two accounts hold different objects behind their own keys, live or test', async () => {
  const data = { customers: 20, subscriptions: 20 };
  await withFake({
    accounts: [
      { id: 'acct_1AAAAAAAAAAAAAAA', data },
      { id: 'acct_1BBBBBBBBBBBBBBB', livemode: true, apiKeys: ['sk_live_b_key'], data },
    ],
  }, async (fake, stripe) => {
    const other = sdkFor(fake, 'sk_live_b_key');
    assert.equal((await other.accounts.retrieveCurrent()).id, 'acct_1BBBBBBBBBBBBBBB');
    const [mine] = (await stripe.customers.list()).data;
    const [theirs] = (await other.customers.list()).data;
    assert.equal(mine?.livemode, false);
    assert.equal(theirs?.livemode, true);
    await assert.rejects(other.customers.retrieve(mine?.id as string), { statusCode: 404 });
  });
  await assert.rejects(
    startFakeStripe({ apiKeys: ['sk_live_x_1'], data }),
    /is for the other mode/,
  );
});

Deno.test('the documented rates are enforced, with the reason in a header', async () => {
  const reasons = async (fake: FakeStripe, paths: string[]) => {
    const found = new Map<string, number>();
    await Promise.all(paths.map(async (path) => {
      const response = await get(fake, path);
      await response.body?.cancel();
      const reason = response.status === 429
        ? response.headers.get('stripe-rate-limited-reason') ?? 'none'
        : 'ok';
      found.set(reason, (found.get(reason) ?? 0) + 1);
    }));
    return Object.fromEntries(found);
  };
  const repeat = (path: string, times: number) => Array<string>(times).fill(path);
  const live = { account: { livemode: true }, apiKeys: ['sk_live_rate_key'] };
  await withFake({ ...live, rateLimit: true }, async (fake) => {
    assert.deepEqual(await reasons(fake, repeat('/v1/customers', 40)), {
      ok: 25,
      'endpoint-rate': 15,
    });
  });
  await withFake({ rateLimit: { global: 10, endpoint: 8 } }, async (fake) => {
    const paths = [...repeat('/v1/customers', 8), ...repeat('/v1/products', 8)];
    assert.deepEqual(await reasons(fake, paths), { ok: 10, 'global-rate': 6 });
  });
  await withFake(
    { rateLimit: { endpointConcurrency: 3 }, latencyMs: 150 },
    async (fake, stripe) => {
      assert.deepEqual(await reasons(fake, repeat('/v1/customers', 5)), {
        ok: 3,
        'endpoint-concurrency': 2,
      });
      await stripe.customers.list();
    },
  );
});

Deno.test('the log counts requests by endpoint without ids', async () => {
  await withFake({}, async (fake, stripe) => {
    const [first, second] = fake.state.ids('customer') as [string, string];
    await stripe.customers.list({ limit: 3 });
    await stripe.customers.retrieve(first);
    await stripe.customers.retrieve(second);
    const { total, by_endpoint } = fake.log.counts();
    assert.equal(total, 3);
    assert.deepEqual(by_endpoint, { 'GET /v1/customers': 1, 'GET /v1/customers/:id': 2 });
    const [entry] = fake.log.entries();
    assert.equal(entry?.query, 'limit=3');
    assert.equal(entry?.key, fake.key.slice(-4));
    fake.log.clear();
    assert.equal(fake.log.counts().total, 0);
  });
});
