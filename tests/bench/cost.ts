// Owns cost: what a hosted project is billed or limited by (invocations, requests, WAL), for each
// thousand rows and for each idle hour.

import type { Sql } from 'postgres';
import { type Bench, cpuSeconds, settle, sleep, walBytes, withBench } from './stack.ts';
import { type Figure, type Part, short } from './table.ts';

const CUSTOMERS = 10_000;
const SUBSCRIPTIONS = 5_000;
const CHANGED_SHARE = 0.01;
const IDLE_SECONDS = 30;

/** What the functions call; each invocation of fetch-page begins with begin_page. */
const RPCS = [
  'begin_page',
  'complete_page',
  'fail_page',
  'pin_account',
  'release_task',
  'complete_webhook',
  'pong',
];

interface Usage {
  invocations: number;
  rpcs: number;
  net: number;
  wal: number;
  cpu: number;
}

async function usage(admin: Sql): Promise<Usage> {
  // Sessions report what they called at most once a second.
  await sleep(1.5);
  const calls = await admin`
    select schemaname || '.' || funcname as name, calls::float8 as calls
    from pg_stat_user_functions where schemaname in ('supasaasy', 'net')`;
  const of = (...names: string[]) =>
    calls.filter((row) => names.includes(row.name)).reduce((sum, row) => sum + row.calls, 0);
  return {
    invocations: of('supasaasy.begin_page'),
    rpcs: of(...RPCS.map((name) => `supasaasy.${name}`)),
    net: of('net._queue'),
    wal: await walBytes(admin),
    cpu: (await cpuSeconds()).postgres,
  };
}

const minus = (after: Usage, before: Usage): Usage => ({
  invocations: after.invocations - before.invocations,
  rpcs: after.rpcs - before.rpcs,
  net: after.net - before.net,
  wal: after.wal - before.wal,
  cpu: after.cpu - before.cpu,
});

function figure(what: string, used: Usage, scale: number, baseline = ''): Figure {
  const kilobytes = (bytes: number) => `${short(bytes / 1000)} kB`;
  return {
    what,
    value: `${short(used.invocations * scale)} invocations, ${short(used.rpcs * scale)} RPCs, ` +
      `${short(used.net * scale)} pg_net requests, ${kilobytes(used.wal * scale)} of WAL`,
    baseline,
  };
}

async function measured(admin: Sql, run: () => Promise<unknown>): Promise<Usage> {
  const before = await usage(admin);
  await run();
  return minus(await usage(admin), before);
}

async function measure(bench: Bench): Promise<Figure[]> {
  const { admin, sql, startFake, addApp, sync } = bench;
  const fake = await startFake({
    data: { customers: CUSTOMERS, subscriptions: SUBSCRIPTIONS, historyEvents: false },
  });
  await addApp();
  await sql`select supasaasy.set_setting('rate_headroom', '100')`;
  const first = await measured(admin, () => sync('full'));
  const [stored] = await sql`
    select count(*)::int as rows, sum(length(raw_payload::text))::float8 as bytes
    from supasaasy.entities`;
  const rows = Number(stored?.rows);
  const again = await measured(admin, () => sync('full'));
  const changed = Math.round(rows * CHANGED_SHARE);
  // What changes seconds after it was listed is fetched once more: not what is measured here.
  await sleep(6);
  for (const id of fake.state.ids('customer').slice(0, changed)) {
    fake.ops.update('customer', id, { name: `Name of ${id}` });
  }
  const changes = await measured(admin, () => sync('incremental'));
  await settle(admin);
  const idle = await measured(admin, () => sleep(IDLE_SECONDS));
  const raw = `raw JSON ${short(Number(stored?.bytes) / rows)} kB`;
  return [
    figure('full, the first, for 1,000 rows', first, 1000 / rows, raw),
    figure('full, nothing changed, for 1,000 rows', again, 1000 / rows, raw),
    figure('incremental, 1 % changed, for 1,000 rows held', changes, 1000 / rows),
    figure(`idle, for an hour (of ${IDLE_SECONDS} s)`, idle, 3600 / (IDLE_SECONDS + 1.5)),
  ];
}

export const cost: Part = {
  name: 'cost',
  about:
    `A whole account of ${short(CUSTOMERS)} customers and ${short(SUBSCRIPTIONS)} subscriptions ` +
    'with their items, and one app with nothing to do, between checkpoints.',
  run: () =>
    withBench({ workers: true }, async (bench) => {
      await bench.admin`alter database postgres set track_functions = 'all'`;
      await bench.admin`
        select pg_terminate_backend(pid) from pg_stat_activity
        where pid <> pg_backend_pid() and application_name like 'supasaasy-%'`;
      try {
        return await measure(bench);
      } finally {
        await bench.admin`alter database postgres reset track_functions`;
      }
    }),
};
