// Owns `make demo`: a stack of its own, a Stripe account (a fake one, or the one that
// STRIPE_API_KEY opens), one sync with live progress, and what a user looks at after it. A second
// run keeps the data and says what changed.

import postgres, { type Sql } from 'postgres';
import { currentInstance, type Instance, root } from './instance.ts';
import { logFile, running, start, stop, until } from './processes.ts';
import { restart } from './stack.ts';

const FAKE_KEY = 'sk_test_supasaasy_fake_key';
const realKey = Deno.env.get('STRIPE_API_KEY');

/** A fake account and a real one never share a database: an app is pinned to its account. */
const instance = currentInstance(realKey ? 'demo-live' : 'demo');
const fakeUrl = `http://127.0.0.1:${instance.ports.gateway + 7}`;

async function answers(): Promise<void> {
  const response = await fetch(`${fakeUrl}/_fake/health`);
  await response.body?.cancel();
}

async function startFake(instance: Instance): Promise<void> {
  if (await running(instance, 'fake-stripe')) {
    if (await answers().then(() => true, () => false)) return;
    // It runs at another SUPASAASY_PORT.
    await stop(instance, 'fake-stripe');
  }
  const script = new URL('tests/fakes/stripe/main.ts', root).pathname;
  const port = String(instance.ports.gateway + 7);
  await Deno.mkdir(instance.dir, { recursive: true });
  await start(instance, {
    name: 'fake-stripe',
    command: [Deno.execPath(), 'run', '-A', '--quiet', script, '--port', port, '--rate-limit'],
    env: Deno.env.toObject(),
  });
  await until(instance, 'fake-stripe', answers);
}

const bold = (text: string) => Deno.stdout.isTerminal() ? `\x1b[1m${text}\x1b[0m` : text;
const step = (text: string) => console.log(`\n${bold(text)}`);

/** Rows as psql shows them. */
function table(rows: readonly Record<string, unknown>[]): string {
  if (rows.length === 0) return '(0 rows)';
  const names = Object.keys(rows[0] ?? {});
  const cell = (value: unknown) =>
    value === null
      ? ''
      : value instanceof Date
      ? value.toISOString().slice(0, 16).replace('T', ' ')
      : String(value);
  const cells = rows.map((row) => names.map((name) => cell(row[name])));
  const widths = names.map((name, i) =>
    Math.max(name.length, ...cells.map((line) => line[i]?.length ?? 0))
  );
  const line = (values: string[]) =>
    values.map((value, i) => value.padEnd(widths[i] ?? 0)).join(' | ').trimEnd();
  return [
    line(names),
    widths.map((width) => '-'.repeat(width)).join('-+-'),
    ...cells.map(line),
  ].join('\n');
}

async function show(sql: Sql, query: string): Promise<void> {
  console.log(`${query.trim()}\n`);
  console.log(table(await sql.unsafe(query)));
}

/** Follows a job to its end; a bar that moves on a terminal, a line a second elsewhere. */
async function follow(sql: Sql, job: number): Promise<Record<string, unknown>> {
  const began = Date.now();
  const terminal = Deno.stdout.isTerminal();
  let shown = 0;
  for (;;) {
    const [status] = await sql`select * from supasaasy.job_status(${job})`;
    const ended = !['pending', 'running'].includes(status?.status);
    const seconds = (Date.now() - began) / 1000;
    const rows = Number(status?.processed_entities);
    const done = Math.round(Number(status?.progress_percentage) / 4);
    const text = `[${'#'.repeat(done).padEnd(25, '.')}] ${String(status?.status).padEnd(9)} ` +
      `${String(status?.pages).padStart(4)} pages  ${String(rows).padStart(6)} rows  ` +
      `${Math.round(rows / Math.max(seconds, 0.1))} rows/s  ${seconds.toFixed(1)} s`;
    if (terminal) await Deno.stdout.write(new TextEncoder().encode(`\r${text}`));
    else if (ended || Date.now() - shown > 1000) {
      console.log(text);
      shown = Date.now();
    }
    if (ended) {
      if (terminal) console.log();
      return status ?? {};
    }
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
}

async function main(): Promise<number> {
  step(`Starting the stack (instance "${instance.name}", ports from ${instance.ports.gateway})`);
  if (!realKey) await startFake(instance);
  const env = await restart(instance, 'functions', {
    STRIPE_API_KEY: realKey ?? FAKE_KEY,
    ...(realKey ? {} : { STRIPE_API_BASE: fakeUrl }),
  });
  console.log(`database   .local/${instance.name}/env, logs in .local/${instance.name}/*.log`);
  console.log(
    realKey ? 'Stripe     the account of STRIPE_API_KEY' : `Stripe     a fake one at ${fakeUrl}`,
  );

  const sql = postgres(env.SUPASAASY_DATABASE_URL, { max: 2, onnotice: () => {} });
  try {
    step('One row per account, one statement');
    const configure = `insert into supasaasy.apps (app_key, name, connector, config)
values ('stripe_main', 'Stripe', 'stripe', '{"api_key_env": "STRIPE_API_KEY"}')
on conflict (app_key) do nothing`;
    console.log(`${configure};`);
    await sql.unsafe(configure);
    console.log(`select supasaasy.sync('stripe_main', 'full');\n`);
    const [row] = await sql`select supasaasy.sync('stripe_main', 'full') as id`;
    const job = Number(row?.id);
    const status = await follow(sql, job);

    step('What the sync did');
    await show(
      sql,
      `select status, pages, inserted, updated, unchanged, deleted, error_message
from supasaasy.job_status(${job})`,
    );
    if (status.status !== 'completed') {
      console.error(`\nThe sync did not complete: ${status.error_message}`);
      return 1;
    }
    step('What is in Postgres now');
    await show(
      sql,
      `select collection_key, count(*) as rows, count(archived_at) as archived
from supasaasy.entities group by collection_key order by collection_key`,
    );
    step('Customers with their subscriptions');
    await show(
      sql,
      `select c.email, s.status, s.current_period_end
from supasaasy.stripe_customers c
join supasaasy.stripe_subscriptions s on s.customer_id = c.external_id
where s.status = 'active'
order by s.current_period_end, c.email
limit 5`,
    );
    step('Monthly recurring revenue');
    await show(
      sql,
      `select
  i.currency,
  count(distinct s.external_id) as subscriptions,
  round(sum(
    i.unit_amount * i.quantity / case i.recurring_interval when 'year' then 12.0 else 1.0 end
      / i.recurring_interval_count
  ) / 100, 2) as mrr
from supasaasy.stripe_subscriptions s
join supasaasy.stripe_subscription_items i
  on i.app_key = s.app_key and i.subscription_id = s.external_id
where s.status in ('active', 'past_due')
  and i.recurring_interval in ('month', 'year')
group by i.currency
order by mrr desc`,
    );
    if (Number(status.inserted) + Number(status.updated) + Number(status.deleted) === 0) {
      console.log('\nNothing had changed at the provider, so nothing was written here.');
    }
    step('Next');
    if (!realKey) console.log('your own sandbox:   STRIPE_API_KEY=sk_test_... make demo');
    console.log(`ask it yourself:    SUPASAASY_STACK=${instance.name} make db`);
    console.log('stop everything:    make down');
    return 0;
  } finally {
    await sql.end({ timeout: 1 });
  }
}

try {
  Deno.exitCode = await main();
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  console.error(`The logs are in ${logFile(instance, '*')}`);
  await stop(instance, 'fake-stripe');
  Deno.exitCode = 1;
}
