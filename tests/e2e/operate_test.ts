// Operating it: keys that do not work, limits, schedules, many apps, and what a user sees of all that.

import assert from 'node:assert/strict';
import { note } from '../note.ts';
import { scenario, type World } from './harness.ts';

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

async function until(what: string, seconds: number, holds: () => Promise<boolean>): Promise<void> {
  const end = Date.now() + seconds * 1000;
  while (!(await holds())) {
    assert.ok(Date.now() < end, `${what}: not within ${seconds} s`);
    await pause(100);
  }
}

async function statusOf(world: World): Promise<Record<string, unknown>[]> {
  return await world.sql`
    select distinct status, breaker, last_error from supasaasy.status where app_key = ${world.app}`;
}

scenario(
  'a wrong key: one clear message, an open breaker, no storm of requests, recovery by set_secret',
  {},
  async (world) => {
    const { sql, fake, sync, app } = world;
    await sql`select supasaasy.set_setting('breaker_wait', null)`;
    await sql`
      update supasaasy.apps set config = config || '{"api_key_env": "STRIPE_WRONG_KEY"}'`;
    const job = await sync(app);
    assert.equal(job.status, 'failed');
    await sql`
      insert into supasaasy.schedules (app_key, cron)
      select ${app}, case when supasaasy.cron_knows_seconds() then '1 seconds' else '* * * * *' end`;
    await pause(6_000);
    const status = await statusOf(world);
    assert.equal(status.length, 1, JSON.stringify(status));
    assert.equal(status[0]?.breaker, 'open');
    assert.match(String(status[0]?.last_error), /Invalid API Key/i);
    assert.ok(!JSON.stringify(status).includes(world.env.STRIPE_WRONG_KEY!));
    const refused = fake.log.counts().total;
    note(`a wrong key with a schedule every second cost ${refused} requests in 6 s`);
    assert.ok(refused <= 8, `${refused} requests`);

    await sql`select supasaasy.set_secret(${app}, 'api_key', ${world.env.STRIPE_API_KEY!})`;
    await until('the app is synced', 40, async () => {
      const [row] = await sql`
        select bool_and(complete_as_of is not null) as done from supasaasy.status`;
      return row?.done;
    });
    assert.deepEqual((await statusOf(world)).map((row) => row.breaker), ['closed']);
    await world.assertEqual(fake);
  },
);

scenario(
  'a key that is revoked in the middle of a sync stops it at once; other apps go on',
  { accounts: 2, data: { customers: 3_000 }, latencyMs: 20 },
  async ({ sql, fake, start, finished, sync, app }) => {
    await sql`select supasaasy.set_setting('breaker_wait', '1 hour')`;
    const job = await start(app, 'full');
    await until('some pages are here', 20, () => Promise.resolve(fake.log.counts().total > 5));
    fake.faults.add({ match: { pathPrefix: '/v1/' }, fault: { kind: 'status', status: 401 } });
    const before = fake.log.counts().total;
    const ended = await finished(job);
    assert.equal(ended.status, 'failed');
    await pause(2_000);
    const after = fake.log.counts().total - before;
    assert.ok(after <= 17, `${after} requests after the key was revoked`);
    fake.faults.clear();
    await sql`
      insert into supasaasy.apps (app_key, connector, config)
      values ('stripe_eu', 'stripe', '{"api_key_env": "STRIPE_OTHER_KEY"}')`;
    assert.equal((await sync('stripe_eu')).status, 'completed');
    const [row] = await sql`
      select supasaasy.breaker_state(a) as breaker from supasaasy.apps a where app_key = ${app}`;
    assert.equal(row?.breaker, 'open');
    assert.equal((await sync(app, 'full')).status, 'completed', 'asking for a sync probes at once');
  },
);

scenario(
  'an outage of the provider opens the breaker, and the job completes when it is over',
  { data: { customers: 1_500 } },
  async ({ sql, fake, start, finished, assertEqual, app }) => {
    await sql`select supasaasy.set_setting('breaker_wait', '1 second')`;
    const job = await start(app, 'full');
    await until('it has begun', 20, () => Promise.resolve(fake.log.counts().total > 3));
    fake.faults.add({ match: { pathPrefix: '/v1/' }, fault: { kind: 'status', status: 503 } });
    await until('the breaker is open', 20, async () => {
      const [row] = await sql`select breaker_opened_at is not null as open from supasaasy.apps`;
      return row?.open;
    });
    fake.faults.clear();
    assert.equal((await finished(job)).status, 'completed');
    await assertEqual(fake);
  },
);

scenario(
  "within a sandbox's limits a full sync has under 1 % of its requests refused",
  { rateLimit: true, data: { customers: 12_000, subscriptions: 9_000, products: 100 } },
  async ({ sql, fake, sync, app, assertEqual }) => {
    await sql`select supasaasy.set_setting('rate_headroom', null)`;
    const job = await sync(app, 'full');
    assert.equal(job.status, 'completed', String(job.error_message));
    const { total, by_status } = fake.log.counts();
    const refused = by_status['429'] ?? 0;
    note(`${refused} of ${total} requests were refused at a sandbox's 25 requests a second`);
    assert.ok(total > 200 && refused / total < 0.01);
    await assertEqual(fake);
  },
);

scenario(
  'a schedule row fires and syncs; deleting it removes the cron job',
  {},
  async ({ sql, fake, app, assertEqual }) => {
    await sql`
      insert into supasaasy.schedules (app_key, cron, mode)
      select ${app}, case when supasaasy.cron_knows_seconds() then '2 seconds' else '* * * * *' end, 'full'`;
    await until('a job has completed', 100, async () => {
      const [row] = await sql`select status, fired_at from supasaasy.sync_jobs j
        join supasaasy.schedules s on s.job_id = j.id`;
      return row?.status === 'completed' && row?.fired_at !== null;
    });
    await assertEqual(fake);
    await sql`delete from supasaasy.schedules where app_key = ${app}`;
    const [row] = await sql`
      select count(*)::int as n from cron.job where jobname like 'supasaasy-schedule-%'`;
    assert.equal(row?.n, 0);
    const [jobs] = await sql`select count(*)::int as n from supasaasy.sync_jobs`;
    await pause(4_000);
    const [later] = await sql`select count(*)::int as n from supasaasy.sync_jobs`;
    assert.equal(later?.n, jobs?.n, 'nothing fires any more');
  },
);

scenario(
  "beside 1,000 apps, one with 500,000 pending tasks, a new app's first page starts within a tick",
  {},
  async ({ sql, connect, app }) => {
    await sql`select supasaasy.set_setting('functions_url', 'http://127.0.0.1:9/nothing')`;
    await sql`
      insert into supasaasy.apps (app_key, connector, config)
      select 'app_' || i, 'stripe', '{"api_key_env": "STRIPE_API_KEY"}' from generate_series(1, 1000) i`;
    await sql`
      insert into supasaasy.sync_tasks
        (app_key, collection_key, kind, external_id, priority, page_size)
      select 'app_1', 'stripe_customer', 'revalidate', 'cus_' || i, 0, 1
      from generate_series(1, 500000) i`;
    await sql`
      insert into supasaasy.sync_tasks
        (app_key, collection_key, kind, external_id, priority, page_size)
      select 'app_' || a, 'stripe_customer', 'revalidate', 'cus_' || i, 0, 1
      from generate_series(2, 1000) a, generate_series(1, 5) i`;
    await sql`analyze supasaasy.sync_tasks`;
    const other = await connect();
    await other`select supasaasy.tick()`;
    const [job] = await sql`select supasaasy.queue_job(${app}, 'full', '{customer}') as id`;
    // Leases are scarce: chains hold them all, and each goes on with whoever is next.
    const [first] = await sql`
      select t.id from supasaasy.sync_tasks t
      join supasaasy.sync_runs r on r.id = t.run_id where r.job_id = ${job?.id}`;
    let chains = 0;
    for (;; chains += 1) {
      const [row] = await sql`select state from supasaasy.sync_tasks where id = ${first?.id}`;
      if (row?.state === 'leased') break;
      assert.ok(chains < 1100, 'it is never started');
      await sql`
        update supasaasy.sync_tasks set state = 'done', finished_at = now(), start_token = null,
          lease_expires_at = null
        where id = (select id from supasaasy.sync_tasks where state = 'leased' order by id limit 1)`;
      await sql`select supasaasy.next_task('app_1')`;
    }
    note(`with every lease taken, the new app's turn came after ${chains} pages of the others`);

    // And with leases to spare the next tick starts it.
    await sql`select supasaasy.cancel(${job?.id})`;
    await sql`select supasaasy.set_setting('max_in_flight', '5000')`;
    const [second] = await sql`select supasaasy.queue_job(${app}, 'full', '{product}') as id`;
    const began = Date.now();
    await until('a tick starts it', 65, async () => {
      const [row] = await sql`
        select t.state from supasaasy.sync_tasks t
        join supasaasy.sync_runs r on r.id = t.run_id where r.job_id = ${second?.id}`;
      return row?.state === 'leased';
    });
    note(`with leases to spare it was started after ${Date.now() - began} ms`);
    await sql`truncate supasaasy.sync_jobs cascade`;
  },
);

scenario(
  '1,000 apps with five chains each never have more leased than max_in_flight',
  { functions: false },
  async ({ sql, connect }) => {
    await sql`select supasaasy.set_setting('max_in_flight', '40')`;
    await sql`
      insert into supasaasy.apps (app_key, connector, config)
      select 'app_' || i, 'stripe', '{"api_key_env": "K", "max_concurrency": 5}'
      from generate_series(1, 1000) i`;
    await sql`
      insert into supasaasy.sync_tasks
        (app_key, collection_key, kind, external_id, priority, page_size)
      select 'app_' || a, 'stripe_customer', 'revalidate', 'cus_' || i, 0, 1
      from generate_series(1, 1000) a, generate_series(1, 5) i`;
    let working = true;
    let most = 0;
    const watch = (async () => {
      const watcher = await connect();
      while (working) {
        const [row] = await watcher`
          select count(*)::int as n from supasaasy.sync_tasks where state = 'leased'`;
        most = Math.max(most, row?.n);
      }
    })();
    // Eight workers, each with chains of its own: claim, begin, complete, go on.
    const workers = await Promise.all(Array.from({ length: 8 }, () => connect()));
    const served = new Set<string>();
    await Promise.all(workers.map(async (worker) => {
      for (let turn = 0; turn < 40; turn += 1) {
        const starts = [...await worker`select task_id, start_token from supasaasy.claim_tasks(9)`];
        while (starts.length > 0) {
          const start = starts.pop()!;
          const [begun] = await worker`
            select supasaasy.begin_page(${start.task_id}, ${start.start_token}) as o`;
          if (begun?.o.status !== 'begun') continue;
          served.add(begun.o.app_key);
          const [failed] = await worker`
            select supasaasy.fail_page(${start.task_id}, ${begun.o.work_token}, 'permanent', 'enough') as a`;
          const next = failed?.a.next;
          if (next && Math.random() < 0.5) {
            starts.push({ task_id: next.task_id, start_token: next.token });
          } else if (next) {
            await worker`select supasaasy.release_task(${next.task_id}, ${next.token})`;
          }
        }
      }
    }));
    working = false;
    await watch;
    note(`at most ${most} of 40 were leased; ${served.size} of 1,000 apps had a turn`);
    assert.ok(most <= 40 && most > 20, `at most ${most} leased`);
    assert.ok(served.size > 900, `${served.size} apps had a turn`);
  },
);

scenario('doctor finds nothing on a good stack, and names what is broken', {}, async (world) => {
  const { sql, app, kill, up, sync } = world;
  await sync(app);
  const faults = async (expected?: RegExp) => {
    let found = '';
    await until(`doctor says ${expected ?? 'that all is well'}`, 60, async () => {
      const rows = await sql`select * from supasaasy.doctor() where ok is not true`;
      found = rows.map((row) => `${row.check_name}: ${row.detail}`).join('\n');
      return expected ? expected.test(found) : found === '';
    }).catch((error) => assert.fail(`${error.message}\n${found}`));
  };
  await faults();
  await sql`update supasaasy.apps set config = config || '{"api_key_env": "NOT_SET_ANYWHERE"}'`;
  await faults(/the functions have no NOT_SET_ANYWHERE/);
  await sql`update supasaasy.apps set config = config || '{"api_key_env": "STRIPE_API_KEY"}'`;
  await faults();
  await kill('functions');
  await faults(/functions answer: fetch-page/);
  await up();
  await faults();
});

scenario('job_progress, wait and why_not_synced tell what happens', {
  data: { customers: 1_000 },
  latencyMs: 30,
}, async ({ sql, start, env, app, fake }) => {
  const { default: postgres } = await import('postgres');
  const notices: string[] = [];
  const client = postgres(env.SUPASAASY_DATABASE_URL!, {
    max: 1,
    onnotice: (notice) => notices.push(String(notice.message)),
  });
  try {
    const job = await start(app, 'full');
    await client`call supasaasy.wait(${job})`;
    assert.match(notices[0] ?? '', new RegExp(`job ${job} is running: customer`));
    assert.match(notices.at(-1) ?? '', new RegExp(`job ${job} is completed`));
    const [progress] = await sql`
      select * from supasaasy.job_progress(${job}) where resource = 'customer'`;
    assert.deepEqual([progress?.status, progress?.inserted], ['completed', '1000']);
    const id = String([...fake.state.ids('customer')][0]);
    const [why] = await sql`select supasaasy.why_not_synced(${app}, 'customer', ${id}) as text`;
    assert.match(why?.text, /is here as it was observed at/);
  } finally {
    await client.end({ timeout: 1 });
  }
});
