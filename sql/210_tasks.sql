-- Owns the queue's moves outside of a page: what is put in, who may take it, how it is started.
--
-- Claims are serialised by one advisory lock (lock_claims), so that no limit is ever exceeded by
-- two claims that cannot see each other; rows that somebody holds are skipped, so a claim never
-- waits for a page.

-- Wishes for one object coalesce into one open task. Its fetch must begin after p_after, to be
-- strictly newer than what disagreed; one that is already under way is repeated.
create function supasaasy.request_revalidation(
  p_app_key text,
  p_collection_key text,
  p_ids text[],
  p_after timestamptz[],
  p_run_id bigint default null
)
returns void
language plpgsql
volatile
set search_path = ''
as $$
declare
  v_parents text[];
begin
  if not (
    select r.is_fetched_alone from supasaasy.resources r where r.collection_key = p_collection_key
  ) then
    v_parents := array(
      select distinct e.parent_external_id
      from unnest(p_ids) as i (external_id)
      cross join lateral (
        select o.parent_external_id
        from supasaasy.entities o
        where o.app_key = p_app_key
          and o.collection_key = p_collection_key
          and o.external_id = i.external_id
        offset 0
      ) e
    );
    perform supasaasy.request_children(p_app_key, p_collection_key, v_parents, p_run_id);
    return;
  end if;
  insert into supasaasy.sync_tasks as t (
    run_id, app_key, collection_key, kind, external_id, priority, page_size, run_after
  )
  select
    p_run_id, p_app_key, p_collection_key, 'revalidate', i.external_id, 0, 1,
    max(i.after) + interval '10 milliseconds'
  from unnest(p_ids, p_after) as i (external_id, after)
  group by i.external_id
  order by i.external_id
  on conflict (app_key, collection_key, external_id, kind)
    where kind <> 'list' and state in ('pending', 'waiting', 'leased')
  do update
  set run_id = coalesce(t.run_id, excluded.run_id),
    run_after = greatest(t.run_after, excluded.run_after),
    again_after = case
      when t.begun_at < excluded.run_after
      then greatest(t.again_after, excluded.run_after)
      else t.again_after
    end;
end;
$$;

comment on function supasaasy.request_revalidation(text, text, text[], timestamptz[], bigint) is
  'Asks for one fetch of each object, to begin after the given times.';

create function supasaasy.request_children(
  p_app_key text,
  p_collection_key text,
  p_parents text[],
  p_run_id bigint default null
)
returns void
language plpgsql
volatile
set search_path = ''
as $$
begin
  insert into supasaasy.sync_tasks as t (
    run_id, app_key, collection_key, kind, external_id, priority, page_size, seen
  )
  select p_run_id, p_app_key, p_collection_key, 'children', p.external_id, 1, r.page_size, '{}'
  from (select distinct u.external_id from unnest(p_parents) as u (external_id)) p
  join supasaasy.resources r on r.collection_key = p_collection_key
  order by p.external_id
  on conflict (app_key, collection_key, external_id, kind)
    where kind <> 'list' and state in ('pending', 'waiting', 'leased')
  do update
  set run_id = coalesce(t.run_id, excluded.run_id),
    again_after = case
      when t.begun_at is not null or t.pages > 0 then excluded.run_after
      else t.again_after
    end;
end;
$$;

comment on function supasaasy.request_children(text, text, text[], bigint) is
  'Asks for a complete listing of the children of each parent.';

create function supasaasy.lock_claims()
returns void
language plpgsql
volatile
set search_path = ''
as $$
begin
  perform pg_advisory_xact_lock(7307);
end;
$$;

comment on function supasaasy.lock_claims() is
  'Until the end of the transaction: only this one claims tasks.';

create function supasaasy.app_concurrency(
  p_app supasaasy.apps,
  p_connector supasaasy.connectors
)
returns integer
language plpgsql
stable
set search_path = ''
as $$
begin
  return coalesce((p_app.config ->> 'max_concurrency')::integer, p_connector.max_concurrency);
end;
$$;

comment on function supasaasy.app_concurrency(supasaasy.apps, supasaasy.connectors) is
  'How many tasks of an app may be leased at once.';

-- How many more tasks of an app may be leased: none while it is disabled or its circuit breaker is
-- open, one while that is half-open.
create function supasaasy.app_room(p_app supasaasy.apps)
returns integer
language plpgsql
stable
set search_path = ''
as $$
begin
  return (
    select case
      when not p_app.enabled then 0
      else greatest(0, case supasaasy.breaker_state(p_app)
        when 'open' then 0
        when 'half_open' then 1
        else supasaasy.app_concurrency(p_app, c)
      end - (
        select count(*)
        from supasaasy.sync_tasks t
        where t.state = 'leased' and t.app_key = p_app.app_key
      ))
    end::integer
    from supasaasy.connectors c
    where c.connector = p_app.connector
  );
end;
$$;

comment on function supasaasy.app_room(supasaasy.apps) is
  'How many more tasks of an app may be leased now.';

create function supasaasy.has_due_task(p_app_key text)
returns boolean
language plpgsql
stable
set search_path = ''
as $$
begin
  return exists (
    select
    from (values (0), (1), (2)) as p (priority)
    cross join lateral (
      select
      from supasaasy.sync_tasks t
      where t.state in ('pending', 'waiting')
        and t.app_key = p_app_key
        and t.priority = p.priority
        and t.run_after <= supasaasy.clock()
      limit 1
    ) t
  );
end;
$$;

comment on function supasaasy.has_due_task(text) is
  'Whether an app has something to start.';

-- The apps whose turn it is: those after the one that was served last, round and round, that have
-- something due and room for it. Bounded in steps, so that thousands of waiting apps cost a claim
-- nothing; the next one goes on behind them.
create function supasaasy.apps_in_turn(p_limit integer)
returns text[]
language plpgsql
volatile
set search_path = ''
as $$
declare
  v_from text := coalesce((select c.app_key from supasaasy.claim_turn c where c.singleton), '');
  v_at text := v_from;
  v_next text;
  v_app supasaasy.apps%rowtype;
  v_wrapped boolean := false;
  v_chosen text[] := array[]::text[];
begin
  for v_step in 1..1000 loop
    select t.app_key into v_next
    from supasaasy.sync_tasks t
    where t.state in ('pending', 'waiting') and t.app_key > v_at
    order by t.app_key
    limit 1;
    if not found then
      exit when v_wrapped;
      v_wrapped := true;
      v_at := '';
      continue;
    end if;
    exit when v_wrapped and v_next > v_from;
    v_at := v_next;
    select a.* into strict v_app from supasaasy.apps a where a.app_key = v_at;
    if supasaasy.app_room(v_app) > 0 and supasaasy.has_due_task(v_at) then
      v_chosen := v_chosen || v_at;
      exit when cardinality(v_chosen) >= p_limit;
    end if;
  end loop;
  insert into supasaasy.claim_turn as c (app_key)
  values (v_at)
  on conflict (singleton) do update
  set app_key = excluded.app_key
  where c.app_key <> excluded.app_key;
  return v_chosen;
end;
$$;

comment on function supasaasy.apps_in_turn(integer) is
  'The next apps, round and round, that have something due and room for it.';

-- Takes from each app in turn at most what its room allows, and deals out fairly: first one of each
-- app, then a second, so that a huge backfill does not starve a small app.
create function supasaasy.claim_tasks(
  p_limit integer,
  p_app_key text default null
)
returns table (
  task_id bigint,
  start_token uuid
)
language plpgsql
volatile
set search_path = ''
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set jit = off
as $$
#variable_conflict use_column
declare
  v_now timestamptz;
  v_free integer;
  v_apps text[];
begin
  if p_limit is null or p_limit < 1 then
    raise exception using
      errcode = '22023',
      message = format('cannot claim %s tasks', coalesce(p_limit::text, 'null')),
      hint = 'Give a limit of at least 1.';
  end if;
  perform supasaasy.lock_claims();
  v_now := supasaasy.clock();
  select least(p_limit, supasaasy.setting('max_in_flight')::integer - count(*))
  into v_free
  from supasaasy.sync_tasks t
  where t.state = 'leased';
  if v_free <= 0 then
    return;
  end if;
  if p_app_key is null then
    v_apps := supasaasy.apps_in_turn(v_free);
  else
    v_apps := array[p_app_key];
  end if;

  return query
  with due as materialized (
    select d.id, q.position,
      row_number() over (partition by q.position order by d.priority, d.run_after, d.id) as turn
    from unnest(v_apps) with ordinality as q (app_key, position)
    join supasaasy.apps a on a.app_key = q.app_key
    cross join lateral (
      select t.id, t.priority, t.run_after
      from (values (0), (1), (2)) as p (priority)
      cross join lateral (
        select t.id, t.priority, t.run_after
        from supasaasy.sync_tasks t
        where t.state in ('pending', 'waiting')
          and t.app_key = q.app_key
          and t.priority = p.priority
          and t.run_after <= v_now
        order by t.run_after, t.id
        limit v_free
        for update skip locked
      ) t
      order by t.priority, t.run_after, t.id
      limit supasaasy.app_room(a)
    ) d
  ),
  chosen as materialized (
    select d.id
    from due d
    order by d.turn, d.position
    limit v_free
  )
  update supasaasy.sync_tasks t
  set state = 'leased',
    start_token = gen_random_uuid(),
    lease_expires_at = v_now + supasaasy.setting('start_token_ttl')::interval
  from chosen
  where t.id = chosen.id
  returning t.id, t.start_token;
end;
$$;

comment on function supasaasy.claim_tasks(integer, text) is
  'Leases due tasks, fair across apps and within every limit; returns their start tokens.';

-- The request holds a task id and a one-time token, nothing else: every role can read pg_net's
-- queue. If it is lost, the lease expires and tick starts the task again.
create function supasaasy.start_tasks(
  p_limit integer,
  p_app_key text default null
)
returns integer
language plpgsql
volatile
set search_path = ''
as $$
declare
  v_url text := supasaasy.known_functions_url() || '/fetch-page';
  v_started integer;
begin
  if v_url is null then
    return 0;
  end if;
  select count(net.http_post(
    url := v_url,
    body := jsonb_build_object('task_id', c.task_id, 'token', c.start_token)
  ))
  into v_started
  from supasaasy.claim_tasks(p_limit, p_app_key) c;
  return v_started;
end;
$$;

comment on function supasaasy.start_tasks(integer, text) is
  'Claims due tasks and starts a function for each; returns how many.';

-- Whether no lease is to spare, so that a chain's next page must be somebody else's turn.
create function supasaasy.is_saturated()
returns boolean
language plpgsql
stable
set search_path = ''
as $$
begin
  return (
    select count(*) >= supasaasy.setting('max_in_flight')::integer - 1
    from supasaasy.sync_tasks t
    where t.state = 'leased'
  );
end;
$$;

comment on function supasaasy.is_saturated() is
  'Whether all apps together have about as much leased as they may.';

-- What a chain that would otherwise end goes on with: the app's next due task, or the next app's
-- while leases are scarce.
create function supasaasy.next_task(p_app_key text)
returns jsonb
language plpgsql
volatile
set search_path = ''
as $$
begin
  return (
    select jsonb_build_object('task_id', c.task_id, 'token', c.start_token)
    from supasaasy.claim_tasks(1, case when not supasaasy.is_saturated() then p_app_key end) c
  );
end;
$$;

comment on function supasaasy.next_task(text) is
  'Claims what a chain does next: a task''s id and start token, or null.';

create function supasaasy.release_task(
  p_task_id bigint,
  p_start_token uuid
)
returns boolean
language plpgsql
volatile
security definer
set search_path = ''
as $$
begin
  update supasaasy.sync_tasks t
  set state = 'pending',
    start_token = null,
    lease_expires_at = null
  where t.id = p_task_id and t.state = 'leased' and t.start_token = p_start_token;
  return found;
end;
$$;

-- Definer: functions hold no grant on the queue.
comment on function supasaasy.release_task(bigint, uuid) is
  'Gives back a task whose start was refused, at once; false when the token is stale.';
