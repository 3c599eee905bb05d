import assert from 'node:assert/strict';
import Stripe from 'stripe';
import type { Subscription } from './objects.ts';
import { readAll, withFake } from './testing.ts';

const types = (events: readonly { type: string }[]) => events.map((event) => event.type);
const quiet = { data: { historyEvents: false } };

Deno.test('the SDK creates, updates and deletes a customer, and a deleted one still answers', async () => {
  await withFake(quiet, async (fake, stripe) => {
    const made = await stripe.customers.create({
      email: 'ada@new.example',
      metadata: { a: '1', b: '2' },
      address: { city: 'Berlin', country: 'DE' },
    });
    assert.equal(made.address?.city, 'Berlin');
    const changed = await stripe.customers.update(made.id, {
      name: 'Ada',
      metadata: { a: '', c: '3' },
    });
    assert.deepEqual(changed.metadata, { b: '2', c: '3' });
    assert.deepEqual(fake.state.get('customer', made.id), JSON.parse(JSON.stringify(changed)));
    const gone = await stripe.customers.del(made.id);
    assert.deepEqual({ ...gone }, { id: made.id, object: 'customer', deleted: true });
    const again = await stripe.customers.retrieve(made.id);
    assert.equal(again.deleted, true);
    assert.ok(!(await readAll(fake, '/v1/customers')).some((row) => row['id'] === made.id));
    assert.deepEqual(types(fake.events.all()), [
      'customer.created',
      'customer.updated',
      'customer.deleted',
    ]);
    const update = JSON.parse(fake.events.all()[1]?.text as string);
    assert.deepEqual(update.data.previous_attributes, {
      name: null,
      metadata: { a: '1', c: null },
    });
    assert.equal(update.data.object.name, 'Ada');
  });
});

Deno.test('deleting a customer cancels the subscriptions first', async () => {
  await withFake(quiet, async (fake, stripe) => {
    const price = fake.state.ids('plan')[0] as string;
    const customer = fake.ops.create('customer', { name: 'Leaving' });
    const subscription = await stripe.subscriptions.create({
      customer: customer.id,
      items: [{ price, quantity: 3 }],
    });
    assert.equal(subscription.items.data[0]?.quantity, 3);
    await stripe.customers.del(customer.id);
    const kept = await stripe.subscriptions.retrieve(subscription.id);
    assert.equal(kept.status, 'canceled');
    assert.ok(typeof kept.ended_at === 'number');
    assert.deepEqual(types(fake.events.all()), [
      'customer.created',
      'customer.subscription.created',
      'customer.subscription.deleted',
      'customer.deleted',
    ]);
  });
});

Deno.test('cancelling keeps the subscription, and a request to cancel keeps it active', async () => {
  await withFake(quiet, async (fake, stripe) => {
    const price = fake.state.ids('plan')[0] as string;
    const customer = fake.state.ids('customer')[0] as string;
    const { id } = await stripe.subscriptions.create({ customer, items: [{ price }] });
    const asked = await stripe.subscriptions.update(id, { cancel_at_period_end: true });
    assert.equal(asked.status, 'active');
    assert.ok(asked.canceled_at !== null && asked.ended_at === null);
    assert.equal(asked.cancel_at, asked.items.data[0]?.current_period_end);
    const kept = await stripe.subscriptions.update(id, { cancel_at_period_end: false });
    assert.deepEqual([kept.canceled_at, kept.cancel_at], [null, null]);
    const canceled = await stripe.subscriptions.cancel(id);
    assert.equal(canceled.status, 'canceled');
    assert.ok(canceled.ended_at !== null);
    await assert.rejects(stripe.subscriptions.cancel(id), { code: 'resource_missing' });
    assert.deepEqual(types(fake.events.all()).slice(-1), ['customer.subscription.deleted']);
    const open = await readAll(fake, `/v1/subscriptions?customer=${customer}`);
    assert.ok(!open.some((row) => row['id'] === id));
  });
});

Deno.test('items change their subscription and are told as its update', async () => {
  await withFake(quiet, async (fake, stripe) => {
    const [price, other] = fake.state.ids('plan') as [string, string];
    const customer = fake.state.ids('customer')[0] as string;
    const { id, items } = await stripe.subscriptions.create({ customer, items: [{ price }] });
    const added = await stripe.subscriptionItems.create({ subscription: id, price: other });
    await stripe.subscriptionItems.update(added.id, { quantity: 7, metadata: { team: 'x' } });
    const both = await stripe.subscriptions.retrieve(id);
    assert.deepEqual(both.items.data.map((item) => item.quantity), [1, 7]);
    assert.deepEqual(await stripe.subscriptionItems.del(added.id).then((gone) => ({ ...gone })), {
      id: added.id,
      object: 'subscription_item',
      deleted: true,
    });
    await assert.rejects(stripe.subscriptionItems.retrieve(added.id), { statusCode: 404 });
    await assert.rejects(stripe.subscriptionItems.del(items.data[0]?.id as string), /at least one/);
    assert.equal((await stripe.subscriptions.retrieve(id)).items.data.length, 1);
    const updates = fake.events.all().filter((event) => event.type.endsWith('updated'));
    assert.equal(updates.length, 3);
    const last = JSON.parse(updates[2]?.text as string);
    assert.equal(last.data.previous_attributes.items.data.length, 2);
    assert.equal(last.data.object.items.data.length, 1);
  });
});

Deno.test('a change of an item beyond the cap is told although the subscription shows none of it', async () => {
  const data = { ...quiet.data, largeSubscriptions: { count: 1, items: 6 } };
  await withFake({ data, itemsCap: 4 }, (fake) => {
    const large = fake.state.collections.subscription.rows.find((row) =>
      row.facets.prices.length === 6
    );
    const item = fake.state.get<Subscription>('subscription', large?.id as string)?.items.data[5];
    fake.ops.updateItem(item?.id as string, { quantity: 999 });
    assert.deepEqual(types(fake.events.all()), ['customer.subscription.updated']);
    assert.equal(
      fake.state.snapshot('subscription_item').get(item?.id as string)?.['quantity'],
      999,
    );
    return Promise.resolve();
  });
});

Deno.test('a recurring price has a plan of the same id, and both go together', async () => {
  await withFake(quiet, async (fake, stripe) => {
    const price = await stripe.prices.create({
      currency: 'usd',
      unit_amount: 1200,
      recurring: { interval: 'month' },
      product_data: { name: 'Extra' },
    });
    const plan = await stripe.plans.retrieve(price.id);
    assert.deepEqual([plan.amount, plan.interval, plan.product], [1200, 'month', price.product]);
    await assert.rejects(stripe.products.del(String(price.product)), /cannot be deleted/);
    await stripe.plans.del(price.id);
    await assert.rejects(stripe.prices.retrieve(price.id), { statusCode: 404 });
    await stripe.products.del(String(price.product));
    await assert.rejects(stripe.products.retrieve(String(price.product)), { statusCode: 404 });
    assert.deepEqual(types(fake.events.all()), [
      'product.created',
      'price.created',
      'plan.created',
      'plan.deleted',
      'price.deleted',
      'product.deleted',
    ]);
  });
});

Deno.test('a subscription shows its price as it is now, or frozen if so configured', async () => {
  for (const nestedPrices of ['live', 'frozen'] as const) {
    await withFake({ ...quiet, nestedPrices }, async (fake, stripe) => {
      const row = fake.state.collections.subscription.rows[0];
      const price = row?.facets.prices[0] as string;
      const nameOf = async () =>
        (await stripe.subscriptions.retrieve(row?.id as string)).items.data[0]?.price.nickname;
      const old = await nameOf();
      fake.ops.update('price', price, { nickname: 'Renamed' });
      assert.equal(await nameOf(), nestedPrices === 'live' ? 'Renamed' : old);
      const listed = await readAll(fake, '/v1/subscriptions?status=all');
      assert.deepEqual(
        new Map(listed.map((one) => [one['id'], one])),
        fake.state.snapshot('subscription'),
      );
      fake.ops.delete('price', price);
      assert.equal(await nameOf(), nestedPrices === 'live' ? 'Renamed' : old);
      assert.deepEqual(types(fake.events.all()).filter((type) => type.startsWith('customer')), []);
    });
  }
});

Deno.test('churn keeps lists, indexes and snapshots in agreement', async () => {
  await withFake({ pricesDefaultActiveOnly: false }, async (fake) => {
    const done = fake.churn(400);
    assert.ok(Object.keys(done).length >= 9);
    for (
      const [path, name] of [
        ['/v1/customers', 'customer'],
        ['/v1/prices', 'price'],
        ['/v1/subscriptions?status=all', 'subscription'],
      ] as const
    ) {
      const rows = await readAll(fake, path);
      assert.deepEqual(new Map(rows.map((row) => [row['id'], row])), fake.state.snapshot(name));
    }
    const items = fake.state.snapshot('subscription_item');
    assert.deepEqual(new Set(items.keys()), new Set(fake.state.ids('subscription_item')));
    for (const row of fake.state.collections.subscription.rows) {
      const own = fake.state.subscriptionsOf(String(row.facets.customer));
      assert.ok(own.some((candidate) => candidate.id === row.id));
    }
  });
});

Deno.test('an unknown parameter and a missing one are refused by name', async () => {
  await withFake(quiet, async (_, stripe) => {
    const wrong = { nickname: 'x' } as unknown as Stripe.CustomerCreateParams;
    await assert.rejects(stripe.customers.create(wrong), {
      code: 'parameter_unknown',
      param: 'nickname',
    });
    await assert.rejects(stripe.customers.update('cus_x', { name: 'y' }), { statusCode: 404 });
    await assert.rejects(stripe.subscriptions.create({ customer: 'cus_x' }), {
      code: 'resource_missing',
      param: 'customer',
      statusCode: 400,
    });
  });
});
