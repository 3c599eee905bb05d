import assert from 'node:assert/strict';
import { get, readAll, withFake } from './testing.ts';
import type { FaultRule } from '../_shared/faults.ts';

const statuses = async (read: () => Promise<Response>, times: number) => {
  const found: number[] = [];
  for (let i = 0; i < times; i++) {
    const response = await read();
    await response.body?.cancel();
    found.push(response.status);
  }
  return found;
};

Deno.test('a status fault fires after, every nth and at most as often as its rule says', async () => {
  await withFake({}, async (fake) => {
    fake.faults.add({
      match: { method: 'GET', pathPrefix: '/v1/customers', afterRequests: 1, everyNth: 2 },
      fault: { kind: 'status', status: 500 },
      times: 2,
    });
    const list = () => get(fake, '/v1/customers');
    assert.deepEqual(await statuses(list, 8), [200, 200, 500, 200, 500, 200, 200, 200]);
    assert.deepEqual(await statuses(() => get(fake, '/v1/products'), 1), [200]);
    assert.deepEqual(fake.faults.list().map(({ seen, fired }) => [seen, fired]), [[8, 2]]);
  });
});

Deno.test('probable faults are the same for the same seed', async () => {
  const runs: string[] = [];
  for (const seed of [3, 3]) {
    await withFake({ seed }, async (fake) => {
      fake.faults.add({ match: { probability: 0.5 }, fault: { kind: 'status', status: 503 } });
      runs.push((await statuses(() => get(fake, '/v1/account'), 20)).join());
    });
  }
  assert.equal(runs[0], runs[1]);
  assert.ok(runs[0]?.includes('503') && runs[0]?.includes('200'));
});

Deno.test('rate limiting comes with or without Retry-After, and lock timeouts are 429 too', async () => {
  await withFake({}, async (fake, stripe) => {
    fake.faults.add({
      fault: {
        kind: 'status',
        status: 429,
        headers: { 'retry-after': '3', 'stripe-rate-limited-reason': 'resource-specific' },
      },
      times: 1,
    });
    const response = await get(fake, '/v1/customers');
    assert.equal(response.headers.get('retry-after'), '3');
    assert.equal(response.headers.get('stripe-rate-limited-reason'), 'resource-specific');
    assert.equal((await response.json()).error.code, 'rate_limit');
    fake.faults.add({ fault: { kind: 'lock_timeout' }, times: 1 });
    await assert.rejects(stripe.customers.list(), { code: 'lock_timeout', statusCode: 429 });
    await stripe.customers.list();
  });
});

Deno.test('connections are reset before or after the head, and the next request works', async () => {
  await withFake({}, async (fake, stripe) => {
    fake.faults.add({ fault: { kind: 'reset' }, times: 1 });
    await assert.rejects(stripe.customers.list(), { type: 'StripeConnectionError' });
    fake.faults.add({ fault: { kind: 'reset', when: 'after_headers' }, times: 1 });
    const response = await get(fake, '/v1/customers');
    assert.equal(response.status, 200);
    await assert.rejects(response.text());
    assert.equal((await stripe.customers.list()).data.length, 10);
    assert.deepEqual(fake.log.entries().map((entry) => entry.status), [0, 0, 200]);
  });
});

Deno.test('a request that was reset after its work has taken effect', async () => {
  await withFake({}, async (fake, stripe) => {
    const before = fake.state.count('customer');
    fake.faults.add({
      match: { method: 'post' },
      fault: { kind: 'reset', when: 'after_work' },
      times: 1,
    });
    await assert.rejects(stripe.customers.create({ name: 'Ghost' }));
    assert.equal(fake.state.count('customer'), before + 1);
  });
});

Deno.test('a timeout never answers, and latency answers late', async () => {
  await withFake({}, async (fake) => {
    fake.faults.add({ fault: { kind: 'timeout' }, times: 1 });
    await assert.rejects(get(fake, '/v1/account', { signal: AbortSignal.timeout(150) }));
    fake.faults.add({ fault: { kind: 'latency', ms: 120 }, times: 1 });
    const began = performance.now();
    assert.deepEqual(await statuses(() => get(fake, '/v1/account'), 1), [200]);
    assert.ok(performance.now() - began >= 110);
  });
});

Deno.test('a body is cut, quietly or by a broken connection', async () => {
  await withFake({}, async (fake) => {
    fake.faults.add({ fault: { kind: 'truncate' }, times: 1 });
    const cut = await get(fake, '/v1/customers');
    const text = await cut.text();
    assert.ok(text.startsWith('{"object":"list"'));
    assert.throws(() => JSON.parse(text), SyntaxError);
    fake.faults.add({ fault: { kind: 'truncate', bytes: 40, close: true }, times: 1 });
    await assert.rejects(get(fake, '/v1/customers').then((response) => response.text()));
  });
});

Deno.test('lists can be empty, leave out live objects or hold hostile rows', async () => {
  await withFake({}, async (fake, stripe) => {
    const once = (fault: FaultRule['fault']) => fake.faults.add({ fault, times: 1 });
    once({ kind: 'empty_list' });
    const empty = await stripe.customers.list();
    assert.deepEqual([empty.data.length, empty.has_more], [0, false]);
    const [first, second, third] = fake.state.ids('customer') as [string, string, string];
    once({ kind: 'omit', ids: [first, third] });
    const partial = await stripe.customers.list({ limit: 5 });
    assert.deepEqual(partial.data.length, 5);
    assert.equal(partial.data[0]?.id, second);
    assert.equal((await stripe.customers.retrieve(first)).id, first);
    once({
      kind: 'inject_rows',
      rows: ['null', '{"id":7}', '{"id":"cus_a","name":"\\u0000\\ud800"}'],
    });
    const hostile = await (await get(fake, '/v1/customers?limit=1')).json();
    assert.deepEqual(hostile.data.slice(0, 2), [null, { id: 7 }]);
    assert.equal(hostile.data[2].name, '\u0000\ud800');
    assert.equal(hostile.data[3].id, first);
    once({ kind: 'malformed' });
    assert.deepEqual(await (await get(fake, '/v1/customers')).json(), { data: 'nope' });
    once({ kind: 'replace_body', body: '{"object":"list","data":[null],"has_more":false}' });
    assert.deepEqual((await (await get(fake, '/v1/customers')).json()).data, [null]);
    once({ kind: 'not_json' });
    assert.match(await (await get(fake, '/v1/customers')).text(), /^<!DOCTYPE html>/);
  });
});

Deno.test('a rule of the wrong shape is refused by name', async () => {
  await withFake({}, (fake) => {
    const wrong = { fault: { kind: 'explode' } } as unknown as FaultRule;
    assert.throws(() => fake.faults.add(wrong), /kind/);
    return Promise.resolve();
  });
});

Deno.test('raw objects can be put among the real ones', async () => {
  await withFake({}, async (fake) => {
    const created = Math.floor(fake.now() / 1000) - 5;
    const text = `{"id":"cus_raw","object":"customer","created":${created},"name":"a\\u0000b"}`;
    fake.ops.putRaw('customer', { id: 'cus_raw', created, text });
    const rows = await readAll(fake, '/v1/customers');
    assert.equal(rows.find((row) => row['id'] === 'cus_raw')?.['name'], 'a\u0000b');
    fake.ops.vanish('customer', 'cus_raw');
    assert.equal((await get(fake, '/v1/customers/cus_raw')).status, 404);
  });
});
