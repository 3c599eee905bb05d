// A whole sync, as a user runs it: what is at the provider is in Postgres, once, and stays there.

import assert from 'node:assert/strict';
import { COLLECTIONS, scenario } from './harness.ts';

scenario(
  'a 25,000-object account is here after one statement, and a second full sync changes nothing',
  { data: { customers: 10_000, subscriptions: 6_500, products: 60 } },
  async ({ sql, fake, sync, counts, assertEqual }) => {
    const first = await sync('stripe_main');
    assert.equal(first.status, 'completed');
    const total = Object.values(await counts()).reduce((sum, count) => sum + count, 0);
    assert.ok(total >= 25_000, `${total} objects`);
    assert.deepEqual(
      [first.inserted, first.updated, first.unchanged, first.deleted],
      [total, 0, 0, 0],
    );
    await assertEqual(fake);

    const before = await rowVersions(sql);
    const second = await sync('stripe_main', 'full');
    assert.deepEqual(
      [second.status, second.inserted, second.updated, second.deleted],
      ['completed', 0, 0, 0],
    );
    assert.ok(second.unchanged > 10_000);
    assert.equal(await rowVersions(sql), before, 'the second sync wrote to entities');
    // The gateway's sessions report their statistics when they have been idle for ten seconds.
    await new Promise((resolve) => setTimeout(resolve, 11_000));
    const [statistics] = await sql`
      select n_dead_tup::int as dead from pg_stat_user_tables
      where schemaname = 'supasaasy' and relname = 'entities'`;
    assert.equal(statistics?.dead, 0);
    await assertEqual(fake);
  },
);

/** A digest of where every row lies and who wrote it: the same only if none was written. */
async function rowVersions(sql: import('postgres').Sql): Promise<unknown> {
  const [row] = await sql`
    select md5(string_agg(e.id::text || e.ctid || e.xmin, ',' order by e.id)) as digest
    from supasaasy.entities e`;
  return row?.digest;
}

scenario(
  'what changed, appeared and vanished at the provider is so here after the next full sync',
  {},
  async ({ fake, sync, assertEqual }) => {
    await sync('stripe_main');
    const customers = [...fake.state.ids('customer')];
    const subscriptions = [...fake.state.snapshot('subscription').values()]
      .filter((row) => row.status === 'active');
    fake.ops.update('customer', String(customers[3]), { email: 'new@example.com' });
    fake.ops.delete('customer', String(customers[5]));
    fake.ops.create('customer', { email: 'fresh@example.com' });
    fake.ops.cancel(String(subscriptions[0]?.id));
    const items = (subscriptions[1]?.items as { data: { id: string; price: { id: string } }[] })
      .data;
    const added = fake.ops.addItem(String(subscriptions[1]?.id), {
      price: String(items[0]?.price.id),
      quantity: 2,
    });
    const job = await sync('stripe_main', 'full');
    assert.equal(job.status, 'completed');
    await assertEqual(fake);
    fake.ops.removeItem(added.id);
    await sync('stripe_main', 'full');
    await assertEqual(fake);
  },
);

scenario(
  'subscriptions with more items than a payload holds have all of them',
  { data: { largeSubscriptions: { count: 3, items: 45 } } },
  async ({ fake, sync, assertEqual, sql }) => {
    await sync('stripe_main');
    await assertEqual(fake);
    const [large] = [...fake.state.snapshot('subscription').values()]
      .filter((row) => (row.items as { has_more: boolean }).has_more);
    const [gone] = [...fake.state.snapshot('subscription_item').values()]
      .filter((row) => row.subscription === large?.id).slice(-1);
    fake.ops.removeItem(String(gone?.id));
    await sync('stripe_main', 'full');
    await assertEqual(fake);
    const [buried] = await sql`
      select from supasaasy.tombstones where external_id = ${String(gone?.id)}`;
    assert.ok(buried, 'the removed item has a tombstone');
  },
);

scenario(
  'customers of test clocks, which listings omit, are neither listed nor deleted',
  { data: { testClockCustomers: 7 } },
  async ({ fake, sync, sql, app }) => {
    await sync('stripe_main');
    const listed = fake.state.snapshot('customer', { listedOnly: true });
    const [row] = await sql`
      select count(*)::int as n from supasaasy.stripe_customers`;
    assert.equal(row?.n, listed.size);
    // One that is here already, by whatever way, stays: its fetch shows that it lives.
    const hidden = [...fake.state.ids('customer')].find((id) => !listed.has(id));
    const payload = fake.state.snapshot('customer').get(String(hidden));
    await sql`
      insert into supasaasy.entities
        (app_key, collection_key, external_id, api_version, raw_payload, observed_at, observed_until)
      values (${app}, 'stripe_customer', ${String(hidden)}, '2026-10-28.endive',
        ${sql.json(payload as never)}, now() - interval '1 hour', now() - interval '1 hour')`;
    const job = await sync('stripe_main', 'full');
    assert.deepEqual([job.status, job.deleted], ['completed', 0]);
    const [kept] = await sql`
      select from supasaasy.entities where external_id = ${String(hidden)}`;
    assert.ok(kept);
  },
);

scenario(
  'sync_from leaves out what was created before it, and a narrower one deletes nothing',
  {},
  async ({ sql, fake, sync, app }) => {
    await sync('stripe_main');
    const [before] = await sql`select count(*)::int as n from supasaasy.entities`;
    const middle = new Date(Date.now() - 365 * 86_400_000);
    await sql`update supasaasy.apps set sync_from = ${middle} where app_key = ${app}`;
    fake.log.clear();
    const job = await sync('stripe_main', 'full');
    assert.deepEqual([job.status, job.deleted], ['completed', 0]);
    const [after] = await sql`select count(*)::int as n from supasaasy.entities`;
    assert.equal(after?.n, before?.n);
    const lists = fake.log.entries().filter((entry) => entry.path === '/v1/customers');
    assert.ok(lists.every((entry) => /created%5Bgte%5D|created\[gte\]/.test(entry.query)));
  },
);

scenario(
  'each invocation makes one request, and no secret is left anywhere',
  {},
  async ({ sql, fake, sync, stackLogs, env }) => {
    const job = await sync('stripe_main');
    const lists = fake.log.entries().filter((entry) => entry.path !== '/v1/account');
    assert.equal(lists.length, Number(job.pages));
    const [queue] = await sql`
      select coalesce(jsonb_agg(to_jsonb(q)), '[]')::text as text from net.http_request_queue q`;
    const [responses] = await sql`
      select coalesce(jsonb_agg(to_jsonb(r)), '[]')::text as text from net._http_response r`;
    const [tasks] = await sql`
      select jsonb_agg(to_jsonb(t))::text as text from supasaasy.sync_tasks t`;
    const [apps] = await sql`select jsonb_agg(to_jsonb(a))::text as text from supasaasy.apps a`;
    const places = {
      queue: queue?.text,
      responses: responses?.text,
      tasks: tasks?.text,
      apps: apps?.text,
      logs: await stackLogs(),
    };
    for (const [place, text] of Object.entries(places)) {
      for (const name of ['STRIPE_API_KEY', 'SUPABASE_SERVICE_ROLE_KEY', 'ADMIN_API_KEY']) {
        assert.ok(env[name], name);
        assert.ok(!String(text).includes(String(env[name])), `${name} is in ${place}`);
      }
    }
  },
);

scenario('the first queries of a user work as the README has them', {}, async (world) => {
  const { sql, sync } = world;
  await sync('stripe_main');
  const readme = await Deno.readTextFile(new URL('../../README.md', import.meta.url));
  const section = readme.slice(readme.indexOf('## Query'), readme.indexOf('## Schedule'));
  const queries = [...section.matchAll(/```sql\n([\s\S]*?)```/g)].map((match) => match[1] ?? '');
  assert.equal(queries.length, 4);
  const [customer] = await sql`
    select email from supasaasy.stripe_customers where email is not null limit 1`;
  for (const query of queries) {
    const rows = await sql.unsafe(query.replace('ada@example.com', String(customer?.email)));
    assert.ok(rows.length > 0, query);
  }
  const joined = await sql`
    select c.email, s.status, s.current_period_end
    from supasaasy.stripe_customers c
    join supasaasy.stripe_subscriptions s on s.customer_id = c.external_id`;
  assert.ok(joined.every((row) => row.status && row.current_period_end instanceof Date));
});

scenario('two accounts of one provider never mix', { accounts: 2 }, async (world) => {
  const { sql, fake, sync } = world;
  await sql`
    insert into supasaasy.apps (app_key, connector, config)
    values ('stripe_eu', 'stripe', '{"api_key_env": "STRIPE_OTHER_KEY"}')`;
  const [main, eu] = await Promise.all([sync('stripe_main'), sync('stripe_eu')]);
  assert.deepEqual([main?.status, eu?.status], ['completed', 'completed']);
  for (const [index, app] of ['stripe_main', 'stripe_eu'].entries()) {
    for (const collection of COLLECTIONS) {
      const rows = await sql`
        select external_id from supasaasy.entities
        where app_key = ${app} and collection_key = ${'stripe_' + collection}`;
      assert.deepEqual(
        rows.map((row) => row.external_id).sort(),
        [...fake.accounts[index]!.state.snapshot(collection).keys()].sort(),
      );
    }
  }
});
