// A bad day: faults of the network and of the provider, wrong keys, killed processes. Nothing is
// lost, nothing that lives is deleted, and what a user sees says what happened.

import assert from 'node:assert/strict';
import { scenario } from './harness.ts';

scenario(
  'functions killed in the middle of a sync lose nothing',
  { data: { customers: 4_000, subscriptions: 3_000 }, latencyMs: 20 },
  async ({ sql, fake, start, finished, kill, up, assertEqual }) => {
    const job = await start('stripe_main');
    for (;;) {
      const [row] = await sql`select count(*)::int as n from supasaasy.entities`;
      if (row?.n > 1_000) break;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    await kill('functions');
    await new Promise((resolve) => setTimeout(resolve, 1_000));
    await up();
    const done = await finished(job);
    assert.equal(done.status, 'completed', String(done.error_message));
    await assertEqual(fake);
  },
);

scenario(
  'a sync through rate limits, server errors, resets, cut bodies and slow answers is complete',
  { data: { customers: 2_000, subscriptions: 1_500 } },
  async ({ fake, sync, assertEqual }) => {
    const match = { pathPrefix: '/v1/' };
    fake.faults.add({ match: { ...match, everyNth: 7 }, fault: { kind: 'status', status: 500 } });
    fake.faults.add({ match: { ...match, everyNth: 11 }, fault: { kind: 'reset' } });
    fake.faults.add({ match: { ...match, everyNth: 13 }, fault: { kind: 'truncate' } });
    fake.faults.add({
      match: { ...match, everyNth: 17 },
      fault: {
        kind: 'status',
        status: 429,
        headers: { 'stripe-rate-limited-reason': 'endpoint-rate', 'retry-after': '1' },
      },
    });
    fake.faults.add({ match: { ...match, everyNth: 5 }, fault: { kind: 'latency', ms: 100 } });
    const job = await sync('stripe_main');
    assert.equal(job.status, 'completed', String(job.error_message));
    await assertEqual(fake);
  },
);

scenario(
  'a listing that fails half-way, is empty, or omits live objects deletes nothing that lives',
  {},
  async ({ sql, fake, sync, assertEqual }) => {
    await sync('stripe_main');
    await sql`select supasaasy.set_setting('max_attempts', '2')`;
    const match = { pathPrefix: '/v1/customers' };

    fake.faults.add({
      match: { ...match, afterRequests: 1 },
      fault: { kind: 'status', status: 500 },
    });
    const failed = await sync('stripe_main', 'full', ['customer']);
    assert.equal(failed.status, 'failed');
    assert.match(String(failed.error_message), /stripe_customer.*500/);
    await assertEqual(fake);
    fake.faults.clear();

    const ids = [...fake.state.ids('customer')].slice(0, 40);
    fake.faults.add({ match, fault: { kind: 'omit', ids } });
    const omitted = await sync('stripe_main', 'full', ['customer']);
    assert.deepEqual([omitted.status, omitted.deleted], ['completed', 0]);
    await assertEqual(fake);
    fake.faults.clear();

    fake.faults.add({
      match: { pathPrefix: '/v1/products' },
      fault: { kind: 'empty_list' },
    });
    const empty = await sync('stripe_main', 'full', ['product']);
    assert.deepEqual([empty.status, empty.deleted], ['completed', 0]);
    await assertEqual(fake);
  },
);

scenario(
  'a failed job goes on from where it stopped',
  { data: { customers: 1_500, subscriptions: 100 } },
  async ({ sql, fake, sync, finished, assertEqual }) => {
    await sql`select supasaasy.set_setting('max_attempts', '1')`;
    const fault = fake.faults.add({
      match: { pathPrefix: '/v1/customers', afterRequests: 4 },
      fault: { kind: 'status', status: 503 },
    });
    const failed = await sync('stripe_main');
    assert.equal(failed.status, 'failed');
    const pages = Number(failed.pages);
    fake.faults.remove(fault);
    fake.log.clear();
    await sql`select supasaasy.retry(${failed.job_id})`;
    const done = await finished(Number(failed.job_id));
    assert.equal(done.status, 'completed', String(done.error_message));
    assert.ok(fake.log.entries().length < pages + 15, 'it did not start over');
    await assertEqual(fake);
  },
);

scenario(
  'a crash that empties the unlogged tables in the middle of a listing sweeps nothing',
  { data: { customers: 3_000, subscriptions: 100 }, latencyMs: 40 },
  async ({ sql, fake, sync, start, finished, kill, up, assertEqual }) => {
    await sync('stripe_main');
    fake.ops.delete('customer', String([...fake.state.ids('customer')][10]));
    const job = await start('stripe_main', 'full', ['customer']);
    for (;;) {
      const [row] = await sql`select count(*)::int as n from supasaasy.sync_seen`;
      if (row?.n > 500) break;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    await kill('postgres');
    await up();
    const done = await finished(job);
    assert.equal(done.status, 'completed', String(done.error_message));
    assert.match(String(done.error_message), /nothing was swept.*run a full sync/);
    assert.equal(Number(done.deleted), 0);
    await sync('stripe_main', 'full', ['customer']);
    await assertEqual(fake);
  },
);

scenario(
  'a missing, wrong or restricted key is one clear message, and a key of another account changes nothing',
  { accounts: 2 },
  async ({ sql, fake, sync, app, assertEqual }) => {
    const useKey = (name: string) =>
      sql`update supasaasy.apps set config = config || ${
        sql.json({ api_key_env: name })
      } where app_key = ${app}`;

    await useKey('STRIPE_NOT_SET');
    const missing = await sync(app);
    assert.equal(missing.status, 'failed');
    assert.match(String(missing.error_message), /missing API key.*STRIPE_NOT_SET/);

    await useKey('STRIPE_WRONG_KEY');
    fake.log.clear();
    const wrong = await sync(app);
    assert.equal(wrong.status, 'failed');
    assert.match(String(wrong.error_message), /401/);
    assert.ok(fake.log.entries().length <= 8, 'no storm of requests');

    await useKey('STRIPE_API_KEY');
    await sync(app);
    await assertEqual(fake);
    await useKey('STRIPE_OTHER_KEY');
    const other = await sync(app, 'full');
    assert.equal(other.status, 'failed');
    assert.match(String(other.error_message), /pinned to/);
    await assertEqual(fake);

    await useKey('STRIPE_RESTRICTED_KEY');
    const restricted = await sync(app, 'full');
    assert.equal(restricted.status, 'failed');
    assert.match(String(restricted.error_message), /stripe_product.*403/);
    assert.doesNotMatch(String(restricted.error_message), /stripe_customer:/);
    await assertEqual(fake);
  },
);

scenario(
  'poison rows do not stop a resource, and an answer of another shape fails it visibly',
  {},
  async ({ sql, fake, sync }) => {
    fake.faults.add({
      match: { pathPrefix: '/v1/customers' },
      times: 1,
      fault: {
        kind: 'inject_rows',
        rows: [
          '{"id":"cus_nul","object":"customer","created":1700000000,"email":"a\\u0000b"}',
          '{"id":"cus_lone","object":"customer","created":1700000000,"name":"x\\ud800y"}',
          `{"id":"cus_long","object":"customer","created":1700000000,"email":"${
            'e'.repeat(10_000)
          }"}`,
          '{"id":"cus_twice","object":"customer","created":1700000000,"name":"one"}',
          '{"id":"cus_twice","object":"customer","created":1700000000,"name":"one"}',
        ],
      },
    });
    const job = await sync('stripe_main', 'full', ['customer']);
    assert.equal(job.status, 'completed', String(job.error_message));
    const rows = await sql`
      select external_id, payload_repaired from supasaasy.entities
      where external_id in ('cus_nul', 'cus_lone', 'cus_long', 'cus_twice')
      order by external_id`;
    assert.deepEqual(rows.map((row) => [row.external_id, row.payload_repaired]), [
      ['cus_lone', true],
      ['cus_long', false],
      ['cus_nul', true],
      ['cus_twice', false],
    ]);

    for (
      const [fault, message] of [
        [{ kind: 'inject_rows', rows: ['{"object":"customer"}'] }, /id is missing/],
        [{ kind: 'inject_rows', rows: ['{"id":5,"object":"customer"}'] }, /id is 5/],
        [{ kind: 'inject_rows', rows: ['null'] }, /null, not an object/],
        [{ kind: 'malformed', body: { data: 'nope' } }, /"data":"nope"/],
      ] as const
    ) {
      fake.faults.clear();
      fake.faults.add({
        match: { pathPrefix: '/v1/customers' },
        fault: fault as Parameters<typeof fake.faults.add>[0]['fault'],
      });
      const [before] = await sql`select count(*)::int as n from supasaasy.entities`;
      const failed = await sync('stripe_main', 'full', ['customer']);
      assert.equal(failed.status, 'failed');
      assert.match(String(failed.error_message), message);
      const [after] = await sql`select count(*)::int as n from supasaasy.entities`;
      assert.equal(after?.n, before?.n);
    }
  },
);

scenario(
  'a listing goes on when the object at its cursor is deleted meanwhile',
  { data: { customers: 700, subscriptions: 10 }, latencyMs: 150 },
  async ({ sql, fake, start, finished, assertEqual, app }) => {
    await sql`
      update supasaasy.apps set config = config || '{"max_concurrency": 1}' where app_key = ${app}`;
    const job = await start('stripe_main', 'full', ['customer']);
    for (;;) {
      const [task] = await sql`
        select cursor from supasaasy.sync_tasks where cursor is not null limit 1`;
      if (task) {
        fake.ops.vanish('customer', String(task.cursor));
        break;
      }
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    const done = await finished(job);
    assert.equal(done.status, 'completed', String(done.error_message));
    const gone = await start('stripe_main', 'full');
    await finished(gone);
    await assertEqual(fake);
  },
);
