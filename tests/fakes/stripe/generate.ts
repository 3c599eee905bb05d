/**
 * Owns the believable past: a catalogue, customers and subscriptions that grew over years, the
 * same for the same seed at any size. Times are relative to the moment of generation.
 */

import { drawPerson } from '../_shared/people.ts';
import { createPrng, type Prng } from '../_shared/prng.ts';
import { type EventLog, RETENTION_SECONDS } from './events.ts';
import { createIds } from './ids.ts';
import {
  addInterval,
  buildCustomer,
  buildPlan,
  buildPrice,
  buildProduct,
  buildRecurring,
  buildSubscription,
  buildSubscriptionItem,
  type Price,
  type StripeObject,
  type Subscription,
} from './objects.ts';
import type { Store } from './state.ts';

/** How much of what there is. */
export interface DataOptions {
  customers: number;
  subscriptions: number;
  products: number;
  /** How far back creation times reach, in years. */
  years: number;
  /** How many of the customers belong to a test clock. */
  testClockCustomers: number;
  /** How many of the subscriptions have `items` items each. */
  largeSubscriptions: { count: number; items: number };
  /** Whether objects created in the last 30 days have their events in the log. */
  historyEvents: boolean;
}

/** A small company. */
export const DEFAULT_DATA: DataOptions = {
  customers: 200,
  subscriptions: 250,
  products: 24,
  years: 5,
  testClockCustomers: 0,
  largeSubscriptions: { count: 0, items: 20 },
  historyEvents: true,
};

const LINES = ['CRM', 'Inbox', 'Analytics', 'Scheduler', 'Storage', 'Payments', 'Forms', 'Voice'];
const TIERS: readonly (readonly [string, number])[] = [
  ['Starter', 1900],
  ['Team', 4900],
  ['Business', 12900],
  ['Enterprise', 49900],
];
const CURRENCIES = [['usd', 70], ['eur', 20], ['gbp', 10]] as const;
const LOCALES = ['en-US', 'de', 'fr', 'es', 'ja', 'pt-BR', 'en-GB'];
const REASONS = ['too_expensive', 'missing_features', 'switched_service', 'unused', 'other'];

type Outcome =
  | 'active'
  | 'canceling'
  | 'trialing'
  | 'past_due'
  | 'unpaid'
  | 'paused'
  | 'incomplete'
  | 'incomplete_expired'
  | 'canceled';
const OUTCOMES: readonly (readonly [Outcome, number])[] = [
  ['active', 60],
  ['canceling', 4],
  ['trialing', 7],
  ['past_due', 5],
  ['unpaid', 2],
  ['paused', 2],
  ['incomplete', 1],
  ['incomplete_expired', 3],
  ['canceled', 16],
];

interface World {
  accountId: string;
  livemode: boolean;
  seed: string;
  /** Whole seconds: when the past ends. */
  anchor: number;
  data: DataOptions;
}

/** Ages with growth: half of all objects are younger than a quarter of the span. */
const createdTimes = (prng: Prng, count: number, anchor: number, span: number): number[] => {
  const times: number[] = [];
  for (let i = 0; i < count; i++) {
    const last = times[i - 1];
    // Imports and bursts: now and then several in one second.
    if (last !== undefined && prng.chance(0.12)) times.push(last);
    else times.push(anchor - 60 - Math.floor(span * prng.next() ** 2));
  }
  return times;
};

const generateCatalogue = (world: World): { products: StripeObject[]; prices: Price[] } => {
  const prng = createPrng(`${world.seed}/catalogue`);
  const newId = createIds(prng, world.accountId);
  const span = world.data.years * 365 * 86400;
  const products: StripeObject[] = [];
  const prices: Price[] = [];
  for (let i = 0; i < world.data.products; i++) {
    const [tier, amount] = TIERS[i % TIERS.length] ?? ['Starter', 1900];
    const round = Math.floor(i / TIERS.length);
    const line = LINES[round % LINES.length] ?? 'Suite';
    const generation = Math.floor(round / LINES.length) + 1;
    const created = world.anchor - span + Math.floor((span / 3) * prng.next());
    const isOneTime = i % 8 === 7;
    const active = !prng.chance(0.15);
    const base = { id: newId('product'), created, livemode: world.livemode };
    const currency = prng.weighted(CURRENCIES);
    const own: Price[] = [];
    const addPrice = (fields: { unit_amount: number; recurring: Price['recurring'] }): void => {
      own.push(buildPrice(
        { id: newId('price'), created: created + own.length, livemode: world.livemode },
        {
          ...fields,
          product: base.id,
          currency,
          active: active && !prng.chance(0.12),
          nickname: prng.chance(0.5) ? `${tier} ${fields.recurring?.interval ?? 'once'}` : null,
          metadata: prng.chance(0.3) ? { tier: tier.toLowerCase() } : {},
        },
      ));
    };
    if (isOneTime) {
      addPrice({ unit_amount: amount * 5, recurring: null });
    } else {
      addPrice({ unit_amount: amount, recurring: buildRecurring({ interval: 'month' }) });
      addPrice({ unit_amount: amount * 10, recurring: buildRecurring({ interval: 'year' }) });
      if (prng.chance(0.3)) {
        addPrice({ unit_amount: amount * 2, recurring: buildRecurring({ interval: 'month' }) });
      }
    }
    prices.push(...own);
    products.push(buildProduct(base, {
      active,
      name: isOneTime
        ? `${line} onboarding`
        : `${line} ${tier}${generation > 1 ? ` v${generation}` : ''}`,
      description: prng.chance(0.6) ? `${line} for ${tier.toLowerCase()} customers` : null,
      default_price: own.find((price) => price.active)?.id ?? null,
      metadata: { line: line.toLowerCase() },
      unit_label: prng.chance(0.3) ? 'seat' : null,
      updated: created + prng.int(0, 86400),
    }));
  }
  return { products, prices };
};

const generateCustomers = (world: World): StripeObject[] => {
  const prng = createPrng(`${world.seed}/customers`);
  const newId = createIds(prng, world.accountId);
  const { customers: count, testClockCustomers } = world.data;
  const times = createdTimes(prng, count, world.anchor, world.data.years * 365 * 86400);
  const clock = newId('test_clock');
  return times.map((created, i) => {
    const person = drawPerson(prng, i);
    return buildCustomer({ id: newId('customer'), created, livemode: world.livemode }, {
      address: prng.chance(0.7) ? { ...person.place, line1: person.street, line2: null } : null,
      balance: prng.chance(0.05) ? -prng.int(100, 20000) : 0,
      currency: prng.weighted(CURRENCIES),
      delinquent: prng.chance(0.04),
      description: prng.chance(0.3) ? person.company : null,
      email: person.email,
      metadata: prng.chance(0.6) ? { user_id: String(100000 + i), company: person.company } : {},
      name: prng.chance(0.95) ? person.name : null,
      next_invoice_sequence: prng.int(1, 60),
      phone: prng.chance(0.4) ? person.phone : null,
      preferred_locales: prng.chance(0.3) ? [prng.pick(LOCALES)] : [],
      tax_exempt: prng.chance(0.05) ? 'exempt' : 'none',
      test_clock: i < testClockCustomers ? clock : null,
    });
  });
};

/** The billing period that a moment lies in, of a price that started at `start`. */
export const periodAt = (
  start: number,
  moment: number,
  recurring: { interval: string; interval_count: number },
): { start: number; end: number } => {
  const length = addInterval(start, recurring.interval, recurring.interval_count) - start;
  let n = Math.max(Math.floor((moment - start) / length), 0);
  const edge = (k: number) => addInterval(start, recurring.interval, recurring.interval_count * k);
  while (n > 0 && edge(n) > moment) n -= 1;
  while (edge(n + 1) <= moment) n += 1;
  return { start: edge(n), end: edge(n + 1) };
};

const lifecycle = (
  prng: Prng,
  outcome: Outcome,
  created: number,
  anchor: number,
  period: { start: number; end: number },
): Record<string, unknown> => {
  const someTime = created + Math.floor((anchor - created) * prng.next());
  const cancellation = (reason: string) => ({
    cancellation_details: {
      comment: prng.chance(0.1) ? 'Thank you, we are closing down' : null,
      feedback: prng.chance(0.4) ? prng.pick(REASONS) : null,
      reason,
    },
  });
  switch (outcome) {
    case 'canceling':
      return {
        status: 'active',
        cancel_at_period_end: true,
        cancel_at: period.end,
        canceled_at: Math.max(someTime, period.start),
        ...cancellation('cancellation_requested'),
      };
    case 'trialing':
      return {
        status: 'trialing',
        trial_start: period.start,
        trial_end: period.end,
      };
    case 'canceled': {
      const requested = someTime;
      return {
        status: 'canceled',
        canceled_at: requested,
        ended_at: Math.min(anchor, requested + (prng.chance(0.5) ? 0 : prng.int(1, 30) * 86400)),
        ...cancellation(prng.chance(0.7) ? 'cancellation_requested' : 'payment_failed'),
      };
    }
    case 'incomplete_expired':
      return { status: 'incomplete_expired', ended_at: Math.min(anchor, created + 23 * 3600) };
    case 'active':
      return prng.chance(0.03)
        ? { status: 'active', pause_collection: { behavior: 'void', resumes_at: null } }
        : { status: 'active' };
    default:
      return { status: outcome };
  }
};

const generateSubscriptions = (
  world: World,
  customers: readonly StripeObject[],
  prices: readonly Price[],
): Subscription[] => {
  const prng = createPrng(`${world.seed}/subscriptions`);
  const newId = createIds(prng, world.accountId);
  const recurring = prices.filter((price) => price.recurring !== null);
  const groups = new Map<string, Price[]>();
  const groupOf = (price: Price) => `${price.currency}/${price.recurring?.interval}`;
  for (const price of recurring) {
    groups.set(groupOf(price), [...groups.get(groupOf(price)) ?? [], price]);
  }
  if (customers.length === 0 || recurring.length === 0) return [];

  const { subscriptions: count, largeSubscriptions: large } = world.data;
  return Array.from({ length: count }, (_, i) => {
    const customer = prng.pick(customers);
    const created = customer.created +
      Math.floor((world.anchor - customer.created) * prng.next() ** 3);
    const id = newId('subscription');
    const price = prng.pick(recurring);
    const outcome = prng.weighted(OUTCOMES);
    const size = i < large.count ? large.items : prng.weighted([[1, 80], [2, 13], [3, 5], [5, 2]]);
    const rule = price.recurring ?? buildRecurring();
    const period = periodAt(created, world.anchor, rule);
    const peers = groups.get(groupOf(price)) ?? [price];
    const items = Array.from({ length: size }, (_, k) =>
      buildSubscriptionItem(
        { id: newId('subscription_item'), created: Math.min(created + k, world.anchor) },
        {
          subscription: id,
          price: k === 0 ? price : prng.pick(peers),
          quantity: prng.chance(0.6) ? 1 : prng.int(2, 50),
          current_period_start: period.start,
          current_period_end: period.end,
          metadata: prng.chance(0.1) ? { seat_group: `g${k}` } : {},
        },
      ));
    const invoiced = prng.chance(0.1);
    return buildSubscription({ id, created, livemode: world.livemode }, {
      customer: customer.id,
      currency: price.currency,
      collection_method: invoiced ? 'send_invoice' : 'charge_automatically',
      days_until_due: invoiced ? 30 : null,
      default_payment_method: invoiced ? null : newId('payment_method'),
      description: prng.chance(0.1) ? 'Migrated from the old billing' : null,
      latest_invoice: newId('invoice'),
      metadata: prng.chance(0.4) ? { workspace: prng.token(8).toLowerCase() } : {},
      test_clock: customer['test_clock'],
      ...lifecycle(prng, outcome, created, world.anchor, period),
    }, items);
  });
};

const CREATED_TYPES = {
  customer: 'customer.created',
  product: 'product.created',
  price: 'price.created',
  plan: 'plan.created',
  subscription: 'customer.subscription.created',
} as const;

/** Fills an empty store, and the log with what happened in the last 30 days. */
export const generateWorld = (store: Store, events: EventLog, world: World): void => {
  const { products, prices } = generateCatalogue(world);
  const customers = generateCustomers(world);
  const subscriptions = generateSubscriptions(world, customers, prices);
  store.load('product', products);
  store.load('price', prices);
  store.load('plan', prices.filter((price) => price.recurring !== null).map(buildPlan));
  store.load('customer', customers);
  store.load('subscription', subscriptions);
  if (!world.data.historyEvents) return;

  const past: { type: string; object: string; created: number }[] = [];
  const since = world.anchor - RETENTION_SECONDS;
  for (const name of ['product', 'price', 'plan', 'customer', 'subscription'] as const) {
    for (const row of store.collections[name].rows) {
      if (row.created < since) break;
      past.push({
        type: CREATED_TYPES[name],
        object: store.rowText(name, row),
        created: row.created,
      });
    }
  }
  for (const row of store.collections.subscription.rows) {
    if (row.facets.status !== 'canceled') continue;
    const ended = store.get<Subscription>('subscription', row.id)?.ended_at ?? null;
    if (ended === null || ended < since) continue;
    past.push({
      type: 'customer.subscription.deleted',
      object: store.rowText('subscription', row),
      created: ended,
    });
  }
  past.sort((a, b) => a.created - b.created);
  for (const event of past) events.record({ ...event, immediate: true });
};
