// Owns ingest: what `complete_page` costs beside a plain upsert of the same rows into a copy of the
// table with the same indexes, fresh and unchanged, and what an unchanged row leaves behind.

import type { Sql } from 'postgres';
import { believableRows, inPages, liftLimits, openListing, PAGE } from './pages.ts';
import { APP, walBytes, withBench } from './stack.ts';
import { type Figure, median, type Part, short, spread } from './table.ts';

const REPETITIONS = 3;

const plainColumns = `app_key, collection_key, external_id, parent_external_id, api_version,
  raw_payload, source_created_at, observed_at, observed_until`;
const plainConflict = `on conflict (app_key, collection_key, external_id) do update
  set raw_payload = excluded.raw_payload, api_version = excluded.api_version,
    parent_external_id = excluded.parent_external_id, observed_at = excluded.observed_at,
    observed_until = excluded.observed_until, updated_at = excluded.updated_at`;
const plain = (collection: string, from: string, parent = 'null') => `
  insert into bench.entities (${plainColumns})
  select '${APP}', '${collection}', r.value ->> 'id', ${parent}, '2026-10-28.endive', r.value,
    to_timestamp((r.value ->> 'created')::bigint), now(), now()
  from ${from} ${plainConflict}`;

interface Kind {
  name: string;
  collection: string;
  pages: string[];
  /** Rows of entities in a page: children are rows too. */
  rows: number;
  statement: string;
}

async function kinds(): Promise<Kind[]> {
  const rows = await believableRows(4000, 1000);
  return [{
    name: 'customers',
    collection: 'stripe_customer',
    pages: inPages(rows.customers),
    rows: PAGE,
    statement: plain('stripe_customer', 'jsonb_array_elements($1::text::jsonb) as r (value)'),
  }, {
    name: 'subscriptions with two items',
    collection: 'stripe_subscription',
    pages: inPages(rows.subscriptions),
    rows: PAGE * 3,
    statement: `
      with page as materialized (select $1::text::jsonb as rows),
      parents as (
        ${plain('stripe_subscription', 'page, jsonb_array_elements(page.rows) as r (value)')}
      )
      ${
      plain(
        'stripe_subscription_item',
        `page, jsonb_array_elements(page.rows) as p (value),
          jsonb_array_elements(p.value #> '{items,data}') as r (value)`,
        "p.value ->> 'id'",
      )
    }`,
  }];
}

/** Rows a second of both by the median page, in turns: the machine's noise hits both. */
async function pass(sql: Sql, kind: Kind): Promise<{ engine: number; plain: number }> {
  const next = await openListing(sql, kind.collection);
  const engine: number[] = [];
  const plain: number[] = [];
  for (const [i, page] of kind.pages.entries()) {
    const runPlain = async () => {
      const start = performance.now();
      await sql.unsafe(kind.statement, [page], { prepare: true });
      plain.push(performance.now() - start);
    };
    if (i % 2) await runPlain();
    engine.push((await next(page)).complete);
    if (i % 2 === 0) await runPlain();
  }
  return {
    engine: kind.rows / median(engine) * 1000,
    plain: kind.rows / median(plain) * 1000,
  };
}

async function written(sql: Sql): Promise<number> {
  await sql`select pg_stat_force_next_flush()`;
  const [row] = await sql`
    select (n_tup_ins + n_tup_upd + n_tup_del)::float8 as n
    from pg_stat_user_tables where relid = 'supasaasy.entities'::regclass`;
  return row?.n;
}

async function measure(sql: Sql, admin: Sql, kind: Kind): Promise<Figure[]> {
  const fresh: { engine: number; plain: number }[] = [];
  const unchanged: { engine: number; plain: number }[] = [];
  for (let repetition = 0; repetition < REPETITIONS; repetition += 1) {
    await sql`truncate supasaasy.entities, bench.entities, supasaasy.sync_jobs,
      supasaasy.sync_runs, supasaasy.sync_tasks, supasaasy.sync_seen, supasaasy.verify_findings`;
    await admin`checkpoint`;
    fresh.push(await pass(sql, kind));
    await sql`analyze supasaasy.entities, bench.entities`;
    unchanged.push(await pass(sql, kind));
  }
  await admin`checkpoint`;
  const next = await openListing(sql, kind.collection);
  const passes: { bytes: number; written: number }[] = [];
  for (let repetition = 0; repetition < 2; repetition += 1) {
    const before = { bytes: await walBytes(sql), written: await written(sql) };
    for (const page of kind.pages) await next(page);
    passes.push({
      bytes: (await walBytes(sql) - before.bytes) / (kind.rows * kind.pages.length),
      written: await written(sql) - before.written,
    });
  }
  const [last] = passes.slice(-1);
  const bytes = last?.bytes ?? NaN;

  const rates = (values: typeof fresh, name: 'engine' | 'plain') =>
    spread(values.map((value) => value[name]), 'rows/s');
  const ratio = (values: typeof fresh) => median(values.map((one) => one.engine / one.plain));
  const compared = (what: string, values: typeof fresh, least: number): Figure => ({
    what: `${kind.name}, ${what}`,
    value: `${rates(values, 'engine')}, ratio ${short(ratio(values))}`,
    baseline: `plain upsert ${rates(values, 'plain')}`,
    target: `ratio >= ${least}`,
    met: ratio(values) >= least,
  });
  return [
    compared('fresh', fresh, 0.7),
    compared('unchanged', unchanged, 1),
    {
      what: `${kind.name}, WAL of an unchanged row`,
      value: `${short(bytes)} bytes`,
      target: '<= 10 bytes',
      met: bytes <= 10,
      why: `about ${Math.round(bytes * kind.rows)} bytes a page are the task row's own updates`,
    },
    {
      what: `${kind.name}, rows of entities written where nothing changed`,
      value: String(last?.written),
      target: '0',
      met: last?.written === 0,
    },
  ];
}

export const ingest: Part = {
  name: 'ingest',
  about:
    '`complete_page` on one connection, pages of 100, beside `insert ... on conflict do update` ' +
    'of the same rows (items included) into a copy of `entities` with the same indexes.',
  run: () =>
    withBench({ workers: false }, async ({ sql, admin, addApp }) => {
      await liftLimits(sql);
      await addApp({ config: { max_concurrency: 1 } });
      await sql`create schema if not exists bench`;
      await sql`create table bench.entities (like supasaasy.entities including all)`;
      const figures: Figure[] = [];
      for (const kind of await kinds()) figures.push(...await measure(sql, admin, kind));
      return figures;
    }),
};
