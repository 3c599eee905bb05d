// Owns talking to Acme: one request a call, no retries because Postgres owns them, errors classified.

import { createHmac, timingSafeEqual } from 'node:crypto';
import { z } from 'zod';
import {
  type Access,
  type Connector,
  type ErrorClass,
  InvalidSignature,
  type Page,
  type PageRequest,
  ProviderError,
} from '../connector.ts';

const listSchema = z.object({
  data: z.array(z.looseObject({ id: z.string() })),
  next: z.string().nullable(),
});
const widgetSchema = z.looseObject({ id: z.string() });
const eventSchema = z.looseObject({
  id: z.string(),
  type: z.enum(['widget.updated', 'widget.deleted']),
  created: z.int(),
  account: z.string(),
  data: widgetSchema,
});

const classes: Record<number, ErrorClass> = { 401: 'auth', 403: 'forbidden', 429: 'rate_limited' };

/** One request; null for a 404. */
async function request(access: Access, path: string): Promise<unknown> {
  let response: Response;
  let text: string;
  try {
    response = await fetch(`${access.env('ACME_API_BASE') ?? 'https://api.acme.example'}${path}`, {
      headers: { authorization: `Bearer ${access.apiKey}` },
      signal: AbortSignal.timeout(30_000),
    });
    text = await response.text();
  } catch (error) {
    throw new ProviderError('transient', error instanceof Error ? error.message : String(error));
  }
  if (response.status === 404) return null;
  if (!response.ok) {
    const errorClass = classes[response.status] ??
      (response.status >= 500 ? 'transient' : 'permanent');
    const retryAfter = Number(response.headers.get('retry-after') ?? Number.NaN);
    throw new ProviderError(
      errorClass,
      `${response.status}: ${text.slice(0, 200)}`,
      Number.isNaN(retryAfter) ? {} : { retryAfter },
    );
  }
  try {
    return JSON.parse(text);
  } catch {
    throw new ProviderError('malformed', `the answer is not JSON: ${text.slice(0, 200)}`);
  }
}

async function fetchOne(access: Access, wanted: PageRequest): Promise<Page> {
  if (wanted.operation === 'get') {
    const id = String(wanted.externalId);
    const widget = await request(access, `/v1/widgets/${encodeURIComponent(id)}`);
    return widget === null
      ? { rows: [], nextCursor: null, missing: [id] }
      : { rows: [widget], nextCursor: null, missing: [] };
  }
  const query = new URLSearchParams({
    limit: String(wanted.pageSize),
    ...(wanted.cursor !== null && { cursor: wanted.cursor }),
    ...(wanted.updatedGte !== null && { updated_since: String(wanted.updatedGte) }),
  });
  const answer = await request(access, `/v1/widgets?${query}`);
  const list = listSchema.safeParse(answer);
  if (!list.success) {
    throw new ProviderError('malformed', `not a list: ${JSON.stringify(answer).slice(0, 200)}`);
  }
  return { rows: list.data.data, nextCursor: list.data.next, missing: [] };
}

/** Acme. */
export const acme: Connector = {
  name: 'acme',
  async identify(access) {
    const account = widgetSchema.parse(await request(access, '/v1/account'));
    return { accountId: account.id, livemode: true };
  },
  fetchPage: fetchOne,
  readWebhook({ body, headers, secrets }) {
    const given = new TextEncoder().encode(headers.get('x-acme-signature') ?? '');
    const isSigned = secrets.some((secret) => {
      const expected = new TextEncoder().encode(
        createHmac('sha256', secret).update(body).digest('hex'),
      );
      return given.length === expected.length && timingSafeEqual(given, expected);
    });
    if (!isSigned) return Promise.reject(new InvalidSignature('no secret fits'));
    const event = eventSchema.safeParse(JSON.parse(body));
    if (!event.success) return Promise.resolve(null);
    const { id, type, created, account, data } = event.data;
    return Promise.resolve({
      id,
      created,
      api_version: null,
      account,
      livemode: true,
      resource: 'widget',
      external_id: data.id,
      object: data,
      deleted: type === 'widget.deleted',
    });
  },
  manageWebhook: () =>
    Promise.reject(new ProviderError('permanent', 'Acme has no API for webhooks')),
};
