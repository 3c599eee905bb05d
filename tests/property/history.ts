// Owns playing one random history through the engine's SQL functions: webhooks that come late,
// twice, out of order or never, polls and full syncs at random moments, every answer of the
// provider as of some instant between the page's begin and its completion.

import type { Sql } from 'postgres';
import { simulateIntercom } from './intercom.ts';
import { FIRST_SYNC, type Order, random, type Simulation } from './simulation.ts';
import { simulateStripe } from './stripe.ts';

const END = 300;
const simulations = { stripe: simulateStripe, intercom: simulateIntercom };

/** Which provider's history is played. */
export type ProviderName = keyof typeof simulations;

/** What Postgres holds and the provider does not, or the other way round; empty when equal. */
export type Differences = string[];

/** One rule left out, as SQL that replaces it for one transaction. */
export interface Mutant {
  name: string;
  /** Whose history shows it; Stripe's by default. */
  provider?: ProviderName;
  sql: string;
}

interface Planned {
  time: number;
  tie: number;
  run(now: number): Promise<void>;
}

class Rollback extends Error {}

/** Plays the history of a seed in a transaction that is rolled back. */
export async function play(
  sql: Sql,
  seed: number,
  mutant?: Mutant,
  provider: ProviderName = 'stripe',
): Promise<Differences> {
  let differences: Differences = [];
  try {
    await sql.begin(async (transaction) => {
      await transaction`select sim.prepare(${provider})`;
      if (mutant) await transaction.unsafe(mutant.sql);
      differences = await playIn(transaction as unknown as Sql, seed, provider);
      throw new Rollback();
    });
  } catch (error) {
    if (!(error instanceof Rollback)) throw error;
  }
  return differences;
}

async function playIn(sql: Sql, seed: number, name: ProviderName): Promise<Differences> {
  const r = random(seed);
  const between = (a: number, b: number) => a + r() * (b - a);
  const provider = simulations[name](random(seed + 1_000_000), END);
  const queue: Planned[] = [];
  const at = (time: number, run: Planned['run']) => queue.push({ time, tie: r(), run });
  let wake = Number.POSITIVE_INFINITY;

  /** Plans the next claim for when the engine says that something is due. */
  const due = (now: number, next: number | null) => {
    if (next === null) return;
    const time = Math.max(now, next) + 0.001;
    if (time >= wake) return;
    wake = time;
    at(time, claim);
  };
  async function claim(now: number): Promise<void> {
    if (now >= wake) wake = Number.POSITIVE_INFINITY;
    const [row] = await sql`select sim.begin_tasks(${now}) as answer`;
    const answer = row?.answer as { orders: Order[]; due: number | null };
    for (const order of answer.orders) {
      if (order.status !== 'begun') continue;
      const done = now + between(0.05, 3);
      const page = provider.answer(order, between(now, done));
      at(done, async (time) => {
        const [row] = await sql`
          select sim.complete(${time}, ${order.task_id}, ${order.work_token},
            ${sql.json(page as never)}) as due`;
        due(time, row?.due);
      });
    }
    if (answer.orders.length > 0) due(now, answer.due);
    else if (answer.due !== null) due(now + 0.5, answer.due);
  }
  const sync = (mode: string) => async (now: number) => {
    const [row] = await sql`select sim.sync(${now}, ${mode}, ${provider.resources}) as due`;
    due(now, row?.due);
  };

  for (const change of provider.changes) {
    const copies = r() < 0.25 ? 0 : r() < 0.7 ? 1 : 2;
    for (let copy = 0; copy < copies; copy += 1) {
      const delay = r() < 0.7 ? between(0.05, 2) : between(0, 150);
      at(change.t + delay, async (now) => {
        const [row] = await sql`select sim.receive(${now}, ${
          sql.json(change.event as never)
        }) as due`;
        due(now, row?.due);
      });
    }
  }
  at(between(0, FIRST_SYNC), sync('full'));
  for (let t = between(20, 60); t < END; t += between(25, 80)) at(t, sync('incremental'));
  for (let t = between(40, 150); t < END; t += between(60, 200)) at(t, sync('full'));
  // Quiet: every webhook has come or never will, and the event list has caught up.
  at(END + 200, sync('incremental'));
  at(END + 260, sync('incremental'));
  // What no event tells is found by listing everything.
  if (name === 'intercom') at(END + 600, sync('full'));

  while (queue.length > 0) {
    queue.sort((a, b) => a.time - b.time || a.tie - b.tie);
    const next = queue.shift()!;
    if (next.time > END + 2000) return ['it does not come to rest'];
    await next.run(next.time);
  }
  return await compare(sql, provider);
}

async function compare(sql: Sql, provider: Simulation): Promise<Differences> {
  const found: Differences = [];
  for (const [collection, expected] of provider.truth()) {
    const rows = await sql`
      select external_id, raw_payload, archived_at from supasaasy.entities
      where collection_key = ${collection}`;
    const here = new Map(rows.map((row) => [row.external_id as string, row]));
    for (const [id, value] of expected) {
      const row = here.get(id);
      if (!row) found.push(`${id} is missing`);
      else if (canonical(row.raw_payload) !== canonical(value)) found.push(`${id} is stale`);
      else if (
        collection === 'stripe_subscription' &&
        (row.archived_at !== null) !== ((value as { status: string }).status === 'canceled')
      ) found.push(`${id} has the wrong archived_at`);
    }
    for (const id of here.keys()) {
      if (!expected.has(id) && !provider.mayStay?.(collection, id)) {
        found.push(`${id} should be gone`);
      }
    }
  }
  const both = await sql`
    select external_id from supasaasy.entities
    join supasaasy.tombstones using (app_key, collection_key, external_id)`;
  for (const row of both) found.push(`${row.external_id} is alive and buried`);
  const stuck = await sql`
    select id, kind, state, error_message from supasaasy.sync_tasks
    where state not in ('done', 'cancelled')`;
  for (const row of stuck) {
    found.push(`task ${row.id} (${row.kind}) is ${row.state}: ${row.error_message}`);
  }
  return found;
}

function canonical(value: unknown): string {
  return JSON.stringify(
    value,
    (_, inner) =>
      typeof inner === 'object' && inner !== null && !Array.isArray(inner)
        ? Object.fromEntries(Object.entries(inner).sort(([a], [b]) => a.localeCompare(b)))
        : inner,
  );
}
