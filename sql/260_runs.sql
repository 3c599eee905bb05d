-- Owns the course of a run: its turn, its first tasks, the end of its last, and the sweep between.

-- Starts a run: a task for each listing of its resource, and the marker that its sightings are
-- kept. Called under the app's queue lock, when it is the run's turn.
create function supasaasy.start_run(p_run_id bigint)
returns void
language plpgsql
volatile
set search_path = ''
as $$
declare
  v_now timestamptz := supasaasy.clock();
  v_run supasaasy.sync_runs%rowtype;
  v_job supasaasy.sync_jobs%rowtype;
  v_resource supasaasy.resources%rowtype;
begin
  update supasaasy.sync_runs r
  set status = 'running',
    began_at = v_now,
    is_first = not exists (
      select from supasaasy.sync_state s
      where s.app_key = r.app_key and s.collection_key = r.collection_key
    )
  where r.id = p_run_id
  returning r.* into strict v_run;
  update supasaasy.sync_jobs j
  set status = 'running',
    started_at = coalesce(j.started_at, v_now)
  where j.id = v_run.job_id
  returning j.* into strict v_job;
  select r.* into strict v_resource
  from supasaasy.resources r
  where r.collection_key = v_run.collection_key;

  insert into supasaasy.sync_seen (run_id, external_id)
  values (p_run_id, '')
  on conflict do nothing;
  -- The upper bound is frozen, a minute ahead for a provider's clock that is ahead of ours.
  insert into supasaasy.sync_tasks (
    run_id, app_key, collection_key, kind, priority, params, updated_gte, created_gte, created_lt,
    page_size
  )
  select
    p_run_id, v_run.app_key, v_run.collection_key, 'list', 2, l.params,
    floor(extract(epoch from v_run.since))::bigint,
    case
      when v_resource.is_feed then supasaasy.feed_start(v_run)
      when v_resource.filters_created then ceil(extract(epoch from v_job.sync_from))::bigint
    end,
    case when v_resource.filters_created then ceil(extract(epoch from v_now))::bigint + 60 end,
    v_resource.page_size
  from jsonb_array_elements(
    case when v_resource.is_feed then supasaasy.feed_listings(v_run) else v_resource.listings end
  ) as l (params);
  if v_job.mode <> 'verify' then
    perform supasaasy.repeat_failed_fetches(v_run);
  end if;
end;
$$;

comment on function supasaasy.start_run(bigint) is
  'Creates the first tasks of a run whose turn it is.';

-- A fetch of one object that failed for good is a doubt that nobody has settled: the next run of its
-- resource fetches it again, and is not complete without it.
create function supasaasy.repeat_failed_fetches(p_run supasaasy.sync_runs)
returns void
language plpgsql
volatile
set search_path = ''
as $$
declare
  v_failed record;
begin
  for v_failed in
    with taken as (
      update supasaasy.sync_tasks t
      set state = 'cancelled'
      from supasaasy.resources r
      where r.collection_key = t.collection_key
        and t.app_key = p_run.app_key
        and t.run_id is null
        and t.kind in ('revalidate', 'children')
        and t.state = 'failed'
        and coalesce(p_run.covers, array[p_run.collection_key])
          && array[r.collection_key, r.parent_collection_key]
      returning t.collection_key, t.kind, t.external_id
    )
    select k.collection_key, k.kind, array_agg(distinct k.external_id) as ids
    from taken k
    group by k.collection_key, k.kind
    order by k.collection_key, k.kind
  loop
    if v_failed.kind = 'revalidate' then
      perform supasaasy.request_revalidation(
        p_app_key := p_run.app_key,
        p_collection_key := v_failed.collection_key,
        p_ids := v_failed.ids,
        p_after := array_fill(supasaasy.clock(), array[cardinality(v_failed.ids)]),
        p_run_id := p_run.id
      );
    else
      perform supasaasy.request_children(
        p_run.app_key, v_failed.collection_key, v_failed.ids, p_run.id
      );
    end if;
  end loop;
end;
$$;

comment on function supasaasy.repeat_failed_fetches(supasaasy.sync_runs) is
  'Lets a run fetch again what could not be fetched outside of any run.';

-- A resource of an app has one run at a time; the others wait in the order they were asked for.
create function supasaasy.start_next_runs(p_app_key text)
returns void
language plpgsql
volatile
set search_path = ''
as $$
declare
  v_run_id bigint;
begin
  perform supasaasy.lock_queue(p_app_key);
  for v_run_id in
    select f.id
    from (
      select distinct on (r.collection_key) r.id, r.status
      from supasaasy.sync_runs r
      where r.app_key = p_app_key and r.status in ('pending', 'running', 'sweeping', 'held')
      order by r.collection_key, r.status = 'pending', r.id
    ) f
    where f.status = 'pending'
    order by f.id
  loop
    perform supasaasy.start_run(v_run_id);
  end loop;
end;
$$;

comment on function supasaasy.start_next_runs(text) is
  'Starts the runs of an app whose resource is free.';

-- Ends a task. Who is last in a run, and in a job, is decided under the app's queue lock: two last
-- tasks cannot miss each other.
create function supasaasy.end_task(
  p_task_id bigint,
  p_state text
)
returns void
language plpgsql
volatile
set search_path = ''
as $$
declare
  v_task supasaasy.sync_tasks%rowtype;
begin
  update supasaasy.sync_tasks t
  set state = p_state,
    finished_at = supasaasy.clock(),
    start_token = null,
    work_token = null,
    begun_at = null,
    lease_expires_at = null,
    seen = null
  where t.id = p_task_id
  returning t.* into v_task;
  if v_task.run_id is null then
    return;
  end if;
  perform supasaasy.lock_queue(v_task.app_key);
  perform supasaasy.advance_run(v_task.run_id);
end;
$$;

comment on function supasaasy.end_task(bigint, text) is
  'Ends a task, and what ends with it: its run, and its job.';

-- Called under the app's queue lock, whenever a task of the run ended or a step of its sweep is due.
create function supasaasy.advance_run(p_run_id bigint)
returns void
language plpgsql
volatile
set search_path = ''
as $$
declare
  v_run supasaasy.sync_runs%rowtype;
begin
  select r.* into strict v_run from supasaasy.sync_runs r where r.id = p_run_id;
  if v_run.status = 'running' then
    if exists (
      select from supasaasy.sync_tasks t
      where t.run_id = p_run_id and t.state in ('pending', 'waiting', 'leased')
    ) then
      return;
    elsif exists (
      select from supasaasy.sync_tasks t where t.run_id = p_run_id and t.state = 'failed'
    ) then
      perform supasaasy.end_run(p_run_id, 'failed');
      return;
    elsif v_run.covers is not null or v_run.since is not null then
      perform supasaasy.end_run(p_run_id, 'completed');
      return;
    elsif not exists (
      select from supasaasy.sync_seen s where s.run_id = p_run_id and s.external_id = ''
    ) then
      update supasaasy.sync_runs r
      set note = 'nothing was swept: the database restarted after a crash while this listing was '
        || 'under way, and what it had seen is lost; run a full sync to find deleted objects'
      where r.id = p_run_id;
      perform supasaasy.end_run(p_run_id, 'completed');
      return;
    end if;
    update supasaasy.sync_runs r
    set status = 'sweeping',
      swept_to = '',
      compared = 0,
      nominated = 0
    where r.id = p_run_id
    returning r.* into v_run;
  end if;
  if v_run.status = 'sweeping' then
    perform supasaasy.sweep_step(v_run);
  end if;
end;
$$;

comment on function supasaasy.advance_run(bigint) is
  'Moves a run on: to its sweep once every task of its listing succeeded, to its end after that.';

-- A watermark moves only after a clean finish, and to the start of the run.
create function supasaasy.end_run(
  p_run_id bigint,
  p_status text
)
returns void
language plpgsql
volatile
set search_path = ''
as $$
declare
  v_run supasaasy.sync_runs%rowtype;
  v_job supasaasy.sync_jobs%rowtype;
  v_read_lag interval;
  v_failures text;
begin
  update supasaasy.sync_runs r
  set status = p_status,
    ended_at = supasaasy.clock(),
    swept_to = null,
    inserted = c.inserted,
    updated = c.updated,
    deleted = c.deleted
  from (
    select sum(t.inserted) as inserted, sum(t.updated) as updated, sum(t.deleted) as deleted
    from supasaasy.sync_tasks t
    where t.run_id = p_run_id
  ) c
  where r.id = p_run_id
  returning r.* into strict v_run;
  select j.* into strict v_job from supasaasy.sync_jobs j where j.id = v_run.job_id;

  if p_status = 'completed' and (v_run.covers is not null or v_run.since is not null) then
    -- What a provider tells by events is all there is; a listing of changes shows no deletions.
    update supasaasy.sync_state s
    set complete_as_of = case
        when v_run.covers is null then s.complete_as_of
        else greatest(
          s.complete_as_of,
          v_run.began_at - supasaasy.clock_skew(v_run.app_key) - c.event_lag
        )
      end,
      events_as_of = greatest(
        s.events_as_of,
        v_run.began_at - supasaasy.clock_skew(v_run.app_key) - c.event_lag
      )
    from supasaasy.resources r
    join supasaasy.connectors c on c.connector = r.connector
    where r.collection_key = s.collection_key
      and s.app_key = v_run.app_key
      and coalesce(v_run.covers, array[v_run.collection_key])
        && array[s.collection_key, r.parent_collection_key];
  elsif p_status = 'completed' and v_run.note is null and v_job.mode <> 'verify' then
    select r.read_lag into v_read_lag
    from supasaasy.resources r
    where r.collection_key = v_run.collection_key;
    insert into supasaasy.sync_state as s (
      app_key, collection_key, complete_as_of, events_as_of, floor, floor_from
    )
    select
      v_run.app_key, r.collection_key, v_run.began_at - v_read_lag,
      v_run.began_at - v_read_lag - c.event_lag, v_run.began_at - v_read_lag, v_job.sync_from
    from supasaasy.resources r
    join supasaasy.connectors c on c.connector = r.connector
    where r.collection_key = v_run.collection_key
      or (
        r.parent_collection_key = v_run.collection_key
        and r.collection_key = any (v_job.resources)
      )
    on conflict (app_key, collection_key) do update
    set complete_as_of = greatest(s.complete_as_of, excluded.complete_as_of),
      events_as_of = case
        when supasaasy.events_are_listed(s.collection_key, s.events_as_of) then s.events_as_of
        else excluded.events_as_of
      end,
      floor = greatest(s.floor, excluded.floor),
      floor_from = excluded.floor_from;
  end if;

  if not exists (
    select from supasaasy.sync_runs r
    where r.job_id = v_run.job_id and r.status in ('pending', 'running', 'sweeping', 'held')
  ) and v_job.completed_at is null then
    select string_agg(
      format('%s: %s', f.collection_key, f.error_message), '; ' order by f.id
    )
    into v_failures
    from (
      select distinct on (t.collection_key, t.error_message)
        t.collection_key, t.error_message, t.id
      from supasaasy.sync_tasks t
      join supasaasy.sync_runs r on r.id = t.run_id
      where r.job_id = v_run.job_id and t.state = 'failed'
      order by t.collection_key, t.error_message, t.id
      limit 10
    ) f;
    update supasaasy.sync_jobs j
    set status = case
        when exists (
          select from supasaasy.sync_runs r where r.job_id = j.id and r.status <> 'completed'
        ) then 'failed'
        else 'completed'
      end,
      completed_at = supasaasy.clock(),
      error_message = coalesce(v_failures, (
        select string_agg(format('%s: %s', r.collection_key, r.note), '; ' order by r.id)
        from supasaasy.sync_runs r
        where r.job_id = j.id and r.note is not null
      ))
    where j.id = v_run.job_id;
  end if;
  perform supasaasy.start_next_runs(v_run.app_key);
end;
$$;

comment on function supasaasy.end_run(bigint, text) is
  'Ends a run, its job if it was the last, and lets the next run of the resource start.';

-- A key that the provider refuses fails what is left of the job at once, without asking again. A page
-- that has begun is under way, and fails by itself.
create function supasaasy.fail_job_tasks(p_task_id bigint)
returns void
language plpgsql
volatile
set search_path = ''
as $$
declare
  v_failed supasaasy.sync_tasks%rowtype;
  v_run_id bigint;
begin
  select t.* into strict v_failed from supasaasy.sync_tasks t where t.id = p_task_id;
  if v_failed.run_id is null then
    return;
  end if;
  perform supasaasy.lock_queue(v_failed.app_key);
  update supasaasy.sync_tasks t
  set state = 'failed',
    finished_at = supasaasy.clock(),
    seen = null,
    start_token = null,
    lease_expires_at = null,
    error_class = v_failed.error_class,
    error_message = v_failed.error_message
  from (
    select k.id
    from supasaasy.sync_tasks k
    join supasaasy.sync_runs r on r.id = k.run_id
    join supasaasy.sync_runs o on o.job_id = r.job_id and o.id = v_failed.run_id
    where k.state in ('pending', 'waiting') or (k.state = 'leased' and k.begun_at is null)
    for update of k skip locked
  ) open
  where t.id = open.id;
  for v_run_id in
    select r.id
    from supasaasy.sync_runs r
    join supasaasy.sync_runs o on o.job_id = r.job_id and o.id = v_failed.run_id
    where r.status in ('running', 'sweeping')
    order by r.id
  loop
    perform supasaasy.advance_run(v_run_id);
  end loop;
end;
$$;

comment on function supasaasy.fail_job_tasks(bigint) is
  'Fails the waiting tasks of a failed task''s job with the same error.';
