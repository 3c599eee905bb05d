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
  username text not null default session_user,
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

create function cron._check_schedule(schedule text)
returns void
language plpgsql
as $$
begin
  if schedule ~* '^([1-9]|[1-5][0-9]) seconds$'
    or schedule ~* '^(([0-9a-z*/,$-]+)[[:space:]]+){4}[0-9a-z*/,$-]+$'
    or schedule ~* '^@(yearly|annually|monthly|weekly|daily|midnight|hourly|reboot)$'
  then
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
security definer
as $$
declare
  v_id bigint;
begin
  perform cron._check_schedule(schedule);
  insert into cron.job as j (jobname, schedule, command)
  values (job_name, schedule.schedule, schedule.command)
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
security definer
as $$
  select cron.schedule(null, schedule, command);
$$;

create function cron.unschedule(job_id bigint)
returns boolean
language plpgsql
security definer
as $$
begin
  delete from cron.job j where j.jobid = job_id and j.username = session_user;
  if not found then
    raise exception 'could not find valid entry for job ''%''', job_id;
  end if;
  return true;
end;
$$;

create function cron.unschedule(job_name text)
returns boolean
language plpgsql
security definer
as $$
begin
  delete from cron.job j where j.jobname = job_name and j.username = session_user;
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
security definer
as $$
begin
  if schedule is not null then
    perform cron._check_schedule(schedule);
  end if;
  update cron.job j
  set schedule = coalesce(alter_job.schedule, j.schedule),
    command = coalesce(alter_job.command, j.command),
    active = coalesce(alter_job.active, j.active)
  where j.jobid = job_id and j.username = session_user;
  if not found then
    raise exception 'Job % does not exist or you don''t own it', job_id;
  end if;
end;
$$;

revoke all on all functions in schema cron from public;
grant usage on schema cron to postgres;
grant select on cron.job to postgres;
grant select, delete on cron.job_run_details to postgres;
grant execute on all functions in schema cron to postgres;
