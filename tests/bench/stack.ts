// Owns what the parts stand on: the instance `bench`, its database, a fake Stripe beside it, and the
// meters for processor time and WAL.

import postgres, { type Sql } from 'postgres';
import { currentInstance, type StackEnv, superuserUrl } from '../../supabase/local/instance.ts';
import { running, stop } from '../../supabase/local/processes.ts';
import { down, reset, restart, up } from '../../supabase/local/stack.ts';
import {
  type FakeStripe,
  type FakeStripeOptions,
  startFakeStripe,
} from '../fakes/stripe/server.ts';

const PORT = '24580';
// What the stack's own processes are started with, too.
Deno.env.set('SUPASAASY_STACK', 'bench');
Deno.env.set('SUPASAASY_PORT', PORT);

const instance = currentInstance('bench', PORT);
const FAKE_PORT = Number(PORT) + 8;
/** The keys of the fake's account: the limits of a sandbox, or those of live mode. */
const KEYS = { test: 'sk_test_bench_1111', live: 'sk_live_bench_2222' };
export const WEBHOOK_SECRET = 'whsec_bench_3333';
const FUNCTIONS_ENV = {
  BENCH_TEST_KEY: KEYS.test,
  BENCH_LIVE_KEY: KEYS.live,
  BENCH_WEBHOOK_SECRET: WEBHOOK_SECRET,
  STRIPE_API_BASE: `http://127.0.0.1:${FAKE_PORT}`,
};
export const APP = 'stripe_main';
export const ACCOUNT = 'acct_bench';

/** What a part works with. */
export interface Bench {
  sql: Sql;
  /** A superuser, for checkpoints, statistics and server parameters. */
  admin: Sql;
  url: string;
  connect(): Promise<Sql>;
  /** Starts the provider of the part; it stops when the part ends. */
  startFake(options: FakeStripeOptions & { live?: boolean }): Promise<FakeStripe>;
  /** Inserts the app, pinned to the fake's account. */
  addApp(options?: { live?: boolean; config?: Record<string, unknown> }): Promise<void>;
  /** Starts a job and waits for its end; gives its row, and its seconds by the database's clock. */
  sync(mode: string, resources?: string[]): Promise<{ seconds: number; pages: number }>;
}

let started: Promise<StackEnv> | undefined;

/**
 * Runs one part on an empty database.
 * @param options.workers whether cron and pg_net run; without them only the part itself writes
 */
export async function withBench<T>(
  options: { workers: boolean; keepData?: boolean },
  run: (bench: Bench) => Promise<T>,
): Promise<T> {
  started ??= restart(instance, 'functions', FUNCTIONS_ENV);
  await started;
  if (!options.workers) await stop(instance, 'workers');
  if (!options.keepData) await reset(instance);
  const env = options.workers ? await up(instance, FUNCTIONS_ENV) : await started;
  const open: Sql[] = [];
  const connect = async (url = env.SUPASAASY_DATABASE_URL) => {
    const sql = postgres(url, { max: 1, onnotice: () => {}, connect_timeout: 5 });
    open.push(sql);
    await sql`select 1`;
    return sql;
  };
  const sql = await connect();
  const admin = await connect(superuserUrl(env, instance));
  const fakes: FakeStripe[] = [];
  try {
    return await run({
      sql,
      admin,
      url: env.SUPABASE_URL,
      connect: () => connect(),
      async startFake({ live = false, ...options }) {
        const account = { id: ACCOUNT, livemode: live, apiKeys: [live ? KEYS.live : KEYS.test] };
        const fake = await startFakeStripe({
          port: FAKE_PORT,
          seed: 42,
          eventLagSeconds: 0,
          nestedPrices: 'frozen',
          ...options,
          accounts: [{ ...account, ...(options.data && { data: options.data }) }],
        });
        fakes.push(fake);
        return fake;
      },
      addApp: ({ live = false, config = {} } = {}) => addApp(sql, live, config),
      sync: (mode, resources) => sync(sql, mode, resources),
    });
  } finally {
    await Promise.all(open.map((connection) => connection.end({ timeout: 1 })));
    await Promise.all(fakes.map((fake) => fake.stop()));
  }
}

async function addApp(sql: Sql, live: boolean, config: Record<string, unknown>): Promise<void> {
  const whole = {
    api_key_env: live ? 'BENCH_LIVE_KEY' : 'BENCH_TEST_KEY',
    webhook_secret_env: 'BENCH_WEBHOOK_SECRET',
    ...config,
  };
  await sql`
    insert into supasaasy.apps (app_key, connector, config, account_id, livemode)
    values (${APP}, 'stripe', ${sql.json(whole as never)}, ${ACCOUNT}, ${live})`;
}

async function sync(
  sql: Sql,
  mode: string,
  resources?: string[],
): Promise<{ seconds: number; pages: number }> {
  const [row] = await sql`select supasaasy.sync(${APP}, ${mode}, ${resources ?? null}) as id`;
  for (;;) {
    const [job] = await sql`
      select status, error_message, pages::int,
        extract(epoch from completed_at - created_at)::float8 as seconds
      from supasaasy.job_status(${row?.id})`;
    if (job?.status === 'completed') return { seconds: job.seconds, pages: job.pages };
    if (!['pending', 'running'].includes(job?.status)) {
      throw new Error(`the ${mode} sync is ${job?.status}: ${job?.error_message}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

export const sleep = (seconds: number): Promise<void> =>
  new Promise((resolve) => setTimeout(resolve, seconds * 1000));

/** Leaves nothing to vacuum, and every page of the next seconds written whole already. */
export async function settle(admin: Sql): Promise<void> {
  await admin`vacuum analyze`;
  // The statistics that this has replaced are dead rows too.
  await admin`vacuum`;
  await admin`checkpoint`;
  await sleep(8);
}

/** Stops the instance, and gives its disk space back. */
export async function close(): Promise<void> {
  if (!started) return;
  await stop(instance, 'workers');
  await reset(instance);
  await down(instance);
}

/** One line about the machine and the server. */
export async function describeServer(): Promise<string> {
  return await withBench({ workers: false, keepData: true }, async ({ sql }) => {
    const [row] = await sql`
      select current_setting('server_version') as version,
        current_setting('shared_buffers') as buffers`;
    const { total } = Deno.systemMemoryInfo();
    return `${navigator.hardwareConcurrency} cores, ${
      Math.round(total / 2 ** 30)
    } GB, PostgreSQL ` +
      `${row?.version} with shared_buffers ${row?.buffers}, Deno ${Deno.version.deno}`;
  });
}

/** WAL bytes written so far, by everybody. */
export async function walBytes(sql: Sql): Promise<number> {
  const [row] = await sql`select pg_current_wal_insert_lsn() - '0/0' as bytes`;
  return Number(row?.bytes);
}

export type CpuSeconds = Record<'postgres' | 'gateway' | 'functions' | 'workers' | 'fake', number>;

/** Processor seconds used so far by each part of the stack; the fake lives in this process. */
export async function cpuSeconds(): Promise<CpuSeconds> {
  const of = async (name: string) => ticksOf(await running(instance, name), name === 'postgres');
  return {
    postgres: await of('postgres'),
    gateway: await of('gateway'),
    functions: await of('functions'),
    workers: await of('workers'),
    fake: ticksOf(Deno.pid, false),
  };
}

/** What was used between two readings, in milliseconds for each of `count`. */
export function cpuEach(before: CpuSeconds, after: CpuSeconds, count: number): CpuSeconds {
  const names = Object.keys(before) as (keyof CpuSeconds)[];
  return Object.fromEntries(
    names.map((name) => [name, (after[name] - before[name]) * 1000 / count]),
  ) as CpuSeconds;
}

/** Fields of proc(5): 4 is the parent, 14 to 17 the ticks of a process and of its dead children. */
function statOf(pid: number | string): string[] | undefined {
  try {
    const text = Deno.readTextFileSync(`/proc/${pid}/stat`);
    return text.slice(text.lastIndexOf(')') + 2).split(' ');
  } catch {
    return undefined;
  }
}

function ticksOf(pid: number | undefined, withChildren: boolean): number {
  if (pid === undefined) return 0;
  const sum = (stat: string[] | undefined, from: number, to: number) =>
    (stat ?? []).slice(from, to).reduce((total, field) => total + Number(field), 0);
  let ticks = sum(statOf(pid), 11, withChildren ? 15 : 13);
  if (withChildren) {
    for (const entry of Deno.readDirSync('/proc')) {
      const stat = /^\d+$/.test(entry.name) ? statOf(entry.name) : undefined;
      if (stat?.[1] === String(pid)) ticks += sum(stat, 11, 13);
    }
  }
  return ticks / 100;
}
