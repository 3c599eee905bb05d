// Owns the command line of the local stack, and what up, down and reset mean.
//
//   deno run -A supabase/local/stack.ts up | down [--all] | reset | restart <process> | status | env
//   deno run -A supabase/local/stack.ts extensions --share <folder> [name...]
//   deno run -A supabase/local/stack.ts bootstrap --superuser <url>

import { isDeepStrictEqual } from 'node:util';
import postgres from 'postgres';
import { z } from 'zod';
import {
  currentInstance,
  gatewayUrl,
  type Instance,
  isOwnUrl,
  makeEnv,
  readEnv,
  root,
  type StackEnv,
  writeEnv,
} from './instance.ts';
import { assertFree, logFile, running, start, stop, until } from './processes.ts';
import { copyExtensions, setAuthenticatorPassword, stackIdOf, startServer } from './server.ts';

/** A hosted worker has 256 MB: what would not fit there must not fit here either. */
const HOSTED_HEAP = '--v8-flags=--max-old-space-size=128';

/** The processes of a stack, in the order in which they start. */
export const PROCESSES = ['postgres', 'gateway', 'functions', 'workers'] as const;
export type ProcessName = (typeof PROCESSES)[number];

const cli = new URL('node_modules/.bin/supabase', root).pathname;
const rootDir = root.pathname.replace(/\/$/, '');

/** The environment for children: never a DATABASE_URL that is not ours. */
function childEnv(instance: Instance, extra: Record<string, string> = {}): Record<string, string> {
  const { DATABASE_URL: _, ...env } = Deno.env.toObject();
  return {
    ...env,
    DENO_NO_PACKAGE_JSON: '1',
    SUPASAASY_STACK: instance.name,
    SUPASAASY_PORT: String(instance.ports.gateway - 1),
    ...extra,
  };
}

async function supabase(...args: string[]): Promise<void> {
  const { DATABASE_URL: _, ...env } = Deno.env.toObject();
  const { success, stdout, stderr } = await new Deno.Command(cli, {
    args: [...args, '--workdir', rootDir, '--yes'],
    env: { ...env, SUPABASE_TELEMETRY_DISABLED: '1' },
    clearEnv: true,
    stdin: 'null',
    stdout: 'piped',
    stderr: 'piped',
  }).output();
  if (!success) {
    const text = new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
    const shown = args.map((arg) => arg.replace(/:[^:@/]+@/, ':***@')).join(' ');
    throw new Error(`supabase ${shown} failed:\n${text.replace(/:[^:@/\s]+@/g, ':***@')}`);
  }
}

async function connected<T>(url: string, run: (sql: postgres.Sql) => Promise<T>): Promise<T> {
  const sql = postgres(url, { max: 1, connect_timeout: 5, onnotice: () => {} });
  try {
    return await run(sql);
  } finally {
    await sql.end({ timeout: 1 });
  }
}

async function isInstalled(url: string): Promise<boolean> {
  return await connected(url, async (sql) => {
    const [row] = await sql`select to_regnamespace('supasaasy') is not null as installed`;
    return row?.installed === true;
  });
}

/** Whether the instance itself created the server: the marker inside it is this instance's. */
export async function isOwnServer(env: StackEnv, instance: Instance): Promise<boolean> {
  if (!isOwnUrl(env, instance)) return false;
  return await connected(
    env.SUPASAASY_DATABASE_URL,
    async (sql) => await stackIdOf(sql) === env.SUPASAASY_STACK_ID,
  );
}

async function startTypeScript(
  instance: Instance,
  name: ProcessName,
  extra: Record<string, string> = {},
): Promise<void> {
  await start(instance, {
    name,
    command: [
      Deno.execPath(),
      'run',
      '-A',
      '--quiet',
      ...(name === 'functions' ? [HOSTED_HEAP] : []),
      new URL(`${name}.ts`, import.meta.url).pathname,
    ],
    env: childEnv(instance, extra),
  });
}

async function answers(url: string): Promise<void> {
  const response = await fetch(url, { signal: AbortSignal.timeout(5000) });
  await response.body?.cancel();
}

/**
 * Starts what of the stack does not run, and installs the schema where there is none. Twice is
 * harmless. What runs with another database or at other ports is stopped first. A database named by
 * SUPASAASY_DATABASE_URL is used as it is and never reset.
 * @param extra environment for the functions, beside the caller's own
 */
export async function up(
  instance: Instance,
  extra: Record<string, string> = {},
): Promise<StackEnv> {
  const old = await readEnv(instance);
  const env = await makeEnv(instance, old, Deno.env.get('SUPASAASY_DATABASE_URL'));
  if (!isDeepStrictEqual(old, env)) await stopProcesses(instance);
  await writeEnv(instance, env);

  if (isOwnUrl(env, instance)) await startServer(instance, env);
  if (!await running(instance, 'functions')) {
    await assertFree(instance.ports.functions, 'the functions process');
    await startTypeScript(instance, 'functions', extra);
  }
  if (await isOwnServer(env, instance)) {
    if (!await isInstalled(env.SUPASAASY_DATABASE_URL)) {
      await resetDatabase(env);
    }
  } else {
    await connected(env.SUPASAASY_DATABASE_URL, (sql) => setAuthenticatorPassword(sql, env));
    await supabase('db', 'push', `--remote=${env.SUPASAASY_DATABASE_URL}`);
    await connected(
      env.SUPASAASY_DATABASE_URL,
      (sql) =>
        sql`select supasaasy.set_setting('functions_url', ${`${env.SUPABASE_URL}/functions/v1`})`,
    );
  }
  if (!await running(instance, 'gateway')) {
    await assertFree(instance.ports.gateway, 'the gateway');
    await startTypeScript(instance, 'gateway');
  }
  if (!await running(instance, 'workers')) await startTypeScript(instance, 'workers');
  await until(instance, 'gateway', () => answers(`${env.SUPABASE_URL}/health`));
  await until(
    instance,
    'functions',
    () => answers(`http://127.0.0.1:${instance.ports.functions}/`),
  );
  return env;
}

async function stopProcess(instance: Instance, name: ProcessName): Promise<void> {
  // SIGINT is PostgreSQL's fast shutdown.
  await stop(instance, name, name === 'postgres' ? 'SIGINT' : 'SIGTERM');
}

async function stopProcesses(instance: Instance): Promise<void> {
  for (const name of [...PROCESSES].reverse()) await stopProcess(instance, name);
}

/** Stops every process of the instance, the database last, and the demo's provider with them. */
export async function down(instance: Instance): Promise<void> {
  await stop(instance, 'fake-stripe');
  await stopProcesses(instance);
}

/** Kills a process as a crash would. `up` starts it again. */
export async function kill(instance: Instance, name: ProcessName): Promise<void> {
  await stop(instance, name, 'SIGKILL');
}

/** Stops a process and starts it with the caller's environment. */
export async function restart(
  instance: Instance,
  name: ProcessName,
  extra: Record<string, string> = {},
): Promise<StackEnv> {
  await stopProcess(instance, name);
  return await up(instance, extra);
}

/**
 * Empties the database and installs the schema anew.
 * @throws Error for a server that this instance did not create, or that is at other ports
 */
export async function reset(instance: Instance): Promise<void> {
  const env = await readEnv(instance);
  if (env && env.SUPABASE_URL !== gatewayUrl(instance)) {
    throw new Error(
      `the stack "${instance.name}" is at ${env.SUPABASE_URL}, and SUPASAASY_PORT puts it at ` +
        `${gatewayUrl(instance)}: run make up first, which moves it`,
    );
  }
  if (!env || !await isOwnServer(env, instance)) {
    throw new Error(
      'only a server that make up created is ever reset, and this is none: migrate it with ' +
        'supabase db push',
    );
  }
  await resetDatabase(env);
}

/** A tick or a page that is under way holds locks in another order than dropping everything does. */
async function resetDatabase(env: StackEnv): Promise<void> {
  for (let attempt = 1;; attempt += 1) {
    try {
      return await supabase('db', 'reset', `--remote=${env.SUPASAASY_DATABASE_URL}`);
    } catch (error) {
      const isDeadlock = error instanceof Error && error.message.includes('40P01');
      if (!isDeadlock || attempt === 5) throw error;
    }
  }
}

/** The names of all instances that have a folder. */
async function instanceNames(): Promise<string[]> {
  const names: string[] = [];
  try {
    for await (const entry of Deno.readDir(new URL('.local/', root))) {
      if (entry.isDirectory) names.push(entry.name);
    }
  } catch {
    // Nothing was ever started.
  }
  return names;
}

async function main(args: string[]): Promise<void> {
  const [command = '', ...rest] = args;
  const instance = currentInstance();
  if (command === 'up') {
    const env = await up(instance);
    console.log(`database   ${env.SUPASAASY_DATABASE_URL.replace(/:[^:@/]+@/, ':***@')}`);
    console.log(`gateway    ${env.SUPABASE_URL}`);
    console.log(`functions  ${env.SUPABASE_URL}/functions/v1/<name>`);
    const file = instance.name === 'dev' ? '.local/env' : `.local/${instance.name}/env`;
    console.log(`keys       ${file}`);
    console.log(`logs       .local/${instance.name}/*.log`);
  } else if (command === 'down') {
    const names = rest.includes('--all') ? await instanceNames() : [instance.name];
    for (const name of names) {
      await down({ ...instance, name, dir: new URL(`.local/${name}`, root).pathname });
    }
    console.log(`stopped: ${names.join(', ') || 'nothing ran'}`);
  } else if (command === 'reset') {
    await reset(instance);
    console.log('the database is empty, and the schema installed anew');
  } else if (command === 'restart') {
    const name = z.enum(PROCESSES).parse(rest[0]);
    await restart(instance, name);
    console.log(`restarted ${name}`);
  } else if (command === 'status') {
    for (const name of PROCESSES) {
      const pid = await running(instance, name);
      console.log(
        `${name.padEnd(10)} ${pid ? `runs, pid ${pid}` : 'does not run'}  ${
          logFile(instance, name)
        }`,
      );
    }
  } else if (command === 'env') {
    console.log(await Deno.readTextFile(`${instance.dir}/env`));
  } else if (command === 'extensions' && rest[0] === '--share' && rest[1]) {
    await copyExtensions(rest[1], rest.length > 2 ? rest.slice(2) : undefined);
  } else if (command === 'bootstrap' && rest[0] === '--superuser' && rest[1]) {
    const text = await Deno.readTextFile(new URL('./bootstrap.sql', import.meta.url));
    await connected(rest[1], (sql) => sql.unsafe(text));
  } else {
    throw new Error(`unknown command "${args.join(' ')}": see the head of supabase/local/stack.ts`);
  }
}

if (import.meta.main) {
  try {
    await main(Deno.args);
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    Deno.exit(1);
  }
}
