// Owns the flood: what thousands of forged starts, which anybody on the internet may post, cost a sync
// that runs beside them.

import { type Bench, withBench } from './stack.ts';
import { median, type Part, quantile, short, spread } from './table.ts';

const FORGED = 10_000;
const CUSTOMERS = 12_000;

interface Flood {
  /** How many were answered with each status. */
  statuses: Record<string, number>;
  times: number[];
}

async function forge(url: string, found: Flood): Promise<void> {
  const start = performance.now();
  // Every tenth is of task 0, doctor()'s.
  const task_id = Math.random() < 0.1 ? 0 : 1 + Math.floor(Math.random() * 1e6);
  const body = { task_id, token: crypto.randomUUID() };
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

/** Posts all forged starts, evenly over some seconds, at most two hundred under way at once. */
async function flood(url: string, seconds: number): Promise<Flood> {
  const found: Flood = { statuses: {}, times: [] };
  const open = new Set<Promise<void>>();
  const began = performance.now();
  for (let i = 0; i < FORGED; i += 1) {
    const wait = began + i * seconds * 1000 / FORGED - performance.now();
    if (wait > 0) await new Promise((resolve) => setTimeout(resolve, wait));
    if (open.size >= 200) await Promise.race(open);
    const one = forge(url, found).finally(() => open.delete(one));
    open.add(one);
  }
  await Promise.all(open);
  return found;
}

/** A sync of the same rows each time: the provider's limit is what bounds it. */
async function timed(bench: Bench): Promise<number> {
  await bench.sql`delete from supasaasy.sync_state`;
  await bench.sql`truncate supasaasy.entities, supasaasy.rate_budgets`;
  return (await bench.sync('full', ['customer'])).seconds;
}

export const flooding: Part = {
  name: 'flood',
  about:
    `${
      short(FORGED)
    } forged POSTs (random task ids and uuids) to fetch-page, evenly over the time ` +
    `that a sync of ${short(CUSTOMERS)} customers takes within the provider's limits without them.`,
  run: () =>
    withBench({ workers: true }, async (bench) => {
      await bench.startFake({
        latencyMs: 50,
        rateLimit: true,
        data: { customers: CUSTOMERS, subscriptions: 1, products: 1, historyEvents: false },
      });
      await bench.addApp();
      const quiet: number[] = [];
      const flooded: number[] = [];
      const floods: Flood[] = [];
      for (let repetition = 0; repetition < 3; repetition += 1) {
        quiet.push(await timed(bench));
        // Where it is many times slower, once tells enough.
        if (repetition > 0 && median(flooded) > 2 * median(quiet)) break;
        const [found, seconds] = await Promise.all([
          flood(bench.url, median(quiet)),
          timed(bench),
        ]);
        floods.push(found);
        flooded.push(seconds);
      }
      const slower = median(flooded) / median(quiet) - 1;
      const statuses = new Map<string, number>();
      for (const [status, count] of floods.flatMap((one) => Object.entries(one.statuses))) {
        statuses.set(status, (statuses.get(status) ?? 0) + count / floods.length);
      }
      const answers = [...statuses].map(([status, count]) => `${status}: ${short(count)}`);
      return [{
        what: 'a sync beside the flood',
        value: `${spread(flooded, 's')}, ${short(slower * 100)} % slower`,
        baseline: `without it ${spread(quiet, 's')}`,
        target: '< 20 % slower',
        met: slower < 0.2,
        why:
          'beyond a hundred pages at once fetch-page answers 503, to the starts of the sync too: ' +
          'one that pg_net brought is missed only when its token expires, after start_token_ttl',
      }, {
        what: 'the forged starts',
        value: `${short(FORGED / median(quiet))}/s, p99 ${
          short(quantile(floods.flatMap((one) => one.times), 0.99))
        } ms; answers ${answers.join(', ')}`,
      }];
    }),
};
