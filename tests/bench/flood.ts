// Owns the flood: what thousands of forged starts, which anybody on the internet may post, cost a sync
// that runs beside them.

import { type Bench, withBench } from './stack.ts';
import { type Figure, median, type Part, quantile, short, spread } from './table.ts';

const FORGED = 10_000;
const CUSTOMERS = 16_000;
const REPETITIONS = 2;

interface Flood {
  /** How many were answered with each status. */
  statuses: Record<number, number>;
  times: number[];
  seconds: number;
}

/** Posts forged starts, some under way at any time, as fast as they are answered. */
async function flood(url: string, lanes: number): Promise<Flood> {
  const found: Flood = { statuses: {}, times: [], seconds: 0 };
  const began = performance.now();
  let left = FORGED;
  const lane = async () => {
    while (left-- > 0) {
      const start = performance.now();
      const body = { task_id: 1 + Math.floor(Math.random() * 1e6), token: crypto.randomUUID() };
      const status = await fetch(`${url}/functions/v1/fetch-page`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(body),
      }).then(async (response) => {
        await response.body?.cancel();
        return response.status;
      }, () => 0);
      found.statuses[status] = (found.statuses[status] ?? 0) + 1;
      found.times.push(performance.now() - start);
    }
  };
  await Promise.all(Array.from({ length: lanes }, lane));
  found.seconds = (performance.now() - began) / 1000;
  return found;
}

/** A sync of the same rows each time: the provider's limit is what bounds it. */
async function timed(bench: Bench): Promise<number> {
  await bench.sql`delete from supasaasy.sync_state`;
  await bench.sql`truncate supasaasy.entities, supasaasy.rate_budgets`;
  return (await bench.sync('full', ['customer'])).seconds;
}

async function measure(bench: Bench, lanes: number, quiet: readonly number[]): Promise<Figure[]> {
  const flooded: number[] = [];
  const floods: Flood[] = [];
  for (let repetition = 0; repetition < REPETITIONS; repetition += 1) {
    const [found, seconds] = await Promise.all([flood(bench.url, lanes), timed(bench)]);
    floods.push(found);
    flooded.push(seconds);
  }
  const slower = median(flooded) / median(quiet) - 1;
  const statuses: Record<string, number> = {};
  for (const { statuses: some } of floods) {
    for (const [status, count] of Object.entries(some)) {
      statuses[status] = (statuses[status] ?? 0) + count;
    }
  }
  const seconds = floods.map((one) => one.seconds);
  return [{
    what: `a sync beside ${short(FORGED)} forged starts, ${lanes} at a time`,
    value: `${spread(flooded, 's')}, ${short(slower * 100)} % slower`,
    baseline: `without them ${spread(quiet, 's')}`,
    target: '< 20 % slower',
    met: slower < 0.2,
    why: 'beyond a hundred pages at once fetch-page answers 503, to the chains of the sync too; ' +
      'such a chain waits for the next tick',
  }, {
    what: 'the forged starts',
    value: `${short(FORGED / median(seconds))}/s; answers ${
      Object.entries(statuses).map(([status, count]) => `${status}: ${short(count)}`).join(', ')
    }; p99 ${short(quantile(floods.flatMap((one) => one.times), 0.99))} ms`,
  }];
}

export const flooding: Part = {
  name: 'flood',
  about: 'Forged POSTs (random task ids and uuids) to fetch-page while a sync of ' +
    `${short(CUSTOMERS)} customers runs within the provider's default limits.`,
  run: () =>
    withBench({ workers: true }, async (bench) => {
      await bench.startFake({
        latencyMs: 50,
        rateLimit: true,
        data: { customers: CUSTOMERS, subscriptions: 1, products: 1, historyEvents: false },
      });
      await bench.addApp();
      const quiet: number[] = [];
      for (let repetition = 0; repetition < REPETITIONS; repetition += 1) {
        quiet.push(await timed(bench));
      }
      return [...await measure(bench, 16, quiet), ...await measure(bench, 200, quiet)];
    }),
};
