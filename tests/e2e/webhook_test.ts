// Webhooks and event polling on the whole stack: verified, applied once, in any order, and never
// older than what is there.

import assert from 'node:assert/strict';
import { note } from '../note.ts';
import type { FakeStripe } from '../fakes/stripe/server.ts';
import { signStripePayload } from '../fakes/stripe/webhooks.ts';
import { quiet, scenario, WEBHOOK_SECRETS, type World } from './harness.ts';

const [SECRET, OLD_SECRET] = WEBHOOK_SECRETS;

/** Posts a body as the provider would, signed or not; gives status and answer. */
async function post(
  url: string,
  body: string,
  options: { secret?: string; at?: number; header?: string | null; sent?: string } = {},
): Promise<[number, Record<string, unknown>]> {
  const at = options.at ?? Math.floor(Date.now() / 1000);
  const signature = options.header === undefined
    ? await signStripePayload(body, options.secret ?? SECRET, at)
    : options.header;
  const response = await fetch(url, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      ...(signature !== null && { 'stripe-signature': signature }),
    },
    body: options.sent ?? body,
  });
  return [response.status, await response.json().catch(() => ({}))];
}

/** Until a page of before has surely ended: an event's second is known to some seconds only. */
const settle = () => new Promise((resolve) => setTimeout(resolve, 5_500));

/** The newest event of the provider. */
function lastEvent(fake: FakeStripe): { id: string; text: string } {
  const row = fake.events.all().at(-1);
  assert.ok(row);
  return { id: row.id, text: row.text };
}

async function emailOf(world: World, id: string): Promise<string | undefined> {
  const [row] = await world.sql`
    select email from supasaasy.stripe_customers where external_id = ${id}`;
  return row?.email;
}

scenario('a webhook is believed only with a valid signature', {}, async (world) => {
  const { fake, sql, sync, webhookUrl, env } = world;
  await sync('stripe_main');
  await settle();
  const id = String([...fake.state.ids('customer')][0]);
  fake.ops.update('customer', id, { email: 'signed@example.com' });
  const { text } = lastEvent(fake);
  const now = Math.floor(Date.now() / 1000);

  const unauthorized: [string, Parameters<typeof post>[2]][] = [
    ['a wrong secret', { secret: 'whsec_wrong' }],
    ['an old timestamp', { at: now - 301 }],
    ['no signature', { header: null }],
    ['a malformed signature', { header: 't=1,v1=zz' }],
    ['an altered body', { sent: text.replace('signed@', 'forged@') }],
  ];
  for (const [name, options] of unauthorized) {
    assert.deepEqual(
      await post(webhookUrl, text, options),
      [401, { message: 'unauthorized' }],
      name,
    );
  }
  assert.equal((await post(webhookUrl, 'not json'))[0], 400);
  assert.equal((await post(webhookUrl, 'x'.repeat(1024 * 1024 + 1)))[0], 413);
  assert.notEqual(await emailOf(world, id), 'signed@example.com');

  assert.deepEqual(await post(webhookUrl, text), [200, { outcome: 'applied' }]);
  assert.equal(await emailOf(world, id), 'signed@example.com');
  assert.deepEqual(await post(webhookUrl, text), [200, { outcome: 'duplicate' }]);
  fake.ops.update('customer', id, { email: 'rotated@example.com' });
  assert.deepEqual(
    await post(webhookUrl, lastEvent(fake).text, { secret: OLD_SECRET }),
    [200, { outcome: 'applied' }],
    'the secret before the rotation is still valid',
  );

  const of = (changes: Record<string, unknown>) =>
    JSON.stringify({ ...JSON.parse(lastEvent(fake).text), id: crypto.randomUUID(), ...changes });
  const ignored: [string, string][] = [
    ['of another account', of({ account: 'acct_connected' })],
    ['of the other mode', of({ livemode: true })],
    [
      'not about a synced resource',
      of({ type: 'invoice.paid', data: { object: { object: 'invoice' } } }),
    ],
  ];
  for (const [why, body] of ignored) {
    assert.deepEqual(await post(webhookUrl, body), [200, { outcome: `ignored: ${why}` }]);
  }
  assert.equal((await post(webhookUrl.replace('stripe_main', 'nobody'), text))[0], 404);
  assert.equal((await fetch(webhookUrl, { method: 'HEAD' })).status, 200);
  const put = await fetch(webhookUrl, { method: 'PUT', body: text });
  await put.body?.cancel();
  assert.equal(put.status, 405);

  await sql`update supasaasy.apps set config = config - 'webhook_secret_env'`;
  assert.equal((await post(webhookUrl, text))[0], 500);
  const [app] = await sql`select webhook_error from supasaasy.apps`;
  assert.match(app?.webhook_error, /no webhook secret.*set_secret/);
  await sql`select supasaasy.set_secret('stripe_main', 'webhook_secret', 'whsec_in_vault_7777')`;
  assert.deepEqual(
    await post(webhookUrl, of({}), { secret: 'whsec_in_vault_7777' }),
    [200, { outcome: 'applied' }],
  );
  const [healed] = await sql`select webhook_error from supasaasy.apps`;
  assert.equal(healed?.webhook_error, null);
  assert.ok(!(await world.stackLogs()).includes('whsec_in_vault_7777'));
  assert.ok(env.STRIPE_WEBHOOK_SECRET);
});

scenario('a webhook is visible in the view at once', {}, async (world) => {
  const { fake, sync, webhookUrl } = world;
  await sync('stripe_main');
  await settle();
  const times: number[] = [];
  for (const id of [...fake.state.ids('customer')].slice(0, 50)) {
    fake.ops.update('customer', id, { email: `${id}@seen.example` });
    const { text } = lastEvent(fake);
    const begun = performance.now();
    assert.equal((await post(webhookUrl, text))[0], 200);
    assert.equal(await emailOf(world, id), `${id}@seen.example`);
    times.push(performance.now() - begun);
  }
  const median = times.sort((a, b) => a - b)[25] ?? 0;
  note(`a webhook is visible after ${median.toFixed(1)} ms (median of 50)`);
  assert.ok(median < 100, `${median} ms`);
});

scenario(
  'thousands of webhooks, each twice and in random order, during a full sync end equal',
  { data: { customers: 1500, subscriptions: 1000 } },
  async ({ fake, sql, sync, start, finished, webhookUrl, assertEqual }) => {
    await sync('stripe_main');
    const known = fake.events.all().length;
    const job = await start('stripe_main', 'full');
    fake.churn(5_000);
    const events = fake.events.all().slice(known).map((row) => row.text);
    const deliveries = [...events, ...events]
      .map((text, index) => ({ text, order: (index * 7919) % 5003 }))
      .sort((a, b) => a.order - b.order);
    const statuses = new Map<number, number>();
    const workers = Array.from({ length: 16 }, async () => {
      for (let next = deliveries.pop(); next; next = deliveries.pop()) {
        const [status] = await post(webhookUrl, next.text);
        statuses.set(status, (statuses.get(status) ?? 0) + 1);
      }
    });
    await Promise.all(workers);
    const [connections] = await sql`
      select count(*)::int as n from pg_stat_activity where application_name = 'supasaasy-rest'`;
    assert.ok(connections?.n <= 10, `${connections?.n} connections for all of them`);
    note(`${events.length} events, each twice: ${JSON.stringify([...statuses])}`);
    assert.deepEqual([...statuses.keys()], [200]);
    const done = await finished(job);
    assert.equal(done.status, 'completed', String(done.error_message));
    await quiet(sql);
    await assertEqual(fake);
  },
);

for (const when of ['before', 'during', 'after'] as const) {
  scenario(
    `an update during a ten-page listing whose webhook comes ${when} its page is what stays`,
    { data: { customers: 1000, subscriptions: 1 }, latencyMs: 150 },
    async (world) => {
      const { sql, fake, start, finished, sync, webhookUrl, app } = world;
      await sync('stripe_main', 'full', ['customer']);
      await sql`
        update supasaasy.apps set config = config || '{"max_concurrency": 1}' where app_key = ${app}`;
      const [row] = await sql`
        select external_id from supasaasy.entities
        order by source_created_at desc, external_id offset 550 limit 1`;
      const id = String(row?.external_id);
      const job = await start('stripe_main', 'full', ['customer']);
      /** The sixth page is the customer's own: wait until it is under way. */
      const ownPage = async () => {
        for (;;) {
          const [task] = await sql`
            select from supasaasy.sync_tasks t join supasaasy.sync_runs r on r.id = t.run_id
            where r.job_id = ${job} and t.pages = 5 and t.work_token is not null`;
          if (task) return;
        }
      };
      if (when !== 'before') await ownPage();
      fake.ops.update('customer', id, { email: `${when}@example.com` });
      const { text } = lastEvent(fake);
      if (when === 'after') await finished(job);
      assert.deepEqual(await post(webhookUrl, text), [200, { outcome: 'applied' }]);
      const done = await finished(job);
      assert.deepEqual([done.status, done.pages], ['completed', 10]);
      await quiet(sql);
      assert.equal(await emailOf(world, id), `${when}@example.com`);
    },
  );
}

scenario('a deleted customer does not come back', {}, async (world) => {
  const { fake, sql, sync, webhookUrl } = world;
  await sync('stripe_main');
  const id = String([...fake.state.ids('customer')][0]);
  fake.ops.update('customer', id, { email: 'late@example.com' });
  const late = lastEvent(fake).text;
  await settle();
  fake.ops.delete('customer', id);
  const gone = lastEvent(fake).text;
  assert.deepEqual(await post(webhookUrl, gone), [200, { outcome: 'applied' }]);
  assert.equal(await emailOf(world, id), undefined);
  assert.equal((await post(webhookUrl, late))[0], 200);
  assert.deepEqual(await post(webhookUrl, gone), [200, { outcome: 'duplicate' }]);
  await quiet(sql);
  await sync('stripe_main', 'incremental');
  await sync('stripe_main', 'full');
  assert.equal(await emailOf(world, id), undefined);
  const [row] = await sql`select from supasaasy.tombstones where external_id = ${id}`;
  assert.ok(row);
});

scenario(
  'an incremental sync reads events: what changed and went, in a few requests',
  {},
  async ({ fake, sql, sync, assertEqual }) => {
    await sync('stripe_main');
    fake.churn(60);
    fake.log.clear();
    const job = await sync('stripe_main');
    assert.equal(job.status, 'completed', String(job.error_message));
    const lists = fake.log.entries().filter((entry) => entry.path === '/v1/customers');
    assert.equal(lists.length, 0, 'nothing was listed');
    assert.ok(fake.log.entries().filter((entry) => entry.path === '/v1/events').length <= 4);
    await quiet(sql);
    await assertEqual(fake);

    await sql`update supasaasy.sync_state set events_as_of = now() - interval '40 days'`;
    fake.log.clear();
    await sync('stripe_main');
    assert.equal(fake.log.entries().filter((entry) => entry.path === '/v1/events').length, 0);
    assert.ok(fake.log.entries().some((entry) => entry.path === '/v1/customers'));
    await assertEqual(fake);
  },
);

scenario(
  'a managed webhook is made, kept, repaired and replaced, and others are left alone',
  {},
  async (world) => {
    const { fake, sql, sync, webhookUrl } = world;
    await sync('stripe_main');
    await settle();
    await sql`update supasaasy.apps set config = config - 'webhook_secret_env'`;
    const { endpoints } = fake.account;
    const theirs = endpoints.create({
      url: 'https://elsewhere.example/hook',
      enabled_events: ['*'],
    });
    const orphan = endpoints.create({
      url: 'https://old.example/webhook/stripe_main',
      enabled_events: ['customer.created'],
      metadata: { supasaasy_app: 'stripe_main' },
    });
    const manage = async () => {
      await sql`select supasaasy.manage_webhook('stripe_main')`;
      await quiet(sql);
      const [row] = await sql`select * from supasaasy.webhook_endpoints`;
      assert.equal(row?.error_message, null);
      assert.ok(endpoints.rows.has(theirs.id), 'theirs is left alone');
      return row ?? {};
    };

    const made = await manage();
    assert.equal(made.did, 'created; removed 1 of its own');
    assert.ok(!endpoints.rows.has(orphan.id));
    const endpoint = endpoints.get(made.endpoint_id);
    const [types] = await sql`
    select array_agg(t) as types from supasaasy.resources, unnest(event_types) as t`;
    assert.deepEqual([...endpoint.enabled_events].sort(), [...types?.types].sort());
    assert.deepEqual([endpoint.url, endpoint.api_version], [webhookUrl, '2026-10-28.endive']);

    const id = String([...fake.state.ids('customer')][0]);
    fake.ops.update('customer', id, { email: 'managed@example.com' });
    const secret = String(endpoints.secrets.get(endpoint.id));
    assert.deepEqual(await post(webhookUrl, lastEvent(fake).text, { secret }), [
      200,
      { outcome: 'applied' },
    ]);
    assert.ok(!(await world.stackLogs()).includes(secret));

    assert.equal((await manage()).did, 'kept');
    endpoints.update(endpoint.id, { disabled: 'true' });
    assert.equal((await manage()).did, 'repaired');
    assert.equal(endpoints.get(endpoint.id).status, 'enabled');
    await sql`delete from vault.secrets where name like 'supasaasy/%'`;
    assert.equal((await manage()).did, 'created; removed 1 of its own', 'without its secret');
    assert.equal(endpoints.rows.size, 2);
  },
);

scenario('one object is fetched again on demand', {}, async (world) => {
  const { fake, sql, sync } = world;
  await sync('stripe_main');
  const id = String([...fake.state.ids('customer')][3]);
  fake.ops.update('customer', id, { email: 'refetched@example.com' });
  await sql`select supasaasy.refetch('stripe_main', 'customer', ${id})`;
  await quiet(sql);
  assert.equal(await emailOf(world, id), 'refetched@example.com');
});

scenario(
  'verified webhooks are logged for an app that wants it, others never',
  {},
  async (world) => {
    const { fake, sql, sync, webhookUrl } = world;
    await sync('stripe_main');
    const id = String([...fake.state.ids('customer')][0]);
    fake.ops.update('customer', id, { email: 'logged@example.com' });
    const { text } = lastEvent(fake);
    await post(webhookUrl, text, {});
    await sql`
    update supasaasy.apps set config = config || '{"webhook_logging": "with_body"}'`;
    for (let i = 0; i < 20; i += 1) await post(webhookUrl, text, { secret: 'whsec_wrong' });
    const [status] = await post(webhookUrl, text, {});
    assert.equal(status, 200);
    await new Promise((resolve) => setTimeout(resolve, 500));
    const rows = await sql`select * from supasaasy.webhook_logs`;
    assert.equal(rows.length, 1, 'a stranger fills nothing');
    assert.equal(rows[0]?.request_body, text);
    assert.equal(rows[0]?.response_status, 200);
    assert.match(rows[0]?.response_body, /duplicate/);
    assert.equal(rows[0]?.request_headers['stripe-signature'], '[redacted]');
    assert.ok(!JSON.stringify(rows).includes(SECRET));
  },
);
