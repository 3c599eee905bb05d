import assert from 'node:assert/strict';
import { get, readAll, withFake } from './testing.ts';

const errorOf = async (response: Response) => {
  const { error } = await response.json();
  return { status: response.status, code: error.code, param: error.param, message: error.message };
};

Deno.test('paging to the end equals the snapshot, for every collection and page size', async () => {
  await withFake({ pricesDefaultActiveOnly: false }, async (fake) => {
    for (
      const [path, name] of [
        ['/v1/customers', 'customer'],
        ['/v1/products', 'product'],
        ['/v1/prices', 'price'],
        ['/v1/plans', 'plan'],
        ['/v1/subscriptions?status=all', 'subscription'],
      ] as const
    ) {
      for (const limit of [7, 100]) {
        const rows = await readAll(fake, path, limit);
        const truth = fake.state.snapshot(name);
        assert.deepEqual(new Map(rows.map((row) => [row['id'], row])), truth);
        assert.equal(rows.length, truth.size);
      }
    }
  });
});

Deno.test('the official SDK pages through everything, newest first', async () => {
  await withFake({}, async (fake, stripe) => {
    const created: number[] = [];
    for await (const customer of stripe.customers.list({ limit: 25 })) {
      created.push(customer.created);
    }
    assert.equal(created.length, fake.state.count('customer'));
    assert.deepEqual(created, created.toSorted((a, b) => b - a));
    const first = await stripe.customers.list();
    assert.equal(first.data.length, 10);
    assert.equal(first.has_more, true);
    assert.equal(first.url, '/v1/customers');
  });
});

Deno.test('ending_before walks back over the same rows', async () => {
  await withFake({}, async (fake, stripe) => {
    const ids = fake.state.ids('customer');
    const back = await stripe.customers.list({ limit: 10, ending_before: ids[25] as string });
    assert.deepEqual(back.data.map((row) => row.id), ids.slice(15, 25));
    assert.equal(back.has_more, true);
    const start = await stripe.customers.list({ limit: 10, ending_before: ids[4] as string });
    assert.deepEqual(start.data.map((row) => row.id), ids.slice(0, 4));
    assert.equal(start.has_more, false);
  });
});

Deno.test('created filters are exact in whole seconds, also with a cursor', async () => {
  await withFake({ data: { customers: 400 } }, async (fake, stripe) => {
    const rows = fake.state.collections.customer.rows;
    const crowded = rows.find((row, i) => rows[i + 1]?.created === row.created);
    assert.ok(crowded, 'several customers share a second');
    const at = crowded.created;
    const expect = (test: (created: number) => boolean) =>
      rows.filter((row) => test(row.created)).map((row) => row.id);
    for (
      const [filter, test] of [
        [{ gt: at }, (c: number) => c > at],
        [{ gte: at }, (c: number) => c >= at],
        [{ lt: at }, (c: number) => c < at],
        [{ lte: at }, (c: number) => c <= at],
        [{ gte: at, lt: at + 1 }, (c: number) => c === at],
        [at, (c: number) => c === at],
      ] as const
    ) {
      const ids: string[] = [];
      for await (const row of stripe.customers.list({ limit: 9, created: filter })) {
        ids.push(row.id);
      }
      assert.deepEqual(ids, expect(test));
    }
  });
});

Deno.test('subscriptions leave out canceled ones unless a status asks for them', async () => {
  await withFake({}, async (fake, stripe) => {
    const statuses = async (status?: 'all' | 'canceled' | 'ended' | 'active') => {
      const rows: string[] = [];
      for await (
        const row of stripe.subscriptions.list({ limit: 100, ...(status ? { status } : {}) })
      ) rows.push(row.status);
      return rows;
    };
    assert.equal((await statuses('all')).length, fake.state.count('subscription'));
    assert.ok(!(await statuses()).includes('canceled'));
    assert.ok((await statuses('canceled')).every((status) => status === 'canceled'));
    assert.deepEqual(new Set(await statuses('ended')), new Set(['canceled', 'incomplete_expired']));
    assert.deepEqual(new Set(await statuses('active')), new Set(['active']));
    const response = await get(fake, '/v1/subscriptions?status=dead');
    assert.equal((await errorOf(response)).param, 'status');
  });
});

Deno.test('subscriptions can be listed by customer and price', async () => {
  await withFake({}, async (fake, stripe) => {
    for (const row of fake.state.collections.subscription.rows.slice(0, 10)) {
      const customer = String(row.facets.customer);
      const rows = await stripe.subscriptions.list({ customer, status: 'all', limit: 100 });
      assert.ok(rows.data.some((found) => found.id === row.id));
      assert.ok(rows.data.every((found) => found.customer === customer));
      const price = row.facets.prices[0] as string;
      const sold = await stripe.subscriptions.list({ price, status: 'all', limit: 100 });
      assert.ok(sold.data.some((found) => found.id === row.id));
    }
  });
});

Deno.test('prices without active are the active ones only, if so configured', async () => {
  for (const pricesDefaultActiveOnly of [true, false]) {
    await withFake({ pricesDefaultActiveOnly }, async (fake) => {
      const count = async (query: string) => (await readAll(fake, `/v1/prices${query}`)).length;
      const active = await count('?active=true');
      const inactive = await count('?active=false');
      assert.ok(inactive > 0);
      assert.equal(active + inactive, fake.state.count('price'));
      assert.equal(await count(''), pricesDefaultActiveOnly ? active : active + inactive);
    });
  }
});

Deno.test('customers of a test clock are left out of lists but can be retrieved', async () => {
  await withFake({ data: { testClockCustomers: 5 } }, async (fake, stripe) => {
    const listed = await readAll(fake, '/v1/customers');
    assert.equal(listed.length, fake.state.count('customer') - 5);
    const hidden = fake.state.collections.customer.rows.filter((row) => row.hidden);
    assert.equal(hidden.length, 5);
    const found = await stripe.customers.retrieve(hidden[0]?.id as string);
    assert.ok(!found.deleted && typeof found.test_clock === 'string');
    const ofClock = await stripe.customers.list({ test_clock: found.test_clock, limit: 100 });
    assert.equal(ofClock.data.length, 5);
    assert.deepEqual(
      new Set(listed.map((row) => row['id'])),
      new Set(fake.state.snapshot('customer', { listedOnly: true }).keys()),
    );
  });
});

Deno.test('a subscription shows items up to the cap, and the rest can be paged', async () => {
  const data = { largeSubscriptions: { count: 1, items: 35 } };
  await withFake({ itemsCap: 20, data }, async (fake, stripe) => {
    const large = fake.state.collections.subscription.rows.find((row) =>
      row.facets.prices.length === 35
    );
    const id = large?.id as string;
    const shown = await stripe.subscriptions.retrieve(id);
    assert.equal(shown.items.data.length, 20);
    assert.equal(shown.items.has_more, true);
    assert.equal(shown.items.url, `/v1/subscription_items?subscription=${id}`);
    const items = await readAll(fake, `/v1/subscription_items?subscription=${id}`, 10);
    assert.equal(items.length, 35);
    assert.deepEqual(items.slice(0, 20), JSON.parse(JSON.stringify(shown.items.data)));
    const one = await stripe.subscriptionItems.retrieve(items[30]?.['id'] as string);
    assert.equal(one.subscription, id);
    assert.equal(one.plan.id, one.price.id);
    assert.ok(one.current_period_end > one.current_period_start);
  });
});

Deno.test('bad parameters are refused in the words of Stripe', async () => {
  await withFake({}, async (fake) => {
    for (
      const [path, status, code, param] of [
        ['/v1/customers?limit=0', 400, 'parameter_invalid_integer', 'limit'],
        ['/v1/customers?limit=101', 400, 'parameter_invalid_integer', 'limit'],
        ['/v1/customers?limit=ten', 400, 'parameter_invalid_integer', 'limit'],
        ['/v1/customers?status=all', 400, 'parameter_unknown', 'status'],
        ['/v1/customers?created[after]=1', 400, 'parameter_unknown', 'created[after]'],
        ['/v1/customers?created[gte]=x', 400, 'parameter_invalid_integer', 'created[gte]'],
        ['/v1/subscription_items', 400, 'parameter_missing', 'subscription'],
        ['/v1/subscription_items?subscription=sub_x', 400, 'resource_missing', 'subscription'],
        ['/v1/subscriptions?customer=cus_x', 400, 'resource_missing', 'customer'],
        ['/v1/customers/cus_x', 404, 'resource_missing', 'id'],
      ] as const
    ) {
      const { message: _, ...error } = await errorOf(await get(fake, path));
      assert.deepEqual(error, { status, code, param }, path);
    }
    assert.deepEqual(await errorOf(await get(fake, '/v1/customers?starting_after=cus_x')), {
      status: 400,
      code: 'resource_missing',
      param: 'starting_after',
      message: "No such customer: 'cus_x'",
    });
    assert.equal((await get(fake, '/v1/refunds')).status, 404);
  });
});

Deno.test('a cursor whose object was deleted is gone', async () => {
  await withFake({}, async (fake) => {
    const id = fake.state.ids('customer')[9] as string;
    assert.equal((await get(fake, `/v1/customers?starting_after=${id}`)).status, 200);
    fake.ops.delete('customer', id);
    const error = await errorOf(await get(fake, `/v1/customers?starting_after=${id}`));
    assert.equal(error.status, 400);
    assert.equal(error.message, `No such customer: '${id}'`);
  });
});
