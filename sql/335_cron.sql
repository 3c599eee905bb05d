-- Owns reading cron expressions as pg_cron does: whether one is valid, and when it is due next. Times
-- are UTC, as pg_cron's are.

-- The values that one field stands for, sorted; null when it is not valid.
create function supasaasy.cron_field(
  p_field text,
  p_low integer,
  p_high integer,
  p_names text[] default '{}'
)
returns integer[]
language plpgsql
immutable
parallel safe
set search_path = ''
as $$
declare
  v_part text;
  v_match text[];
  v_from integer;
  v_to integer;
  v_step integer;
  v_values integer[] := array[]::integer[];
begin
  foreach v_part in array string_to_array(lower(p_field), ',') loop
    v_match := regexp_match(
      v_part, '^(?:(\*)|([0-9]{1,2}|[a-z]{3})(?:-([0-9]{1,2}|[a-z]{3}))?)(?:/([0-9]{1,2}))?$'
    );
    if v_match is null or (v_match[4] is not null and v_match[1] is null and v_match[3] is null) then
      return null;
    end if;
    v_from := case
      when v_match[1] is not null then p_low
      when v_match[2] ~ '^[0-9]' then v_match[2]::integer
      else array_position(p_names, v_match[2]) - 1 + p_low
    end;
    v_to := case
      when v_match[1] is not null then p_high
      when v_match[3] is null then v_from
      when v_match[3] ~ '^[0-9]' then v_match[3]::integer
      else array_position(p_names, v_match[3]) - 1 + p_low
    end;
    v_step := coalesce(v_match[4]::integer, 1);
    if v_from is null or v_to is null or v_step = 0 or v_step > p_high
      or v_from < p_low or v_to > p_high or v_from > v_to
    then
      return null;
    end if;
    v_values := v_values || array(select generate_series(v_from, v_to, v_step));
  end loop;
  return array(select distinct v.value from unnest(v_values) as v (value) order by 1);
end;
$$;

comment on function supasaasy.cron_field(text, integer, integer, text[]) is
  'The values that a field of a cron expression stands for; null when it is not valid.';

create function supasaasy.cron_fields(
  p_cron text,
  out minutes integer[],
  out hours integer[],
  out days integer[],
  out months integer[],
  out weekdays integer[],
  out last_day boolean,
  out any_day boolean
)
language plpgsql
immutable
parallel safe
set search_path = ''
as $$
declare
  v_fields text[] := regexp_split_to_array(btrim(case lower(btrim(p_cron))
    when '@yearly' then '0 0 1 1 *'
    when '@annually' then '0 0 1 1 *'
    when '@monthly' then '0 0 1 * *'
    when '@weekly' then '0 0 * * 0'
    when '@daily' then '0 0 * * *'
    when '@midnight' then '0 0 * * *'
    when '@hourly' then '0 * * * *'
    else p_cron
  end), '\s+');
begin
  if cardinality(v_fields) <> 5 then
    return;
  end if;
  minutes := supasaasy.cron_field(v_fields[1], 0, 59);
  hours := supasaasy.cron_field(v_fields[2], 0, 23);
  last_day := v_fields[3] = '$';
  days := case when last_day then '{}' else supasaasy.cron_field(v_fields[3], 1, 31) end;
  months := supasaasy.cron_field(v_fields[4], 1, 12, array[
    'jan', 'feb', 'mar', 'apr', 'may', 'jun', 'jul', 'aug', 'sep', 'oct', 'nov', 'dec'
  ]);
  weekdays := array(
    select distinct d.day % 7
    from unnest(supasaasy.cron_field(
      v_fields[5], 0, 7, array['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat']
    )) as d (day)
    order by 1
  );
  -- With both a day of the month and a weekday given, either will do.
  any_day := v_fields[3] not like '*%' and v_fields[5] not like '*%';
end;
$$;

comment on function supasaasy.cron_fields(text) is
  'What a cron expression of five fields stands for; a field that is not valid is null or empty.';

-- The next time after p_after; null when there is none, or the expression is not valid.
create function supasaasy.cron_next(
  p_cron text,
  p_after timestamptz
)
returns timestamptz
language plpgsql
immutable
parallel safe
set search_path = ''
as $$
declare
  v_after timestamp := date_trunc('minute', p_after at time zone 'UTC') + interval '1 minute';
  v_seconds text := substring(p_cron from '(?i)^\s*([1-9]|[1-5][0-9])\s+seconds\s*$');
  v_cron record;
  v_day date;
  v_time interval;
begin
  if v_seconds is not null then
    return p_after + v_seconds::integer * interval '1 second';
  end if;
  v_cron := supasaasy.cron_fields(p_cron);
  if v_cron.minutes is null or v_cron.hours is null or v_cron.days is null
    or v_cron.months is null or coalesce(v_cron.weekdays, '{}') = '{}'
  then
    return null;
  end if;
  -- Nine years: two 29ths of February may lie eight apart.
  for v_offset in 0..3290 loop
    v_day := v_after::date + v_offset;
    continue when not extract(month from v_day)::integer = any (v_cron.months);
    continue when not case
      when v_cron.any_day then
        supasaasy.is_cron_day(v_cron.days, v_cron.last_day, v_day)
          or extract(dow from v_day)::integer = any (v_cron.weekdays)
      else
        supasaasy.is_cron_day(v_cron.days, v_cron.last_day, v_day)
          and extract(dow from v_day)::integer = any (v_cron.weekdays)
    end;
    select min(make_interval(hours => h.hour, mins => m.minute))
    into v_time
    from unnest(v_cron.hours) as h (hour)
    cross join unnest(v_cron.minutes) as m (minute)
    where v_day + make_interval(hours => h.hour, mins => m.minute) >= v_after;
    if v_time is not null then
      return (v_day + v_time) at time zone 'UTC';
    end if;
  end loop;
  return null;
end;
$$;

comment on function supasaasy.cron_next(text, timestamptz) is
  'When a cron expression is due next after a time (UTC); null for one that is not valid.';

create function supasaasy.is_cron_day(
  p_days integer[],
  p_last_day boolean,
  p_day date
)
returns boolean
language sql
immutable
parallel safe
set search_path = ''
as $$
  select case
    when p_last_day then extract(day from p_day + 1) = 1
    else extract(day from p_day)::integer = any (p_days)
  end;
$$;

comment on function supasaasy.is_cron_day(integer[], boolean, date) is
  'Whether a date is one of the days of a month that a cron expression names.';

-- Only what this server's pg_cron runs is valid: seconds are known from 1.5 on.
create function supasaasy.cron_knows_seconds()
returns boolean
language sql
stable
set search_path = ''
as $$
  select regexp_match(e.extversion, '^(\d+)[.](\d+)')::integer[] >= array[1, 5]
  from pg_catalog.pg_extension e
  where e.extname = 'pg_cron';
$$;

comment on function supasaasy.cron_knows_seconds() is
  'Whether this server''s pg_cron runs jobs every few seconds.';

create function supasaasy.cron_problem(p_cron text)
returns text
language sql
stable
set search_path = ''
as $$
  select case
    when p_cron is null then 'a cron expression is missing'
    when p_cron ~* 'seconds' and not supasaasy.cron_knows_seconds()
      then format('the cron expression "%s" needs pg_cron 1.5: this server''s knows minutes only', p_cron)
    when supasaasy.cron_next(p_cron, supasaasy.clock()) is null
      then format('the cron expression "%s" is not valid, or never due', left(p_cron, 80))
  end;
$$;

comment on function supasaasy.cron_problem(text) is
  'What is wrong with a cron expression; null if nothing is.';
