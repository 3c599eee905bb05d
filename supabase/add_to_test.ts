import assert from 'node:assert/strict';
import postgres from 'postgres';
import { parse } from 'smol-toml';
import { addTo } from './add_to.ts';
import { currentInstance, root, superuserUrl } from './local/instance.ts';
import { up } from './local/stack.ts';

const CONFIG = `# a project of its own
project_id = "app"

[api]
enabled = true
schemas = [
  "public", # theirs
  "graphql_public",
]
max_rows = 500

[functions.hello]
verify_jwt = true

[edge_runtime]
enabled = true
`;

/** A project with a migration, a function and a config of its own. */
async function project(config = CONFIG): Promise<URL> {
  const folder = new URL(`file://${await Deno.makeTempDir()}/`);
  const files: Record<string, string> = {
    'supabase/config.toml': config,
    'supabase/migrations/20250101000000_theirs.sql':
      "create table public.theirs (kept text); insert into public.theirs values ('yes');",
    'supabase/functions/hello/index.ts': 'Deno.serve(() => new Response("hello"));',
    'supabase/seed.sql': 'select 1;',
  };
  for (const [path, text] of Object.entries(files)) {
    await Deno.mkdir(new URL('./', new URL(path, folder)), { recursive: true });
    await Deno.writeTextFile(new URL(path, folder), text);
  }
  return folder;
}

/** This build, and one release later: a migration more, a function changed, a file gone. */
async function laterRelease(): Promise<URL> {
  const folder = new URL(`file://${await Deno.makeTempDir()}/`);
  for (const part of ['functions', 'connectors', 'supabase', 'deno.json']) {
    const { success } = await new Deno.Command('cp', {
      args: ['-r', new URL(part, root).pathname, folder.pathname],
    }).output();
    assert.ok(success);
  }
  await Deno.writeTextFile(
    new URL('supabase/migrations/20991231000000_supasaasy.sql', folder),
    "comment on schema supasaasy is 'a later release';",
  );
  const shared = new URL('functions/_shared/http.ts', folder);
  await Deno.writeTextFile(shared, `${await Deno.readTextFile(shared)}\n// later\n`);
  await Deno.remove(new URL('functions/_shared/runtime.ts', folder));
  return folder;
}

async function snapshot(folder: URL, path: string): Promise<string> {
  return await Deno.readTextFile(new URL(path, folder));
}

Deno.test('an existing project keeps all that is its own, and twice is once', async () => {
  const app = await project();
  const theirs = [
    'supabase/migrations/20250101000000_theirs.sql',
    'supabase/functions/hello/index.ts',
    'supabase/seed.sql',
  ];
  const before = await Promise.all(theirs.map((path) => snapshot(app, path)));
  await addTo(root, app);
  assert.deepEqual(await Promise.all(theirs.map((path) => snapshot(app, path))), before);

  const text = await snapshot(app, 'supabase/config.toml');
  for (const line of CONFIG.trimEnd().split('\n')) {
    assert.ok(text.includes(line.replace(/",$/, '"')), `the config keeps: ${line}`);
  }
  // deno-lint-ignore no-explicit-any -- a parsed file
  const config = parse(text) as any;
  assert.deepEqual(config.api.schemas, ['public', 'graphql_public', 'supasaasy']);
  assert.deepEqual(config.db.seed.sql_paths, ['./seed.sql', './supasaasy/seed.sql']);
  assert.equal(config.edge_runtime.policy, 'per_worker');
  assert.deepEqual(Object.keys(config.functions).sort(), [
    'fetch-page',
    'hello',
    'job-status',
    'sync',
    'webhook',
    'worker',
  ]);
  const entry = config.functions['fetch-page'];
  assert.equal(entry.verify_jwt, false);
  for (const path of [entry.entrypoint, entry.import_map]) {
    assert.ok((await Deno.stat(new URL(path, new URL('supabase/', app)))).isFile);
  }

  assert.deepEqual((await addTo(root, app)).changed, []);
  assert.equal(await snapshot(app, 'supabase/config.toml'), text);
});

Deno.test('the functions that were added load where they are', async () => {
  const app = await project();
  await addTo(root, app);
  const { success, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [
      'check',
      '--quiet',
      '--config',
      'deno.json',
      ...['fetch-page', 'webhook', 'sync', 'worker', 'job-status'].map((name) =>
        `functions/${name}/index.ts`
      ),
    ],
    cwd: new URL('supabase/supasaasy/', app),
    env: { DENO_NO_PACKAGE_JSON: '1' },
  }).output();
  assert.ok(success, new TextDecoder().decode(stderr));
});

for (
  const [name, config, message] of [
    [
      'a function of the same name',
      `${CONFIG}\n[functions.sync]\nverify_jwt = true\n`,
      /function "sync" of its own/,
    ],
    [
      'an inline table',
      CONFIG.replace(
        /\[api\][^[]*\[[^\]]*\]\nmax_rows = 500\n/,
        'api = { schemas = ["public"] }\n',
      ),
      /by hand/,
    ],
  ] as const
) {
  Deno.test(`${name} is refused with its name, and nothing is written`, async () => {
    const app = await project(config);
    await assert.rejects(addTo(root, app), message);
    assert.equal(await snapshot(app, 'supabase/config.toml'), config);
    await assert.rejects(Deno.stat(new URL('supabase/supasaasy', app)));
  });
}

Deno.test('a folder that is no project is refused, and so is a migration of another build', async () => {
  const folder = new URL(`file://${await Deno.makeTempDir()}/`);
  await assert.rejects(addTo(root, folder), /is no Supabase project/);
  const app = await project();
  await addTo(root, app);
  const path = 'supabase/migrations/20261101000000_supasaasy.sql';
  await Deno.writeTextFile(new URL(path, app), 'select 1;');
  await assert.rejects(addTo(root, app), /is of another build/);
});

Deno.test('it is pushed beside their tables, and a later release upgrades it in place with its data', async () => {
  const instance = currentInstance(Deno.env.get('SUPASAASY_STACK') ?? 'test');
  const env = await up(instance);
  const admin = postgres(superuserUrl(env, instance), { max: 1, onnotice: () => {} });
  await admin`drop database if exists add_to with (force)`;
  await admin`create database add_to owner postgres`;
  const bootstrap = postgres(superuserUrl(env, instance).replace(/\/postgres$/, '/add_to'), {
    max: 1,
    onnotice: () => {},
  });
  await bootstrap.unsafe(await Deno.readTextFile(new URL('local/bootstrap.sql', import.meta.url)));
  await bootstrap.end();
  const url = env.SUPASAASY_DATABASE_URL.replace(/\/postgres$/, '/add_to');
  const push = async (app: URL) => {
    const { success, stderr } = await new Deno.Command(
      new URL('node_modules/.bin/supabase', root).pathname,
      {
        args: ['db', 'push', `--remote=${url}`, '--workdir', app.pathname, '--yes'],
        env: { SUPABASE_TELEMETRY_DISABLED: '1' },
        stdin: 'null',
      },
    ).output();
    assert.ok(success, new TextDecoder().decode(stderr));
  };
  const sql = postgres(url, { max: 1, onnotice: () => {} });
  try {
    const app = await project();
    await addTo(root, app);
    await push(app);
    await sql`insert into supasaasy.apps (app_key, connector, config)
      values ('stripe_main', 'stripe', '{"api_key_env": "STRIPE_API_KEY"}')`;

    const { changed } = await addTo(await laterRelease(), app);
    assert.deepEqual(changed.sort(), [
      'added supabase/migrations/20991231000000_supasaasy.sql',
      'changed supabase/supasaasy/functions/_shared/http.ts',
      'removed supabase/supasaasy/functions/_shared/runtime.ts',
    ]);
    await push(app);
    const [row] = await sql`
      select
        (select kept from public.theirs) as theirs,
        (select string_agg(app_key, ',') from supasaasy.apps) as apps,
        obj_description('supasaasy'::regnamespace, 'pg_namespace') as release`;
    assert.deepEqual({ ...row }, {
      theirs: 'yes',
      apps: 'stripe_main',
      release: 'a later release',
    });
  } finally {
    await sql.end({ timeout: 1 });
    await admin`drop database add_to with (force)`;
    await admin.end({ timeout: 1 });
  }
});
