/** Owns what the tests of the fake share: a fake for the length of a test, and the official SDK. */

import Stripe from 'stripe';
import { type FakeStripe, type FakeStripeOptions, startFakeStripe } from './server.ts';

/** A fixed moment: 2026-11-01T00:00:00Z in milliseconds. */
export const NOON = Date.UTC(2026, 10, 1);

/** The SDK against a fake, without retries of its own. */
export const sdkFor = (fake: FakeStripe, key = fake.key): Stripe =>
  new Stripe(key, {
    host: '127.0.0.1',
    port: fake.port,
    protocol: 'http',
    maxNetworkRetries: 0,
    timeout: 5000,
    telemetry: false,
    httpClient: Stripe.createFetchHttpClient(),
  });

/** A GET with the first key, as raw as it comes. */
export const get = (fake: FakeStripe, path: string, init: RequestInit = {}): Promise<Response> =>
  fetch(fake.url + path, {
    ...init,
    headers: { authorization: `Bearer ${fake.key}`, ...init.headers as Record<string, string> },
  });

/** Every row of a listing, page by page over HTTP. */
export const readAll = async (
  fake: FakeStripe,
  path: string,
  limit = 100,
): Promise<Record<string, unknown>[]> => {
  const rows: Record<string, unknown>[] = [];
  let after = '';
  while (true) {
    const response = await get(
      fake,
      `${path}${path.includes('?') ? '&' : '?'}limit=${limit}${after}`,
    );
    if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`);
    const page = await response.json();
    rows.push(...page.data);
    if (!page.has_more) return rows;
    after = `&starting_after=${page.data.at(-1).id}`;
  }
};

/** Runs a test against a small fake (60 customers, 80 subscriptions, no event lag). */
export const withFake = async (
  options: FakeStripeOptions,
  test: (fake: FakeStripe, stripe: Stripe) => Promise<void>,
): Promise<void> => {
  const fake = await startFakeStripe({
    eventLagSeconds: 0,
    ...options,
    data: { customers: 60, subscriptions: 80, ...options.data },
  });
  try {
    await test(fake, sdkFor(fake));
  } finally {
    await fake.stop();
  }
};
