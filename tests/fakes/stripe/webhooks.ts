/** Owns sending events: signing as Stripe does, and posting one event as often as a test asks. */

import type { EventLog } from './events.ts';

const hex = (bytes: ArrayBuffer): string =>
  Array.from(new Uint8Array(bytes), (byte) => byte.toString(16).padStart(2, '0')).join('');

/**
 * The `Stripe-Signature` header of a payload: `t=<timestamp>,v1=<HMAC-SHA256 of "t.payload">`.
 * `timestamp` is in unix seconds. Several secrets give several v1 entries, as during a rotation.
 */
export const signStripePayload = async (
  payload: string,
  secret: string | readonly string[],
  timestamp: number,
): Promise<string> => {
  const encoder = new TextEncoder();
  const parts = [`t=${timestamp}`];
  for (const one of typeof secret === 'string' ? [secret] : secret) {
    const key = await crypto.subtle.importKey(
      'raw',
      encoder.encode(one),
      { name: 'HMAC', hash: 'SHA-256' },
      false,
      ['sign'],
    );
    const mac = await crypto.subtle.sign('HMAC', key, encoder.encode(`${timestamp}.${payload}`));
    parts.push(`v1=${hex(mac)}`);
  }
  return parts.join(',');
};

/** How one event is sent. */
export interface DeliverOptions {
  /** How often, one after the other; 1 by default. */
  times?: number;
  /** Milliseconds before each. */
  delayMs?: number;
  /** A secret (or several) other than the target's. */
  signWith?: string | readonly string[];
  /** Unix seconds in the signature; the fake's clock by default. */
  timestamp?: number;
  /** Text sent instead of the event, for hostile payloads; it is signed as it is. */
  body?: string;
}

/** What the receiver said; status 0 means there was no answer. */
export interface Delivered {
  status: number;
  body: string;
  ms: number;
}

/** The way events leave. */
export interface Webhooks {
  /**
   * Where events go. With `auto`, each event is sent once as it happens, `delayMs` later; null
   * stops that.
   */
  setWebhookTarget(
    url: string | null,
    secret?: string,
    options?: { auto?: boolean; delayMs?: number },
  ): void;
  /** Sends one event, visible in the log or not; throws without a target or for an unknown id. */
  deliver(eventId: string, options?: DeliverOptions): Promise<Delivered[]>;
  /** Waits until what `auto` has begun has ended. */
  settled(): Promise<void>;
  stop(): void;
}

const DELIVERY_TIMEOUT_MS = 20_000;

/** Webhooks of one account; `now` is in milliseconds. */
export const createWebhooks = (events: EventLog, now: () => number): Webhooks => {
  let target: { url: string; secret: string } | null = null;
  let unsubscribe: () => void = () => {};
  const pending = new Set<Promise<unknown>>();
  const stopped = new AbortController();

  const sleep = (ms: number): Promise<void> =>
    new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      stopped.signal.addEventListener('abort', () => {
        clearTimeout(timer);
        resolve();
      }, { once: true });
    });

  const post = async (url: string, body: string, signature: string): Promise<Delivered> => {
    const began = performance.now();
    try {
      const response = await fetch(url, {
        method: 'POST',
        headers: {
          'content-type': 'application/json; charset=utf-8',
          'stripe-signature': signature,
          'user-agent': 'Stripe/1.0 (+https://stripe.com/docs/webhooks)',
        },
        body,
        signal: AbortSignal.any([stopped.signal, AbortSignal.timeout(DELIVERY_TIMEOUT_MS)]),
      });
      const text = await response.text();
      return { status: response.status, body: text, ms: performance.now() - began };
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      return { status: 0, body: reason, ms: performance.now() - began };
    }
  };

  const deliver: Webhooks['deliver'] = async (eventId, options = {}) => {
    const to = target;
    if (to === null) throw new Error('no webhook target; call setWebhookTarget(url, secret) first');
    const event = events.get(eventId);
    if (event === null) throw new Error(`no event '${eventId}'; take an id from the event log`);
    const body = options.body ?? JSON.stringify(JSON.parse(event.text), null, 2);
    const results: Delivered[] = [];
    for (let i = 0; i < (options.times ?? 1); i++) {
      if ((options.delayMs ?? 0) > 0) await sleep(options.delayMs ?? 0);
      if (stopped.signal.aborted) break;
      const timestamp = options.timestamp ?? Math.floor(now() / 1000);
      const signature = await signStripePayload(body, options.signWith ?? to.secret, timestamp);
      results.push(await post(to.url, body, signature));
    }
    const last = results.at(-1);
    if (last !== undefined) {
      events.setDelivery(eventId, last.status >= 200 && last.status < 300 ? 'accepted' : 'failed');
    }
    return results;
  };

  return {
    setWebhookTarget(url, secret = '', { auto = false, delayMs = 0 } = {}) {
      unsubscribe();
      unsubscribe = () => {};
      target = url === null ? null : { url, secret };
      if (target === null || !auto) return;
      unsubscribe = events.subscribe((event) => {
        const sending = deliver(event.id, { delayMs }).catch(() => {}).finally(() =>
          pending.delete(sending)
        );
        pending.add(sending);
      });
    },
    deliver,
    async settled() {
      while (pending.size > 0) await Promise.all(pending);
    },
    stop() {
      unsubscribe();
      stopped.abort();
    },
  };
};
