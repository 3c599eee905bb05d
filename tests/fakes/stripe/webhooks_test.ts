import assert from 'node:assert/strict';
import Stripe from 'stripe';
import { serveWire, type WireRequest } from '../_shared/http.ts';
import { withFake } from './testing.ts';
import { signStripePayload } from './webhooks.ts';

const SECRET = 'whsec_test_secret';

const receiver = async (status = () => 200) => {
  const got: WireRequest[] = [];
  const wire = await serveWire(0, (request) => {
    got.push(request);
    return Promise.resolve({ status: status(), headers: {}, body: 'ok' });
  });
  return { got, ...wire };
};

const verify = (request: WireRequest, secret: string) =>
  new Stripe('sk_test_x').webhooks.constructEventAsync(
    request.body,
    request.headers['stripe-signature'] ?? '',
    secret,
    undefined,
    Stripe.createSubtleCryptoProvider(),
  );

Deno.test('a delivered event is accepted by the official SDK, as often as it is sent', async () => {
  const target = await receiver();
  await withFake({ data: { historyEvents: false } }, async (fake) => {
    fake.webhooks.setWebhookTarget(`${target.url}/hook`, SECRET);
    const customer = fake.ops.create('customer', { name: 'Zoë' });
    const id = fake.events.all()[0]?.id as string;
    const results = await fake.webhooks.deliver(id, { times: 2 });
    assert.deepEqual(results.map((result) => result.status), [200, 200]);
    const event = await verify(target.got[1] as WireRequest, SECRET);
    assert.equal(event.id, id);
    assert.equal((event.data.object as { id: string }).id, customer.id);
    await fake.webhooks.deliver(id, { signWith: 'whsec_wrong' });
    await assert.rejects(verify(target.got[2] as WireRequest, SECRET), /signature/i);
    await fake.webhooks.deliver(id, { timestamp: 1_700_000_000 });
    await assert.rejects(verify(target.got[3] as WireRequest, SECRET), /tolerance/i);
    await fake.webhooks.deliver(id, { signWith: ['whsec_old', SECRET] });
    assert.equal((await verify(target.got[4] as WireRequest, SECRET)).id, id);
  });
  await target.stop();
});

Deno.test('refused deliveries are found by delivery_success=false', async () => {
  let status = 500;
  const target = await receiver(() => status);
  await withFake({ data: { historyEvents: false } }, async (fake, stripe) => {
    fake.webhooks.setWebhookTarget(target.url, SECRET, { auto: true });
    fake.ops.create('customer', { name: 'A' });
    await fake.webhooks.settled();
    status = 200;
    fake.ops.create('customer', { name: 'B' });
    await fake.webhooks.settled();
    const failed = await stripe.events.list({ delivery_success: false });
    assert.deepEqual(failed.data.map((event) => event.id), [fake.events.all()[0]?.id]);
    assert.equal((await stripe.events.list({ delivery_success: true })).data.length, 1);
  });
  await target.stop();
});

Deno.test('a signature is the one the SDK makes', async () => {
  const payload = '{"id":"evt_1"}';
  const timestamp = 1_790_000_000;
  const theirs = await new Stripe('sk_test_x').webhooks.generateTestHeaderStringAsync({
    payload,
    secret: SECRET,
    timestamp,
    cryptoProvider: Stripe.createSubtleCryptoProvider(),
  });
  assert.equal(await signStripePayload(payload, SECRET, timestamp), theirs);
});
