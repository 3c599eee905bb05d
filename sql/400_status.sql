-- Owns showing what happens: status and job_progress to look at, wait to wait with, and the details that
-- the HTTP API gives.

-- How far a run is, in percent: by the rows that the last complete listing of the resource counted, or
-- by its tasks where there was none.
create function supasaasy.run_progress(p_run supasaasy.sync_runs)
returns numeric
language sql
stable
set search_path = ''
as $$
  select case
    when p_run.status = 'completed' then 100
    when p_run.status = 'pending' then 0
    else least(99, round(coalesce(
      case when p_run.covers is null then 100.0 * t.rows / nullif(l.compared, 0) end,
      100.0 * t.ended / nullif(t.total, 0),
      0
    ), 1))
  end
  from (
    select
      count(*) as total,
      count(*) filter (where k.finished_at is not null) as ended,
      sum(k.inserted + k.updated + k.unchanged) as rows
    from supasaasy.sync_tasks k
    where k.run_id = p_run.id
  ) t
  left join lateral (
    select r.compared
    from supasaasy.sync_runs r
    where r.app_key = p_run.app_key
      and r.collection_key = p_run.collection_key
      and r.status = 'completed'
      and r.id < p_run.id
    order by r.id desc
    limit 1
  ) l on true;
$$;

comment on function supasaasy.run_progress(supasaasy.sync_runs) is
  'How far a run is, in percent; an estimate until it has ended.';

create function supasaasy.job_progress(p_job_id bigint)
returns table (
  resource text,
  status text,
  progress_percentage numeric,
  tasks bigint,
  tasks_ended bigint,
  pages bigint,
  inserted bigint,
  updated bigint,
  unchanged bigint,
  deleted bigint,
  retries bigint,
  note text
)
language plpgsql
stable
security definer
set search_path = ''
as $$
begin
  perform supasaasy.find_job(p_job_id);
  return query
  select
    o.resource,
    r.status,
    supasaasy.run_progress(r),
    count(t.id),
    count(t.id) filter (where t.finished_at is not null),
    coalesce(sum(t.pages), 0)::bigint,
    coalesce(sum(t.inserted), 0)::bigint,
    coalesce(sum(t.updated), 0)::bigint,
    coalesce(sum(t.unchanged), 0)::bigint,
    coalesce(sum(t.deleted), 0)::bigint,
    coalesce(sum(t.attempts), 0)::bigint,
    coalesce(r.note, max(t.error_message))
  from supasaasy.sync_runs r
  join supasaasy.resources o on o.collection_key = r.collection_key
  left join supasaasy.sync_tasks t on t.run_id = r.id
  where r.job_id = p_job_id
  group by r.id, o.resource
  order by r.id;
end;
$$;

-- Definer: whoever may execute it needs no grant on the queue.
comment on function supasaasy.job_progress(bigint) is
  'How far a job is, a row a resource: for \watch, and for the HTTP API.';

create function supasaasy.job_tasks(
  p_job_id bigint,
  p_limit integer default 1000
)
returns table (
  task_id bigint,
  resource text,
  kind text,
  external_id text,
  state text,
  pages bigint,
  processed_entities bigint,
  attempts integer,
  error_class text,
  error_message text,
  created_at timestamptz,
  finished_at timestamptz
)
language plpgsql
stable
security definer
set search_path = ''
as $$
begin
  perform supasaasy.find_job(p_job_id);
  return query
  select
    t.id, o.resource, t.kind, t.external_id, t.state, t.pages,
    t.inserted + t.updated + t.unchanged + t.deleted, t.attempts, t.error_class, t.error_message,
    t.created_at, t.finished_at
  from supasaasy.sync_runs r
  join supasaasy.sync_tasks t on t.run_id = r.id
  join supasaasy.resources o on o.collection_key = t.collection_key
  where r.job_id = p_job_id
  order by t.state = 'failed' desc, t.finished_at is null desc, t.id
  limit least(greatest(p_limit, 1), 10000);
end;
$$;

-- Definer: whoever may execute it needs no grant on the queue.
comment on function supasaasy.job_tasks(bigint, integer) is
  'The tasks of a job: the failed first, then the open ones.';

-- Starts what is due, of one job's app or of all; what the worker function does.
create function supasaasy.start_work(
  p_job_id bigint default null,
  p_max_tasks integer default null
)
returns integer
language plpgsql
volatile
security definer
set search_path = ''
as $$
begin
  if p_max_tasks < 1 or p_max_tasks > 1000 then
    raise exception using
      errcode = '22023',
      message = format('cannot start %s tasks', p_max_tasks),
      hint = 'Give max_tasks from 1 to 1000, or leave it out.';
  end if;
  perform supasaasy.expire_leases(500);
  return supasaasy.start_tasks(
    coalesce(p_max_tasks, 100),
    case when p_job_id is not null then (supasaasy.find_job(p_job_id)).app_key end
  );
end;
$$;

-- Definer: functions hold no grant on the queue.
comment on function supasaasy.start_work(bigint, integer) is
  'Starts due tasks, of a job''s app or of all apps; returns how many.';

-- Polls, since whatever it waits for happens in other transactions: call it outside of one.
create procedure supasaasy.wait(
  p_job_id bigint,
  p_timeout interval default '10 minutes'
)
language plpgsql
set search_path = ''
as $$
declare
  v_end timestamptz := clock_timestamp() + p_timeout;
  v_job supasaasy.sync_jobs%rowtype;
  v_progress text;
  v_shown text;
begin
  if p_timeout is null or p_timeout <= interval '0' then
    raise exception using
      errcode = '22023',
      message = format('cannot wait %s for a job', coalesce(p_timeout::text, 'null')),
      hint = 'Give a time span above 0, such as ''10 minutes''.';
  end if;
  if exists (
    select from supasaasy.sync_jobs j
    where j.id = p_job_id
      and j.xmin::text = (pg_current_xact_id_if_assigned()::text::numeric % 4294967296)::text
  ) then
    raise exception using
      errcode = '55000',
      message = format('cannot wait for job %s: it is not committed yet', p_job_id),
      hint = 'Nothing starts before the transaction that called sync() has ended: wait in the next one.';
  end if;
  loop
    v_job := supasaasy.find_job(p_job_id);
    select string_agg(
      format('%s %s%% (%s rows)', p.resource, p.progress_percentage,
        p.inserted + p.updated + p.unchanged), ', '
    )
    into v_progress
    from supasaasy.job_progress(p_job_id) p;
    if v_progress is distinct from v_shown then
      raise notice 'job % is %: %', p_job_id, v_job.status, v_progress;
      v_shown := v_progress;
    end if;
    exit when v_job.completed_at is not null;
    if clock_timestamp() > v_end then
      raise notice 'job % is still % after %', p_job_id, v_job.status, p_timeout;
      return;
    end if;
    perform pg_sleep(0.5);
  end loop;
  if v_job.status <> 'completed' then
    raise notice 'job % %: %', p_job_id, v_job.status, coalesce(v_job.error_message, 'no message');
  end if;
end;
$$;

comment on procedure supasaasy.wait(bigint, interval) is
  'Waits until a job has ended, or for so long, and says how far it is whenever that changes.';

-- Counting stops at ten thousand rows; beyond, what the last complete listing counted is shown.
create view supasaasy.status
with (security_invoker = true)
as
select
  a.app_key,
  o.resource,
  case
    when a.deleting_since is not null then 'being deleted'
    when not a.enabled then 'disabled'
    when supasaasy.breaker_state(a) <> 'closed' then 'breaker ' || supasaasy.breaker_state(a)
    when run.status = 'held' then 'sweep held'
    when run.id is not null then run.status
    when last.status = 'failed' or doubt.error_message is not null then 'failed'
    when s.complete_as_of is null then 'never synced'
    else 'synced'
  end as status,
  s.complete_as_of,
  s.events_as_of as changes_as_of,
  supasaasy.clock() - greatest(s.complete_as_of, s.events_as_of) as lag,
  success.ended_at as last_success_at,
  run.job_id as running_job_id,
  job.mode as running_mode,
  case when run.id is not null then supasaasy.run_progress(run) end as progress_percentage,
  case
    when counted.rows <= 10000 then counted.rows
    else listed.compared
  end as rows,
  queued.tasks as backlog,
  queued.retries,
  queued.due_at as next_attempt_at,
  limited.until as rate_limited_until,
  supasaasy.breaker_state(a) as breaker,
  a.breaker_retry_at,
  coalesce(
    a.breaker_message,
    run.note,
    queued.error_message,
    case when last.status = 'failed' then failed.error_message end,
    doubt.error_message,
    case when not starts_with(a.webhook_error, 'a request was not signed') then a.webhook_error end
  ) as last_error,
  planned.next_at as next_scheduled_at
from supasaasy.apps a
cross join lateral unnest(supasaasy.app_resources(a.app_key)) as k (collection_key)
join supasaasy.resources o on o.collection_key = k.collection_key
-- A child is listed with its parent, so its runs are its parent's.
cross join lateral (
  select coalesce(o.parent_collection_key, o.collection_key) as key
) root
left join supasaasy.resources feed on feed.connector = a.connector and feed.is_feed
left join supasaasy.sync_state s
  on s.app_key = a.app_key and s.collection_key = o.collection_key
left join lateral (
  select r.*
  from supasaasy.sync_runs r
  where r.app_key = a.app_key
    and r.status in ('pending', 'running', 'sweeping', 'held')
    and (r.collection_key = root.key or (r.collection_key = feed.collection_key and root.key = any (r.covers)))
  order by r.status = 'pending', r.id
  limit 1
) run on true
left join supasaasy.sync_jobs job on job.id = run.job_id
left join lateral (
  select r.id, r.status
  from supasaasy.sync_runs r
  where r.app_key = a.app_key
    and r.status in ('completed', 'failed')
    and (r.collection_key = root.key or (r.collection_key = feed.collection_key and root.key = any (r.covers)))
  order by r.id desc
  limit 1
) last on true
left join lateral (
  select r.ended_at
  from supasaasy.sync_runs r
  where r.app_key = a.app_key
    and r.status = 'completed'
    and (r.collection_key = root.key or (r.collection_key = feed.collection_key and root.key = any (r.covers)))
  order by r.id desc
  limit 1
) success on true
left join lateral (
  select r.compared
  from supasaasy.sync_runs r
  where r.app_key = a.app_key and r.collection_key = o.collection_key and r.status = 'completed'
  order by r.id desc
  limit 1
) listed on true
left join lateral (
  select t.error_message
  from supasaasy.sync_tasks t
  where t.run_id = last.id and t.state = 'failed'
  order by t.id desc
  limit 1
) failed on true
left join lateral (
  select format('%s could not be fetched: %s', t.external_id, t.error_message) as error_message
  from supasaasy.sync_tasks t
  where t.app_key = a.app_key
    and t.collection_key = o.collection_key
    and t.run_id is null
    and t.state = 'failed'
  order by t.id desc
  limit 1
) doubt on true
cross join lateral (
  select count(*) as rows
  from (
    select
    from supasaasy.entities e
    where e.app_key = a.app_key and e.collection_key = o.collection_key
    limit 10001
  ) e
) counted
cross join lateral (
  select
    count(*) as tasks,
    count(*) filter (where t.attempts > 0) as retries,
    min(t.run_after) filter (where t.state = 'waiting') as due_at,
    max(t.error_message) as error_message
  from (
    select t.attempts, t.run_after, t.state, t.error_message
    from supasaasy.sync_tasks t
    where t.app_key = a.app_key
      and t.collection_key = o.collection_key
      and t.state in ('pending', 'waiting')
    limit 10000
  ) t
) queued
left join lateral (
  select max(b.next_at) as until
  from supasaasy.rate_budgets b
  where b.app_key = a.app_key
    and b.endpoint in ('*', o.endpoint)
    and b.factor < 1
    and b.next_at > supasaasy.clock()
) limited on true
left join lateral (
  select min(c.next_at) as next_at
  from supasaasy.schedules c
  where c.app_key = a.app_key
    and c.enabled
    and (c.resources is null or root.key = any (c.resources))
) planned on true;

comment on view supasaasy.status is
  'Each resource of each app: how complete it is, what is under way, and what is wrong.';
