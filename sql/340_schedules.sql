-- Owns schedules: a row each, kept in step with pg_cron by a trigger. Each distinct expression is one
-- cron job, which marks its schedules as due; they are started there and then, or, when many are
-- due in one minute, spread over it by tick.

create table supasaasy.schedules (
  id bigint generated always as identity primary key,
  app_key text not null references supasaasy.apps on delete cascade,
  cron text not null,
  mode text not null default 'incremental',
  resources text[],
  enabled boolean not null default true,
  due_at timestamptz,
  fired_at timestamptz,
  next_at timestamptz,
  job_id bigint,
  error_message text,
  unique nulls not distinct (app_key, cron, mode, resources),
  constraint mode_is_known check (mode in ('full', 'incremental', 'verify'))
);

comment on table supasaasy.schedules is
  'When to sync which app: a cron expression in UTC, as pg_cron reads it.';
comment on column supasaasy.schedules.resources is
  'Which resources to sync; null for all that the app syncs.';
comment on column supasaasy.schedules.due_at is
  'Set when cron has fired and the sync is not started yet.';
comment on column supasaasy.schedules.fired_at is
  'When cron last fired for it.';
comment on column supasaasy.schedules.next_at is
  'When cron should fire next: in the past, a time was missed.';
comment on column supasaasy.schedules.job_id is
  'The job that it last started, or found still open.';
comment on column supasaasy.schedules.error_message is
  'Why its last start was refused.';

create index schedules_cron_idx on supasaasy.schedules (cron) where enabled;
create index schedules_due_idx on supasaasy.schedules (due_at) where due_at is not null;

create function supasaasy.check_schedule()
returns trigger
language plpgsql
set search_path = ''
as $$
declare
  v_app supasaasy.apps%rowtype := supasaasy.living_app(new.app_key);
  v_problem text := supasaasy.cron_problem(new.cron);
begin
  if v_problem is not null then
    raise exception using
      errcode = '22023',
      message = format('cannot schedule "%s": %s', new.app_key, v_problem),
      hint = 'Five fields in UTC, such as */5 * * * * or 0 3 * * sun, or ''30 seconds''.';
  end if;
  if new.mode is null or new.mode not in ('full', 'incremental', 'verify') then
    raise exception using
      errcode = '22023',
      message = format('cannot schedule "%s" in mode "%s"', new.app_key, coalesce(new.mode, 'null')),
      hint = 'Modes: incremental, full, verify.';
  end if;
  if new.resources is not null then
    new.resources := supasaasy.resolve_resources(v_app.connector, new.resources);
    if new.resources = '{}' or not new.resources <@ supasaasy.app_resources(new.app_key) then
      raise exception using
        errcode = '22023',
        message = format('cannot schedule "%s" for %s', new.app_key,
          coalesce(nullif(array_to_string(new.resources, ', '), ''), 'no resource')),
        hint = format('Resources that it syncs: %s; null for all.',
          array_to_string(supasaasy.app_resources(new.app_key), ', '));
    end if;
  end if;
  new.cron := regexp_replace(btrim(new.cron), '\s+', ' ', 'g');
  new.next_at := case
    when new.enabled then supasaasy.cron_next(new.cron, supasaasy.clock())
  end;
  if not new.enabled then
    new.due_at := null;
  end if;
  return new;
end;
$$;

comment on function supasaasy.check_schedule() is
  'Trigger: a schedule''s app, expression, mode and resources are valid.';

create trigger check_schedule
before insert or update of app_key, cron, mode, resources, enabled on supasaasy.schedules
for each row execute function supasaasy.check_schedule();

create function supasaasy.cron_job_name(p_cron text)
returns text
language sql
immutable
set search_path = ''
as $$
  select 'supasaasy-schedule-' || left(md5(p_cron), 12);
$$;

comment on function supasaasy.cron_job_name(text) is
  'The name of the cron job of an expression.';

-- One cron job an expression in use, none for any other.
create function supasaasy.keep_cron_in_step()
returns trigger
language plpgsql
set search_path = ''
as $$
declare
  v_cron text;
  v_name text;
begin
  perform pg_advisory_xact_lock(7309);
  for v_cron in
    select distinct s.cron
    from supasaasy.schedules s
    where s.enabled
      and not exists (
        select from cron.job j
        where j.jobname = supasaasy.cron_job_name(s.cron) and j.schedule = s.cron and j.active
      )
  loop
    perform cron.schedule(
      supasaasy.cron_job_name(v_cron), v_cron,
      format('select supasaasy.fire_schedules(%L)', v_cron)
    );
  end loop;
  for v_name in
    select j.jobname
    from cron.job j
    where starts_with(j.jobname, 'supasaasy-schedule-')
      and not exists (
        select from supasaasy.schedules s
        where s.enabled and supasaasy.cron_job_name(s.cron) = j.jobname
      )
  loop
    perform cron.unschedule(v_name);
  end loop;
  return null;
end;
$$;

comment on function supasaasy.keep_cron_in_step() is
  'Trigger: pg_cron has one job for each expression of an enabled schedule.';

-- An app that was disabled has missed nothing.
create function supasaasy.expect_schedules_anew()
returns trigger
language plpgsql
set search_path = ''
as $$
begin
  update supasaasy.schedules s
  set enabled = s.enabled
  where s.app_key = new.app_key;
  return null;
end;
$$;

comment on function supasaasy.expect_schedules_anew() is
  'Trigger: the schedules of an app that is enabled again are due from now on.';

create trigger expect_schedules_anew
after update of enabled on supasaasy.apps
for each row when (new.enabled and not old.enabled)
execute function supasaasy.expect_schedules_anew();

create trigger keep_cron_in_step
after insert or delete or update of cron, enabled on supasaasy.schedules
for each statement execute function supasaasy.keep_cron_in_step();

-- Four apps a second, and all of them within a minute.
create function supasaasy.fire_schedules(p_cron text)
returns integer
language plpgsql
volatile
set search_path = ''
as $$
declare
  v_now timestamptz := supasaasy.clock();
begin
  with fired as (
    select
      s.id,
      row_number() over (order by s.app_key, s.id) - 1 as position,
      count(*) over () as count
    from supasaasy.schedules s
    join supasaasy.apps a on a.app_key = s.app_key and a.enabled
    where s.cron = p_cron and s.enabled
  )
  update supasaasy.schedules s
  set fired_at = v_now,
    next_at = supasaasy.cron_next(s.cron, v_now),
    due_at = coalesce(
      s.due_at,
      v_now + f.position * least(interval '250 milliseconds', interval '60 seconds' / f.count)
    )
  from fired f
  where s.id = f.id;
  -- A tick that is under way has locks of several apps, and cron fires both in the same second. It
  -- skips the rows that are held here, so it is waited for; and where it comes second it finds its work
  -- done, since the next one may be a minute away.
  perform pg_advisory_xact_lock(7308);
  return coalesce((supasaasy.tick() ->> 'schedule')::integer, 0);
end;
$$;

comment on function supasaasy.fire_schedules(text) is
  'Run by pg_cron: marks the schedules of an expression as due, and ticks; returns how many began.';

-- The same sync that is still open is found, not queued again: runs do not pile up.
create function supasaasy.start_schedules(p_limit integer)
returns integer
language plpgsql
volatile
set search_path = ''
as $$
declare
  v_schedule supasaasy.schedules%rowtype;
  v_job_id bigint;
  v_error text;
  v_apps text[] := array[]::text[];
  v_started integer := 0;
begin
  for v_schedule in
    select s.*
    from supasaasy.schedules s
    where s.due_at <= supasaasy.clock()
    order by s.app_key, s.id
    limit p_limit
    for update skip locked
  loop
    v_job_id := null;
    v_error := null;
    begin
      v_job_id := supasaasy.queue_job(v_schedule.app_key, v_schedule.mode, v_schedule.resources);
      v_started := v_started + 1;
      v_apps := v_apps || v_schedule.app_key;
    exception
      when invalid_parameter_value or object_not_in_prerequisite_state then
        v_error := sqlerrm;
    end;
    update supasaasy.schedules s
    set due_at = null,
      job_id = coalesce(v_job_id, s.job_id),
      error_message = v_error
    where s.id = v_schedule.id;
  end loop;
  -- Claims come after every app's queue, in the order of locks.
  perform supasaasy.start_tasks(100, u.app_key)
  from (select distinct a.app_key from unnest(v_apps) as a (app_key) order by a.app_key) u;
  return v_started;
end;
$$;

comment on function supasaasy.start_schedules(integer) is
  'Starts the syncs whose schedules are due; returns how many.';

create view supasaasy.schedule_status
with (security_invoker = true)
as
select
  s.app_key,
  s.cron,
  s.mode,
  s.resources,
  case
    when not s.enabled then 'disabled'
    when not a.enabled then 'app disabled'
    when s.error_message is not null then 'refused'
    when s.next_at < supasaasy.clock() - interval '2 minutes' then 'missed'
    when s.due_at is not null then 'starting'
    else 'on time'
  end as state,
  s.fired_at,
  s.next_at,
  s.job_id,
  j.status as job_status,
  s.error_message
from supasaasy.schedules s
join supasaasy.apps a on a.app_key = s.app_key
left join supasaasy.sync_jobs j on j.id = s.job_id;

comment on view supasaasy.schedule_status is
  'Each schedule: whether cron fires it in time, and what became of its last sync.';
