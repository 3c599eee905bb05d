// Owns driving the engine's RPCs as the functions do, over one connection: a listing whose tasks are
// prepared by SQL, and the rows of believable pages.

import type { Sql } from 'postgres';
import { startFakeStripe } from '../fakes/stripe/server.ts';
import { APP } from './stack.ts';

export const PAGE = 100;

/** What one page took, in milliseconds. */
export interface PageTime {
  begin: number;
  complete: number;
}

/** A listing that is under way: each page is begun, then completed with the given rows. */
export async function openListing(
  sql: Sql,
  collection: string,
): Promise<(rows: string) => Promise<PageTime>> {
  const [task] = await sql`
    with job as (
      insert into supasaasy.sync_jobs (app_key, mode, resources, status)
      values (${APP}, 'full', array[${collection}], 'running')
      returning id
    ), run as (
      insert into supasaasy.sync_runs (job_id, app_key, collection_key, status, began_at)
      select id, ${APP}, ${collection}, 'running', clock_timestamp() from job
      returning id
    )
    insert into supasaasy.sync_tasks
      (run_id, app_key, collection_key, kind, priority, page_size, state, start_token,
        lease_expires_at)
    select id, ${APP}, ${collection}, 'list', 2, ${PAGE}, 'leased', gen_random_uuid(),
      clock_timestamp() + interval '1 hour'
    from run
    returning id, start_token`;
  let token = task?.start_token;
  return async (rows) => {
    const start = performance.now();
    const [begun] = await sql`select supasaasy.begin_page(${task?.id}, ${token}) as answer`;
    const middle = performance.now();
    const [ended] = await sql`
      select supasaasy.complete_page(
        p_task_id := ${task?.id},
        p_work_token := ${begun?.answer.work_token},
        p_rows := ${rows}::text::jsonb,
        p_next_cursor := 'more'
      ) as answer`;
    const end = performance.now();
    token = ended?.answer.next?.token;
    if (!token) throw new Error(`no next page: ${JSON.stringify([begun?.answer, ended?.answer])}`);
    return { begin: middle - start, complete: end - middle };
  };
}

/** No limit stands in the way, and no listing is halved. */
export async function liftLimits(sql: Sql): Promise<void> {
  await sql`select supasaasy.set_setting('rate_headroom', '100000')`;
  await sql`select supasaasy.set_setting('lease', '1 hour')`;
}

/** Customers and subscriptions with two items each, as the fake generates them, as JSON texts. */
export async function believableRows(
  customers: number,
  subscriptions: number,
): Promise<{ customers: string[]; subscriptions: string[] }> {
  const fake = await startFakeStripe({
    seed: 42,
    data: { customers, subscriptions: subscriptions * 12 + 200, historyEvents: false },
  });
  const all = [...fake.state.snapshot('subscription').values()];
  const ofTwo = all.map((object) => JSON.stringify(object))
    .filter((text) => text.split('"object":"subscription_item"').length === 3);
  const rows = {
    customers: [...fake.state.snapshot('customer').values()].map((row) => JSON.stringify(row)),
    subscriptions: ofTwo.slice(0, subscriptions),
  };
  await fake.stop();
  if (rows.subscriptions.length < subscriptions) throw new Error('too few subscriptions of two');
  return rows;
}

/** JSON arrays of a page's rows each. */
export function inPages(rows: readonly string[]): string[] {
  const pages: string[] = [];
  for (let at = 0; at < rows.length; at += PAGE) {
    pages.push(`[${rows.slice(at, at + PAGE).join(',')}]`);
  }
  return pages;
}
