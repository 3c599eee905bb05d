// Owns the workers of the stand-in extensions: the sender of pg_net and the scheduler of pg_cron.
// Each runs only where its extension is a stand-in, and never beside a real one.

import postgres from 'postgres';
import { currentInstance, isOwnUrl, readEnv, superuserUrl } from './instance.ts';
import { runCron } from './workers_cron.ts';
import { runNet } from './workers_net.ts';

const instance = currentInstance();
const env = await readEnv(instance);
if (!env) throw new Error(`the stack "${instance.name}" has no env file: run make up`);
const url = isOwnUrl(env, instance) ? superuserUrl(env, instance) : env.SUPASAASY_DATABASE_URL;

/** Which of the extensions in the database are ours: their comment says so. */
async function standIns(sql: postgres.Sql): Promise<string[]> {
  const rows = await sql`
    select e.extname
    from pg_catalog.pg_extension e
    where obj_description(e.oid, 'pg_extension') like 'SupaSaaSy stand-in:%'`;
  return rows.map((row) => row.extname);
}

const works: Record<string, (sql: postgres.Sql) => Promise<void>> = {
  pg_net: runNet,
  pg_cron: runCron,
};

/** Keeps one worker going: it begins anew when its extension or the database comes back. */
async function keep(extension: string): Promise<never> {
  const work = works[extension]!;
  for (;;) {
    const sql = postgres(url, {
      max: 4,
      connect_timeout: 5,
      onnotice: () => {},
      connection: { application_name: `supasaasy-${extension}` },
    });
    try {
      if ((await standIns(sql)).includes(extension)) await work(sql);
    } catch (error) {
      console.error(`${extension}: ${error instanceof Error ? error.message : error}`);
    }
    await sql.end({ timeout: 1 }).catch(() => {});
    await new Promise((resolve) => setTimeout(resolve, 500));
  }
}

await Promise.all(Object.keys(works).map(keep));
