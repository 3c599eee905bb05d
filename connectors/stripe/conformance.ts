// Owns what the conformance suite needs to know of Stripe.

import { signStripePayload } from '../../tests/fakes/stripe/webhooks.ts';
import { startFakeStripe } from '../../tests/fakes/stripe/server.ts';
import type { Fixture } from '../../tests/conformance/fixture.ts';
import { stripe } from './connector.ts';

const SMALL = {
  customers: 23,
  products: 7,
  subscriptions: 12,
  largeSubscriptions: { count: 1, items: 25 },
};
const EMPTY = { customers: 0, products: 0, subscriptions: 0 };

export const fixture: Fixture = {
  connector: stripe,
  webhookSecret: 'whsec_conformance',
  async start(world) {
    const fake = await startFakeStripe({
      seed: 11,
      rateLimit: false,
      nestedPrices: 'frozen',
      eventLagSeconds: 0,
      data: world === 'empty' ? EMPTY : SMALL,
    });
    const first = (resource: string) => {
      const id = [...fake.state.ids(resource as never)][0];
      if (id === undefined) throw new Error(`there is no ${resource}`);
      return id;
    };
    const state = { events: 0 };
    return {
      env: { STRIPE_API_BASE: fake.url },
      apiKey: fake.key,
      faults: fake.faults,
      pathOf: (resource) => `/v1/${resource}s`,
      snapshot: (resource) => fake.state.snapshot(resource as never) as Map<string, unknown>,
      update(resource) {
        const id = first(resource);
        fake.ops.update(resource as never, id, { metadata: { changed: String(++state.events) } });
        return id;
      },
      remove(resource) {
        if (resource !== 'customer') return undefined;
        const id = first(resource);
        fake.ops.delete('customer', id);
        return id;
      },
      archive(resource) {
        if (resource !== 'product') return undefined;
        const id = first(resource);
        fake.ops.update('product', id, { active: false });
        return id;
      },
      webhookResource: 'customer',
      lastWebhook() {
        const events = fake.events.all().filter((row) =>
          row.type.startsWith('customer.') &&
          !row.type.includes('subscription')
        );
        return events.at(-1)!.text;
      },
      unknownWebhook: () =>
        JSON.stringify({
          id: 'evt_unknown',
          object: 'event',
          type: 'invoice.upcoming',
          created: Math.floor(Date.now() / 1000),
          livemode: false,
          data: { object: { object: 'invoice' } },
        }),
      sign: async (body, secret) => ({
        'stripe-signature': await signStripePayload(body, secret, Math.floor(Date.now() / 1000)),
      }),
      stop: () => fake.stop(),
    };
  },
};
