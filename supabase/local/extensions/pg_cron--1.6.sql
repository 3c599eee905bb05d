-- A stand-in for pg_cron: the same SQL API, with a process outside of Postgres as its scheduler.
-- As hosted, cron.job is changed by its functions only.

create schema cron;

create table cron.job (
  jobid bigint generated always as identity primary key,
  schedule text not null,
  command text not null,
  nodename text not null default 'localhost',
  nodeport integer not null default inet_server_port(),
  database text not null default current_database(),
  username text not null default current_user,
  active boolean not null default true,
  jobname text,
  unique (jobname, username)
);

create table cron.job_run_details (
  jobid bigint,
  runid bigint generated always as identity primary key,
  job_pid integer,
  database text,
  username text,
  command text,
  status text,
  return_message text,
  start_time timestamptz,
  end_time timestamptz
);

-- The caller's jobs. As in the real one the caller is current_user, also in a SECURITY DEFINER
-- function: a view reads current_user as its caller's, and cron.job with the rights of its owner.
create view cron._own_jobs as
select j.jobid, j.jobname, j.schedule, j.command, j.username, j.active
from cron.job j
where j.username = current_user
with check option;

create function cron._number(value text, low integer, names text[])
returns integer
language sql
immutable
as $$
  select case
    when value ~ '^[0-9]' then value::integer
    else low + array_position(names, value) - 1
  end;
$$;

-- Stricter than the real one, which reads a sense into a range backwards and letters after a star.
create function cron._is_field(field text, low integer, high integer, names text[] default '{}')
returns boolean
language sql
immutable
as $$
  select bool_and(coalesce(
    p.match is not null
      and r.first between low and high
      and r.last between r.first and high
      and r.step between 1 and high
      and (p.match[3] is null or p.match[1] is null or p.match[2] is not null),
    false
  ))
  from unnest(string_to_array(lower(field), ',')) as f (part)
  cross join regexp_match(
    f.part, '^(?:[*]|([0-9]{1,9}|[a-z]{3})(?:-([0-9]{1,9}|[a-z]{3}))?)(?:/([0-9]{1,9}))?$'
  ) as p (match)
  cross join lateral (
    select
      case when f.part like '*%' then low else cron._number(p.match[1], low, names) end,
      case
        when f.part like '*%' then high
        else cron._number(coalesce(p.match[2], p.match[1]), low, names)
      end,
      coalesce(p.match[3]::integer, 1)
  ) as r (first, last, step);
$$;

create function cron._is_schedule(schedule text)
returns boolean
language plpgsql
immutable
as $$
declare
  v_text text := btrim(schedule, E' \t\n');
  v_fields text[] := regexp_split_to_array(v_text, '[ \t]+');
begin
  return v_text ~* '^0*([1-9]|[1-5][0-9])\s*seconds?$'
    or v_text ~ '^@(yearly|annually|monthly|weekly|daily|midnight|hourly|reboot|restart)$'
    or cardinality(v_fields) = 5
      and cron._is_field(v_fields[1], 0, 59)
      and cron._is_field(v_fields[2], 0, 23)
      and (v_fields[3] = '$' or cron._is_field(v_fields[3], 1, 31))
      and cron._is_field(v_fields[4], 1, 12, array[
        'jan', 'feb', 'mar', 'apr', 'may', 'jun', 'jul', 'aug', 'sep', 'oct', 'nov', 'dec'
      ])
      and cron._is_field(v_fields[5], 0, 7, array[
        'sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat'
      ]);
end;
$$;

create function cron._check_schedule(schedule text)
returns void
language plpgsql
as $$
begin
  if cron._is_schedule(schedule) then
    return;
  end if;
  raise exception using
    errcode = '22023',
    message = format('invalid schedule: %s', schedule),
    hint = 'Use cron format (e.g. 5 4 * * *), or interval format ''[1-59] seconds''';
end;
$$;

create function cron.schedule(job_name text, schedule text, command text)
returns bigint
language plpgsql
as $$
declare
  v_id bigint;
begin
  perform cron._check_schedule(schedule);
  insert into cron._own_jobs as j (jobname, schedule, command, username)
  values (job_name, schedule.schedule, schedule.command, current_user)
  on conflict (jobname, username) do update
  set schedule = excluded.schedule,
    command = excluded.command
  returning j.jobid into v_id;
  return v_id;
end;
$$;

create function cron.schedule(schedule text, command text)
returns bigint
language sql
as $$
  select cron.schedule(null, schedule, command);
$$;

create function cron.unschedule(job_id bigint)
returns boolean
language plpgsql
as $$
begin
  delete from cron._own_jobs j where j.jobid = job_id;
  if not found then
    raise exception 'could not find valid entry for job ''%''', job_id;
  end if;
  return true;
end;
$$;

create function cron.unschedule(job_name text)
returns boolean
language plpgsql
as $$
begin
  delete from cron._own_jobs j where j.jobname = job_name;
  if not found then
    raise exception 'could not find valid entry for job ''%''', job_name;
  end if;
  return true;
end;
$$;

create function cron.alter_job(
  job_id bigint,
  schedule text default null,
  command text default null,
  database text default null,
  username text default null,
  active boolean default null
)
returns void
language plpgsql
as $$
begin
  if schedule is not null then
    perform cron._check_schedule(schedule);
  end if;
  update cron._own_jobs j
  set schedule = coalesce(alter_job.schedule, j.schedule),
    command = coalesce(alter_job.command, j.command),
    active = coalesce(alter_job.active, j.active)
  where j.jobid = job_id;
  if not found then
    raise exception 'Job % does not exist or you don''t own it', job_id;
  end if;
end;
$$;

-- As in the real one, USAGE on the schema opens all but alter_job.
revoke all on function cron.alter_job from public;
grant select, insert, update, delete on cron._own_jobs to public;
grant usage on schema cron to postgres;
grant select on cron.job to postgres;
grant all on cron.job_run_details to postgres;
grant execute on all functions in schema cron to postgres;
