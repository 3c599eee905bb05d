// Owns throughput: pages a second of one large resource within the provider's limits, of a whole
// account, and what a page costs each process.

import { type Bench, cpuEach, cpuSeconds, withBench } from './stack.ts';
import { type Figure, type Part, short } from './table.ts';

const LATENCY_MS = 150;
/** Sixty seconds and less at the rates that are the target. */
const CUSTOMERS = 100_000;
const QUICK_CUSTOMERS = 50_000;
const LIMIT = 25;

/** Pages a second as the provider saw them arrive, from the first tenth to the last: sustained. */
function arrivals(
  fake: Awaited<ReturnType<Bench['startFake']>>,
): { rate: number; refused: number } {
  const requests = fake.log.entries().filter((request) => request.path !== '/v1/account');
  const times = requests.filter((request) => request.status === 200)
    .map((request) => Date.parse(request.at)).sort((a, b) => a - b);
  const [from, to] = [Math.floor(times.length * 0.1), Math.floor(times.length * 0.9)];
  return {
    rate: (to - from) / ((times[to] ?? 0) - (times[from] ?? 0)) * 1000,
    refused: requests.filter((request) => request.status === 429).length,
  };
}

async function oneResource(headroom: string, customers: number, least: number): Promise<Figure> {
  return await withBench({ workers: true }, async ({ sql, addApp, startFake, sync }) => {
    const fake = await startFake({
      latencyMs: LATENCY_MS,
      rateLimit: true,
      data: { customers, subscriptions: 1, products: 1, historyEvents: false },
    });
    await sql`select supasaasy.set_setting('rate_headroom', ${headroom})`;
    await addApp();
    const { seconds, pages } = await sync('full', ['customer']);
    const { rate, refused } = arrivals(fake);
    return {
      what: `${short(customers)} customers, headroom ${headroom}`,
      value: `${short(rate)} pages/s, ${refused} refused; ${pages} pages in ${short(seconds)} s ` +
        'with start and sweep',
      baseline: `the provider's limit ${LIMIT}/s`,
      target: `>= ${least} pages/s`,
      met: rate >= least,
    };
  });
}

async function wholeAccount(config: Record<string, unknown>): Promise<Figure[]> {
  return await withBench({ workers: true }, async ({ addApp, startFake, sync }) => {
    const fake = await startFake({
      live: true,
      latencyMs: LATENCY_MS,
      rateLimit: true,
      data: { customers: 12_000, subscriptions: 12_000, products: 8_000, historyEvents: false },
    });
    await addApp({ live: true, config });
    const before = await cpuSeconds();
    const { seconds, pages } = await sync('full');
    const cpu = cpuEach(before, await cpuSeconds(), pages);
    const { rate, refused } = arrivals(fake);
    const total = Object.values(cpu).reduce((sum, one) => sum + one, 0);
    const name = config.max_concurrency ? `max_concurrency ${config.max_concurrency}` : 'defaults';
    return [{
      what: `five resources of a live account, ${name}`,
      value: `${short(rate)} pages/s, ${refused} refused; ${pages} pages in ${short(seconds)} s`,
      baseline: "the provider's limits 25/s each, 100/s in all, of which 80 % are used",
    }, {
      what: `processor time of one of these pages, ${name}`,
      value:
        `${short(total)} ms: Postgres ${short(cpu.postgres)}, gateway ${short(cpu.gateway)}, ` +
        `functions ${short(cpu.functions)}, workers ${short(cpu.workers)}, fake ${short(cpu.fake)}`,
    }];
  });
}

export const resource: Part = {
  name: 'resource',
  about: `The provider answers after ${LATENCY_MS} ms and enforces its documented limits. ` +
    `Without headroom ${short(QUICK_CUSTOMERS)} customers are listed, to stay within the time.`,
  run: async () => [
    await oneResource('0.8', CUSTOMERS, 18),
    await oneResource('1', QUICK_CUSTOMERS, 22),
    ...await wholeAccount({}),
    ...await wholeAccount({ max_concurrency: 40 }),
  ],
};
