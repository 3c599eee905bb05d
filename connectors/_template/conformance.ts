// Owns what the conformance suite needs to know of Acme.

import type { Fixture } from '../../tests/conformance/fixture.ts';
import { acme } from './connector.ts';
import { signAcmePayload, startFakeAcme } from './fake.ts';

export const fixture: Fixture = {
  connector: acme,
  webhookSecret: 'acme_webhook_secret',
  async start(world) {
    const fake = await startFakeAcme(world === 'empty' ? 0 : 25);
    const first = () => [...fake.widgets.keys()][0] ?? '';
    let changes = 0;
    return {
      env: { ACME_API_BASE: fake.url },
      apiKey: fake.key,
      faults: fake.faults,
      pathOf: () => '/v1/widgets',
      snapshot: () => fake.widgets,
      update() {
        const id = first();
        fake.change(id, { name: `change ${++changes}` });
        return id;
      },
      remove() {
        const id = first();
        fake.remove(id);
        return id;
      },
      archive() {
        const id = first();
        fake.change(id, { archived: true });
        return id;
      },
      webhookResource: 'widget',
      lastWebhook: () => fake.webhooks.at(-1) ?? '',
      unknownWebhook: () =>
        JSON.stringify({ id: 'evt_1', type: 'invoice.paid', created: 1, data: {} }),
      sign: (body, secret) =>
        Promise.resolve({ 'x-acme-signature': signAcmePayload(body, secret) }),
      stop: () => fake.stop(),
    };
  },
};
