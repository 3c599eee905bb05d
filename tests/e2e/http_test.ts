// The HTTP API: every status that it answers, the shapes of its answers, and its key.

import assert from 'node:assert/strict';
import { scenario, type World } from './harness.ts';

interface Call {
  path: string;
  method?: string;
  key?: string | null;
  body?: unknown;
  text?: string;
}

async function call(world: World, call: Call): Promise<[number, Record<string, unknown>, Headers]> {
  const key = call.key === undefined ? world.env.ADMIN_API_KEY! : call.key;
  const method = call.method ?? 'POST';
  const response = await fetch(`${world.env.SUPABASE_URL}/functions/v1/${call.path}`, {
    method,
    headers: key === null ? {} : { authorization: `Bearer ${key}` },
    ...(method !== 'GET' && method !== 'HEAD' &&
      { body: call.text ?? JSON.stringify(call.body ?? {}) }),
  });
  return [response.status, await response.json().catch(() => ({})), response.headers];
}

scenario('each answer has the status that one would expect', {}, async (world) => {
  const { sql, app } = world;
  await sql`select supasaasy.set_setting('api_rate', '1000')`;
  await sql`
    insert into supasaasy.apps (app_key, connector, config, enabled)
    values ('sleeping', 'stripe', '{"api_key_env": "STRIPE_API_KEY"}', false)`;
  const table: [string, Call, number, RegExp][] = [
    ['no key', { path: 'sync', key: null }, 401, /^unauthorized$/],
    ['a wrong key', { path: 'sync', key: 'wrong' }, 401, /^unauthorized$/],
    [
      'a key that is a part of the right one',
      {
        path: 'worker',
        key: world.env.ADMIN_API_KEY!.slice(0, -1),
      },
      401,
      /^unauthorized$/,
    ],
    [
      'the service key',
      {
        path: 'job-status/1',
        method: 'GET',
        key: world.env.SUPABASE_SERVICE_ROLE_KEY!,
      },
      401,
      /^unauthorized$/,
    ],
    ['a wrong key and a wrong method', { path: 'sync', method: 'PUT', key: 'x' }, 401, /./],
    ['GET sync', { path: 'sync', method: 'GET' }, 405, /use POST/],
    ['PUT worker', { path: 'worker', method: 'PUT' }, 405, /use POST/],
    ['POST job-status', { path: 'job-status/1' }, 405, /use GET/],
    ['a long body', { path: 'sync', text: ' '.repeat(70_000) }, 413, /longer than 65536/],
    ['no JSON', { path: 'sync', text: '{' }, 400, /not JSON/],
    ['an array', { path: 'sync', text: '[]' }, 400, /not a JSON object/],
    ['no app', { path: 'sync', body: {} }, 400, /app_key: /],
    ['an unknown key', { path: 'sync', body: { app_key: app, resources: [] } }, 400, /"resources"/],
    [
      'an unknown mode',
      { path: 'sync', body: { app_key: app, mode: 'half' } },
      400,
      /mode: .*"full"/,
    ],
    [
      'resources that are no list',
      { path: 'sync', body: { app_key: app, resource_types: 'customer' } },
      400,
      /resource_types: /,
    ],
    [
      'an unknown resource',
      { path: 'sync', body: { app_key: app, resource_types: ['unicorn'] } },
      400,
      /no resource "unicorn"/,
    ],
    ['an unknown app', { path: 'sync', body: { app_key: 'nobody' } }, 404, /no app "nobody"/],
    ['a disabled app', { path: 'sync', body: { app_key: 'sleeping' } }, 409, /is disabled/],
    ['too many tasks', { path: 'worker', body: { max_tasks: 5000 } }, 400, /max_tasks: /],
    ['a job of words', { path: 'worker', body: { job_id: 'one' } }, 400, /job_id: /],
    ['an unknown job', { path: 'worker', body: { job_id: 999_999 } }, 404, /no job 999999/],
    ['no job', { path: 'job-status', method: 'GET' }, 400, /job_id: give the number/],
    ['a job of words', { path: 'job-status/one', method: 'GET' }, 400, /job_id: /],
    ['an unknown job', { path: 'job-status/999999', method: 'GET' }, 404, /no job 999999/],
    [
      'include_tasks of words',
      { path: 'job-status/1?include_tasks=yes', method: 'GET' },
      400,
      /include_tasks: /,
    ],
  ];
  for (const [name, request, status, message] of table) {
    const [found, body] = await call(world, request);
    assert.equal(found, status, `${name}: ${JSON.stringify(body)}`);
    assert.equal(body.success, false, name);
    assert.match(String(body.error), message, name);
  }
});

scenario('sync, job-status and worker answer with exactly these shapes', {}, async (world) => {
  const { app } = world;
  const [status, started] = await call(world, {
    path: 'sync',
    body: { app_key: app, mode: 'full', resource_types: ['customer', 'product'] },
  });
  assert.equal(status, 200, JSON.stringify(started));
  assert.deepEqual(Object.keys(started).sort(), [
    'app_key',
    'job_id',
    'mode',
    'resource_types',
    'status',
    'success',
    'total_tasks',
  ]);
  const { job_id, ...rest } = started;
  assert.deepEqual(rest, {
    success: true,
    app_key: app,
    mode: 'full',
    status: 'running',
    total_tasks: 2,
    resource_types: ['customer', 'product'],
  });
  await world.finished(Number(job_id));

  const [, job] = await call(world, { path: `job-status/${job_id}`, method: 'GET' });
  assert.deepEqual(Object.keys(job).sort(), [
    'app_key',
    'completed_at',
    'completed_tasks',
    'created_at',
    'error_message',
    'failed_tasks',
    'job_id',
    'mode',
    'processed_entities',
    'progress_percentage',
    'started_at',
    'status',
    'success',
    'total_tasks',
  ]);
  assert.deepEqual(
    [job.success, job.status, job.progress_percentage, job.processed_entities, job.error_message],
    [true, 'completed', 100, 262, null],
  );
  const [, detailed] = await call(world, {
    path: `job-status/${job_id}?include_tasks=true`,
    method: 'GET',
  });
  const tasks = detailed.tasks as Record<string, unknown>[];
  assert.equal(tasks.length, job.total_tasks);
  assert.deepEqual([...new Set(tasks.map((task) => task.state))], ['done']);

  const [, worked] = await call(world, { path: 'worker', body: { job_id, max_tasks: 5 } });
  assert.deepEqual(worked, { success: true, started_tasks: 0 });
});

scenario(
  'immediate waits for the counts, or answers that the job still runs',
  { data: { customers: 450 } },
  async (world) => {
    const { app, fake, sql } = world;
    const wish = { app_key: app, mode: 'full', immediate: true };
    const [status, done] = await call(world, { path: 'sync', body: wish });
    assert.equal(status, 200);
    assert.deepEqual([done.success, done.status], [true, 'completed'], JSON.stringify(done));
    assert.ok(Number(done.duration_ms) > 0);
    const counts = done.counts as Record<string, Record<string, number>>;
    assert.deepEqual(counts.customer, { inserted: 450, updated: 0, unchanged: 0, deleted: 0 });
    await world.assertEqual(fake);

    fake.faults.add({
      match: { pathPrefix: '/v1/customers' },
      fault: { kind: 'status', status: 403 },
    });
    const [, failed] = await call(world, {
      path: 'sync',
      body: { ...wish, resource_types: ['customer'] },
    });
    assert.deepEqual([failed.success, failed.status], [false, 'failed']);
    assert.match(String(failed.error_message), /stripe_customer/);
    fake.faults.clear();

    fake.faults.add({ match: { pathPrefix: '/v1/' }, fault: { kind: 'latency', ms: 25_000 } });
    const [, running] = await call(world, { path: 'sync', body: wish });
    assert.deepEqual([running.success, running.status], [true, 'running']);
    assert.ok(Number(running.duration_ms) >= 19_000);
    await sql`select supasaasy.cancel(${Number(running.job_id)})`;
    fake.faults.clear();
  },
);

scenario('a brute force of wrong keys does not lock out the right one', {}, async (world) => {
  const { sql, app } = world;
  await sql`select supasaasy.set_setting('api_rate', '1')`;
  const attempts = Array.from(
    { length: 300 },
    (_, i) => call(world, { path: 'sync', key: `guess-${i}`, body: { app_key: app } }),
  );
  const wrong = await Promise.all(attempts);
  assert.deepEqual([...new Set(wrong.map(([status]) => status))], [401]);
  const [status] = await call(world, { path: 'sync', body: { app_key: app, mode: 'full' } });
  assert.equal(status, 200);
});

scenario('who has the key but asks too often is told when to come back', {}, async (world) => {
  await world.sql`select supasaasy.set_setting('api_rate', '1')`;
  const answers = [];
  for (let i = 0; i < 12; i += 1) answers.push(await call(world, { path: 'worker' }));
  const refused = answers.filter(([status]) => status === 429);
  assert.ok(refused.length >= 1 && refused.length <= 3, `${refused.length} were refused`);
  assert.match(refused[0]?.[2].get('retry-after') ?? '', /^[1-9]$/);
});
