// Owns claims: how fast the next task of an app is found among very many, by one connection, by
// eight, and while an old snapshot keeps every dead row version visible.

import type { Sql } from 'postgres';
import { withBench } from './stack.ts';
import { type Figure, median, type Part, short, spread } from './table.ts';

const SIZES = [1_000, 100_000, 1_000_000];
const APPS = 1000;
const OTHERS = 5;
/** Of each repetition: all of them together fit into the smallest size. */
const CLAIMS = 100;
const CONNECTIONS = 8;
const TARGET = 2000;

/**
 * Claims one task after another, each in its own transaction and ended at once, as a chain does. Gives
 * the seconds of the median claim alone: within complete_page the commit is the page's.
 */
const PROCEDURE = `
create or replace procedure bench.claim(p_app text, p_claims integer, inout median float8)
language plpgsql as $$
declare
  v_start timestamptz;
  v_task bigint;
  v_times float8[] := array[]::float8[];
begin
  for i in 1..p_claims loop
    v_start := clock_timestamp();
    select c.task_id into v_task from supasaasy.claim_tasks(1, p_app) c;
    v_times[i] := extract(epoch from clock_timestamp() - v_start);
    if v_task is null then
      raise exception 'claim % found nothing', i;
    end if;
    update supasaasy.sync_tasks t
    set state = 'done', finished_at = clock_timestamp(), start_token = null, lease_expires_at = null
    where t.id = v_task;
    commit;
  end loop;
  median := (select percentile_cont(0.5) within group (order by t) from unnest(v_times) t);
end;
$$`;

/** The plain way: an index on what is pending, skip locked, no limit, no fairness. */
const PLAIN = `
create or replace procedure bench.claim_plainly(p_app text, p_claims integer, inout median float8)
language plpgsql as $$
declare
  v_start timestamptz;
  v_times float8[] := array[]::float8[];
begin
  for i in 1..p_claims loop
    v_start := clock_timestamp();
    update bench.tasks t set state = 'leased', start_token = gen_random_uuid()
    where t.id = (
      select id from bench.tasks where app_key = p_app and state = 'pending'
      order by run_after, id limit 1 for update skip locked
    );
    v_times[i] := extract(epoch from clock_timestamp() - v_start);
    commit;
  end loop;
  median := (select percentile_cont(0.5) within group (order by t) from unnest(v_times) t);
end;
$$`;

async function fill(sql: Sql, tasks: number): Promise<void> {
  await sql`truncate supasaasy.sync_tasks, bench.tasks`;
  await sql`
    insert into supasaasy.sync_tasks
      (app_key, collection_key, kind, external_id, priority, page_size, run_after)
    select 'app_0', 'stripe_customer', 'revalidate', 'cus_' || lpad(i::text, 7, '0'), 0, 1,
      clock_timestamp() - interval '1 hour' + i * interval '1 microsecond'
    from generate_series(1, ${tasks}::int) i
    union all
    select 'app_' || a, 'stripe_customer', 'revalidate', 'cus_' || i, 0, 1,
      clock_timestamp() - interval '1 hour'
    from generate_series(1, ${APPS - 1}::int) a, generate_series(1, ${OTHERS}::int) i`;
  await sql`
    insert into bench.tasks (app_key, state, run_after)
    select app_key, 'pending', run_after from supasaasy.sync_tasks where app_key = 'app_0'`;
  await sql`vacuum analyze supasaasy.sync_tasks, bench.tasks`;
}

/** Claims a second of one connection, by the median claim. */
async function rate(sql: Sql, procedure: string, claims: number): Promise<number> {
  const [row] = await sql.unsafe(`call bench.${procedure}('app_0', ${claims}, null)`);
  return 1 / row?.median;
}

/** Claims a second of all connections together, their commits included. */
async function together(connections: readonly Sql[], claims: number): Promise<number> {
  const start = performance.now();
  await Promise.all(connections.map((sql) => rate(sql, 'claim', claims)));
  return connections.length * claims / (performance.now() - start) * 1000;
}

async function measure(sql: Sql, connect: () => Promise<Sql>, size: number): Promise<{
  one: number[];
  plain: number[];
  eight: number[];
  held: number[];
  plainHeld: number[];
}> {
  await fill(sql, size);
  const found = { one: [], plain: [], eight: [], held: [], plainHeld: [] } as Record<
    string,
    number[]
  >;
  for (let repetition = 0; repetition < 3; repetition += 1) {
    found.plain?.push(await rate(sql, 'claim_plainly', CLAIMS));
    found.one?.push(await rate(sql, 'claim', CLAIMS));
  }
  const connections = await Promise.all(Array.from({ length: CONNECTIONS }, connect));
  for (let repetition = 0; repetition < 3; repetition += 1) {
    found.eight?.push(await together(connections, Math.floor(CLAIMS / CONNECTIONS)));
  }
  const old = await connect();
  await old`begin isolation level repeatable read`;
  await old`select count(*) from supasaasy.apps`;
  // Each claim leaves a dead row version that the next ones must step over.
  for (let repetition = 0; repetition < 3; repetition += 1) {
    found.held?.push(await rate(sql, 'claim', CLAIMS));
    found.plainHeld?.push(await rate(sql, 'claim_plainly', CLAIMS));
  }
  await old`rollback`;
  return found as Awaited<ReturnType<typeof measure>>;
}

export const claims: Part = {
  name: 'claims',
  about:
    `\`claim_tasks(1, app)\` with one app's tasks among ${
      short(APPS)
    } apps, each claim in its own ` +
    'transaction. On one connection the median claim alone counts (the commit is that of the page), ' +
    'on eight the whole time, commits included.',
  run: () =>
    withBench({ workers: false }, async ({ sql, connect }) => {
      await sql`create schema if not exists bench`;
      await sql.unsafe(PROCEDURE);
      await sql.unsafe(PLAIN);
      await sql`
        create table bench.tasks (id bigint generated always as identity primary key,
          app_key text, state text, run_after timestamptz, start_token uuid)
        with (fillfactor = 50)`;
      await sql`
        create index on bench.tasks (app_key, run_after, id) where state = 'pending'`;
      await sql`
        insert into supasaasy.apps (app_key, connector, config)
        select 'app_' || i, 'stripe', '{"api_key_env": "X", "max_concurrency": 100}'
        from generate_series(0, ${APPS - 1}::int) i`;
      const figures: Figure[] = [];
      let smallest: Record<string, number> = {};
      for (const size of SIZES) {
        const found = await measure(sql, connect, size);
        const medians = Object.fromEntries(
          Object.entries(found).map(([name, values]) => [name, median(values)]),
        );
        if (size === SIZES[0]) smallest = medians;
        const flat = (name: string) => (medians[name] ?? 0) / (smallest[name] ?? NaN);
        const first = size === SIZES[0];
        const flatness = (name: string) => first ? '' : `, ${short(flat(name))} of the smallest's`;
        figures.push({
          what: `${short(size)} pending, one connection`,
          value: spread(found.one, 'claims/s') + flatness('one'),
          baseline: `plain skip locked ${spread(found.plain, '/s')}`,
          target: `>= ${short(TARGET)}/s${first ? '' : ', >= 0.7 of the smallest'}`,
          met: median(found.one) >= TARGET && flat('one') >= 0.7,
        }, {
          what: `${short(size)} pending, ${CONNECTIONS} connections`,
          value: spread(found.eight, 'claims/s') + flatness('eight'),
          ...(first ? {} : { target: '>= 0.7 of the smallest', met: flat('eight') >= 0.7 }),
        }, {
          what: `${short(size)} pending, ${3 * CLAIMS} claims under an old snapshot`,
          value: `${spread(found.held, 'claims/s')}, ${
            short((medians.held ?? 0) / (medians.one ?? NaN))
          } of without it`,
          baseline: `plain skip locked ${
            short((medians.plainHeld ?? 0) / (medians.plain ?? NaN))
          } of without it`,
          target: '>= 0.7 of without it',
          met: (medians.held ?? 0) >= 0.7 * (medians.one ?? NaN),
        });
      }
      return figures;
    }),
};
