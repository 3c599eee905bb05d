// Owns talking to Intercom: one request through the official SDK, its retries off because Postgres owns
// them, and its errors classified. Lists differ by resource; what each row means is in connector.sql.

import { IntercomClient, IntercomError, IntercomTimeoutError } from 'intercom-client';
import { z } from 'zod';
import {
  type Access,
  type Connector,
  type ErrorClass,
  type Page,
  type PageRequest,
  ProviderError,
} from '../connector.ts';
import { readNotification } from './notifications.ts';

const HOSTS: Record<string, string> = {
  us: 'https://api.intercom.io',
  eu: 'https://api.eu.intercom.io',
  au: 'https://api.au.intercom.io',
};
const DAY = 86_400;
/** One answer holds at most this many parts of a conversation, the newest. */
const MAX_PARTS = 500;

const objectSchema = z.looseObject({ id: z.string().min(1) });
const cursorSchema = z.looseObject({
  pages: z.looseObject({
    next: z.looseObject({ starting_after: z.string().nullish() }).nullish(),
  }).nullish(),
});
const meSchema = z.looseObject({ app: z.looseObject({ id_code: z.string().min(1) }) });
const partsSchema = z.looseObject({
  conversation_parts: z.looseObject({
    conversation_parts: z.array(objectSchema),
    total_count: z.number().nullish(),
  }),
  statistics: z.looseObject({ count_conversation_parts: z.number().nullish() }).nullish(),
});

/** An answer of the SDK: its body as sent, and its headers. */
interface Answer {
  body: unknown;
  headers: Headers;
}

/** Where the API is. `INTERCOM_API_BASE` points it at a proxy or a fake. */
function baseOf(access: Access): string {
  const base = access.env('INTERCOM_API_BASE') ?? HOSTS[String(access.config.region ?? 'us')];
  if (base === undefined || !URL.canParse(base)) {
    throw new ProviderError(
      'permanent',
      `there is no Intercom at "${base ?? access.config.region}": give config.region us, eu or au`,
    );
  }
  return base;
}

/** The SDK, set up for one request. */
function client(access: Access): IntercomClient {
  return new IntercomClient({
    token: access.apiKey,
    baseUrl: baseOf(access),
    headers: { 'Intercom-Version': access.apiVersion },
    maxRetries: 0,
    timeoutInSeconds: 30,
  });
}

type Send = {
  withRawResponse(): PromiseLike<{ data: unknown; rawResponse: { headers: Headers } }>;
};

async function answerOf(sent: Send): Promise<Answer> {
  const { data, rawResponse } = await sent.withRawResponse();
  return { body: data, headers: rawResponse.headers };
}

async function pageOf(
  sent: PromiseLike<{ response: unknown; rawResponse: { headers: Headers } }>,
): Promise<Answer> {
  const { response, rawResponse } = await sent;
  return { body: response, headers: rawResponse.headers };
}

/** What the answer's headers tell of the provider's clock and of its window of requests. */
function headerFacts(headers: Headers): Pick<Page, 'providerTime' | 'rate'> {
  const time = new Date(headers.get('date') ?? Number.NaN);
  const number = (name: string) => Number(headers.get(name) ?? Number.NaN);
  const rate = {
    limit: number('x-ratelimit-limit'),
    remaining: number('x-ratelimit-remaining'),
    reset: number('x-ratelimit-reset'),
  };
  return {
    ...(!Number.isNaN(time.getTime()) && { providerTime: time }),
    ...(!Object.values(rate).some(Number.isNaN) && { rate }),
  };
}

/** A list's rows under `field`, and where its next page starts. */
function toPage(
  answer: Answer,
  field: string,
  nextCursor: (body: unknown, rows: unknown[]) => string | null,
  keep: (row: Record<string, unknown>) => boolean = () => true,
): Page {
  const list = z.looseObject({ [field]: z.array(objectSchema) }).safeParse(answer.body);
  if (!list.success) throw malformed(`a list of ${field}`, answer.body);
  const rows = list.data[field] as Record<string, unknown>[];
  return {
    rows: rows.filter(keep),
    nextCursor: nextCursor(answer.body, rows),
    missing: [],
    ...headerFacts(answer.headers),
  };
}

function startingAfter(body: unknown): string | null {
  return cursorSchema.safeParse(body).data?.pages?.next?.starting_after ?? null;
}

const noCursor = () => null;

/** A search over some field, oldest change first, or newest object first as slices want it. */
function search(
  request: PageRequest,
  filters: { field: string; operator: string; value: number }[],
  sort: { field: string; order: string },
): never {
  return {
    query: { operator: 'AND', value: filters },
    sort,
    pagination: {
      per_page: request.pageSize,
      ...(request.cursor !== null && { starting_after: request.cursor }),
    },
  } as never;
}

const bySeconds = (field: string, gte: number | null, lt: number | null) =>
(
  row: Record<string, unknown>,
) => {
  const at = Number(row[field]);
  return !(gte !== null && at < gte) && !(lt !== null && at >= lt);
};

type List = (sdk: IntercomClient, request: PageRequest, access: Access) => Promise<Page>;

const lists: Record<string, List> = {
  async contact(sdk, request) {
    const { cursor, pageSize, updatedGte } = request;
    if (updatedGte === null) {
      const page = sdk.contacts.list({
        per_page: pageSize,
        ...(cursor !== null && { starting_after: cursor }),
      });
      return toPage(await pageOf(page), 'data', startingAfter);
    }
    // Matched by calendar day, and > begins with the next one: ask from a day before, and filter.
    const wish = search(
      request,
      [{ field: 'updated_at', operator: '>', value: updatedGte - DAY }],
      { field: 'updated_at', order: 'ascending' },
    );
    return toPage(
      await pageOf(sdk.contacts.search(wish)),
      'data',
      startingAfter,
      bySeconds('updated_at', updatedGte, null),
    );
  },

  async conversation(sdk, request, access) {
    if (request.params.deleted) return await deletedConversations(access, request);
    const { createdGte, createdLt, updatedGte } = request;
    // Whether > includes the second itself is documented both ways: ask for more, and filter.
    const after = (field: string, value: number) => [{ field, operator: '>', value: value - 1 }];
    const wish = updatedGte === null
      ? search(
        request,
        [
          ...after('created_at', createdGte ?? 1),
          ...(createdLt === null ? [] : [{ field: 'created_at', operator: '<', value: createdLt }]),
        ],
        { field: 'created_at', order: 'descending' },
      )
      : search(request, after('updated_at', updatedGte), {
        field: 'updated_at',
        order: 'ascending',
      });
    const keep = updatedGte === null
      ? bySeconds('created_at', createdGte, createdLt)
      : bySeconds('updated_at', updatedGte, null);
    return toPage(
      await pageOf(sdk.conversations.search(wish)),
      'conversations',
      startingAfter,
      keep,
    );
  },

  /** All that one answer holds of one conversation. */
  async conversation_part(sdk, request) {
    const answer = await answerOf(sdk.conversations.find({
      conversation_id: String(request.parentId),
    }));
    const parsed = partsSchema.safeParse(answer.body);
    if (!parsed.success) throw malformed('a conversation with its parts', answer.body);
    const { conversation_parts: { conversation_parts: rows, total_count }, statistics } =
      parsed.data;
    const expected = Math.max(total_count ?? 0, statistics?.count_conversation_parts ?? 0);
    return {
      rows,
      nextCursor: null,
      missing: [],
      isPartial: rows.length < expected || rows.length >= MAX_PARTS,
      ...headerFacts(answer.headers),
    };
  },

  /** Scrolled, since numbered pages end at 10,000; an empty page is the last. */
  async company(sdk, request) {
    const scrolled = sdk.companies.scroll(
      request.cursor === null ? {} : { scroll_param: request.cursor },
    );
    return toPage(await pageOf(scrolled), 'data', (body, rows) => {
      const next = (body as { scroll_param?: unknown }).scroll_param;
      return rows.length > 0 && typeof next === 'string' ? next : null;
    });
  },

  async admin(sdk) {
    return toPage(await answerOf(sdk.admins.list()), 'admins', noCursor);
  },
  async tag(sdk) {
    return toPage(await answerOf(sdk.tags.list()), 'data', noCursor);
  },
  async team(sdk) {
    return toPage(await answerOf(sdk.teams.list()), 'teams', noCursor);
  },
};

const deletedSchema = z.looseObject({
  conversations: z.array(z.looseObject({ id: z.string().min(1), deleted_at: z.number() })),
  pages: z.looseObject({ next: z.string().nullish() }).nullish(),
});

/**
 * What was deleted since, newest first, in versions that list it; the SDK does not know that list yet. A
 * listing of everything needs none: it shows by itself what is gone.
 */
async function deletedConversations(access: Access, request: PageRequest): Promise<Page> {
  const none = { rows: [], nextCursor: null, missing: [] };
  const since = request.updatedGte;
  if (since === null || Number(access.apiVersion.split('.')[1]) < 16) return none;
  const page = request.cursor ?? '1';
  const response = await fetch(
    `${baseOf(access)}/conversations/deleted?per_page=60&order=desc&page=${
      encodeURIComponent(page)
    }`,
    {
      headers: {
        authorization: `Bearer ${access.apiKey}`,
        'intercom-version': access.apiVersion,
        accept: 'application/json',
      },
      signal: AbortSignal.timeout(30_000),
    },
  );
  const text = await response.text();
  let body: unknown = text;
  try {
    body = JSON.parse(text);
  } catch {
    if (response.ok) throw malformed('JSON', text);
  }
  if (!response.ok) {
    throw new IntercomError({ statusCode: response.status, body, rawResponse: response });
  }
  const parsed = deletedSchema.safeParse(body);
  if (!parsed.success) throw malformed('a list of deleted conversations', body);
  const { conversations, pages } = parsed.data;
  const recent = conversations.filter((row) => row.deleted_at >= since);
  const more = pages?.next && recent.length === conversations.length;
  return {
    rows: [],
    nextCursor: more ? String(Number(page) + 1) : null,
    missing: recent.map((row) => row.id),
    ...headerFacts(response.headers),
  };
}

const finds: Record<string, (sdk: IntercomClient, id: string) => Send> = {
  contact: (sdk, id) => sdk.contacts.find({ contact_id: id }),
  conversation: (sdk, id) => sdk.conversations.find({ conversation_id: id }),
  company: (sdk, id) => sdk.companies.find({ company_id: id }),
  admin: (sdk, id) => sdk.admins.find({ admin_id: Number(id) }),
};

async function get(sdk: IntercomClient, request: PageRequest, access: Access): Promise<Page> {
  const id = String(request.externalId);
  const find = finds[request.resource];
  if (find === undefined) {
    // Tags and teams are listed whole by one request.
    const page = await list(sdk, { ...request, operation: 'list', cursor: null }, access);
    const rows = page.rows.filter((row) => (row as { id: string }).id === id);
    return { ...page, rows, nextCursor: null, missing: rows.length > 0 ? [] : [id] };
  }
  try {
    const answer = await answerOf(find(sdk, id));
    const object = objectSchema.safeParse(answer.body);
    if (!object.success) throw malformed(`a ${request.resource}`, answer.body);
    // A list shows no parts, and what a list shows is what is kept; the parts are rows of their own.
    const { conversation_parts: _, ...row } = object.data;
    return { rows: [row], nextCursor: null, missing: [], ...headerFacts(answer.headers) };
  } catch (error) {
    const survivor = survivorOf(error);
    if (survivor !== undefined) {
      return { rows: [], nextCursor: null, missing: [id], merged: { [id]: survivor } };
    }
    if (error instanceof IntercomError && (error.statusCode === 404 || error.statusCode === 410)) {
      return { rows: [], nextCursor: null, missing: [id] };
    }
    throw error;
  }
}

/** Of a merged contact the answer is 410, with a link to the contact it was merged into. */
function survivorOf(error: unknown): string | undefined {
  if (!(error instanceof IntercomError) || error.statusCode !== 410) return undefined;
  const link = error.rawResponse?.headers.get('link') ?? '';
  return /<[^>]*\/contacts\/([^/>?]+)[^>]*>/.exec(link)?.[1];
}

async function list(sdk: IntercomClient, request: PageRequest, access: Access): Promise<Page> {
  const run = lists[request.resource];
  if (run === undefined) {
    throw new ProviderError(
      'permanent',
      `the Intercom connector has no resource "${request.resource}"`,
    );
  }
  try {
    return await run(sdk, request, access);
  } catch (error) {
    // Deleted meanwhile, and its parts with it: the conversation itself will be found missing.
    const isGone = error instanceof IntercomError && error.statusCode === 404;
    if (isGone && request.parentId !== null) {
      return { rows: [], nextCursor: null, missing: [], isPartial: true };
    }
    if (isGone && request.resource === 'company' && request.cursor !== null) {
      throw new ProviderError('cursor_gone', 'the scroll over companies has expired');
    }
    throw error;
  }
}

function malformed(what: string, body: unknown): ProviderError {
  const text = JSON.stringify(body) ?? String(body);
  return new ProviderError(
    'malformed',
    `Intercom's answer is not ${what}: ${text.slice(0, 500)}`,
  );
}

const errorListSchema = z.looseObject({
  errors: z.array(z.looseObject({ code: z.string().nullish(), message: z.string().nullish() })),
});

function classify(error: unknown): ProviderError {
  if (error instanceof ProviderError) return error;
  if (error instanceof IntercomTimeoutError || !(error instanceof IntercomError)) {
    return new ProviderError('transient', error instanceof Error ? error.message : String(error));
  }
  const first = errorListSchema.safeParse(error.body).data?.errors[0];
  const message = first?.message
    ? `${error.statusCode} ${first.code ?? ''}: ${first.message}`
    : error.message;
  if (first?.code === 'scroll_exists') {
    return new ProviderError('rate_limited', message, { retryAfter: 20 });
  }
  const errorClass = classOf(error.statusCode);
  if (errorClass !== 'rate_limited') return new ProviderError(errorClass, message);
  const headers = error.rawResponse?.headers;
  const reset = Number(headers?.get('x-ratelimit-reset') ?? Number.NaN);
  const retryAfter = Number(headers?.get('retry-after') ?? Math.max(1, reset - Date.now() / 1000));
  return new ProviderError(errorClass, message, {
    reason: 'global-rate',
    ...(!Number.isNaN(retryAfter) && { retryAfter }),
  });
}

function classOf(status: number | undefined): ErrorClass {
  if (status === 429) return 'rate_limited';
  if (status === 401) return 'auth';
  if (status === 403) return 'forbidden';
  if (status === undefined || status === 200 || status === 408 || status >= 500) return 'transient';
  return 'permanent';
}

async function classified<T>(run: () => Promise<T>): Promise<T> {
  try {
    return await run();
  } catch (error) {
    throw classify(error);
  }
}

/** Intercom. A workspace is an account; deleted objects are 404, merged contacts 410. */
export const intercom: Connector = {
  name: 'intercom',

  identify: (access) =>
    classified(async () => {
      const { body } = await answerOf(client(access).admins.identify());
      const me = meSchema.safeParse(body);
      if (!me.success) throw malformed('who the token is of', body);
      return { accountId: me.data.app.id_code, livemode: true };
    }),

  fetchPage: (access, request) =>
    classified(() => {
      const sdk = client(access);
      return request.operation === 'get' ? get(sdk, request, access) : list(sdk, request, access);
    }),

  manageWebhook: () =>
    Promise.reject(
      new ProviderError(
        'permanent',
        'Intercom has no API for webhooks: set the address up in its Developer Hub',
      ),
    ),

  readWebhook: readNotification,
};
