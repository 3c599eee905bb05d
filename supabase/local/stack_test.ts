// The local stack, on instances of its own: what it starts, what it never touches, and how its
// stand-ins behave. The steps build on each other, so they are steps of a few tests.

import assert from 'node:assert/strict';
import { createClient } from '@supabase/supabase-js';
import postgres, { type Sql } from 'postgres';
import {
  currentInstance,
  type Instance,
  readEnv,
  type StackEnv,
  superuserUrl,
} from './instance.ts';
import { logFile, running, start, stop } from './processes.ts';
import { down, kill, PROCESSES, reset, restart, up } from './stack.ts';
import { nextRun } from './workers_cron.ts';

const instance = currentInstance('stacktest', '24480');
const other = currentInstance('stackother', '24500');

async function withSql<T>(url: string, run: (sql: Sql) => Promise<T>): Promise<T> {
  const sql = postgres(url, { max: 1, onnotice: () => {} });
  try {
    return await run(sql);
  } finally {
    await sql.end({ timeout: 1 });
  }
}

async function until(what: string, check: () => Promise<boolean>): Promise<void> {
  for (let tries = 0; tries < 150; tries += 1) {
    if (await check()) return;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  assert.fail(`never: ${what}`);
}

async function pids(instance: Instance): Promise<(number | undefined)[]> {
  return await Promise.all(PROCESSES.map((name) => running(instance, name)));
}

async function refusal(run: () => Promise<unknown>): Promise<string> {
  return await run().then(() => assert.fail('it was not refused'), (error) => error.message);
}

async function forget(...instances: Instance[]): Promise<void> {
  for (const instance of instances) {
    await down(instance);
    await Deno.remove(instance.dir, { recursive: true }).catch(() => {});
  }
}

/** Steps that end the test with their own error. */
function stepsOf(test: Deno.TestContext) {
  return async (name: string, run: () => Promise<void>): Promise<void> => {
    const failures: unknown[] = [];
    await test.step(name, () =>
      run().catch((error) => {
        failures.push(error);
        throw error;
      }));
    if (failures.length > 0) throw failures[0];
  };
}

function stackTest(name: string, run: (test: Deno.TestContext, env: StackEnv) => Promise<void>) {
  Deno.test({
    name,
    sanitizeOps: false,
    sanitizeResources: false,
    async fn(test) {
      await forget(instance, other);
      try {
        await run(test, await up(instance));
      } finally {
        await forget(instance, other);
      }
    },
  });
}

stackTest('a stack of its own server', async (test, env) => {
  const step = stepsOf(test);

  await step('up twice is harmless', async () => {
    const before = await pids(instance);
    await up(instance);
    assert.deepEqual(await pids(instance), before);
    assert.ok(before.every((pid) => pid !== undefined));
  });

  await step('the env file holds what a user needs, and only its owner reads it', async () => {
    const stored = await readEnv(instance);
    assert.deepEqual(stored, env);
    const info = await Deno.stat(`${instance.dir}/env`);
    assert.equal((info.mode ?? 0) & 0o777, 0o600);
  });

  await step('postgres owns the database and is no superuser, as hosted', async () => {
    await withSql(env.SUPASAASY_DATABASE_URL, async (sql) => {
      const [row] = await sql`
        select current_user as name, rolsuper as super,
          pg_get_userbyid((select datdba from pg_database where datname = current_database())) as owner
        from pg_roles where rolname = current_user`;
      assert.deepEqual({ ...row }, { name: 'postgres', super: false, owner: 'postgres' });
    });
  });

  await step('supabase db reset works twice in a row, and data of before is gone', async () => {
    for (let turn = 0; turn < 2; turn += 1) {
      await withSql(env.SUPASAASY_DATABASE_URL, (sql) => sql`create table public.old (a int)`);
      await reset(instance);
      await withSql(env.SUPASAASY_DATABASE_URL, async (sql) => {
        const [row] = await sql`
          select to_regclass('public.old') is null as gone, supasaasy.functions_url() as url`;
        assert.equal(row?.gone, true);
        assert.equal(row?.url, `${env.SUPABASE_URL}/functions/v1`, 'the seed did not override it');
      });
    }
  });

  await step('each process that is killed is started again by up', async () => {
    for (const name of PROCESSES) {
      await kill(instance, name);
      assert.equal(await running(instance, name), undefined);
      await up(instance);
      assert.ok(await running(instance, name), name);
    }
    await withSql(env.SUPASAASY_DATABASE_URL, (sql) => sql`select supasaasy.tick()`);
  });

  await step('the gateway answers as PostgREST does', () => restProtocol(env));
  await step('pg_net waits for its slowest, pauses, and records what failed', () => netRules(env));
  await step('pg_cron runs, records and stops jobs', () => cronRules(env));
  await step('Vault keeps secrets from strangers', () => vaultRules(env));

  await step('functions outlive a promise that floats', () => floatingPromise());

  await step('another SUPASAASY_PORT moves a running stack with its data', async () => {
    const moved = currentInstance(instance.name, '24490');
    await withSql(env.SUPASAASY_DATABASE_URL, (sql) => sql`create table public.moved (a int)`);
    assert.match(await refusal(() => reset(moved)), /127.0.0.1:24481.*127.0.0.1:24491.*make up/);
    Deno.env.set('SUPASAASY_DATABASE_URL', env.SUPASAASY_DATABASE_URL);
    const there = await up(moved).finally(() => Deno.env.delete('SUPASAASY_DATABASE_URL'));
    assert.equal(there.SUPABASE_URL, 'http://127.0.0.1:24491');
    for (const port of Object.values(instance.ports)) {
      Deno.listen({ hostname: '127.0.0.1', port }).close();
    }
    await withSql(there.SUPASAASY_DATABASE_URL, async (sql) => {
      const [row] = await sql`
        select to_regclass('public.moved') is not null as kept, supasaasy.functions_url() as url`;
      assert.deepEqual({ ...row }, { kept: true, url: 'http://127.0.0.1:24491/functions/v1' });
    });
    await up(moved);
    await reset(moved);
    assert.deepEqual(await up(instance), env);
  });

  await step('down leaves nothing running', async () => {
    await down(instance);
    assert.deepEqual(await pids(instance), PROCESSES.map(() => undefined));
    for (const port of Object.values(instance.ports)) {
      Deno.listen({ hostname: '127.0.0.1', port }).close();
    }
  });

  await step('a pid that somebody else has by now is left alone', async () => {
    const file = `${instance.dir}/sleeper.pid`;
    await start(instance, { name: 'sleeper', command: ['sleep', '60'], env: Deno.env.toObject() });
    assert.ok(await running(instance, 'sleeper'));
    const text = await Deno.readTextFile(file);
    // ps(1) tells seconds only.
    await new Promise((resolve) => setTimeout(resolve, 1100));
    const stranger = new Deno.Command('sleep', { args: ['60'] }).spawn();
    await Deno.writeTextFile(file, text.replace(/^\d+/, String(stranger.pid)));
    assert.equal(await running(instance, 'sleeper'), undefined);
    await stop(instance, 'sleeper', 'SIGKILL');
    stranger.kill('SIGTERM');
    assert.equal((await stranger.status).signal, 'SIGTERM');
    await Deno.writeTextFile(file, text);
    await stop(instance, 'sleeper');
    assert.equal(await running(instance, 'sleeper'), undefined);
  });

  await step('a taken port is named, with what wants it and what to do', async () => {
    for (
      const port of [instance.ports.postgres, instance.ports.functions, instance.ports.gateway]
    ) {
      const listener = Deno.listen({ hostname: '127.0.0.1', port });
      const message = await refusal(() => up(instance));
      assert.match(message, new RegExp(`port ${port} is taken.*SUPASAASY_PORT`));
      listener.close();
      await down(instance);
    }
  });
});

stackTest('a server of somebody else', async (test) => {
  const step = stepsOf(test);
  const theirs = await up(other);
  const url = theirs.SUPASAASY_DATABASE_URL;
  const kept = () =>
    withSql(url, async (sql) => {
      const [row] = await sql`select string_agg(kept, ',') as kept from public.foreign_table`;
      assert.equal(row?.kept, 'yes');
    });
  // A plain server: its gateway and workers stopped, no schema of ours, no marker.
  for (const name of ['workers', 'functions', 'gateway'] as const) await kill(other, name);
  await withSql(superuserUrl(theirs, other), async (sql) => {
    await sql`drop schema supasaasy cascade`;
    await sql`drop schema supabase_migrations cascade`;
    await sql`alter database postgres reset supasaasy.local_stack`;
    await sql`alter database postgres reset supasaasy.functions_url`;
    await sql`create table public.foreign_table (kept text)`;
    await sql`insert into public.foreign_table values ('yes')`;
    await sql`alter table public.foreign_table owner to postgres`;
    // Hosted, nobody else may set this password; here postgres may, as its admin.
    await sql`grant authenticator to postgres with admin option`;
  });

  await step('a DATABASE_URL in the shell is never touched', async () => {
    Deno.env.set('DATABASE_URL', url);
    try {
      await up(instance);
      await reset(instance);
      await restart(instance, 'functions');
      await down(instance);
    } finally {
      Deno.env.delete('DATABASE_URL');
    }
    await kept();
    await withSql(url, async (sql) => {
      const [row] = await sql`select to_regnamespace('supasaasy') is null as untouched`;
      assert.equal(row?.untouched, true);
    });
  });

  await step('named by SUPASAASY_DATABASE_URL it is migrated, used and never reset', async () => {
    Deno.env.set('SUPASAASY_DATABASE_URL', url);
    try {
      const env = await up(instance);
      await kept();
      assert.equal(env.SUPASAASY_DATABASE_URL, url);
      assert.equal(await running(instance, 'postgres'), undefined);
      await up(instance);
      await restart(instance, 'functions');
      assert.match(await refusal(() => reset(instance)), /only a server that make up created/);
      await kept();
      const client = createClient(env.SUPABASE_URL, env.SUPABASE_SECRET_KEY, {
        db: { schema: 'supasaasy' },
      });
      const { error } = await client.rpc('job_status', { p_job_id: 1 });
      assert.equal(error?.message, 'there is no job 1');
      await down(instance);
      await kept();
    } finally {
      Deno.env.delete('SUPASAASY_DATABASE_URL');
    }
  });

  await step('a running stack follows SUPASAASY_DATABASE_URL there and back', async () => {
    const own = await up(instance);
    for (const [database, answer] of [[url, 'theirs'], [own.SUPASAASY_DATABASE_URL, 'own']]) {
      await withSql(
        database!,
        (sql) =>
          sql.unsafe(`create function public.whose() returns text language sql
          as $$ select '${answer}' $$`),
      );
    }
    const whose = async (env: StackEnv) =>
      (await createClient(env.SUPABASE_URL, env.SUPABASE_SECRET_KEY).rpc('whose')).data;
    const hasWorkers = async () =>
      await withSql(url, async (sql) =>
        (await sql`
          select from pg_stat_activity where application_name = 'supasaasy-pg_net'`).length > 0);

    assert.equal(await whose(own), 'own');
    assert.equal(await hasWorkers(), false);
    Deno.env.set('SUPASAASY_DATABASE_URL', url);
    const env = await up(instance).finally(() => Deno.env.delete('SUPASAASY_DATABASE_URL'));
    assert.equal(env.SUPASAASY_DATABASE_URL, url);
    assert.equal(await whose(env), 'theirs');
    await until('the workers work there', hasWorkers);
    const before = await pids(instance);

    assert.deepEqual(await up(instance), own);
    assert.equal(await whose(own), 'own');
    assert.equal(await hasWorkers(), false);
    const after = await pids(instance);
    assert.ok(after.every((pid, index) => pid !== undefined && pid !== before[index]));
    await kept();
  });
});

/** Runs the functions in a process of the test's own, at other ports, with a rejection of its own. */
async function floatingPromise(): Promise<void> {
  const script = `
    setTimeout(() => { Promise.reject(new Error('afloat')); }, 500);
    await import('${new URL('./functions.ts', import.meta.url)}');`;
  const child = new Deno.Command(Deno.execPath(), {
    args: ['eval', '--quiet', script],
    env: { SUPASAASY_STACK: instance.name, SUPASAASY_PORT: '24490' },
    stderr: 'piped',
  }).spawn();
  const lines = child.stderr.pipeThrough(new TextDecoderStream()).getReader();
  try {
    const { value } = await lines.read();
    assert.match(value ?? '', /nobody caught it: Error: afloat/);
    const response = await fetch('http://127.0.0.1:24493/no-such');
    await response.body?.cancel();
    assert.equal(response.status, 404);
  } finally {
    child.kill('SIGKILL');
    await child.status;
    await lines.cancel();
  }
}

async function restProtocol(env: StackEnv): Promise<void> {
  await withSql(env.SUPASAASY_DATABASE_URL, async (sql) => {
    await sql.unsafe(`
      create function public.trial_scalar(a int, b text default 'x') returns text
      language sql as $$ select a || b $$;
      create function public.trial_row() returns record language sql
      as $$ select 1 as one, 'two' as two $$;
      create function public.trial_rows(n int) returns setof int language sql
      as $$ select generate_series(1, n) $$;
      create function public.trial_void() returns void language sql as $$ select $$;
      create function public.trial_json(j jsonb) returns jsonb language sql as $$ select j $$;
      create function public.trial_raise(code text) returns void language plpgsql
      as $$ begin raise exception using errcode = code, message = 'm', detail = 'd', hint = 'h'; end $$;
      create function public.trial_role() returns text language sql as $$ select current_user $$;
      grant execute on all functions in schema public to anon, service_role;`);
  });
  const call = async (
    name: string,
    body: string,
    { key = env.SUPABASE_SERVICE_ROLE_KEY, schema = 'public' } = {},
  ) => {
    const response = await fetch(`${env.SUPABASE_URL}/rest/v1/rpc/${name}`, {
      method: 'POST',
      headers: {
        ...(key && { apikey: key, authorization: `Bearer ${key}` }),
        'content-type': 'application/json',
        'content-profile': schema,
      },
      body,
    });
    const text = await response.text();
    return [response.status, text ? JSON.parse(text) : null];
  };
  const code = (answer: unknown[]) => [answer[0], (answer[1] as { code: string }).code];

  assert.deepEqual(await call('trial_scalar', '{"a": 5}'), [200, '5x']);
  assert.deepEqual(await call('trial_scalar', '{"b": "y", "a": 5}'), [200, '5y']);
  assert.deepEqual(await call('trial_rows', '{"n": 2}'), [200, [1, 2]]);
  assert.deepEqual(await call('trial_void', '{}'), [204, null]);
  assert.deepEqual(await call('trial_json', '{"j": {"a": [1, null]}}'), [200, { a: [1, null] }]);
  for (const key of [env.SUPABASE_SERVICE_ROLE_KEY, env.SUPABASE_SECRET_KEY]) {
    assert.deepEqual(await call('trial_role', '{}', { key }), [200, 'service_role']);
  }
  for (const key of [env.SUPABASE_ANON_KEY, env.SUPABASE_PUBLISHABLE_KEY]) {
    assert.deepEqual(await call('trial_role', '{}', { key }), [200, 'anon']);
  }
  assert.equal((await call('trial_role', '{}', { key: '' }))[0], 401);
  assert.equal((await call('trial_role', '{}', { key: 'sb_secret_wrong' }))[0], 401);
  assert.deepEqual(code(await call('no_such', '{}')), [404, 'PGRST202']);
  assert.deepEqual(code(await call('trial_scalar', '{"c": 1}')), [404, 'PGRST202']);
  assert.deepEqual(code(await call('trial_role', '{}', { schema: 'auth' })), [406, 'PGRST106']);
  assert.deepEqual(code(await call('trial_role', '{')), [400, 'PGRST102']);
  assert.deepEqual(code(await call('trial_json', '{"j": "a\\u0000b"}')), [400, '22P05']);
  assert.deepEqual(await call('trial_raise', '{"code": "22023"}'), [
    400,
    { code: '22023', message: 'm', details: 'd', hint: 'h' },
  ]);
  for (
    const [raised, status] of [
      ['P0001', 400],
      ['42501', 403],
      ['23505', 409],
      ['23503', 409],
      ['40001', 500],
      ['55000', 500],
      ['PT418', 418],
    ] as const
  ) assert.equal((await call('trial_raise', `{"code": "${raised}"}`))[0], status, raised);
  await withSql(env.SUPASAASY_DATABASE_URL, async (sql) => {
    await sql.unsafe(`
      drop function public.trial_scalar(int, text);
      create function public.trial_scalar(a text, b int default 1) returns setof text
      language sql as $$ select a || b $$;
      drop function public.trial_rows(int);
      create function public.trial_rows(n int) returns void language sql as $$ select $$;`);
  });
  assert.deepEqual(await call('trial_scalar', '{"a": "z"}'), [200, ['z1']]);
  assert.deepEqual(await call('trial_rows', '{"n": 2}'), [204, null]);
  const refused = await call('tick', '{}', { key: env.SUPABASE_ANON_KEY, schema: 'supasaasy' });
  assert.deepEqual(code(refused), [401, '42501']);
  const unknown = await fetch(`${env.SUPABASE_URL}/functions/v1/no-such`, { method: 'POST' });
  await unknown.body?.cancel();
  assert.equal(unknown.status, 404);
}

async function netRules(env: StackEnv): Promise<void> {
  const hits: number[] = [];
  const server = Deno.serve(
    { hostname: '127.0.0.1', port: 0, onListen: () => {} },
    async (request) => {
      hits.push(Date.now());
      if (request.url.endsWith('/slow')) await new Promise((resolve) => setTimeout(resolve, 1500));
      return new Response('fine');
    },
  );
  const target = `http://127.0.0.1:${server.addr.port}`;
  try {
    await withSql(env.SUPASAASY_DATABASE_URL, async (sql) => {
      const post = async (url: string, timeout = 5000) => {
        const [row] = await sql`
          select net.http_post(${url}, timeout_milliseconds := ${timeout}) as id`;
        return row?.id;
      };
      const answered = (id: unknown) => async () =>
        (await sql`select from net._http_response where id = ${id as string}`).length === 1;
      await new Promise((resolve) => setTimeout(resolve, 1200));
      const begun = Date.now();
      await sql.begin(async (transaction) => {
        await transaction`select net.http_post(${`${target}/slow`}), net.http_post(${target})`;
      });
      const later = await (async () => {
        await new Promise((resolve) => setTimeout(resolve, 300));
        return await post(target);
      })();
      await until('the later request is answered', answered(later));
      const waited = (hits[2] ?? 0) - begun;
      assert.ok(waited >= 2400, `a later request waits for the slowest and a pause: ${waited} ms`);

      const late = await post(`${target}/slow`, 200);
      const nowhere = await post('http://127.0.0.1:9/');
      await until(
        'both failures are recorded',
        async () => await answered(late)() && await answered(nowhere)(),
      );
      const rows = await sql`
        select timed_out, error_msg is not null as failed from net._http_response
        where id in (${late}, ${nowhere}) order by id`;
      assert.deepEqual(rows.map((row) => ({ ...row })), [
        { timed_out: true, failed: true },
        { timed_out: false, failed: true },
      ]);

      const resent = await post(`${target}/slow`);
      const before = hits.length;
      await until('the slow request is under way', () => Promise.resolve(hits.length > before));
      await kill(instance, 'workers');
      await up(instance);
      await until('a batch whose worker was killed is sent again', answered(resent));
      assert.equal(hits.length, before + 2);
    });
  } finally {
    await server.shutdown();
  }
}

async function cronRules(env: StackEnv): Promise<void> {
  assert.equal(nextRun('30 seconds', 1000), 31_000);
  const noon = Date.UTC(2026, 0, 1, 12, 0, 5);
  assert.equal(nextRun('* * * * *', noon), Date.UTC(2026, 0, 1, 12, 1));
  assert.equal(nextRun('0 0 $ feb *', noon), Date.UTC(2026, 1, 28));
  assert.equal(nextRun('0 0 31 * mon', noon), Date.UTC(2026, 0, 5), 'a day or a weekday');
  assert.equal(nextRun('0 0 */2 * 1', noon), Date.UTC(2026, 0, 5), 'both, where one has a star');
  assert.equal(nextRun('@reboot', noon), Number.POSITIVE_INFINITY);
  for (const bad of ['sometimes', '* * * * * *']) assert.throws(() => nextRun(bad, noon), bad);
  await withSql(env.SUPASAASY_DATABASE_URL, cronSchedules);
  await withSql(superuserUrl(env, instance), (sql) => cronOwners(sql));
  await withSql(
    superuserUrl(env, instance),
    (sql) =>
      sql`insert into cron.job (jobname, schedule, command) values ('bad', 'sometimes', 'select 1')`,
  );
  await withSql(env.SUPASAASY_DATABASE_URL, async (sql) => {
    await sql`create table public.beats (at timestamptz default now(), who text default current_user)`;
    await sql`select cron.schedule('beat', '1 seconds', 'insert into public.beats default values')`;
    await sql`select cron.schedule('broken', '1 seconds', 'select 1/0')`;
    await until('the job ran twice and the broken one is recorded', async () => {
      const [row] = await sql`
        select (select count(*) from public.beats) >= 2 and exists (
          select from cron.job_run_details where status = 'failed' and return_message ~ 'division'
        ) as done`;
      return row?.done === true;
    });
    assert.match(
      await Deno.readTextFile(logFile(instance, 'workers')),
      /invalid pg_cron schedule for job \d+: sometimes\n/,
    );
    const [row] = await sql`select distinct who from public.beats`;
    assert.equal(row?.who, 'postgres');
    await sql`select cron.unschedule('beat'), cron.unschedule('broken')`;
    await new Promise((resolve) => setTimeout(resolve, 600));
    const [before] = await sql`select count(*)::int as n from public.beats`;
    await new Promise((resolve) => setTimeout(resolve, 1500));
    const [after] = await sql`select count(*)::int as n from public.beats`;
    assert.equal(after?.n, before?.n, 'it stopped');
    assert.match(
      await refusal(async () =>
        await sql`insert into cron.job (schedule, command) values ('', '')`
      ),
      /permission denied/,
    );
  });
}

async function cronSchedules(sql: Sql): Promise<void> {
  const schedule = (text: string) => sql`select cron.schedule('trial', ${text}, 'select 1') as id`;
  const [first] = await schedule('* * * * *');
  for (
    const good of [
      '5 seconds',
      '1 second',
      '@daily',
      '  */59 0-23/2 $ * *',
      '0,59 23 1,31 jan-MAR,12 sun,Mon-fri,7',
      '* * * * 5-7',
    ]
  ) {
    const [row] = await schedule(good);
    assert.equal(row?.id, first?.id, 'the same name is the same job');
  }
  for (
    const bad of [
      'sometimes',
      '61 seconds',
      '0 seconds',
      '@never',
      '* * * *',
      '* * * * * *',
      '99 * * * *',
      '* 24 * * *',
      '* * 0 * *',
      '* * 32 * *',
      '* * $,1 * *',
      '* * L * *',
      '* * * 13 *',
      '* * * january *',
      '* * * * 8',
      '$ * * * *',
      '1/5 * * * *',
      '*/0 * * * *',
      '*/60 * * * *',
      '1,,2 * * * *',
      '5-1 * * * *',
    ]
  ) {
    assert.equal(await refusal(async () => await schedule(bad)), `invalid schedule: ${bad}`);
  }
  await sql`select cron.unschedule('trial')`;
}

/** A job is of the role that calls, which in a SECURITY DEFINER function is its owner. */
async function cronOwners(sql: Sql): Promise<void> {
  await sql.unsafe(`
    create role cron_owner;
    grant usage on schema cron to cron_owner;
    create function public.schedule_as_owner(p_schedule text) returns bigint
    language sql security definer as $$ select cron.schedule('mine', p_schedule, 'select 1') $$;
    alter function public.schedule_as_owner(text) owner to cron_owner;
    set session authorization postgres`);
  const [first] = await sql`select public.schedule_as_owner('* * * * *') as id`;
  const [again] = await sql`select public.schedule_as_owner('@hourly') as id`;
  const [mine] = await sql`select cron.schedule('mine', '@daily', 'select 1') as id`;
  const jobs = await sql`
    select jobid, schedule, username from cron.job
    where jobname in ('mine', 'supasaasy-tick') order by username, jobname`;
  assert.deepEqual(jobs.map((job) => ({ ...job })).slice(0, 2), [
    { jobid: first?.id, schedule: '@hourly', username: 'cron_owner' },
    { jobid: mine?.id, schedule: '@daily', username: 'postgres' },
  ]);
  assert.equal(again?.id, first?.id);
  assert.equal(jobs[2]?.username, 'postgres');
  await sql`select cron.unschedule('mine')`;
  const attempts = [
    () => sql`select cron.unschedule(${first?.id})`,
    () => sql`select cron.alter_job(${first?.id}, command := 'select 2')`,
    () =>
      sql`insert into cron._own_jobs (schedule, command, username) values ('@daily', '', 'cron_owner')`,
    () => sql`update cron.job set command = 'select 2'`,
  ];
  for (const attempt of attempts) {
    assert.match(
      await refusal(async () => await attempt()),
      /could not find|don't own it|check option|permission denied/,
    );
  }
  await sql.unsafe('reset session authorization').simple();
  await sql`delete from cron.job where username = 'cron_owner'`;
}

async function vaultRules(env: StackEnv): Promise<void> {
  await withSql(env.SUPASAASY_DATABASE_URL, async (sql) => {
    const [made] = await sql`select vault.create_secret('first', 'trial') as id`;
    await sql`select vault.update_secret(${made?.id}, 'second')`;
    const [row] = await sql`
      select decrypted_secret from vault.decrypted_secrets where id = ${made?.id}`;
    assert.equal(row?.decrypted_secret, 'second');
    await sql`delete from vault.secrets where id = ${made?.id}`;
    const message = await refusal(() =>
      sql.begin(async (transaction) => {
        await transaction`set local role anon`;
        await transaction`select * from vault.decrypted_secrets`;
      })
    );
    assert.match(message, /permission denied/);
  });
}

Deno.test('a malformed name or port of a stack is named', () => {
  assert.throws(() => currentInstance('My Stack', '24480'), /SUPASAASY_STACK "My Stack"/);
  assert.throws(() => currentInstance('mine', 'http'), /SUPASAASY_PORT "http"/);
  assert.throws(() => currentInstance('mine', undefined), /has no port/);
});
