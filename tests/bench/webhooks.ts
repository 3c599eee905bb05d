// Owns webhooks: how long a signed event takes to be answered, that none is lost, and how many a second
// one stack takes.

import type { FakeStripe } from '../fakes/stripe/server.ts';
import { signStripePayload } from '../fakes/stripe/webhooks.ts';
import { APP, type Bench, WEBHOOK_SECRET, withBench } from './stack.ts';
import { type Figure, type Part, quantile, short } from './table.ts';

const RATE = 100;
const SECONDS = 60;
const TRIES = [150, 200, 250, 300, 400, 500, 600];
const TRY_SECONDS = 4;
const LIMIT_MS = 250;

interface Sent {
  times: number[];
  /** Answers other than 200. */
  failed: number;
  /** Seconds from the first event to the last answer. */
  seconds: number;
}

/** Sends at a fixed rate, whether answers come or not. */
async function sendAt(
  rate: number,
  count: number,
  send: (i: number) => Promise<number>,
): Promise<Sent> {
  const sent: Sent = { times: [], failed: 0, seconds: 0 };
  const began = performance.now();
  const open: Promise<void>[] = [];
  for (let i = 0; i < count; i += 1) {
    const due = began + i / rate * 1000;
    const wait = due - performance.now();
    if (wait > 0) await new Promise((resolve) => setTimeout(resolve, wait));
    // From when it was due: a sender that lags behind must not hide that.
    open.push(
      send(i).then((status) => {
        sent.times.push(performance.now() - due);
        if (status !== 200) sent.failed += 1;
      }),
    );
  }
  await Promise.all(open);
  sent.seconds = (performance.now() - began) / 1000;
  return sent;
}

/** One event for each customer in turn: its new name, signed, as Stripe would send it. */
function createSender(bench: Bench, fake: FakeStripe): {
  next(): Promise<number>;
  names: Map<string, string>;
} {
  const ids = fake.state.ids('customer');
  const names = new Map<string, string>();
  let at = 0;
  return {
    names,
    async next() {
      const id = ids[at++ % ids.length] ?? '';
      const name = `Name ${at}`;
      names.set(id, name);
      fake.ops.update('customer', id, { name });
      const event = fake.events.all().at(-1);
      if (!event) throw new Error('no event');
      const body = JSON.stringify(JSON.parse(event.text), null, 2);
      const signature = await signStripePayload(
        body,
        WEBHOOK_SECRET,
        Math.floor(Date.now() / 1000),
      );
      return await post(`${bench.url}/functions/v1/webhook/${APP}`, body, signature);
    },
  };
}

async function post(url: string, body: string, signature: string): Promise<number> {
  try {
    const response = await fetch(url, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'stripe-signature': signature },
      body,
    });
    await response.body?.cancel();
    return response.status;
  } catch {
    return 0;
  }
}

async function lost(bench: Bench, names: Map<string, string>): Promise<number> {
  const rows = await bench.sql`
    select external_id, raw_payload ->> 'name' as name from supasaasy.entities`;
  const stored = new Map(rows.map((row) => [row.external_id, row.name]));
  return [...names].filter(([id, name]) => stored.get(id) !== name).length;
}

const percentiles = (sent: Sent) =>
  `p50 ${short(quantile(sent.times, 0.5))} ms, p99 ${short(quantile(sent.times, 0.99))} ms`;

export const webhooks: Part = {
  name: 'webhooks',
  about: 'Signed customer.updated events through the gateway at a fixed rate, each of another ' +
    'customer, timed from when each was due.',
  run: () =>
    withBench({ workers: true }, async (bench) => {
      const fake = await bench.startFake({
        data: { customers: 15_000, subscriptions: 1, products: 1, historyEvents: false },
      });
      await bench.addApp();
      const { next, names } = createSender(bench, fake);
      await sendAt(20, 40, next);
      // What the same way costs without an event: one RPC, no signature, nothing stored.
      const bare = await sendAt(RATE, RATE * 5, async () => {
        const status = await post(`${bench.url}/functions/v1/webhook/no_such_app`, '{}', '');
        return status === 404 ? 200 : status;
      });
      const steady = await sendAt(RATE, RATE * SECONDS, next);
      const missing = await lost(bench, names);
      const figures: Figure[] = [{
        what: `${RATE} events/s for ${SECONDS} s`,
        value: percentiles(steady),
        baseline: `one RPC for an unknown app, ${percentiles(bare)}`,
        target: `p99 < ${LIMIT_MS} ms`,
        met: quantile(steady.times, 0.99) < LIMIT_MS,
      }, {
        what: 'events refused or lost of these',
        value: `${steady.failed} refused, ${missing} lost`,
        target: '0',
        met: steady.failed + missing === 0,
      }];
      let best = quantile(steady.times, 0.99) < LIMIT_MS ? RATE : 0;
      let tried = '';
      for (const rate of TRIES) {
        const sent = await sendAt(rate, rate * TRY_SECONDS, next);
        tried = `at ${rate}/s ${percentiles(sent)}`;
        if (quantile(sent.times, 0.99) >= LIMIT_MS || sent.failed > 0) break;
        best = rate;
      }
      figures.push({
        what: `the highest rate with p99 < ${LIMIT_MS} ms`,
        value: `${best} events/s`,
        baseline: tried,
      }, {
        what: 'events lost at any rate',
        value: String(await lost(bench, names)),
        target: '0',
        met: await lost(bench, names) === 0,
      });
      return figures;
    }),
};
