import assert from 'node:assert/strict';
import { get, withFake } from './testing.ts';

Deno.test('the control plane drives the fake from another process', async () => {
  await withFake({ data: { historyEvents: false } }, async (fake, stripe) => {
    const call = async (method: string, path: string, body?: unknown) => {
      const response = await fetch(`${fake.url}/_fake/${path}`, {
        method,
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      });
      return { status: response.status, body: await response.json() };
    };
    const op = async (body: unknown) => (await call('POST', 'ops', body)).body;

    assert.equal((await call('GET', 'counts')).body.counts.customer, 60);
    const customer = await op({ op: 'create', collection: 'customer', fields: { name: 'A' } });
    await op({ op: 'update', collection: 'customer', id: customer.id, fields: { name: 'B' } });
    assert.equal((await call('GET', `object/customer/${customer.id}`)).body.name, 'B');
    assert.ok((await call('GET', 'ids?collection=customer')).body.includes(customer.id));
    assert.equal((await call('GET', 'snapshot?collection=customer')).body.length, 61);

    const [price, other] = (await call('GET', 'ids?collection=plan')).body;
    const subscription = await op({
      op: 'create',
      collection: 'subscription',
      fields: { customer: customer.id, items: [{ price }] },
    });
    const item = await op({ op: 'add_item', subscription: subscription.id, price: other });
    await op({ op: 'update_item', id: item.id, quantity: 4 });
    assert.equal((await stripe.subscriptionItems.retrieve(item.id)).quantity, 4);
    await op({ op: 'remove_item', id: item.id });
    assert.equal((await op({ op: 'cancel', id: subscription.id })).status, 'canceled');
    await op({ op: 'delete', collection: 'customer', id: customer.id });
    assert.equal((await call('GET', 'counts')).body.deleted.customer, 1);
    assert.ok((await op({ op: 'churn', count: 20 })) instanceof Object);
    assert.ok((await call('GET', 'events')).body.length > 7);

    const rule = { match: { pathPrefix: '/v1/customers' }, fault: { kind: 'status', status: 500 } };
    const { ids } = (await call('POST', 'faults', rule)).body;
    await assert.rejects(stripe.customers.list(), { statusCode: 500 });
    assert.equal((await call('GET', 'faults')).body[0].fired, 1);
    assert.equal((await call('DELETE', `faults/${ids[0]}`)).status, 200);
    await stripe.customers.list();

    const log = (await call('GET', 'log')).body;
    assert.equal(log.by_endpoint['GET /v1/customers'], 2);
    await call('DELETE', 'log');
    assert.equal((await call('GET', 'log')).body.total, 0);
  });
});

Deno.test('wrong orders to the control plane are told what is wrong', async () => {
  await withFake({}, async (fake) => {
    const post = async (path: string, body: string) => {
      const response = await fetch(`${fake.url}/_fake/${path}`, { method: 'POST', body });
      return `${response.status} ${(await response.json()).error}`;
    };
    assert.match(await post('ops', '{"op":"nuke"}'), /^400 .*op/s);
    assert.match(await post('ops', '{'), /^400 /);
    assert.match(
      await post('ops', '{"op":"delete","collection":"customer","id":"cus_x"}'),
      /^404 No such customer: 'cus_x'/,
    );
    assert.match(await post('nowhere', '{}'), /^404 no POST \/_fake\/nowhere/);
    assert.match(await post('deliver', '{"event":"evt_x"}'), /^400 no webhook target/);
    const lost = await fetch(`${fake.url}/_fake/counts?account=acct_x`);
    assert.match((await lost.json()).error, /no account 'acct_x'; there is acct_/);
    const key = await get(fake, '/_fake/counts');
    assert.equal((await key.json()).livemode, false);
  });
});

Deno.test('the command line prints its url, serves, and ends on a signal', async () => {
  const main = new URL('./main.ts', import.meta.url).pathname;
  const child = new Deno.Command(Deno.execPath(), {
    args: ['run', '-A', main, '--port', '0', '--customers', '5', '--subscriptions', '5'],
    stdout: 'piped',
    stderr: 'inherit',
  }).spawn();
  const reader = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  let text = '';
  while (!text.includes('\n')) text += (await reader.read()).value ?? '';
  const url = text.split('\n')[0];
  const counts = await (await fetch(`${url}/_fake/counts`)).json();
  assert.equal(counts.counts.customer, 5);
  child.kill('SIGTERM');
  assert.equal((await child.status).code, 0);
  await reader.cancel();
});
