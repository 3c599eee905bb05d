/**
 * Owns the command line of the fake Stripe: starts one and keeps it running until SIGINT or
 * SIGTERM. Prints its URL on the first line once it listens.
 */

import { parseArgs } from 'node:util';
import process from 'node:process';
import { z } from 'zod';
import {
  DEFAULT_ACCOUNT,
  DEFAULT_LIVE_KEY,
  DEFAULT_TEST_KEY,
  type FakeStripeOptions,
  startFakeStripe,
} from './server.ts';

const HELP = `A fake Stripe on 127.0.0.1

deno run -A tests/fakes/stripe/main.ts [options]

  --port <n>              port, 0 for any free one (24424)
  --seed <text>           decides all data and chance (1)
  --key <key>             API key; may be given several times (${DEFAULT_TEST_KEY})
  --account <id>          account id (${DEFAULT_ACCOUNT})
  --live                  live mode: keys begin with sk_live_ or rk_live_
  --customers <n>         (2500)
  --subscriptions <n>     (3000)
  --products <n>          (24)
  --years <n>             how far back the data reaches (5)
  --test-clock-customers <n>      customers left out of lists (0)
  --large-subscriptions <n>       subscriptions with --large-items items each (0)
  --large-items <n>               (20)
  --items-cap <n>         items shown in a subscription before has_more (20)
  --event-lag <seconds>   events show up this late at most (30)
  --skew <seconds>        the fake's clock is ahead by this (0)
  --latency <ms>          before every answer (0)
  --rate-limit            enforce the documented limits
  --all-prices            list inactive prices without being asked
  --frozen-prices         subscriptions keep the prices of the time they were written
  --webhook-url <url>     send each event there as it happens
  --webhook-secret <text> signs them
  --webhook-delay <ms>    (0)
  --churn <n>             random changes a second (0)
  --help
`;

const number = (least: number, most: number) => z.coerce.number().min(least).max(most);
const count = (most: number) => z.coerce.number().int().min(0).max(most);

const flagsSchema = z.object({
  'port': count(65535).default(24424),
  'seed': z.string().default('1'),
  'key': z.array(z.string()).optional(),
  'account': z.string().regex(/^acct_\w+$/, 'must look like acct_...').default(DEFAULT_ACCOUNT),
  'live': z.boolean().default(false),
  'customers': count(5_000_000).default(2500),
  'subscriptions': count(5_000_000).default(3000),
  'products': count(10_000).default(24),
  'years': number(0.01, 20).default(5),
  'test-clock-customers': count(1_000_000).default(0),
  'large-subscriptions': count(100_000).default(0),
  'large-items': count(1000).default(20),
  'items-cap': count(1000).default(20),
  'event-lag': number(0, 86400).default(30),
  'skew': number(-86400, 86400).default(0),
  'latency': number(0, 600_000).default(0),
  'rate-limit': z.boolean().default(false),
  'all-prices': z.boolean().default(false),
  'frozen-prices': z.boolean().default(false),
  'webhook-url': z.url().optional(),
  'webhook-secret': z.string().default(''),
  'webhook-delay': number(0, 600_000).default(0),
  'churn': number(0, 1000).default(0),
});

type Flags = z.infer<typeof flagsSchema>;

const BOOLEANS = new Set(['live', 'rate-limit', 'all-prices', 'frozen-prices', 'help']);

const readFlags = (args: string[]): Flags | null => {
  const names = [...Object.keys(flagsSchema.shape), 'help'];
  const { values } = parseArgs({
    args,
    allowPositionals: false,
    options: Object.fromEntries(names.map((name) => [name, {
      type: BOOLEANS.has(name) ? 'boolean' as const : 'string' as const,
      multiple: name === 'key',
    }])),
  });
  if (values['help'] === true) return null;
  return flagsSchema.parse(values);
};

const toOptions = (flags: Flags): FakeStripeOptions => ({
  port: flags.port,
  seed: flags.seed,
  apiKeys: flags.key ?? [flags.live ? DEFAULT_LIVE_KEY : DEFAULT_TEST_KEY],
  account: { id: flags.account, livemode: flags.live },
  data: {
    customers: flags.customers,
    subscriptions: flags.subscriptions,
    products: flags.products,
    years: flags.years,
    testClockCustomers: flags['test-clock-customers'],
    largeSubscriptions: { count: flags['large-subscriptions'], items: flags['large-items'] },
  },
  itemsCap: flags['items-cap'],
  eventLagSeconds: flags['event-lag'],
  skewSeconds: flags.skew,
  latencyMs: flags.latency,
  rateLimit: flags['rate-limit'],
  pricesDefaultActiveOnly: !flags['all-prices'],
  nestedPrices: flags['frozen-prices'] ? 'frozen' : 'live',
});

const run = async (flags: Flags): Promise<void> => {
  const fake = await startFakeStripe(toOptions(flags));
  if (flags['webhook-url'] !== undefined) {
    fake.webhooks.setWebhookTarget(flags['webhook-url'], flags['webhook-secret'], {
      auto: true,
      delayMs: flags['webhook-delay'],
    });
  }
  const ticking = flags.churn > 0 ? setInterval(() => fake.churn(1), 1000 / flags.churn) : null;
  console.log(fake.url);
  const { state } = fake;
  console.log(
    `account ${fake.account.id} (${fake.account.livemode ? 'live' : 'test'}): ${
      state.count('customer')
    } customers, ${state.count('subscription')} subscriptions, ${
      state.count('price')
    } prices; control plane at ${fake.url}/_fake/counts`,
  );
  const stop = async (): Promise<void> => {
    if (ticking !== null) clearInterval(ticking);
    await fake.stop();
    process.exit(0);
  };
  process.once('SIGINT', () => void stop());
  process.once('SIGTERM', () => void stop());
};

if (import.meta.main) {
  try {
    const flags = readFlags(process.argv.slice(2));
    if (flags === null) console.log(HELP);
    else await run(flags);
  } catch (error) {
    const reason = error instanceof z.ZodError
      ? z.prettifyError(error)
      : error instanceof Error
      ? error.message
      : String(error);
    console.error(`fake stripe: ${reason}\nTry --help.`);
    process.exit(1);
  }
}
