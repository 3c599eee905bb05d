import assert from 'node:assert/strict';
import { get, NOON, readAll, withFake } from './testing.ts';

const DAY = 86400;
const quiet = { historyEvents: false };

Deno.test('events are listed newest first and filtered by type, types and created', async () => {
  let now = NOON;
  await withFake({ now: () => now, data: quiet }, async (fake, stripe) => {
    const customer = fake.ops.create('customer', { name: 'A' });
    now += 5000;
    fake.ops.update('customer', customer.id, { name: 'B' });
    now += 5000;
    fake.ops.create('product', { name: 'P' });
    const list = await stripe.events.list();
    assert.deepEqual(list.data.map((event) => event.type), [
      'product.created',
      'customer.updated',
      'customer.created',
    ]);
    const wild = await stripe.events.list({ type: 'customer.*' });
    assert.equal(wild.data.length, 2);
    const some = await stripe.events.list({ types: ['product.created', 'customer.created'] });
    assert.equal(some.data.length, 2);
    const late = await stripe.events.list({ created: { gt: NOON / 1000 } });
    assert.equal(late.data.length, 2);
    const first = list.data[2];
    assert.equal(first?.api_version, '2026-10-28.endive');
    assert.equal(first?.created, NOON / 1000);
    assert.equal((await stripe.events.retrieve(first?.id as string)).type, 'customer.created');
    const many = Array.from({ length: 21 }, (_, i) => `types[]=x${i}`).join('&');
    assert.equal((await get(fake, `/v1/events?${many}`)).status, 400);
  });
});

Deno.test('events lag, show up out of order, and are all there in the end', async () => {
  let now = NOON;
  await withFake({ now: () => now, eventLagSeconds: 30, data: quiet }, async (fake) => {
    for (let i = 0; i < 60; i++) {
      fake.ops.create('customer', { name: `C${i}` });
      now += 1000;
    }
    const all = fake.events.all().map((event) => event.id);
    const early = (await readAll(fake, '/v1/events')).map((event) => String(event['id']));
    assert.ok(early.length > 20 && early.length < 60);
    const newest = all.indexOf(early[0] as string);
    assert.ok(all.slice(0, newest).some((id) => !early.includes(id)), 'an older one is missing');
    const missing = all.find((id) => !early.includes(id)) as string;
    assert.equal((await get(fake, `/v1/events?starting_after=${missing}`)).status, 400);
    now += 30_000;
    const late = (await readAll(fake, '/v1/events', 7)).map((event) => event['id']);
    assert.deepEqual(late, all.toReversed());
    assert.notDeepEqual(all, all.toSorted(), 'ids are in no order');
  });
});

Deno.test('events older than 30 days are gone, as objects and as cursors', async () => {
  let now = NOON;
  await withFake({ now: () => now, data: quiet }, async (fake) => {
    fake.ops.create('customer', { name: 'Old' });
    const old = fake.events.all()[0]?.id as string;
    now += 29 * DAY * 1000;
    fake.ops.create('customer', { name: 'New' });
    assert.equal((await readAll(fake, '/v1/events')).length, 2);
    now += 2 * DAY * 1000;
    assert.equal((await readAll(fake, '/v1/events')).length, 1);
    assert.equal((await get(fake, `/v1/events/${old}`)).status, 404);
    const response = await get(fake, `/v1/events?starting_after=${old}`);
    assert.equal(response.status, 400);
    assert.equal((await response.json()).error.message, `No such event: '${old}'`);
  });
});

Deno.test('the last 30 days of a generated account are in its log', async () => {
  await withFake({ data: { customers: 500 } }, async (fake) => {
    const since = fake.now() / 1000 - 30 * DAY;
    const recent = fake.state.collections.customer.rows.filter((row) => row.created >= since);
    const told = await readAll(fake, '/v1/events?type=customer.created');
    assert.ok(recent.length > 5);
    assert.equal(told.length, recent.length);
  });
});

Deno.test('an update that changes nothing leaves no event', async () => {
  await withFake({ data: quiet }, (fake) => {
    const id = fake.state.ids('customer')[0] as string;
    const { name } = fake.state.get('customer', id) as { name?: unknown };
    fake.ops.update('customer', id, { name });
    assert.equal(fake.events.all().length, 0);
    return Promise.resolve();
  });
});

Deno.test('the clock can be ahead of real time, in events and in the Date header', async () => {
  await withFake({ now: () => NOON, skewSeconds: 90, data: quiet }, async (fake) => {
    fake.ops.create('customer', { name: 'A' });
    assert.equal(fake.events.all()[0]?.created, NOON / 1000 + 90);
    const response = await get(fake, '/v1/account');
    await response.body?.cancel();
    assert.equal(Date.parse(response.headers.get('date') as string), NOON + 90_000);
  });
});
