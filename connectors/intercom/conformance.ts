// Owns what the conformance suite needs to know of Intercom.

import { startFakeIntercom } from '../../tests/fakes/intercom/server.ts';
import { signIntercomPayload } from '../../tests/fakes/intercom/webhooks.ts';
import type { Fixture } from '../../tests/conformance/fixture.ts';
import { intercom } from './connector.ts';

const SMALL = { contacts: 25, companies: 12, conversations: 8, admins: 4, tags: 5, teams: 2 };
const EMPTY = { contacts: 0, companies: 0, conversations: 0, admins: 1, tags: 0, teams: 0 };
const PATHS: Record<string, string> = {
  contact: '/contacts',
  conversation: '/conversations',
  company: '/companies',
  admin: '/admins',
  tag: '/tags',
  team: '/teams',
};

export const fixture: Fixture = {
  connector: intercom,
  webhookSecret: 'client_secret_conformance',
  async start(world) {
    const fake = await startFakeIntercom({
      seed: 11,
      rateLimit: false,
      data: world === 'empty' ? EMPTY : SMALL,
      companyLimits: { scrollIdle: 1 },
    });
    const { ops, state } = fake;
    const first = (resource: string) => {
      const id = [...state.ids(resource as never)][0];
      if (id === undefined) throw new Error(`there is no ${resource}`);
      return id as string;
    };
    let changes = 0;
    const updates: Record<string, (id: string, name: string) => unknown> = {
      contact: (id, name) => ops.updateContact(id, { name }),
      company: (id, name) => ops.updateCompany(id, { name }),
      conversation: (id, name) => ops.reply(id, { body: name }),
      admin: (id, name) => ops.updateAdmin(id, { name }),
    };
    const removals: Record<string, (id: string) => unknown> = {
      contact: (id) => ops.deleteContact(id),
      company: (id) => ops.deleteCompany(id),
      conversation: (id) => ops.deleteConversation(id),
    };
    return {
      env: { INTERCOM_API_BASE: fake.url },
      apiKey: fake.key,
      faults: fake.faults,
      pathOf: (resource) => PATHS[resource],
      snapshot: (resource) => state.snapshot(resource as never) as Map<string, unknown>,
      update(resource) {
        const id = first(resource);
        updates[resource]?.(id, `change ${++changes}`);
        return id;
      },
      remove(resource) {
        const run = removals[resource];
        if (run === undefined) return undefined;
        const id = first(resource);
        run(id);
        return id;
      },
      archive(resource) {
        if (resource !== 'conversation') return undefined;
        const id = first(resource);
        ops.closeConversation(id);
        return id;
      },
      webhookResource: 'contact',
      lastWebhook() {
        const last = fake.webhooks.all().filter((row) => row.topic.startsWith('contact.')).at(-1)!;
        return fake.webhooks.bodyOf(last.id);
      },
      unknownWebhook: () =>
        JSON.stringify({
          type: 'notification_event',
          id: 'notif_unknown',
          app_id: fake.account.id,
          topic: 'ping',
          created_at: Math.floor(Date.now() / 1000),
          data: { type: 'notification_event_data', item: { type: 'ping', message: 'hello' } },
        }),
      sign: async (body, secret) => ({
        'x-hub-signature': await signIntercomPayload(body, secret),
      }),
      stop: () => fake.stop(),
    };
  },
};
