// Owns sending what pg_net's queue holds, with the rules of the real worker: up to 200 requests at
// once, all of them until the slowest has ended, one commit, then a pause of a second. So one slow
// request delays everybody's next, and a worker killed in between sends its batch again.

import type { Sql } from 'postgres';

const BATCH = 200;
const PAUSE_MS = 1000;
const KEEP_RESPONSES = '6 hours';

interface Queued {
  id: string;
  method: string;
  url: string;
  headers: Record<string, string> | null;
  body: string | null;
  timeout_milliseconds: number;
}

async function send(request: Queued): Promise<Record<string, unknown>> {
  try {
    const response = await fetch(request.url, {
      method: request.method,
      headers: request.headers ?? {},
      body: request.body,
      signal: AbortSignal.timeout(request.timeout_milliseconds),
    });
    const content = await response.text();
    return {
      id: request.id,
      status_code: response.status,
      content_type: response.headers.get('content-type'),
      headers: Object.fromEntries(response.headers),
      content: content.replaceAll('\u0000', ''),
      timed_out: false,
      error_msg: null,
    };
  } catch (error) {
    const timedOut = error instanceof DOMException && error.name === 'TimeoutError';
    return {
      id: request.id,
      status_code: null,
      content_type: null,
      headers: null,
      content: null,
      timed_out: timedOut,
      error_msg: timedOut
        ? `Timeout of ${request.timeout_milliseconds} ms reached`
        : error instanceof Error
        ? error.message
        : String(error),
    };
  }
}

/** Sends one batch; gives how many requests it had. */
async function sendBatch(sql: Sql): Promise<number> {
  return await sql.begin(async (transaction) => {
    const batch = await transaction<Queued[]>`
      delete from net.http_request_queue q
      using (
        select id from net.http_request_queue order by id limit ${BATCH} for update skip locked
      ) b
      where q.id = b.id
      returning q.*`;
    if (batch.length === 0) return 0;
    const responses = await Promise.all(batch.map(send));
    await transaction`
      insert into net._http_response
        (id, status_code, content_type, headers, content, timed_out, error_msg)
      select r.id, r.status_code, r.content_type, r.headers, r.content, r.timed_out, r.error_msg
      from jsonb_to_recordset(${transaction.json(responses as never)}) as r (
        id bigint, status_code integer, content_type text, headers jsonb, content text,
        timed_out boolean, error_msg text)
      on conflict (id) do nothing`;
    await transaction`
      delete from net._http_response where created < now() - ${KEEP_RESPONSES}::interval`;
    return batch.length;
  }) as number;
}

/** Sends for ever; throws when the extension is dropped or the database goes away. */
export async function runNet(sql: Sql): Promise<void> {
  let wake = () => {};
  const listener = await sql.listen('supasaasy_net', () => wake());
  try {
    for (;;) {
      const woken = new Promise<void>((resolve) => wake = resolve);
      if (await sendBatch(sql) > 0) {
        await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
      } else {
        let timer: ReturnType<typeof setTimeout> | undefined;
        const pause = new Promise((resolve) => timer = setTimeout(resolve, PAUSE_MS));
        await Promise.race([woken, pause]);
        clearTimeout(timer);
      }
    }
  } finally {
    await listener.unlisten().catch(() => {});
  }
}
