// Owns overhead: how long one chain takes between two pages beside the provider's own latency, by
// relay as the engine does it, and what the same chain would cost through pg_net alone.

import type { Sql } from 'postgres';
import type { LoggedRequest } from '../fakes/_shared/request_log.ts';
import { withBench } from './stack.ts';
import { type Figure, median, type Part, spread } from './table.ts';

const PAGES = 60;
const LATENCY_MS = 50;
const HOPS = 8;

/** From one request's arrival to the next one's, without the time that the provider took. */
function gaps(requests: readonly LoggedRequest[]): number[] {
  const lists = requests.filter((request) => request.path === '/v1/customers');
  return lists.slice(1).flatMap((request, i) => {
    const before = lists[i];
    return before ? [Date.parse(request.at) - Date.parse(before.at) - before.ms] : [];
  });
}

/** Milliseconds of each hop of a chain where every step is posted by pg_net. */
async function hops(sql: Sql, url: string): Promise<number[]> {
  const times: number[] = [];
  for (let hop = 0; hop <= HOPS; hop += 1) {
    const start = performance.now();
    const [row] = await sql`select net.http_get(${`${url}/health`}) as id`;
    for (;;) {
      const [answer] = await sql`select from net._http_response where id = ${row?.id}`;
      if (answer) break;
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    times.push(performance.now() - start);
  }
  // The first one finds the worker idle, and is sent at once.
  return times.slice(1);
}

export const overhead: Part = {
  name: 'overhead',
  about:
    `One chain (max_concurrency 1) of ${PAGES} pages of customers, the provider answering after ` +
    `${LATENCY_MS} ms: what a page takes beyond that.`,
  run: () =>
    withBench({ workers: true }, async ({ sql, url, addApp, startFake, sync }) => {
      const fake = await startFake({
        latencyMs: LATENCY_MS,
        data: { customers: PAGES * 100, subscriptions: 1, products: 1, historyEvents: false },
      });
      await sql`select supasaasy.set_setting('rate_headroom', '100')`;
      await addApp({ config: { max_concurrency: 1 } });
      const medians: number[] = [];
      for (let repetition = 0; repetition < 3; repetition += 1) {
        fake.log.clear();
        await sync('full', ['customer']);
        medians.push(median(gaps(fake.log.entries())));
      }
      const viaNet = await hops(sql, url);
      const figure: Figure = {
        what: 'a page by relay, beside the provider',
        value: spread(medians, 'ms'),
        baseline: `a hop through pg_net ${spread(viaNet, 'ms')}`,
        target: '<= 60 ms',
        met: median(medians) <= 60,
        why: 'the first pass stores the rows, the others compare them: begin_page, complete_page ' +
          'and the relay share what cores are free',
      };
      return [figure];
    }),
};
