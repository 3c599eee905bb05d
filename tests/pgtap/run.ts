// Owns running the database tests: the fixtures, then every file in a connection of its own, its
// results as TAP. The same files run under pg_prove.
//
//   deno run -A tests/pgtap/run.ts [path part...]      on the test stack, started if need be

import postgres from 'postgres';
import { currentInstance } from '../../supabase/local/instance.ts';
import { up } from '../../supabase/local/stack.ts';
import { findFiles } from '../../supabase/files.ts';

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
const setup = postgres(url, { max: 1, onnotice: () => {} });
await setup.unsafe(await Deno.readTextFile(new URL('fixtures.sql', import.meta.url)));
await setup.end();

let count = 0;
const report = (ok: boolean, name: string) => {
  count += 1;
  console.log(`${ok ? 'ok' : 'not ok'} ${count} - ${name}`);
};

console.log('TAP version 13');
for (const path of findFiles(root, 'tests/pgtap', '.sql')) {
  if (path.endsWith('fixtures.sql')) continue;
  if (Deno.args.length && !Deno.args.some((part) => path.includes(part))) continue;
  console.log(`# ${path}`);
  try {
    const lines = await linesOf(url, await Deno.readTextFile(new URL(path, root)));
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
