/**
 * Owns notifications: the log of what happened in all workspaces, their signed form, and posting
 * one as often as a test asks. As at Intercom the target is the app's, so that every workspace
 * posts to it.
 */

import type { Prng } from '../_shared/prng.ts';
import type { Fields } from './objects.ts';

const encoder = new TextEncoder();

/** The `X-Hub-Signature` header of a body: `sha1=<HMAC-SHA1 by the client secret, in hex>`. */
export const signIntercomPayload = async (body: string, secret: string): Promise<string> => {
  const algorithm = { name: 'HMAC', hash: 'SHA-1' };
  const key = await crypto.subtle.importKey('raw', encoder.encode(secret), algorithm, false, [
    'sign',
  ]);
  const mac = new Uint8Array(await crypto.subtle.sign('HMAC', key, encoder.encode(body)));
  return `sha1=${Array.from(mac, (byte) => byte.toString(16).padStart(2, '0')).join('')}`;
};

/** Something that happened. `item` is the object as it was then, as JSON. */
export interface Notification {
  id: string;
  account: string;
  topic: string;
  item: string;
  /** Unix seconds. */
  created: number;
  firstSent: number | null;
  attempts: number;
  delivery: 'pending' | 'accepted' | 'failed';
}

/** How times are written in a webhook's item. */
export type Timestamps = 'unix' | 'iso';

/** How one notification is sent. */
export interface DeliverOptions {
  /** How often, one after the other; 1 by default. */
  times?: number;
  /** Milliseconds before each. */
  delayMs?: number;
  /** A secret other than the target's; null leaves the header out. */
  signWith?: string | null;
  /** Text sent instead of the notification, for hostile payloads; it is signed as it is. */
  body?: string;
  /** How times in the item are written; the fake's option by default. */
  timestamps?: Timestamps;
}

/** What the receiver said; status 0 means there was no answer. */
export interface Delivered {
  status: number;
  body: string;
  ms: number;
}

/** How notifications leave. */
export interface Webhooks {
  /** Notes what happened, and sends it if the target is on `auto`. */
  emit(account: string, topic: string, item: Fields): Notification;
  /** Oldest first. */
  all(): readonly Notification[];
  /**
   * Where notifications go. With `auto` each is sent once as it happens, `delayMs` later, if its
   * topic is one of `topics` (all by default). Null stops that.
   */
  setWebhookTarget(
    url: string | null,
    secret?: string,
    options?: { auto?: boolean; delayMs?: number; topics?: readonly string[] },
  ): void;
  /** Asks the target by HEAD, as Intercom does when an address is entered; done once by itself. */
  check(): Promise<number>;
  /**
   * Sends one notification; throws without a target, for an unknown id, and if HEAD was refused.
   */
  deliver(id: string, options?: DeliverOptions): Promise<Delivered[]>;
  /** Sends a ping on behalf of a workspace. */
  ping(account: string): Promise<Delivered[]>;
  /** The body of a notification as it would be sent now. */
  bodyOf(id: string, timestamps?: Timestamps): string;
  /** Waits until what `auto` has begun has ended. */
  settled(): Promise<void>;
  stop(): void;
}

const DELIVERY_TIMEOUT_MS = 20_000;

const isoItem = (key: string, value: unknown): unknown =>
  typeof value === 'number' && /(_at|_since|_until)$/.test(key)
    ? new Date(value * 1000).toISOString().replace('Z', '+00:00')
    : value;

/** Notifications of all workspaces; `now` is in milliseconds. */
export const createWebhooks = (
  prng: Prng,
  now: () => number,
  defaults: { timestamps: Timestamps },
): Webhooks => {
  const log: Notification[] = [];
  const byId = new Map<string, Notification>();
  let target: { url: string; secret: string; head: Promise<number> | null } | null = null;
  let auto: { delayMs: number; topics: readonly string[] | null } | null = null;
  const pending = new Set<Promise<unknown>>();
  const stopped = new AbortController();
  const seconds = (): number => Math.floor(now() / 1000);

  const sleep = (ms: number): Promise<void> =>
    new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      stopped.signal.addEventListener('abort', () => {
        clearTimeout(timer);
        resolve();
      }, { once: true });
    });
  const send = async (url: string, init: RequestInit): Promise<Delivered> => {
    const began = performance.now();
    try {
      const signal = AbortSignal.any([stopped.signal, AbortSignal.timeout(DELIVERY_TIMEOUT_MS)]);
      const response = await fetch(url, { ...init, signal });
      return {
        status: response.status,
        body: await response.text(),
        ms: performance.now() - began,
      };
    } catch (error) {
      const body = error instanceof Error ? error.message : String(error);
      return { status: 0, body, ms: performance.now() - began };
    }
  };
  const need = (id: string): Notification => {
    const found = byId.get(id);
    if (found === undefined) throw new Error(`no notification '${id}'; take an id from all()`);
    return found;
  };
  const render = (one: Notification, timestamps: Timestamps): string =>
    JSON.stringify({
      type: 'notification_event',
      app_id: one.account,
      data: {
        type: 'notification_event_data',
        item: JSON.parse(one.item, timestamps === 'iso' ? isoItem : undefined),
      },
      links: {},
      id: one.topic === 'ping' ? null : one.id,
      topic: one.topic,
      delivery_status: 'pending',
      delivery_attempts: Math.max(1, one.attempts),
      delivered_at: 0,
      first_sent_at: one.firstSent ?? one.created,
      created_at: one.created,
      self: null,
    });

  const webhooks: Webhooks = {
    emit(account, topic, item) {
      const hex = prng.int(0, 0xffffffff).toString(16).padStart(8, '0');
      const one: Notification = {
        id: `notif_${hex}-${String(log.length).padStart(12, '0')}`,
        account,
        topic,
        item: JSON.stringify(item),
        created: seconds(),
        firstSent: null,
        attempts: 0,
        delivery: 'pending',
      };
      log.push(one);
      byId.set(one.id, one);
      const wanted = auto !== null && topic !== 'ping' &&
        (auto.topics === null || auto.topics.includes(topic));
      if (auto !== null && wanted) {
        const { delayMs } = auto;
        const sending = webhooks.deliver(one.id, { delayMs })
          .catch(() => void (one.delivery = 'failed'))
          .finally(() => pending.delete(sending));
        pending.add(sending);
      }
      return one;
    },
    all: () => log,
    setWebhookTarget(url, secret = '', options = {}) {
      target = url === null ? null : { url, secret, head: null };
      auto = url === null || options.auto !== true
        ? null
        : { delayMs: options.delayMs ?? 0, topics: options.topics ?? null };
    },
    async check() {
      if (target === null) throw new Error('no webhook target; call setWebhookTarget(url, secret)');
      target.head ??= send(target.url, { method: 'HEAD' }).then((answer) => answer.status);
      return await target.head;
    },
    async deliver(id, options = {}) {
      const one = need(id);
      const head = await webhooks.check();
      const to = target;
      if (to === null) throw new Error('the webhook target was taken away meanwhile');
      if (head < 200 || head > 299) {
        throw new Error(`the webhook target answered HEAD with ${head}; Intercom needs a 2xx`);
      }
      const results: Delivered[] = [];
      for (let i = 0; i < (options.times ?? 1); i++) {
        if ((options.delayMs ?? 0) > 0) await sleep(options.delayMs ?? 0);
        if (stopped.signal.aborted) break;
        one.attempts += 1;
        one.firstSent ??= seconds();
        const body = options.body ?? render(one, options.timestamps ?? defaults.timestamps);
        const headers: Record<string, string> = {
          'content-type': 'application/json',
          accept: '*/*',
          'user-agent': 'intercom-parrot-service-client/1.0',
        };
        const secret = options.signWith === undefined ? to.secret : options.signWith;
        if (secret !== null) headers['x-hub-signature'] = await signIntercomPayload(body, secret);
        results.push(await send(to.url, { method: 'POST', headers, body }));
      }
      const last = results.at(-1)?.status ?? 0;
      one.delivery = last >= 200 && last < 300 ? 'accepted' : 'failed';
      return results;
    },
    ping(account) {
      const item = { type: 'ping', message: 'something something interzen' };
      return webhooks.deliver(webhooks.emit(account, 'ping', item).id);
    },
    bodyOf: (id, timestamps = defaults.timestamps) => render(need(id), timestamps),
    async settled() {
      while (pending.size > 0) await Promise.all(pending);
    },
    stop() {
      auto = null;
      stopped.abort();
    },
  };
  return webhooks;
};
