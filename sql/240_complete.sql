-- Owns the end of a page that was fetched: rows, cursor, counters, slices and the next start token
-- in one transaction.

-- While pages remain and the app has room, the older half of the range becomes a task of its own,
-- in half-open whole seconds, so that nothing is listed twice or between two slices. The lowest
-- slice stays unbounded below: oldest_created only says where halving begins.
create function supasaasy.split_task(
  p_task supasaasy.sync_tasks,
  p_resource supasaasy.resources
)
returns bigint
language plpgsql
volatile
set search_path = ''
as $$
declare
  v_low bigint := coalesce(p_task.created_gte, p_resource.oldest_created);
  v_middle bigint;
  v_room integer;
begin
  if not p_resource.filters_created
    or p_task.updated_gte is not null
    or p_task.cursor_created is null
    or p_task.cursor_created - v_low < 2
  then
    return 0;
  end if;
  select supasaasy.app_concurrency(a, c) - (
    select count(*)
    from (
      select
      from supasaasy.sync_tasks t
      where t.app_key = p_task.app_key and t.state = 'leased'
      union all
      select
      from (
        select
        from supasaasy.sync_tasks t
        where t.app_key = p_task.app_key
          and t.state in ('pending', 'waiting')
          and t.priority = 2
          and t.run_after < 'infinity'
        limit 100
      ) q
    ) open
  )
  into v_room
  from supasaasy.apps a
  join supasaasy.connectors c on c.connector = a.connector
  where a.app_key = p_task.app_key;
  if v_room < 1 then
    return 0;
  end if;

  v_middle := v_low + (p_task.cursor_created - v_low + 1) / 2;
  insert into supasaasy.sync_tasks (
    run_id, app_key, collection_key, kind, priority, params, updated_gte, created_gte, created_lt,
    page_size
  )
  values (
    p_task.run_id, p_task.app_key, p_task.collection_key, 'list', 2, p_task.params,
    p_task.updated_gte, p_task.created_gte, v_middle, p_task.page_size
  );
  update supasaasy.sync_tasks t
  set created_gte = v_middle
  where t.id = p_task.id;
  return 1;
end;
$$;

comment on function supasaasy.split_task(supasaasy.sync_tasks, supasaasy.resources) is
  'Gives the older half of a listing''s remaining range to a new task if the app has room for it.';

-- Children that a complete listing of their parent did not show are fetched one by one: only the
-- provider's own answer deletes them. However late one was observed, it may have gone since. Those that
-- cannot be fetched alone were all in the one answer, which is the provider's own.
create function supasaasy.remove_absent_children(
  p_task supasaasy.sync_tasks,
  p_resource supasaasy.resources,
  p_until timestamptz
)
returns void
language plpgsql
volatile
set search_path = ''
as $$
declare
  v_ids text[];
  v_after timestamptz[];
  v_deleted integer;
begin
  select array_agg(e.external_id), array_agg(greatest(e.observed_until, supasaasy.clock()))
  into v_ids, v_after
  from supasaasy.entities e
  where e.app_key = p_task.app_key
    and e.collection_key = p_task.collection_key
    and e.parent_external_id = p_task.external_id
    and not (e.external_id = any (p_task.seen));
  if v_ids is null then
    return;
  elsif p_resource.is_fetched_alone then
    perform supasaasy.request_revalidation(
      p_app_key := p_task.app_key,
      p_collection_key := p_task.collection_key,
      p_ids := v_ids,
      p_after := v_after,
      p_run_id := p_task.run_id
    );
  elsif p_task.pages = 1 then
    v_deleted := supasaasy.delete_rows(
      p_app_key := p_task.app_key,
      p_collection_key := p_task.collection_key,
      p_ids := v_ids,
      p_at := p_task.begun_at,
      p_until := greatest(p_until, p_task.begun_at),
      p_source := 'fetch'
    );
    update supasaasy.sync_tasks t
    set deleted = t.deleted + v_deleted
    where t.id = p_task.id;
  end if;
end;
$$;

comment on function supasaasy.remove_absent_children(
  supasaasy.sync_tasks, supasaasy.resources, timestamptz
) is
  'After a complete listing of a parent''s children: the others are fetched, or deleted.';

-- A provider that cannot leave out by itself what was created before sync_from.
create function supasaasy.rows_within(
  p_run_id bigint,
  p_resource supasaasy.resources,
  p_rows jsonb
)
returns jsonb
language plpgsql
stable
set search_path = ''
as $$
begin
  return (
    select case
      when j.sync_from is null then p_rows
      else (
        select coalesce(jsonb_agg(r.value order by r.position), '[]')
        from jsonb_array_elements(p_rows) with ordinality as r (value, position)
        where not coalesce(
          supasaasy.unix_time(r.value -> p_resource.created_field) < j.sync_from, false
        )
      )
    end
    from supasaasy.sync_runs n
    join supasaasy.sync_jobs j on j.id = n.job_id
    where n.id = p_run_id
  );
end;
$$;

comment on function supasaasy.rows_within(bigint, supasaasy.resources, jsonb) is
  'The rows of a listing that its job''s sync_from lets in.';

-- The provider's Date header, in whole seconds, was written between begin and completion. Only a
-- skew that this proves is kept, and only if it is more than was known.
create function supasaasy.measure_skew(
  p_task supasaasy.sync_tasks,
  p_provider_time timestamptz,
  p_until timestamptz
)
returns void
language plpgsql
volatile
set search_path = ''
as $$
begin
  update supasaasy.apps a
  set clock_skew = m.proven + interval '1 second'
  from (
    select greatest(
      p_provider_time - p_until,
      p_task.begun_at - p_provider_time - interval '1 second'
    ) as proven
  ) m
  where a.app_key = p_task.app_key
    and m.proven > interval '0'
    and m.proven + interval '1 second' > supasaasy.clock_skew(a.app_key);
end;
$$;

comment on function supasaasy.measure_skew(supasaasy.sync_tasks, timestamptz, timestamptz) is
  'Widens an app''s clock skew when a response proves that it is more.';

create function supasaasy.complete_page(
  p_task_id bigint,
  p_work_token uuid,
  p_rows jsonb,
  p_next_cursor text default null,
  p_missing text[] default '{}',
  p_repaired text[] default '{}',
  p_events jsonb default null,
  p_provider_time timestamptz default null,
  p_is_partial boolean default false,
  p_merged jsonb default null,
  p_rate jsonb default null
)
returns jsonb
language plpgsql
volatile
security definer
set search_path = ''
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set jit = off
as $$
declare
  v_until timestamptz := supasaasy.clock();
  v_task supasaasy.sync_tasks%rowtype;
  v_app supasaasy.apps%rowtype;
  v_resource supasaasy.resources%rowtype;
  v_may_remove boolean;
  v_counts record;
  v_rows jsonb := p_rows;
  v_listed text[];
  v_refused boolean;
  v_goes_on boolean;
  v_token uuid;
  v_answer jsonb;
begin
  select t.* into v_task from supasaasy.sync_tasks t where t.id = p_task_id;
  if v_task.answered_token = p_work_token then
    return v_task.answer;
  elsif v_task.work_token is distinct from p_work_token or p_work_token is null then
    return jsonb_build_object('status', 'stale');
  end if;
  select r.* into strict v_resource
  from supasaasy.resources r where r.collection_key = v_task.collection_key;
  perform supasaasy.check_rows(v_task.collection_key, p_rows);
  if v_task.kind = 'revalidate' then
    perform supasaasy.check_fetched(v_task, p_rows, p_missing);
  end if;

  if v_resource.is_feed then
    perform supasaasy.check_event(e.value)
    from jsonb_array_elements(p_events) as e (value);
    perform supasaasy.lock_events(v_task.app_key, p_events);
  else
    if v_task.kind = 'children' and not v_resource.is_fetched_alone then
      perform supasaasy.lock_collection(v_task.app_key, v_task.collection_key, true);
    end if;
    v_may_remove := supasaasy.lock_rows(
      v_task.app_key, v_task.collection_key, p_rows, coalesce(p_missing, '{}')
    );
  end if;
  if v_task.kind = 'revalidate' then
    -- A page that disagrees holds the object and then asks for this task: so object before task.
    perform from supasaasy.entities e
    where e.app_key = v_task.app_key
      and e.collection_key = v_task.collection_key
      and e.external_id = v_task.external_id
    for update;
    perform from supasaasy.tombstones b
    where b.app_key = v_task.app_key
      and b.collection_key = v_task.collection_key
      and b.external_id = v_task.external_id
    for update;
  end if;
  select t.* into v_task from supasaasy.sync_tasks t where t.id = p_task_id for update;
  if v_task.answered_token = p_work_token then
    return v_task.answer;
  elsif v_task.work_token is distinct from p_work_token then
    return jsonb_build_object('status', 'stale');
  end if;
  if p_provider_time is not null then
    perform supasaasy.measure_skew(v_task, p_provider_time, v_until);
  end if;
  -- A page that was asked for before its job's key was refused is kept, but its chain ends.
  select a.* into strict v_app from supasaasy.apps a where a.app_key = v_task.app_key;
  v_refused := p_next_cursor is not null
    and v_app.breaker_opened_at is not null
    and supasaasy.is_job_refused(v_task.run_id);
  if not v_refused and (v_app.failures > 0 or v_app.breaker_opened_at is not null) then
    perform supasaasy.close_breaker(v_task.app_key);
  end if;

  if v_task.kind = 'list' and not v_resource.filters_created then
    v_rows := supasaasy.rows_within(v_task.run_id, v_resource, p_rows);
  end if;
  if p_rate is not null then
    perform supasaasy.heed_rate(v_task.app_key, p_rate);
  end if;
  if v_task.kind = 'children' and not exists (
    select from supasaasy.entities e
    where e.app_key = v_task.app_key
      and e.collection_key = v_resource.parent_collection_key
      and e.external_id = v_task.external_id
  ) then
    -- The parent went meanwhile, and its children with it; should it come back, they are listed anew.
    v_rows := '[]';
    p_is_partial := true;
  end if;

  if v_resource.is_feed then
    v_counts := supasaasy.apply_events(v_task.app_key, p_events);
  elsif v_task.kind = 'list' and supasaasy.is_verifying(v_task.run_id) then
    v_counts := supasaasy.verify_page(
      p_task := v_task,
      p_resource := v_resource,
      p_rows := p_rows,
      p_at := v_task.begun_at - v_resource.read_lag,
      p_until := greatest(v_until, v_task.begun_at),
      p_api_version := supasaasy.app_api_version(v_task.app_key)
    );
  else
    v_counts := supasaasy.observe(
      p_app_key := v_task.app_key,
      p_collection_key := v_task.collection_key,
      p_rows := v_rows,
      p_missing := coalesce(p_missing, '{}'),
      p_repaired := coalesce(p_repaired, '{}'),
      p_parent := case when v_task.kind = 'children' then v_task.external_id end,
      p_at := v_task.begun_at - case v_task.kind
        when 'list' then v_resource.read_lag else interval '0' end,
      p_until := greatest(v_until, v_task.begun_at),
      p_source := case v_task.kind when 'revalidate' then 'fetch' else 'page' end,
      p_api_version := supasaasy.app_api_version(v_task.app_key),
      p_may_remove := v_may_remove,
      p_run_id := v_task.run_id
    );
    if p_merged is not null then
      update supasaasy.tombstones b
      set merged_into = m.value
      from jsonb_each_text(p_merged) as m (key, value)
      where b.app_key = v_task.app_key
        and b.collection_key = v_task.collection_key
        and b.external_id = m.key;
    end if;
  end if;

  v_listed := array(select r.value ->> 'id' from jsonb_array_elements(p_rows) as r (value));
  if v_task.kind = 'list' and cardinality(v_listed) > 0 then
    insert into supasaasy.sync_seen (run_id, external_id)
    select v_task.run_id, l.external_id
    from unnest(v_listed) as l (external_id)
    where exists (
      select from supasaasy.sync_seen m where m.run_id = v_task.run_id and m.external_id = ''
    )
    on conflict do nothing;
  end if;

  -- The common case is one write of the task: the cursor moves, and the chain goes on with a new token.
  v_task.cursor_created := supasaasy.whole_number(
    coalesce(p_events, p_rows) -> -1 -> v_resource.created_field
  );
  v_goes_on := p_next_cursor is not null and not v_refused and (
    v_resource.cursor_is_used_up
      or not (supasaasy.must_yield(v_task) or supasaasy.is_saturated())
  );
  v_answer := jsonb_build_object(
    'status', 'ok',
    'inserted', v_counts.inserted,
    'updated', v_counts.updated,
    'unchanged', v_counts.unchanged,
    'deleted', v_counts.deleted
  );
  if v_goes_on then
    v_token := gen_random_uuid();
    v_answer := v_answer
      || jsonb_build_object('next', jsonb_build_object('task_id', p_task_id, 'token', v_token));
  end if;
  update supasaasy.sync_tasks t
  set cursor = p_next_cursor,
    cursor_created = v_task.cursor_created,
    seen = case
      when t.kind <> 'children' then null
      when p_next_cursor is null and t.again_after is not null then '{}'
      else t.seen || v_listed
    end,
    pages = t.pages + 1,
    inserted = t.inserted + v_counts.inserted,
    updated = t.updated + v_counts.updated,
    unchanged = t.unchanged + v_counts.unchanged,
    deleted = t.deleted + v_counts.deleted,
    attempts = 0,
    lost_leases = 0,
    error_class = null,
    error_message = null,
    start_token = v_token,
    work_token = case when not v_goes_on then t.work_token end,
    begun_at = case when not v_goes_on then t.begun_at end,
    lease_expires_at = case
      when v_goes_on then v_until + supasaasy.setting('start_token_ttl')::interval
      else t.lease_expires_at
    end,
    answered_token = p_work_token,
    answer = v_answer
  where t.id = p_task_id
  returning t.* into v_task;
  if p_next_cursor is not null
    and not v_refused
    and v_task.kind = 'list'
    and supasaasy.split_task(v_task, v_resource) > 0
  then
    perform supasaasy.start_tasks(1, v_task.app_key);
  end if;
  if v_goes_on then
    return v_answer;
  end if;

  if v_refused then
    perform supasaasy.fail_refused(p_task_id);
  elsif p_next_cursor is not null then
    perform supasaasy.put_back(p_task_id);
  elsif v_task.again_after is null then
    -- Only now: what was just observed may have asked for this very fetch once more.
    if v_task.kind = 'children' and not p_is_partial then
      perform supasaasy.remove_absent_children(v_task, v_resource, v_until);
    end if;
    perform supasaasy.end_task(p_task_id, 'done');
  else
    -- The object changed while it was being fetched: fetch it once more, after that change.
    update supasaasy.sync_tasks t
    set state = 'waiting',
      run_after = t.again_after,
      again_after = null,
      work_token = null,
      begun_at = null,
      lease_expires_at = null
    where t.id = p_task_id;
  end if;
  v_answer := v_answer
    || jsonb_build_object('next', supasaasy.next_task(v_task.app_key));
  update supasaasy.sync_tasks t
  set answer = v_answer
  where t.id = p_task_id;
  return v_answer;
end;
$$;

-- Definer: functions hold no grant on entities or the queue.
comment on function supasaasy.complete_page(
  bigint, uuid, jsonb, text, text[], text[], jsonb, timestamptz, boolean, jsonb, jsonb
) is
  'Stores one fetched page and says what to begin next; repeated, it returns the same answer.';

create function supasaasy.check_fetched(
  p_task supasaasy.sync_tasks,
  p_rows jsonb,
  p_missing text[]
)
returns void
language plpgsql
immutable
set search_path = ''
as $$
declare
  v_ids text[] := array(select r.value ->> 'id' from jsonb_array_elements(p_rows) as r (value))
    || coalesce(p_missing, '{}');
begin
  if v_ids <> array[p_task.external_id] then
    raise exception using
      errcode = '22023',
      message = format('cannot store the fetch of "%s" %s: the answer is about %s',
        p_task.collection_key, p_task.external_id,
        coalesce(nullif(left(array_to_string(v_ids, ', '), 60), ''), 'nothing'));
  end if;
end;
$$;

comment on function supasaasy.check_fetched(supasaasy.sync_tasks, jsonb, text[]) is
  'Raises 22023 unless a fetch answers about the one object it was made for.';

create function supasaasy.must_yield(p_task supasaasy.sync_tasks)
returns boolean
language plpgsql
volatile
set search_path = ''
as $$
begin
  return exists (
    select
    from generate_series(0, p_task.priority - 1) as p (priority)
    cross join lateral (
      select
      from supasaasy.sync_tasks t
      where t.app_key = p_task.app_key
        and t.state in ('pending', 'waiting')
        and t.priority = p.priority
        and t.run_after <= supasaasy.clock()
      limit 1
    ) t
  );
end;
$$;

comment on function supasaasy.must_yield(supasaasy.sync_tasks) is
  'Whether something more urgent of the same app is due: revalidations go before listings.';

create function supasaasy.put_back(p_task_id bigint)
returns void
language plpgsql
volatile
set search_path = ''
as $$
begin
  update supasaasy.sync_tasks t
  set state = 'pending',
    start_token = null,
    work_token = null,
    begun_at = null,
    lease_expires_at = null
  where t.id = p_task_id;
end;
$$;

comment on function supasaasy.put_back(bigint) is
  'Returns a task to the queue as it stands.';
