// What only several connections can show: races between claims, begins, last tasks, and between a
// delete and an upsert of one object.

import assert from 'node:assert/strict';
import type { Sql } from 'postgres';
import { scenario } from './harness.ts';

const FUNCTIONS_OFF = { functions: false } as const;

/** Waits until another connection's statement waits for a lock. */
async function untilBlocked(sql: Sql): Promise<void> {
  for (let tries = 0; tries < 200; tries += 1) {
    const [row] = await sql`
      select count(*)::int as n from pg_stat_activity
      where datname = current_database() and wait_event_type = 'Lock'`;
    if (row?.n > 0) return;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  assert.fail('nothing waits for a lock');
}

scenario(
  'eight connections claiming at once never get one task twice, nor more than the limits allow',
  FUNCTIONS_OFF,
  async ({ sql, connect, app }) => {
    await sql`update supasaasy.apps set config = config || '{"max_concurrency": 100}'`;
    await sql`select supasaasy.set_setting('max_in_flight', '90')`;
    await sql`
      insert into supasaasy.sync_tasks
        (app_key, collection_key, kind, external_id, priority, page_size)
      select ${app}, 'stripe_customer', 'revalidate', 'cus_' || i, 0, 1
      from generate_series(1, 200) i`;
    const connections = await Promise.all(Array.from({ length: 8 }, () => connect()));
    const claimed = await Promise.all(connections.map(async (connection) => {
      const ids: string[] = [];
      for (let turn = 0; turn < 10; turn += 1) {
        const rows = await connection`select task_id from supasaasy.claim_tasks(3)`;
        ids.push(...rows.map((row) => String(row.task_id)));
      }
      return ids;
    }));
    const all = claimed.flat();
    assert.equal(new Set(all).size, all.length);
    assert.equal(all.length, 90);
  },
);

scenario('of two begins with one token one is refused', FUNCTIONS_OFF, async (world) => {
  const { sql, connect, sync: _sync, app } = world;
  await sql`
    insert into supasaasy.sync_tasks
      (app_key, collection_key, kind, external_id, priority, page_size)
    values (${app}, 'stripe_customer', 'revalidate', 'cus_1', 0, 1)`;
  const [claim] = await sql`select * from supasaasy.claim_tasks(1)`;
  const connections = await Promise.all([connect(), connect(), connect()]);
  const answers = await Promise.all(connections.map((connection) =>
    connection`
      select supasaasy.begin_page(${claim?.task_id}, ${claim?.start_token}) ->> 'status' as status`
  ));
  const statuses = answers.map(([row]) => String(row?.status)).sort();
  assert.deepEqual(statuses, ['begun', 'refused', 'refused']);
});

scenario('two last tasks that end together complete the job', FUNCTIONS_OFF, async (world) => {
  const { sql, connect, app } = world;
  const [a, b] = await Promise.all([connect(), connect()]);
  for (let round = 0; round < 20; round += 1) {
    const [job] = await sql`
      select supasaasy.sync(${app}, 'full', array['price', 'product']) as id`;
    const tasks = await sql`
      select t.id as task_id, t.start_token
      from supasaasy.sync_tasks t join supasaasy.sync_runs r on r.id = t.run_id
      where r.job_id = ${job?.id}`;
    assert.equal(tasks.length, 3);
    const orders = await Promise.all(tasks.map(async (task) => {
      const [row] = await sql`
        select supasaasy.begin_page(${task.task_id}, ${task.start_token}) ->> 'work_token' as token`;
      return { id: task.task_id, token: row?.token };
    }));
    const complete = (connection: Sql, order: { id: string; token: string }) =>
      connection`select supasaasy.complete_page(${order.id}, ${order.token}, '[]')`;
    await complete(sql, orders[0] as never);
    await Promise.all([complete(a!, orders[1] as never), complete(b!, orders[2] as never)]);
    const [done] = await sql`select status from supasaasy.job_status(${job?.id})`;
    assert.equal(done?.status, 'completed', `round ${round}`);
  }
});

/** Runs `first` up to its commit, starts `second`, which must wait, and commits. */
async function cross(
  sql: Sql,
  first: { connection: Sql; run: (sql: Sql) => Promise<unknown> },
  second: { connection: Sql; run: (sql: Sql) => Promise<unknown> },
): Promise<void> {
  let release = () => {};
  const held = new Promise<void>((resolve) => release = resolve);
  let entered = () => {};
  const inside = new Promise<void>((resolve) => entered = resolve);
  const one = first.connection.begin(async (transaction) => {
    await first.run(transaction as unknown as Sql);
    entered();
    await held;
  });
  await inside;
  const two = second.connection.begin((transaction) => second.run(transaction as unknown as Sql));
  await untilBlocked(sql);
  release();
  await Promise.all([one, two]);
}

/** One observation of cus_1, as a function would bring it. */
async function observe(sql: Sql, app: string, gone: boolean, at: Date): Promise<void> {
  const rows = gone ? [] : [{ id: 'cus_1', created: 1700000000, name: at.toISOString() }];
  const missing = gone ? ['cus_1'] : [];
  const until = new Date(at.getTime() + 100);
  await sql`
    select supasaasy.lock_rows(${app}, 'stripe_customer', ${sql.json(rows)}, ${missing})`;
  await sql`
    select supasaasy.observe(
      ${app}, 'stripe_customer', ${sql.json(rows)}, ${missing}, '{}', null,
      ${at}, ${until}, 'fetch', '2026-10-28.endive', true, null)`;
}

for (const deleteFirst of [true, false]) {
  for (const deleteIsNewer of [true, false]) {
    const name = `a ${deleteIsNewer ? 'newer' : 'older'} delete that ${
      deleteFirst ? 'holds' : 'waits for'
    } the lock against an upsert leaves an entity or a tombstone, the newer one`;
    scenario(name, FUNCTIONS_OFF, async ({ sql, connect, app }) => {
      const now = Date.now();
      const older = new Date(now - 60_000);
      const newer = new Date(now - 30_000);
      const remove = {
        connection: await connect(),
        run: (sql: Sql) => observe(sql, app, true, deleteIsNewer ? newer : older),
      };
      const upsert = {
        connection: await connect(),
        run: (sql: Sql) => observe(sql, app, false, deleteIsNewer ? older : newer),
      };
      if (deleteFirst) await cross(sql, remove, upsert);
      else await cross(sql, upsert, remove);
      const [row] = await sql`
        select
          (select count(*)::int from supasaasy.entities) as entities,
          (select count(*)::int from supasaasy.tombstones) as tombstones`;
      assert.deepEqual(
        { ...row },
        deleteIsNewer ? { entities: 0, tombstones: 1 } : { entities: 1, tombstones: 0 },
      );
    });
  }
}

scenario(
  'a page that disagrees and the fetch that it asks for do not deadlock',
  FUNCTIONS_OFF,
  async ({ sql, connect, app }) => {
    const [a, b] = await Promise.all([connect(), connect()]);
    for (let round = 0; round < 20; round += 1) {
      await sql`delete from supasaasy.sync_tasks where true`;
      await sql`delete from supasaasy.entities where true`;
      await observe(sql, app, false, new Date(Date.now() - 1_000));
      await sql`
        insert into supasaasy.sync_tasks
          (app_key, collection_key, kind, external_id, priority, page_size)
        values (${app}, 'stripe_customer', 'revalidate', 'cus_1', 0, 1)`;
      const [claim] = await sql`select * from supasaasy.claim_tasks(1)`;
      const [order] = await sql`
        select supasaasy.begin_page(${claim?.task_id}, ${claim?.start_token}) ->> 'work_token' as t`;
      const row = { id: 'cus_1', created: 1700000000, name: 'fetched' };
      await Promise.all([
        b!`select supasaasy.complete_page(${claim?.task_id}, ${order?.t}, ${sql.json([row])})`,
        observe(a!, app, false, new Date(Date.now() - 10)),
      ]);
    }
  },
);
