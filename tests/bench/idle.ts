// Owns idleness: what the heartbeat costs a hundred apps that have nothing to do.

import { type Bench, cpuSeconds, settle, sleep, walBytes, withBench } from './stack.ts';
import { declareComplete } from './fill.ts';
import { type Part, short } from './table.ts';

const APPS = 100;
const SECONDS = 45;
const QUIET_SECONDS = 15;

interface Hour {
  cpu: number;
  wal: number;
  ticks: number;
}

/** What an hour would use, measured over some seconds. */
async function measured({ admin }: Bench, seconds: number): Promise<Hour> {
  const reading = async () => {
    const [row] = await admin`
      select count(*)::int as ticks from cron.job_run_details d
      join cron.job j on j.jobid = d.jobid and j.jobname = 'supasaasy-tick'`;
    return {
      cpu: (await cpuSeconds()).postgres,
      wal: await walBytes(admin),
      ticks: Number(row?.ticks),
    };
  };
  await settle(admin);
  const before = await reading();
  await sleep(seconds);
  const after = await reading();
  const scale = 3600 / seconds;
  return {
    cpu: (after.cpu - before.cpu) * scale,
    wal: (after.wal - before.wal) * scale,
    ticks: (after.ticks - before.ticks) * scale,
  };
}

const told = (hour: Hour) =>
  `${short(hour.cpu)} s of Postgres (${short(hour.cpu / 36)} % of a core), ` +
  `${short(hour.wal / 1e6)} MB of WAL`;

export const idle: Part = {
  name: 'idle',
  about:
    `${APPS} apps with a schedule each and nothing to do, over ${SECONDS} s between checkpoints; the baseline is the ` +
    'same without tick: what the stand-ins for cron and pg_net cost, which ask several times a second.',
  run: () =>
    withBench({ workers: true }, async (bench) => {
      const { sql } = bench;
      await sql`
        insert into supasaasy.apps (app_key, connector, config, account_id, livemode)
        select 'app_' || i, 'stripe', '{"api_key_env": "X"}', 'acct_' || i, false
        from generate_series(1, ${APPS}::int) i`;
      await declareComplete(sql);
      await sql`
        insert into supasaasy.schedules (app_key, cron)
        select app_key, '0 3 * * *' from supasaasy.apps`;
      const ticking = await measured(bench, SECONDS);
      await sql`select cron.unschedule('supasaasy-tick')`;
      const quiet = await measured(bench, QUIET_SECONDS);
      await sql`select supasaasy.schedule_tick()`;
      const own = { cpu: ticking.cpu - quiet.cpu, wal: ticking.wal - quiet.wal, ticks: 0 };
      return [{
        what: 'an hour',
        value: `${told(ticking)}, ${short(ticking.ticks)} ticks`,
        baseline: `without tick ${told(quiet)}`,
      }, {
        what: 'of which tick',
        value: `${told(own)}; ${short(own.cpu / ticking.ticks * 1000)} ms and ` +
          `${short(own.wal / ticking.ticks)} bytes a tick`,
      }];
    }),
};
