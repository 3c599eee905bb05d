-- Owns the fixtures of the database tests: functions in a schema of their own whose calls read
-- like prose. Loaded once before the tests; never part of the migration.

create extension if not exists pgtap with schema extensions;

drop schema if exists tests cascade;
create schema tests;

-- An app that is pinned, on a schema that says where its functions are.
create function tests.have_app(
  p_app_key text default 'stripe_main',
  p_config jsonb default '{}'
)
returns void
language plpgsql
as $$
begin
  perform supasaasy.set_setting('functions_url', 'http://127.0.0.1:9/functions/v1');
  perform supasaasy.set_setting('rate_headroom', '1000');
  insert into supasaasy.apps (app_key, connector, config)
  values (p_app_key, 'stripe', '{"api_key_env": "STRIPE_API_KEY"}' || p_config);
  update supasaasy.apps
  set account_id = 'acct_1', livemode = false, key_fingerprint = 'fingerprint'
  where app_key = p_app_key;
end;
$$;

-- From now on the clock stands at this time.
create function tests.stop_clock_at(p_time timestamptz)
returns void
language sql
as $$
  select set_config('supasaasy.clock', p_time::text, true);
$$;

create function tests.move_clock(p_by interval)
returns void
language sql
as $$
  select set_config('supasaasy.clock', (supasaasy.clock() + p_by)::text, true);
$$;

-- How many rows of these tables a statement reads, by any way: what grows with it grows with the data.
create function tests.rows_read_by(
  p_statement text,
  p_tables text[]
)
returns bigint
language plpgsql
as $$
declare
  v_read constant text := 'select sum(seq_tup_read + idx_tup_fetch) from pg_stat_xact_user_tables '
    || 'where schemaname = ''supasaasy'' and relname = any ($1)';
  v_before bigint;
  v_after bigint;
begin
  execute v_read into v_before using p_tables;
  execute p_statement;
  execute v_read into v_after using p_tables;
  return v_after - v_before;
end;
$$;

-- The open task of a collection (and of an object, if one is named).
create function tests.task(
  p_collection_key text,
  p_external_id text default null,
  p_app_key text default 'stripe_main'
)
returns bigint
language sql
stable
as $$
  select t.id
  from supasaasy.sync_tasks t
  where t.app_key = p_app_key
    and t.collection_key = p_collection_key
    and t.external_id is not distinct from p_external_id
    and t.state in ('pending', 'waiting', 'leased')
  order by t.id
  limit 1;
$$;

-- Begins a task's next page, claimed before or not; gives the work token.
create function tests.begin(p_task_id bigint)
returns uuid
language plpgsql
as $$
declare
  v_token uuid;
  v_order jsonb;
begin
  update supasaasy.sync_tasks t
  set state = 'leased',
    start_token = coalesce(t.start_token, gen_random_uuid()),
    lease_expires_at = supasaasy.clock() + interval '1 minute'
  where t.id = p_task_id and t.work_token is null
  returning t.start_token into v_token;
  v_order := supasaasy.begin_page(p_task_id, v_token);
  if v_order ->> 'status' <> 'begun' then
    raise exception 'the fixture could not begin task %: %', p_task_id, v_order;
  end if;
  return (v_order ->> 'work_token')::uuid;
end;
$$;

-- Brings a page of a collection's open task: its rows, and where the next one starts.
create function tests.bring_page(
  p_collection_key text,
  p_rows jsonb,
  p_next_cursor text default null,
  p_external_id text default null
)
returns jsonb
language plpgsql
as $$
declare
  v_task_id bigint := tests.task(p_collection_key, p_external_id);
begin
  return supasaasy.complete_page(
    p_task_id := v_task_id,
    p_work_token := tests.begin(v_task_id),
    p_rows := p_rows,
    p_next_cursor := p_next_cursor
  );
end;
$$;

-- Syncs one resource whose whole listing is these rows.
create function tests.sync_listing(
  p_collection_key text,
  p_rows jsonb,
  p_app_key text default 'stripe_main'
)
returns bigint
language plpgsql
as $$
declare
  v_job_id bigint := supasaasy.sync(p_app_key, 'full', array[p_collection_key]);
begin
  perform tests.bring_page(p_collection_key, p_rows);
  if p_collection_key = 'stripe_price' then
    perform tests.bring_page(p_collection_key, '[]');
  end if;
  return v_job_id;
end;
$$;

-- Lets a page, fetch or event be observed between two times.
create function tests.observe(
  p_collection_key text,
  p_rows jsonb,
  p_at timestamptz,
  p_until timestamptz,
  p_source text default 'page',
  p_missing text[] default '{}',
  p_app_key text default 'stripe_main'
)
returns text
language plpgsql
as $$
declare
  v_may_remove boolean;
  v_counts record;
begin
  v_may_remove := supasaasy.lock_rows(p_app_key, p_collection_key, p_rows, p_missing);
  v_counts := supasaasy.observe(
    p_app_key := p_app_key,
    p_collection_key := p_collection_key,
    p_rows := p_rows,
    p_missing := p_missing,
    p_repaired := '{}',
    p_parent := null,
    p_at := p_at,
    p_until := p_until,
    p_source := p_source,
    p_api_version := '2026-10-28.endive',
    p_may_remove := v_may_remove,
    p_run_id := null
  );
  return format('%s inserted, %s updated, %s unchanged, %s deleted',
    v_counts.inserted, v_counts.updated, v_counts.unchanged, v_counts.deleted);
end;
$$;

create function tests.customer(
  p_id text,
  p_fields jsonb default '{}',
  p_created bigint default 1700000000
)
returns jsonb
language sql
immutable
as $$
  select jsonb_build_object('id', p_id, 'object', 'customer', 'created', p_created) || p_fields;
$$;

create function tests.customers(
  p_from integer,
  p_to integer,
  p_fields jsonb default '{}'
)
returns jsonb
language sql
immutable
as $$
  select coalesce(jsonb_agg(
    tests.customer('cus_' || lpad(i::text, 6, '0'), p_fields, 1700000000 - i) order by i
  ), '[]')
  from generate_series(p_from, p_to) as i;
$$;

create function tests.item(
  p_id text,
  p_subscription_id text,
  p_fields jsonb default '{}'
)
returns jsonb
language sql
immutable
as $$
  select jsonb_build_object(
    'id', p_id,
    'object', 'subscription_item',
    'created', 1700000000,
    'subscription', p_subscription_id,
    'quantity', 1,
    'current_period_start', 1700000000,
    'current_period_end', 1702592000
  ) || p_fields;
$$;

-- A subscription with items of the given ids.
create function tests.subscription(
  p_id text,
  p_item_ids text[],
  p_fields jsonb default '{}',
  p_has_more boolean default false
)
returns jsonb
language sql
immutable
as $$
  select jsonb_build_object(
    'id', p_id,
    'object', 'subscription',
    'customer', 'cus_1',
    'status', 'active',
    'created', 1700000000,
    'items', jsonb_build_object(
      'object', 'list',
      'has_more', p_has_more,
      'data', coalesce((
        select jsonb_agg(tests.item(i.id, p_id) order by i.position)
        from unnest(p_item_ids) with ordinality as i (id, position)
      ), '[]')
    )
  ) || p_fields;
$$;

-- The external ids of a collection, in order.
create function tests.ids(p_collection_key text)
returns text
language sql
stable
as $$
  select coalesce(string_agg(e.external_id, ' ' order by e.external_id), '')
  from supasaasy.entities e
  where e.collection_key = p_collection_key;
$$;

create function tests.buried(p_collection_key text)
returns text
language sql
stable
as $$
  select coalesce(string_agg(t.external_id, ' ' order by t.external_id), '')
  from supasaasy.tombstones t
  where t.collection_key = p_collection_key;
$$;

-- What is queued, as kind:external_id, in order.
create function tests.open_tasks(p_collection_key text)
returns text
language sql
stable
as $$
  select coalesce(
    string_agg(concat_ws(':', t.kind, t.external_id), ' ' order by t.kind, t.external_id), ''
  )
  from supasaasy.sync_tasks t
  where t.collection_key = p_collection_key
    and t.state in ('pending', 'waiting', 'leased');
$$;

-- A tick of ours: the stack's own heartbeat may be under way just now.
create function tests.tick()
returns void
language plpgsql
as $$
begin
  while supasaasy.tick() ? 'skipped' loop
    perform pg_sleep(0.01);
  end loop;
end;
$$;

grant usage on schema tests to anon, authenticated, service_role;
grant execute on all functions in schema tests to anon, authenticated, service_role;
