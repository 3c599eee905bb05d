// Owns what an end-to-end test stands on: the test stack, a fake Stripe at a fixed port, an empty
// schema with one app, and the comparison of Postgres with the provider.

import assert from 'node:assert/strict';
import postgres, { type Sql } from 'postgres';
import { currentInstance } from '../../supabase/local/instance.ts';
import { kill, PROCESSES, type ProcessName, restart, up } from '../../supabase/local/stack.ts';
import { logFile, running } from '../../supabase/local/processes.ts';
import {
  type FakeIntercom,
  type FakeIntercomOptions,
  startFakeIntercom,
} from '../fakes/intercom/server.ts';
import {
  type FakeStripe,
  type FakeStripeOptions,
  startFakeStripe,
} from '../fakes/stripe/server.ts';

/** The synced collections of Intercom, without the connector's name. */
export const INTERCOM_COLLECTIONS = [
  'admin',
  'team',
  'tag',
  'company',
  'contact',
  'conversation',
  'conversation_part',
] as const;

/** The synced collections of Stripe, without the connector's name. */
export const COLLECTIONS = [
  'customer',
  'product',
  'price',
  'plan',
  'subscription',
  'subscription_item',
] as const;

const instance = currentInstance(Deno.env.get('SUPASAASY_STACK') ?? 'test');
const FAKE_PORT = instance.ports.gateway + 7;
const INTERCOM_PORT = instance.ports.gateway + 6;
const KEYS = {
  STRIPE_API_KEY: 'sk_test_e2e_main_1111',
  STRIPE_OTHER_KEY: 'sk_test_e2e_other_2222',
  STRIPE_WRONG_KEY: 'sk_test_e2e_wrong_3333',
  STRIPE_RESTRICTED_KEY: 'rk_test_e2e_restricted_4444',
  STRIPE_WEBHOOK_SECRET: 'whsec_e2e_now_5555 whsec_e2e_before_6666',
  INTERCOM_TOKEN: 'intercom_e2e_main_7777',
  INTERCOM_OTHER_TOKEN: 'intercom_e2e_other_8888',
  INTERCOM_CLIENT_SECRET: 'client_secret_e2e_9999',
};
/** The webhook secrets that are valid: the one in use, and the one before it. */
export const WEBHOOK_SECRETS = KEYS.STRIPE_WEBHOOK_SECRET.split(' ') as [string, string];
const FUNCTIONS_ENV = {
  ...KEYS,
  SYNC_WAIT_SECONDS: '20',
  INTERCOM_API_BASE: `http://127.0.0.1:${INTERCOM_PORT}`,
  STRIPE_API_BASE: `http://127.0.0.1:${FAKE_PORT}`,
};

/** What `job_status` gives; bigints are texts. */
export interface JobStatus extends Record<string, unknown> {
  job_id: string;
  status: string;
  pages: number;
  inserted: number;
  updated: number;
  unchanged: number;
  deleted: number;
  error_message: string | null;
}

/** What a scenario works with. */
export interface World {
  sql: Sql;
  fake: FakeStripe;
  /** The Intercom of a scenario that asked for one. */
  intercom: FakeIntercom;
  /** The app that is there: stripe_main. */
  app: string;
  /** The environment of the stack and of its functions. */
  env: Record<string, string>;
  /** Another connection, closed at the end. */
  connect(): Promise<Sql>;
  /** Starts a sync; gives the job's id. */
  start(app: string, mode?: string, resources?: string[]): Promise<number>;
  /** Waits until a job has ended. */
  finished(job: number): Promise<JobStatus>;
  /** Starts a sync and waits for its end. */
  sync(app: string, mode?: string, resources?: string[]): Promise<JobStatus>;
  /** Rows per collection. */
  counts(): Promise<Record<string, number>>;
  /** Fails unless Postgres holds exactly what the provider does, archived states included. */
  assertEqual(fake: FakeStripe): Promise<void>;
  kill(name: ProcessName): Promise<void>;
  up(): Promise<void>;
  /** The process id of a part of the stack. */
  pidOf(name: ProcessName): Promise<number | undefined>;
  /** Where the provider sends the app's webhooks. */
  webhookUrl: string;
  /** The text of every log of the stack. */
  stackLogs(): Promise<string>;
}

/** How a scenario's world differs from a small, healthy account. */
export interface Options {
  data?: FakeStripeOptions['data'];
  latencyMs?: number;
  /** How late the provider's event list shows an event, at most; 0 by default. */
  eventLagSeconds?: number;
  /** Whether the provider refuses what is above its documented limits; it does not by default. */
  rateLimit?: boolean;
  /** Starts a fake Intercom of two workspaces too; the apps are the test's to insert. */
  intercom?: FakeIntercomOptions;
  /** How many accounts the provider has; the second one's key is STRIPE_OTHER_KEY. */
  accounts?: 1 | 2;
  /** False: no function is ever started, the test itself calls what they would. */
  functions?: boolean;
}

const SMALL = { customers: 250, subscriptions: 200, products: 12 };

/** One test in a world of its own. */
export function scenario(
  name: string,
  options: Options,
  run: (world: World) => Promise<void>,
): void {
  Deno.test({
    name,
    sanitizeOps: false,
    sanitizeResources: false,
    fn: () => inWorld(options, run),
  });
}

let started: Promise<unknown> | undefined;

async function inWorld(options: Options, run: (world: World) => Promise<void>): Promise<void> {
  started ??= restart(instance, 'functions', FUNCTIONS_ENV);
  await started;
  const stackEnv = await up(instance, FUNCTIONS_ENV);
  const data = { ...SMALL, ...options.data };
  const fake = await startFakeStripe({
    port: FAKE_PORT,
    seed: 42,
    latencyMs: options.latencyMs ?? 0,
    rateLimit: options.rateLimit ?? false,
    eventLagSeconds: options.eventLagSeconds ?? 0,
    nestedPrices: 'frozen',
    accounts: [
      {
        id: 'acct_main',
        data,
        apiKeys: [
          KEYS.STRIPE_API_KEY,
          {
            key: KEYS.STRIPE_RESTRICTED_KEY,
            permissions: { account: 'read', customer: 'read', plan: 'read', subscription: 'read' },
          },
        ],
      },
      ...(options.accounts === 2
        ? [{ id: 'acct_other', data: SMALL, apiKeys: [KEYS.STRIPE_OTHER_KEY] }]
        : []),
    ],
  });
  const intercom = options.intercom && await startFakeIntercom({
    port: INTERCOM_PORT,
    seed: 42,
    rateLimit: false,
    ...options.intercom,
    accounts: [
      { id: 'workspace_main', tokens: [KEYS.INTERCOM_TOKEN] },
      { id: 'workspace_other', tokens: [KEYS.INTERCOM_OTHER_TOKEN], seed: 43 },
    ],
  });
  const open: Sql[] = [];
  const connect = async () => {
    const sql = postgres(stackEnv.SUPASAASY_DATABASE_URL, {
      max: 1,
      onnotice: () => {},
      connect_timeout: 5,
    });
    open.push(sql);
    await sql`select 1`;
    return sql;
  };
  const sql = await connect();
  try {
    await clean(sql, stackEnv.SUPABASE_URL);
    if (options.functions === false) {
      await sql`select supasaasy.set_setting('functions_url', 'http://127.0.0.1:9/nothing')`;
      // The heartbeat would claim what the test is about: hold its lock until the end.
      await sql`select pg_advisory_lock(7308)`;
    }
    await sql`
      insert into supasaasy.apps (app_key, connector, config)
      values ('stripe_main', 'stripe',
        '{"api_key_env": "STRIPE_API_KEY", "webhook_secret_env": "STRIPE_WEBHOOK_SECRET"}')`;
    await run(createWorld(sql, fake, intercom, { ...stackEnv, ...KEYS }, connect));
  } catch (error) {
    console.log(await report(sql).catch(String));
    throw error;
  } finally {
    await clean(sql, stackEnv.SUPABASE_URL).catch(() => {});
    await Promise.all(open.map((connection) => connection.end({ timeout: 1 })));
    await fake.stop();
    await intercom?.stop();
  }
}

/** An empty schema with leases and waits short enough for a test, and no limit but the fake's. */
async function clean(sql: Sql, gateway: string): Promise<void> {
  const tables = await sql`
    select c.oid::regclass::text as name from pg_class c
    where c.relkind = 'r' and (
      c.relnamespace = 'supasaasy'::regnamespace
        and c.relname not in ('settings', 'connectors', 'resources')
      or c.oid in ('net.http_request_queue'::regclass, 'net._http_response'::regclass)
    )`;
  await sql.unsafe(`truncate ${tables.map((table) => table.name).join(', ')}`);
  await sql`update supasaasy.settings set value = null where value is not null`;
  await sql`delete from vault.secrets where name like 'supasaasy/%'`;
  await sql`
    select cron.unschedule(jobid) from cron.job where jobname like 'supasaasy-schedule-%'`;
  for (
    const [name, value] of [
      ['breaker_wait', '200 milliseconds'],
      ['functions_url', `${gateway}/functions/v1`],
      ['lease', '6 seconds'],
      ['start_token_ttl', '6 seconds'],
      ['backoff_base', '100 milliseconds'],
      ['rate_headroom', '10'],
    ] as const
  ) await sql`select supasaasy.set_setting(${name}, ${value})`;
}

/** What a failed test needs to be understood. */
async function report(sql: Sql): Promise<string> {
  const jobs = await sql`select id, status, error_message from supasaasy.sync_jobs order by id`;
  const tasks = await sql`
    select collection_key, kind, state, count(*)::int as tasks, max(attempts) as attempts,
      max(error_message) as error
    from supasaasy.sync_tasks group by 1, 2, 3 order by 1, 2, 3`;
  return JSON.stringify({ jobs, tasks }, null, 1);
}

function createWorld(
  sql: Sql,
  fake: FakeStripe,
  intercom: FakeIntercom | undefined,
  env: Record<string, string>,
  connect: () => Promise<Sql>,
): World {
  const world: World = {
    sql,
    fake,
    intercom: intercom as FakeIntercom,
    app: 'stripe_main',
    env,
    connect,
    async start(app, mode = 'incremental', resources) {
      const [row] = await sql`
        select supasaasy.sync(${app}, ${mode}, ${resources ?? null}) as id`;
      return Number(row?.id);
    },
    async finished(job) {
      const end = Date.now() + 90_000;
      for (;;) {
        // A database that was killed comes back: ask again.
        const rows = await sql<JobStatus[]>`
          select *, inserted::int, updated::int, unchanged::int, deleted::int, pages::int
          from supasaasy.job_status(${job})`.catch(() => []);
        const status = rows[0];
        if (status && !['pending', 'running'].includes(status.status)) return status;
        assert.ok(Date.now() < end, `job ${job} does not end: ${JSON.stringify(status)}`);
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
    },
    async sync(app, mode, resources) {
      return await world.finished(await world.start(app, mode, resources));
    },
    async counts() {
      const rows = await sql`
        select collection_key, count(*)::int as n from supasaasy.entities group by 1`;
      return Object.fromEntries(rows.map((row) => [row.collection_key, row.n]));
    },
    async assertEqual(fake) {
      for (const collection of COLLECTIONS) await assertCollection(sql, fake, collection);
    },
    async kill(name) {
      await kill(instance, name);
    },
    async up() {
      await up(instance, FUNCTIONS_ENV);
    },
    pidOf: (name) => running(instance, name),
    webhookUrl: `${env.SUPABASE_URL}/functions/v1/webhook/stripe_main`,
    async stackLogs() {
      const texts = PROCESSES.map((name) =>
        Deno.readTextFile(logFile(instance, name)).catch(() => '')
      );
      return (await Promise.all(texts)).join('\n');
    },
  };
  return world;
}

async function assertCollection(
  sql: Sql,
  fake: FakeStripe,
  collection: (typeof COLLECTIONS)[number],
): Promise<void> {
  const expected = fake.state.snapshot(collection);
  const rows = await sql`
    select external_id, raw_payload, archived_at
    from supasaasy.entities
    where app_key = 'stripe_main' and collection_key = ${`stripe_${collection}`}`;
  const found = new Map(rows.map((row) => [row.external_id as string, row]));
  const missing = [...expected.keys()].filter((id) => !found.has(id));
  const extra = [...found.keys()].filter((id) => !expected.has(id));
  assert.deepEqual({ missing, extra }, { missing: [], extra: [] }, collection);
  for (const [id, object] of expected) {
    const row = found.get(id);
    const plain = JSON.parse(JSON.stringify(object));
    assert.deepEqual(row?.raw_payload, plain, `${collection} ${id}`);
    const archived = plain.active === false ||
      ['canceled', 'incomplete_expired'].includes(plain.status as string);
    assert.equal(row?.archived_at !== null, archived, `${collection} ${id} archived`);
    if (collection === 'subscription' && archived && plain.ended_at) {
      assert.equal(row?.archived_at.getTime(), Number(plain.ended_at) * 1000, `${id} archived at`);
    }
  }
  const both = await sql`
    select t.external_id from supasaasy.tombstones t
    join supasaasy.entities e using (app_key, collection_key, external_id)`;
  assert.deepEqual([...both], [], 'a row is both alive and buried');
}

/** Fails unless Postgres holds exactly what a workspace of Intercom shows. */
export async function assertIntercomEqual(
  sql: Sql,
  state: FakeIntercom['state'],
  app = 'intercom_main',
): Promise<void> {
  for (const collection of INTERCOM_COLLECTIONS) {
    const expected = state.snapshot(collection);
    const rows = await sql`
      select external_id, raw_payload from supasaasy.entities
      where app_key = ${app} and collection_key = ${`intercom_${collection}`}`;
    const found = new Map(rows.map((row) => [row.external_id as string, row.raw_payload]));
    assert.deepEqual(
      {
        missing: [...expected.keys()].filter((id) => !found.has(id)),
        extra: [...found.keys()].filter((id) => !expected.has(id)),
      },
      { missing: [], extra: [] },
      collection,
    );
    for (const [id, object] of expected) {
      assert.deepEqual(found.get(id), JSON.parse(JSON.stringify(object)), `${collection} ${id}`);
    }
  }
}

/** Waits until no doubt is left: every revalidation has been fetched. */
export async function quiet(sql: Sql): Promise<void> {
  for (let tries = 0; tries < 600; tries += 1) {
    const [row] = await sql`
      select count(*)::int as n from supasaasy.sync_tasks
      where state in ('pending', 'waiting', 'leased')`.catch(() => [undefined]);
    if (row?.n === 0) return;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  assert.fail('it does not come to rest');
}
