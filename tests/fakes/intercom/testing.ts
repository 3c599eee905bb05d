/** Owns what the tests of the fake share: a fake for the length of a test, and ways to read it. */

import { type FakeIntercom, type FakeIntercomOptions, startFakeIntercom } from './server.ts';

/** A fixed moment: 2026-11-01T12:00:00Z in milliseconds. */
export const NOON = Date.UTC(2026, 10, 1, 12);

// deno-lint-ignore no-explicit-any
type Json = any;

/** A request with the first token, as raw as it comes. */
export const get = (fake: FakeIntercom, path: string, init: RequestInit = {}): Promise<Response> =>
  fetch(fake.url + path, {
    ...init,
    headers: {
      authorization: `Bearer ${fake.key}`,
      'intercom-version': '2.14',
      ...init.headers as Record<string, string>,
    },
  });

/** The status and the parsed body of a GET. */
export const getJson = async (
  fake: FakeIntercom,
  path: string,
  init: RequestInit = {},
): Promise<{ status: number; headers: Headers; body: Json }> => {
  const response = await get(fake, path, init);
  return { status: response.status, headers: response.headers, body: await response.json() };
};

/** The status and the parsed body of a search. */
export const search = (
  fake: FakeIntercom,
  resource: 'contacts' | 'conversations',
  body: unknown,
): Promise<{ status: number; headers: Headers; body: Json }> =>
  getJson(fake, `/${resource}/search`, { method: 'POST', body: JSON.stringify(body) });

/** One comparison of a search. */
export const where = (field: string, operator: string, value: unknown) => ({
  field,
  operator,
  value,
});

/** Every row of a cursor listing or, with `body`, of a search; page by page over HTTP. */
export const readAll = async (
  fake: FakeIntercom,
  resource: 'contacts' | 'conversations',
  body?: Record<string, unknown>,
  perPage = 150,
): Promise<Json[]> => {
  const rows: Json[] = [];
  let after: string | undefined;
  do {
    const cursor = after === undefined ? {} : { starting_after: after };
    const page = body === undefined
      ? await getJson(
        fake,
        `/${resource}?${new URLSearchParams({ per_page: String(perPage), ...cursor })}`,
      )
      : await search(fake, resource, { ...body, pagination: { per_page: perPage, ...cursor } });
    if (page.status !== 200) throw new Error(`${page.status} ${JSON.stringify(page.body)}`);
    rows.push(...page.body.data ?? page.body.conversations);
    after = page.body.pages.next?.starting_after;
  } while (after !== undefined);
  return rows;
};

/** Runs a test against a small fake, by default at noon of a fixed day. */
export const withFake = async (
  options: FakeIntercomOptions,
  test: (fake: FakeIntercom) => Promise<void>,
): Promise<void> => {
  const fake = await startFakeIntercom({ now: () => NOON, rateLimit: false, ...options });
  try {
    await test(fake);
  } finally {
    await fake.stop();
  }
};
