// Chaos: while the provider changes, webhooks stream in and syncs run, processes are killed and a
// tenth of all requests are lost, delayed or doubled. When it is over, Postgres equals the provider
// and nothing is stuck.

import assert from 'node:assert/strict';
import { note } from '../note.ts';
import { signStripePayload } from '../fakes/stripe/webhooks.ts';
import {
  assertIntercomEqual,
  COLLECTIONS,
  quiet,
  scenario,
  WEBHOOK_SECRETS,
  type World,
} from './harness.ts';

const SECONDS = Number(Deno.env.get('CHAOS_SECONDS') ?? 30);
const VICTIMS = ['functions', 'postgres', 'workers'] as const;

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

interface Provider<Event> {
  app: string;
  /** Changes something, and gives the events that tell of it. */
  change(turn: number): Event[];
  /** Posts an event's webhook, and gives the status that it was answered with, or 0. */
  post(event: Event): Promise<number>;
}

/**
 * Lets the provider change, its webhooks come (some never, late or twice), syncs run and processes die,
 * until the time is over and every webhook has been answered; gives how much there was of each.
 */
async function storm<Event>(
  { start, kill, up }: World,
  { app, change, post }: Provider<Event>,
): Promise<Record<string, number>> {
  const counts = { changes: 0, webhooks: 0, dropped: 0, doubled: 0, delayed: 0, kills: 0 };
  /** As a provider does: again and again until it is answered 200. */
  const send = async (event: Event, wait: number) => {
    await pause(wait);
    for (let tries = 0; tries < 60; tries += 1) {
      if (await post(event).catch(() => 0) === 200) return;
      await pause(500);
    }
    assert.fail('a webhook was never accepted');
  };

  let over = false;
  const sending: Promise<void>[] = [];
  const stream = (async () => {
    for (let turn = 0; !over; turn += 1) {
      const events = change(turn);
      counts.changes += events.length;
      for (const [index, event] of events.entries()) {
        const chance = (turn * 31 + index * 17) % 100;
        if (chance < 10) {
          counts.dropped += 1;
          continue;
        }
        counts.webhooks += 1;
        if (chance < 20) counts.delayed += 1;
        sending.push(send(event, chance < 20 ? 4_000 : 0));
        if (chance >= 90) {
          counts.doubled += 1;
          sending.push(send(event, 1_000));
        }
      }
      await pause(200);
    }
  })();
  const syncs = (async () => {
    while (!over) {
      await start(app, Math.random() < 0.5 ? 'full' : 'incremental').catch(() => {});
      await pause(4_000);
    }
  })();
  const end = Date.now() + SECONDS * 1000;
  for (let turn = 0; Date.now() < end; turn += 1) {
    await pause(2_500);
    await kill(VICTIMS[turn % VICTIMS.length] ?? 'functions');
    counts.kills += 1;
    await pause(300);
    await up();
  }
  over = true;
  await Promise.all([stream, syncs]);
  await Promise.all(sending);
  return counts;
}

scenario(
  'killed processes and lost, late and doubled requests end equal to the provider',
  { data: { customers: 1_200, subscriptions: 800 }, latencyMs: 5, eventLagSeconds: 5 },
  async (world) => {
    const { fake, sql, sync, webhookUrl, assertEqual } = world;
    for (
      const fault of [
        { kind: 'reset', when: 'before' },
        { kind: 'reset', when: 'after_headers' },
        { kind: 'status', status: 500 },
        { kind: 'latency', ms: 700 },
      ] as const
    ) fake.faults.add({ match: { pathPrefix: '/v1/', probability: 0.025 }, fault });

    let known = fake.events.all().length;
    const counts = await storm(world, {
      app: 'stripe_main',
      change() {
        fake.churn(8);
        const events = fake.events.all().slice(known);
        known += events.length;
        return events;
      },
      async post({ text }) {
        const now = Math.floor(Date.now() / 1000);
        const response = await fetch(webhookUrl, {
          method: 'POST',
          headers: { 'stripe-signature': await signStripePayload(text, WEBHOOK_SECRETS[0], now) },
          body: text,
          signal: AbortSignal.timeout(10_000),
        });
        await response.body?.cancel();
        return response.status;
      },
    });
    const injected = fake.faults.list().reduce((sum, fault) => sum + fault.fired, 0);
    fake.faults.clear();

    await quiet(sql);
    await pause(6_000);
    for (const mode of ['incremental', 'full']) {
      const job = await sync('stripe_main', mode);
      assert.equal(job.status, 'completed', String(job.error_message));
    }
    await quiet(sql);
    await assertEqual(fake);
    const rows = COLLECTIONS.reduce((sum, name) => sum + fake.state.snapshot(name).size, 0);
    note(`${JSON.stringify({ ...counts, faults: injected, rows, differences: 0 })}`);
  },
);

scenario(
  'the same for Intercom: searches, scrolls and parts among kills and lost requests',
  { intercom: { data: { contacts: 600, companies: 250, conversations: 120 } } },
  async (world) => {
    const { sql, sync, env, intercom } = world;
    await sql`
      insert into supasaasy.apps (app_key, connector, config)
      values ('intercom_main', 'intercom',
        '{"api_key_env": "INTERCOM_TOKEN", "webhook_secret_env": "INTERCOM_CLIENT_SECRET"}')`;
    intercom.webhooks.setWebhookTarget(
      `${env.SUPABASE_URL}/functions/v1/webhook/intercom_main`,
      env.INTERCOM_CLIENT_SECRET!,
    );
    for (
      const fault of [
        { kind: 'reset', when: 'before' },
        { kind: 'truncate', close: true },
        { kind: 'status', status: 500 },
        { kind: 'latency', ms: 700 },
      ] as const
    ) intercom.faults.add({ match: { probability: 0.025 }, fault });

    const { ops, state } = intercom;
    let known = 0;
    const counts = await storm(world, {
      app: 'intercom_main',
      change(turn) {
        const contacts = [...state.ids('contact')];
        const talks = [...state.ids('conversation')];
        const one = <T>(from: T[], salt: number) => from[(turn * 37 + salt * 101) % from.length]!;
        ops.updateContact(one(contacts, 1), { name: `Name ${turn}` });
        ops.reply(one(talks, 2), { body: `reply ${turn}` });
        if (turn % 5 === 0) ops.createContact({ email: `new${turn}@example.com` });
        if (turn % 7 === 0) ops.deleteContact(one(contacts, 3));
        if (turn % 11 === 0) ops.closeConversation(one(talks, 4));
        if (turn % 13 === 0) ops.deleteConversation(one(talks, 5));
        const news = intercom.webhooks.all().slice(known);
        known += news.length;
        return news;
      },
      async post({ id }) {
        const [answer] = await intercom.webhooks.deliver(id);
        return answer?.status ?? 0;
      },
    });
    const injected = intercom.faults.list().reduce((sum, fault) => sum + fault.fired, 0);
    intercom.faults.clear();
    await quiet(sql);
    const job = await sync('intercom_main', 'full');
    assert.equal(job.status, 'completed', String(job.error_message));
    await quiet(sql);
    await assertIntercomEqual(sql, state);
    note(`Intercom: ${JSON.stringify({ ...counts, faults: injected, differences: 0 })}`);
  },
);
