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
language sql
volatile
set search_path = ''
as $$
  insert into supasaasy.sync_tasks as t (
    run_id, app_key, collection_key, kind, external_id, priority, page_size, run_after
  )
  select
    p_run_id, p_app_key, p_collection_key, 'revalidate', i.external_id, 0, 1,
    max(i.after) + interval '10 milliseconds' + r.read_lag
  from unnest(p_ids, p_after) as i (external_id, after)
  join supasaasy.resources r on r.collection_key = p_collection_key
  group by i.external_id, r.read_lag
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
language sql
volatile
set search_path = ''
as $$
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
$$;

comment on function supasaasy.request_children(text, text, text[], bigint) is
  'Asks for a complete listing of the children of each parent.';

create function supasaasy.lock_claims()
returns void
language sql
volatile
set search_path = ''
as $$
  select pg_advisory_xact_lock(7307);
$$;

comment on function supasaasy.lock_claims() is
  'Until the end of the transaction: only this one claims tasks.';

-- Walks the apps that have something queued by a loose index scan, takes from each at most what
-- its concurrency leaves, and deals them out in turns: first the first of each app, then the
-- second, so that a huge backfill does not starve a small app.
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
set enable_seqscan = off
as $$
#variable_conflict use_column
declare
  v_now timestamptz;
  v_free integer;
begin
  if p_limit is null or p_limit < 1 then
    raise exception using
      errcode = '22023',
      message = format('cannot claim %s tasks', coalesce(p_limit::text, 'null')),
      hint = 'Give a limit of at least 1.';
  end if;
  perform supasaasy.lock_claims();
  v_now := supasaasy.clock();
  select supasaasy.setting('max_in_flight')::integer - count(*)
  into v_free
  from supasaasy.sync_tasks t
  where t.state = 'leased';
  if v_free <= 0 then
    return;
  end if;

  return query
  with recursive queued (app_key) as (
    (
      select t.app_key
      from supasaasy.sync_tasks t
      where t.state in ('pending', 'waiting') and t.app_key >= coalesce(p_app_key, '')
      order by t.app_key
      limit 1
    )
    union all
    select (
      select t.app_key
      from supasaasy.sync_tasks t
      where t.state in ('pending', 'waiting') and t.app_key > q.app_key
      order by t.app_key
      limit 1
    )
    from queued q
    where q.app_key is not null and p_app_key is null
  ),
  due as materialized (
    select d.id, d.run_after,
      row_number() over (partition by q.app_key order by d.priority, d.run_after, d.id) as turn
    from queued q
    join supasaasy.apps a on a.app_key = q.app_key and a.enabled
    join supasaasy.connectors c on c.connector = a.connector
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
        limit p_limit
        for update skip locked
      ) t
      order by t.priority, t.run_after, t.id
      limit greatest(0, supasaasy.app_concurrency(a, c) - (
        select count(*)
        from supasaasy.sync_tasks l
        where l.state = 'leased' and l.app_key = q.app_key
      ))
    ) d
    where p_app_key is null or q.app_key = p_app_key
  ),
  chosen as materialized (
    select d.id
    from due d
    order by d.turn, d.run_after, d.id
    limit least(p_limit, v_free)
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

create function supasaasy.app_concurrency(
  p_app supasaasy.apps,
  p_connector supasaasy.connectors
)
returns integer
language sql
stable
set search_path = ''
as $$
  select coalesce((p_app.config ->> 'max_concurrency')::integer, p_connector.max_concurrency);
$$;

comment on function supasaasy.app_concurrency(supasaasy.apps, supasaasy.connectors) is
  'How many tasks of an app may be leased at once.';

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
  v_url text := supasaasy.functions_url() || '/fetch-page';
  v_started integer;
begin
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

-- Hands the app's next due task to a chain that would otherwise end.
create function supasaasy.next_task(p_app_key text)
returns jsonb
language sql
volatile
set search_path = ''
as $$
  select jsonb_build_object('task_id', c.task_id, 'token', c.start_token)
  from supasaasy.claim_tasks(1, p_app_key) c;
$$;

comment on function supasaasy.next_task(text) is
  'Claims the next due task of an app: its id and start token, or null.';

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
