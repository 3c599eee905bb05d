// Owns `make db`: psql where there is one, else a small shell that reads statements up to their
// semicolon and prints what they return.

import process from 'node:process';
import { createInterface } from 'node:readline';
import postgres from 'postgres';
import { currentInstance, readEnv } from './instance.ts';

const instance = currentInstance();
const env = await readEnv(instance);
if (!env) {
  console.error(`the stack "${instance.name}" was never started: run make up`);
  Deno.exit(1);
}

/** Hands the terminal to psql; false when there is none. */
async function psql(url: string): Promise<boolean> {
  try {
    const child = new Deno.Command('psql', { args: [url] }).spawn();
    Deno.addSignalListener('SIGINT', () => {});
    await child.status;
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

async function shell(url: string): Promise<void> {
  const sql = postgres(url, { max: 1, onnotice: (notice) => console.log(notice.message) });
  const terminal = createInterface({ input: process.stdin, output: process.stdout });
  terminal.setPrompt('supasaasy=> ');
  terminal.prompt();
  let statement = '';
  for await (const line of terminal) {
    statement += `${line}\n`;
    if (/;\s*$/.test(statement)) {
      try {
        const rows = await sql.unsafe(statement);
        if (rows.length) console.table([...rows]);
        console.log(`${rows.command ?? 'ok'} ${rows.count ?? ''}`);
      } catch (error) {
        console.log(error instanceof Error ? error.message : error);
      }
      statement = '';
    }
    terminal.setPrompt(statement.trim() ? 'supasaasy-> ' : 'supasaasy=> ');
    terminal.prompt();
  }
  await sql.end();
}

if (!await psql(env.SUPASAASY_DATABASE_URL)) await shell(env.SUPASAASY_DATABASE_URL);
