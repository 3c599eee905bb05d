// Owns growth: whether ingest and an incremental sync stay as fast when an account is a hundred times
// larger, and how many bytes a row takes.

import type { Sql } from 'postgres';
import type { FakeStripe } from '../fakes/stripe/server.ts';
import { fillTo } from './fill.ts';
import { believableRows, inPages, liftLimits, openListing, PAGE } from './pages.ts';
import { type Bench, sleep, withBench } from './stack.ts';
import { type Figure, median, type Part, short, spread } from './table.ts';

/** Ten million take a quarter of an hour and 20 GB: LARGEST=10000000 make bench ONLY=growth. */
const LARGEST = Number(Deno.env.get('LARGEST') ?? 1_000_000);
const SIZES = [10_000, 100_000, 1_000_000, 10_000_000].filter((size) => size <= LARGEST);
const REPETITIONS = 3;
const CHANGED = 300;
/** Rows of a repetition: parents, and their items too. */
const KINDS = [
  { name: 'customers', collection: 'stripe_customer', pages: 10, rows: PAGE },
  { name: 'subscriptions', collection: 'stripe_subscription', pages: 3, rows: PAGE * 3 },
] as const;

/** Rows a second of pages that were never seen before. */
async function ingestRate(
  sql: Sql,
  kind: (typeof KINDS)[number],
  pages: readonly string[],
): Promise<number> {
  const next = await openListing(sql, kind.collection);
  // The first page plans; what is told is the rate of a listing that is under way.
  await next('[]');
  let ms = 0;
  for (const page of pages) ms += (await next(page)).complete;
  await sql`delete from supasaasy.sync_jobs`;
  return pages.length * kind.rows / ms * 1000;
}

/** Seconds of a sync that finds other customers changed than the one before. */
async function incremental(
  { sql, sync }: Bench,
  fake: FakeStripe,
  customers: readonly string[],
): Promise<number> {
  await sleep(1);
  // Reading begins here, and not with the events of the repetition before.
  await sql`
    update supasaasy.sync_state set events_as_of = clock_timestamp() + interval '12 seconds'`;
  for (const id of customers) {
    fake.ops.update('customer', id, { name: `Name ${crypto.randomUUID()}` });
  }
  return (await sync('incremental')).seconds;
}

async function bytes(sql: Sql): Promise<{ stored: number; raw: number }> {
  const [size] = await sql`
    select pg_total_relation_size('supasaasy.entities')::float8 / count(*) as stored
    from supasaasy.entities`;
  const sample = await sql`
    select raw_payload from supasaasy.entities tablesample system (1) limit 2000`;
  const raw = sample.reduce((sum, row) => sum + JSON.stringify(row.raw_payload).length, 0);
  return { stored: size?.stored, raw: raw / sample.length };
}

export const growth: Part = {
  name: 'growth',
  about: `One app with ${SIZES.map(short).join(', ')} entities: pages of new rows through ` +
    `complete_page, and an incremental sync of ${CHANGED} changed customers by events.`,
  run: () =>
    withBench({ workers: true }, async (bench) => {
      const { sql, admin } = bench;
      const fake = await bench.startFake({
        data: {
          customers: CHANGED * REPETITIONS * SIZES.length,
          subscriptions: 1,
          products: 1,
          historyEvents: false,
        },
      });
      const needed = (i: number) => (KINDS[i]?.pages ?? 0) * PAGE * REPETITIONS * SIZES.length;
      const rows = await believableRows(needed(0), needed(1));
      const stock = [inPages(rows.customers), inPages(rows.subscriptions)];
      await liftLimits(sql);
      await bench.addApp({ config: { max_concurrency: 1 } });
      await bench.sync('full');
      const customers = fake.state.ids('customer').slice();
      const figures: Figure[] = [];
      const first = new Map<string, number>();
      const compare = (name: string, size: number, values: number[], unit: string, up: boolean) => {
        const middle = median(values);
        const smallest = first.get(name) ?? middle;
        first.set(name, smallest);
        const share = up ? middle / smallest : smallest / middle;
        figures.push({
          what: `${short(size)} entities, ${name}`,
          value: spread(values, unit),
          ...(size > 10_000 && {
            baseline: `${short(SIZES[0] ?? 0)} entities ${short(smallest)} ${unit}, ${
              short(share)
            } of it`,
            target: '>= 0.7 of the smallest',
            met: share >= 0.7,
          }),
        });
      };
      for (const size of SIZES) {
        await fillTo(sql, admin, size);
        for (const [i, kind] of KINDS.entries()) {
          const rates: number[] = [];
          for (let repetition = 0; repetition < REPETITIONS; repetition += 1) {
            rates.push(await ingestRate(sql, kind, stock[i]?.splice(0, kind.pages) ?? []));
          }
          compare(`new ${kind.name}`, size, rates, 'rows/s', true);
        }
        const seconds: number[] = [];
        for (let repetition = 0; repetition < REPETITIONS; repetition += 1) {
          seconds.push(await incremental(bench, fake, customers.splice(0, CHANGED)));
        }
        compare('incremental sync', size, seconds, 's', false);
      }
      const { stored, raw } = await bytes(sql);
      figures.push({
        what: 'bytes of a row with its indexes',
        value: `${short(stored)} bytes, ${short(stored / raw)} of the raw JSON`,
        baseline: `raw JSON ${short(raw)} bytes`,
      });
      return figures;
    }),
};
