// Owns large accounts: entities made inside Postgres out of believable templates, seven customers to
// one and a half subscriptions with one item each, their ids in random order as real ones are.

import type { Sql } from 'postgres';
import { believableRows } from './pages.ts';
import { APP } from './stack.ts';

const VERSION = '2026-10-28.endive';

/** Which statements bring the rows `from`..`to` of a million, by collection. */
function statements(from: number, to: number): string[] {
  const insert = `insert into supasaasy.entities (app_key, collection_key, external_id,
    parent_external_id, api_version, raw_payload, source_created_at, observed_at, observed_until,
    archived_at)`;
  const rest =
    `to_timestamp(1500000000 + i * 10), now() - interval '1 hour', now() - interval '1 hour'`;
  const id = (prefix: string) => `'${prefix}_' || left(md5(i::text), 14)`;
  const series = (share: number) =>
    `generate_series(${Math.floor(from * share) + 1}, ${Math.floor(to * share)}) as i`;
  const status = `case when i % 100 < 62 then 'active' when i % 100 < 80 then 'canceled'
    when i % 100 < 88 then 'trialing' when i % 100 < 94 then 'past_due' else 'paused' end`;
  return [
    `${insert}
    select '${APP}', 'stripe_customer', ${id('cus')}, null, '${VERSION}',
      t.customer || jsonb_build_object('id', ${id('cus')}, 'created', 1500000000 + i * 10,
        'email', 'person.' || i || '@example.com', 'name', 'Person ' || i),
      ${rest}, null
    from ${series(0.7)}, bench.templates t`,
    `${insert}
    select '${APP}', 'stripe_subscription', ${id('sub')}, null, '${VERSION}',
      jsonb_set(t.subscription, '{items,data,0,id}', to_jsonb(${id('si')}))
        || jsonb_build_object('id', ${id('sub')}, 'created', 1500000000 + i * 10,
          'customer', ${id('cus')}, 'status', ${status}),
      ${rest}, case when ${status} = 'canceled' then now() end
    from ${series(0.15)}, bench.templates t`,
    `${insert}
    select '${APP}', 'stripe_subscription_item', ${id('si')}, ${id('sub')}, '${VERSION}',
      t.item || jsonb_build_object('id', ${id('si')}, 'subscription', ${id('sub')}),
      ${rest}, null
    from ${series(0.15)}, bench.templates t`,
  ];
}

async function makeTemplates(sql: Sql): Promise<void> {
  const rows = await believableRows(1, 1);
  const subscription = JSON.parse(rows.subscriptions[0] ?? '{}');
  subscription.items.data.length = 1;
  await sql`create schema if not exists bench`;
  await sql`
    create table if not exists bench.templates (customer jsonb, subscription jsonb, item jsonb)`;
  await sql`truncate bench.templates`;
  await sql`
    insert into bench.templates
    values (${rows.customers[0] ?? ''}::text::jsonb, ${JSON.stringify(subscription)}::text::jsonb,
      ${JSON.stringify(subscription.items.data[0])}::text::jsonb)`;
}

/** Tops the account up to so many entities; what is there already stays. */
export async function fillTo(sql: Sql, admin: Sql, entities: number): Promise<void> {
  await makeTemplates(sql);
  const [row] = await sql`
    select count(*)::int as n from supasaasy.entities
    where collection_key = 'stripe_customer' and raw_payload ->> 'email' like 'person.%'`;
  const present = Math.round(row?.n / 0.7);
  if (present < entities) {
    for (const statement of statements(present, entities)) await sql.unsafe(statement);
  }
  await sql`vacuum analyze supasaasy.entities`;
  await admin`checkpoint`;
}

/** Says that every collection of the app is complete, as after a full sync. */
export async function declareComplete(sql: Sql): Promise<void> {
  await sql`
    insert into supasaasy.sync_state
      (app_key, collection_key, complete_as_of, events_as_of, floor)
    select a.app_key, r.collection_key, now(), now(), now() - interval '1 hour'
    from supasaasy.apps a
    join supasaasy.resources r on r.connector = a.connector and not r.is_feed
    on conflict do nothing`;
}
