// Owns running syncs in this process: the schema of this tree under a name of its own, the real page
// handler, and RPCs straight to Postgres. No function server is needed, so that a new connector is tried
// before anything is deployed.

import assert from 'node:assert/strict';
import postgres, { type Sql } from 'postgres';
import type { Connector } from '../../connectors/connector.ts';
import type { Rpc } from '../../functions/_shared/rpc.ts';
import { RpcError } from '../../functions/_shared/rpc.ts';
import type { Start } from '../../functions/_shared/work.ts';
import { runPage } from '../../functions/fetch-page/handler.ts';
import { buildMigration } from '../../supabase/build.ts';
import { currentInstance } from '../../supabase/local/instance.ts';
import { up } from '../../supabase/local/stack.ts';

/** The schema that the suite installs, and removes at its end. */
export const SCHEMA = Deno.env.get('CONFORMANCE_SCHEMA') ?? 'conformance';

const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

/** Installs the schema; gives a connection to its database. */
export async function install(): Promise<Sql> {
  const env = await up(currentInstance(Deno.env.get('SUPASAASY_STACK') ?? 'test'));
  const sql = postgres(env.SUPASAASY_DATABASE_URL, { max: 4, onnotice: () => {} });
  await remove(sql);
  await sql.unsafe(buildMigration(SCHEMA)).simple();
  for (
    const [name, value] of [
      ['functions_url', 'http://127.0.0.1:9/functions/v1'],
      ['rate_headroom', '10'],
      ['backoff_base', '50 milliseconds'],
      ['breaker_wait', '200 milliseconds'],
      ['lease', '5 seconds'],
      ['start_token_ttl', '60 seconds'],
    ] as const
  ) await sql.unsafe(`select ${SCHEMA}.set_setting($1, $2)`, [name, value]);
  return sql;
}

/** Removes the schema and its cron jobs. */
export async function remove(sql: Sql): Promise<void> {
  await sql`
    select cron.unschedule(jobid) from cron.job where starts_with(jobname, ${SCHEMA + '-'})`;
  for (let attempt = 1;; attempt += 1) {
    try {
      await sql.unsafe(`drop schema if exists ${SCHEMA} cascade`);
      return;
    } catch (error) {
      // A tick may be under way.
      if (attempt === 5) throw error;
      await pause(200);
    }
  }
}

/** RPCs as PostgREST makes them: named arguments as JSON, converted by the function's own types. */
export function createRpc(sql: Sql): Rpc {
  return async (name, args) => {
    const given = Object.keys(args);
    const [row] = await sql`
      select string_agg(format('%I %s', n.name, format_type(t.type, null)), ', ') as columns
      from pg_proc p,
        unnest(p.proargnames) with ordinality as n (name, position)
        join unnest(p.proargtypes::oid[]) with ordinality as t (type, position) using (position)
      where p.pronamespace = ${SCHEMA}::regnamespace and p.proname = ${name}
        and n.name = any (${given})`;
    const list = given.map((key) => `${key} := a.${key}`).join(', ');
    try {
      const [result] = await sql.unsafe(
        `select to_jsonb(${SCHEMA}.${name}(${list})) as value
         from jsonb_to_record($1::text::jsonb) as a (${row?.columns})`,
        [JSON.stringify(args)],
      );
      return result?.value;
    } catch (error) {
      if (error instanceof postgres.PostgresError) throw new RpcError(error.code, error.message);
      throw error;
    }
  };
}

/** One app in a schema of its own, and what works for it. */
export interface Engine {
  sql: Sql;
  rpc: Rpc;
  app: string;
  /** Queues a sync and works until it has ended; gives its row of job_status. */
  sync(mode: string, resources?: string[]): Promise<Record<string, unknown>>;
  /** Works until nothing is left to do. */
  settle(): Promise<void>;
  /** The objects of a resource here, by id. */
  mirror(resource: string): Promise<Map<string, unknown>>;
}

/** Works for an app with a connector, in place of the deployed functions. */
export function createEngine(
  sql: Sql,
  app: string,
  connector: Connector,
  env: Record<string, string>,
): Engine {
  const rpc = createRpc(sql);
  const queue: Start[] = [];
  const deps = {
    rpc,
    connectors: { [connector.name]: connector },
    env: (name: string) => env[name],
    relay: (start: Start) => {
      queue.push(start);
      return Promise.resolve(true);
    },
    waitUntil: () => {},
    sleep: pause,
    log: () => {},
  };

  /** Runs what was started; false when nothing was. */
  async function work(): Promise<boolean> {
    const leased = await sql.unsafe<{ task_id: string; token: string }[]>(
      `select id as task_id, start_token as token from ${SCHEMA}.sync_tasks
       where app_key = $1 and start_token is not null`,
      [app],
    );
    queue.push(...leased.map((row) => ({ task_id: Number(row.task_id), token: row.token })));
    if (queue.length === 0) return false;
    for (let start = queue.shift(); start; start = queue.shift()) {
      await runPage(start, deps).catch(() => {});
    }
    return true;
  }

  async function until(done: () => Promise<boolean>): Promise<void> {
    const end = Date.now() + 60_000;
    while (!(await done())) {
      assert.ok(Date.now() < end, 'it does not come to an end');
      await sql.unsafe(`select ${SCHEMA}.start_work()`);
      if (!(await work())) await pause(30);
    }
  }

  return {
    sql,
    rpc,
    app,
    async sync(mode, resources) {
      const id = await rpc('sync', {
        p_app_key: app,
        p_mode: mode,
        p_resources: resources ?? null,
      });
      const read = async () => {
        const rows = await sql.unsafe(`select * from ${SCHEMA}.job_status($1)`, [id as number]);
        return rows[0] as Record<string, unknown>;
      };
      await until(async () => (await read()).completed_at !== null);
      return await read();
    },
    async settle() {
      await until(async () => {
        const [row] = await sql.unsafe(
          `select count(*)::int as n from ${SCHEMA}.sync_tasks
           where app_key = $1 and state in ('pending', 'waiting', 'leased')`,
          [app],
        );
        return row?.n === 0;
      });
    },
    async mirror(resource) {
      const rows = await sql.unsafe(
        `select external_id, raw_payload from ${SCHEMA}.entities
         where app_key = $1 and collection_key = $2`,
        [app, `${connector.name}_${resource}`],
      );
      return new Map(rows.map((row) => [row.external_id, row.raw_payload]));
    },
  };
}
