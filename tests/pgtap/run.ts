// Owns running the database tests: the fixtures, then every file in a connection of its own, its
// results as TAP. The same files run under pg_prove.
//
//   deno run -A tests/pgtap/run.ts [path part...]      on the test stack, started if need be
//   deno run -A tests/pgtap/run.ts --schema crm        the same for a schema of another name, installed
//                                                      beside the first for as long as it takes

import postgres from 'postgres';
import { currentInstance } from '../../supabase/local/instance.ts';
import { up } from '../../supabase/local/stack.ts';
import { buildMigration, renameSchema } from '../../supabase/build.ts';
import { findFiles } from '../../supabase/files.ts';
import { SCHEMA } from '../../functions/_shared/schema.ts';

const root = new URL('../../', import.meta.url);

/** The lines of TAP that a file's statements return. */
async function linesOf(url: string, text: string): Promise<string[]> {
  const sql = postgres(url, {
    max: 1,
    onnotice: () => {},
    connection: { client_min_messages: 'warning' },
  });
  try {
    const results = await sql.unsafe(text).simple() as unknown as unknown[][];
    return results.flat().flatMap((row) =>
      Object.values(row as Record<string, unknown>).flatMap((value) => String(value).split('\n'))
    ).filter((line) => /^(ok|not ok|#|1\.\.\d+|Bail out!)/.test(line));
  } finally {
    await sql.end({ timeout: 1 });
  }
}

const env = await up(currentInstance(Deno.env.get('SUPASAASY_STACK') ?? 'test'));
const url = env.SUPASAASY_DATABASE_URL;
const at = Deno.args.indexOf('--schema');
const schema = at < 0 ? SCHEMA : Deno.args[at + 1]!;
const parts = Deno.args.filter((_, index) => at < 0 || index < at || index > at + 1);
const setup = postgres(url, { max: 1, onnotice: () => {} });
const remove = async () => {
  await setup.unsafe(`drop schema if exists ${schema} cascade`);
  await setup`select cron.unschedule(jobid) from cron.job where starts_with(jobname, ${
    schema + '-'
  })`;
};
if (schema !== SCHEMA) {
  await remove();
  await setup.unsafe(buildMigration(schema)).simple();
}
const textOf = async (path: string) =>
  renameSchema(await Deno.readTextFile(new URL(path, root)), schema);
await setup.unsafe(await textOf('tests/pgtap/fixtures.sql'));

let count = 0;
const report = (ok: boolean, name: string) => {
  count += 1;
  console.log(`${ok ? 'ok' : 'not ok'} ${count} - ${name}`);
};

console.log('TAP version 13');
for (const path of findFiles(root, 'tests/pgtap', '.sql')) {
  if (path.endsWith('fixtures.sql')) continue;
  if (parts.length && !parts.some((part) => path.includes(part))) continue;
  console.log(`# ${path}`);
  try {
    const lines = await linesOf(url, await textOf(path));
    const planned = Number(
      /^1\.\.(\d+)/.exec(lines.find((line) => line.startsWith('1..')) ?? '')?.[1],
    );
    const results = lines.filter((line) => /^(not )?ok/.test(line));
    for (const line of lines) {
      const result = /^(not )?ok \d+(?: - )?(.*)$/.exec(line);
      if (result) report(!result[1], result[2] ?? '');
      else if (line.startsWith('#')) console.log(line);
    }
    if (!(planned === results.length)) {
      report(false, `${path} planned ${planned} tests and ran ${results.length}`);
    }
  } catch (error) {
    report(false, `${path} raised: ${error instanceof Error ? error.message : error}`);
  }
}
console.log(`1..${count}`);
if (schema !== SCHEMA) await remove();
await setup.end();
