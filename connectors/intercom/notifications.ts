// Owns Intercom's webhooks: the signature over the raw body, and what a notification is about. An item's
// shape differs from the API's (times as texts, lists cut short), so a notification says only that
// something changed, and the object is fetched; a deletion is believed.

import { createHmac, timingSafeEqual } from 'node:crypto';
import { z } from 'zod';
import { InvalidSignature, type ProviderEvent, type WebhookRequest } from '../connector.ts';

const notificationSchema = z.looseObject({
  type: z.literal('notification_event'),
  id: z.string().nullish(),
  app_id: z.string().nullish(),
  topic: z.string(),
  created_at: z.union([z.number(), z.string()]).nullish(),
  data: z.looseObject({ item: z.looseObject({}) }),
});

/** Which object a topic is about: the resource, and where its id lies in the item. */
const subjects: [RegExp, string, string[][]][] = [
  [/^contact(\.user|\.lead)?\.tag\./, 'contact', [['contact', 'id']]],
  [/^contact\./, 'contact', [['id']]],
  [/^company\./, 'company', [['id'], ['company', 'id']]],
  [/^conversation(_part)?\./, 'conversation', [['conversation_id'], ['conversation', 'id'], [
    'id',
  ]]],
  [/^admin\./, 'admin', [['id'], ['admin', 'id']]],
];

/**
 * Verifies `X-Hub-Signature` (HMAC-SHA1 of the body by the app's client secret, in constant time) and
 * normalises the notification; null for a ping and for topics about nothing that is synced. Source:
 * Intercom's webhook topics.
 */
export function readNotification(request: WebhookRequest): Promise<ProviderEvent | null> {
  const given = request.headers.get('x-hub-signature')?.trim().toLowerCase() ?? '';
  const fits = request.secrets.map((secret) =>
    isSame(given, `sha1=${createHmac('sha1', secret).update(request.body).digest('hex')}`)
  );
  if (!fits.includes(true)) {
    return Promise.reject(new InvalidSignature('no secret fits the X-Hub-Signature'));
  }
  try {
    return Promise.resolve(normalise(JSON.parse(request.body)));
  } catch (error) {
    return Promise.reject(error);
  }
}

function isSame(given: string, expected: string): boolean {
  const [a, b] = [new TextEncoder().encode(given), new TextEncoder().encode(expected)];
  return a.length === b.length && timingSafeEqual(a, b);
}

/** A notification as SQL applies it; null for one that is not about an object of a resource. */
export function normalise(value: unknown): ProviderEvent | null {
  const parsed = notificationSchema.safeParse(value);
  if (!parsed.success) return null;
  const { id, app_id, topic, created_at, data: { item } } = parsed.data;
  const subject = subjects.find(([pattern]) => pattern.test(topic));
  if (subject === undefined) return null;
  const [, resource, paths] = subject;
  const externalId = paths.map((path) => at(item, path)).find((found) => found !== undefined);
  const created = seconds(created_at);
  if (externalId === undefined || created === undefined) return null;
  return {
    id: id ?? `${topic}/${externalId}/${created}`,
    created,
    api_version: null,
    account: app_id ?? null,
    livemode: true,
    resource,
    external_id: externalId,
    object: null,
    deleted: topic.endsWith('.deleted') && !topic.includes('.tag.') &&
      !topic.startsWith('conversation_part.'),
  };
}

/** An id at a path: a text, or a number as older payloads have it. */
function at(item: unknown, path: string[]): string | undefined {
  const found = path.reduce<unknown>(
    (value, key) => (value as Record<string, unknown> | null | undefined)?.[key],
    item,
  );
  if (typeof found === 'number') return String(found);
  return typeof found === 'string' && found !== '' ? found : undefined;
}

/** Unix seconds, or an ISO text. */
function seconds(value: number | string | null | undefined): number | undefined {
  const time = typeof value === 'string' && !/^\d+$/.test(value)
    ? Date.parse(value) / 1000
    : Number(value ?? Number.NaN);
  return Number.isFinite(time) ? Math.floor(time) : undefined;
}
