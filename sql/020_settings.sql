-- Owns the settings of the installation: a row each, with a default, a kind that is checked when a
-- value is set, and one sentence of what it does. Hosted roles may not set database parameters, so
-- a table it is.

create table supasaasy.settings (
  name text primary key,
  value text,
  default_value text,
  kind text not null,
  description text not null,
  constraint kind_is_known check (kind in ('text', 'url', 'integer', 'number', 'interval'))
);

comment on table supasaasy.settings is
  'Settings of this installation; change one with supasaasy.set_setting(name, value).';

insert into supasaasy.settings (name, kind, default_value, description)
values
  ('functions_url', 'url', null,
    'Where the edge functions are: https://<project>.supabase.co/functions/v1'),
  ('public_functions_url', 'url', null,
    'The same as the providers see it, where that differs: for managed webhooks'),
  ('max_in_flight', 'integer', '64',
    'How many tasks of all apps together may be leased at once'),
  ('start_token_ttl', 'interval', '60 seconds',
    'How long a started task may take to begin before it is started again'),
  ('lease', 'interval', '90 seconds',
    'How long one page may take from its begin to its completion'),
  ('max_attempts', 'integer', '8',
    'How many consecutive failures end a task'),
  ('backoff_base', 'interval', '1 second',
    'The wait after the first failure; it doubles with each further one'),
  ('backoff_cap', 'interval', '5 minutes',
    'The longest wait between two attempts'),
  ('rate_headroom', 'number', '0.8',
    'The share of a provider''s rate limit that syncs may use'),
  ('clock_skew', 'interval', '2 seconds',
    'How far a provider''s clock is taken to be from ours at least'),
  ('breaker_threshold', 'integer', '5',
    'How many failures of a provider in a row open an app''s circuit breaker'),
  ('breaker_wait', 'interval', '30 seconds',
    'How long an open circuit breaker waits before one task probes; doubles with each failure'),
  ('breaker_cap', 'interval', '15 minutes',
    'The longest wait between two probes'),
  ('api_rate', 'number', '10',
    'How many requests a second the HTTP API admits, with bursts of ten seconds'' worth'),
  ('sweep_batch', 'integer', '10000',
    'How many rows one step of a sweep compares'),
  ('sweep_hold_share', 'number', '0.2',
    'A sweep that misses more than this share of the rows is held for confirm_sweep'),
  ('sweep_hold_minimum', 'integer', '50',
    'A sweep that misses fewer rows than this is never held'),
  ('tombstone_retention', 'interval', '30 days',
    'How long a tombstone is kept at least'),
  ('event_id_retention', 'interval', '7 days',
    'How long the id of an applied event is kept'),
  ('job_retention', 'interval', '30 days',
    'How long an ended job is kept, with its runs, tasks and findings'),
  ('task_retention', 'interval', '1 day',
    'How long an ended task is kept that belongs to no job'),
  ('webhook_log_retention', 'interval', '7 days',
    'How long a row of webhook_logs is kept'),
  ('webhook_log_rows', 'integer', '100000',
    'How many rows webhook_logs keeps at most'),
  ('webhook_log_body', 'integer', '16384',
    'How many characters of a body webhook_logs keeps'),
  ('cron_log_retention', 'interval', '1 day',
    'How long cron.job_run_details keeps the runs of our jobs'),
  ('alert_retention', 'interval', '30 days',
    'How long an alert is kept after its cause has gone'),
  ('alert_url', 'url', null,
    'Where alerts are posted as JSON, beside pg_notify on the channel supasaasy_alerts'),
  ('stale_after', 'interval', '2 days',
    'An app with a schedule that is not complete for longer raises an alert');

create function supasaasy.setting(p_name text)
returns text
language plpgsql
stable
set search_path = ''
as $$
declare
  v_value text;
begin
  select coalesce(s.value, s.default_value)
  into v_value
  from supasaasy.settings s
  where s.name = p_name;
  if not found then
    raise exception using
      errcode = '22023',
      message = format('cannot read setting "%s": it does not exist', p_name),
      hint = format('Settings: %s.',
        (select string_agg(s.name, ', ' order by s.name) from supasaasy.settings s));
  end if;
  return v_value;
end;
$$;

comment on function supasaasy.setting(text) is
  'The value of a setting, or its default.';

create function supasaasy.kind_hint(
  p_kind text,
  p_value text
)
returns text
language plpgsql
immutable
set search_path = ''
as $$
declare
  v_ok boolean;
begin
  begin
    v_ok := p_value is null or case p_kind
      when 'integer' then p_value ~ '^[0-9]{1,9}$' and p_value::integer > 0
      when 'number' then p_value ~ '^[0-9]{1,9}([.][0-9]{1,9})?$' and p_value::numeric > 0
      when 'interval' then p_value::interval > interval '0'
        and p_value::interval <= interval '100 years'
      when 'url' then p_value ~ '^https?://[^[:space:]]+[^/[:space:]]$'
      else p_value <> ''
    end;
  exception
    when invalid_datetime_format or datetime_field_overflow or interval_field_overflow then
      v_ok := false;
  end;
  return case
    when v_ok then null
    when p_kind = 'integer' then 'Give a whole number above 0.'
    when p_kind = 'number' then 'Give a number above 0, such as 0.8.'
    when p_kind = 'interval' then 'Give a time span above 0 and up to 100 years, such as ''90 seconds''.'
    when p_kind = 'url' then 'Give an http or https URL without a slash at its end.'
    else 'Give a text that is not empty, or null for the default.'
  end;
end;
$$;

comment on function supasaasy.kind_hint(text, text) is
  'What to give instead of a value that is not of its setting''s kind; null for one that is.';

create function supasaasy.setting_problem(
  p_name text,
  p_value text
)
returns text
language sql
stable
set search_path = ''
as $$
  select case
    when not exists (select from supasaasy.settings s where s.name = p_name)
      then format('is no setting (valid: %s)',
        (select string_agg(s.name, ', ' order by s.name) from supasaasy.settings s))
    else (
      select format('"%s" is not a valid %s (%s)', p_value, s.kind,
        rtrim(supasaasy.kind_hint(s.kind, p_value), '.'))
      from supasaasy.settings s
      where s.name = p_name and supasaasy.kind_hint(s.kind, p_value) is not null
    )
  end;
$$;

comment on function supasaasy.setting_problem(text, text) is
  'What is wrong with a setting''s name or value; null if nothing is.';

create function supasaasy.check_setting()
returns trigger
language plpgsql
set search_path = ''
as $$
declare
  v_hint text := supasaasy.kind_hint(new.kind, new.value);
begin
  if v_hint is not null then
    raise exception using
      errcode = '22023',
      message = format('cannot set "%s" to "%s": it is not a valid %s', new.name, new.value, new.kind),
      hint = v_hint;
  end if;
  return new;
end;
$$;

comment on function supasaasy.check_setting() is
  'Trigger: a setting''s value is of its kind.';

create trigger check_setting
before insert or update on supasaasy.settings
for each row execute function supasaasy.check_setting();

create function supasaasy.set_setting(
  p_name text,
  p_value text
)
returns text
language plpgsql
set search_path = ''
as $$
begin
  perform supasaasy.setting(p_name);
  update supasaasy.settings s
  set value = p_value
  where s.name = p_name;
  return supasaasy.setting(p_name);
end;
$$;

comment on function supasaasy.set_setting(text, text) is
  'Sets a setting, or with null resets it to its default; returns the value in force.';

-- A stack that created its own server says there where its functions are, so that a reset of the
-- schema cannot lose it; the setting comes first.
create function supasaasy.known_functions_url()
returns text
language plpgsql
stable
set search_path = ''
as $$
begin
  return coalesce(
    supasaasy.setting('functions_url'),
    nullif(current_setting('supasaasy.functions_url', true), '')
  );
end;
$$;

comment on function supasaasy.known_functions_url() is
  'The base URL of the edge functions; null when nothing says it.';

create function supasaasy.functions_url()
returns text
language plpgsql
stable
set search_path = ''
as $$
declare
  v_url text := supasaasy.known_functions_url();
begin
  if v_url is null then
    raise exception using
      errcode = '55000',
      message = 'cannot start a task: the setting "functions_url" is not set',
      hint = 'select supasaasy.set_setting(''functions_url'', '
        || '''https://<project>.supabase.co/functions/v1'');';
  end if;
  return v_url;
end;
$$;

comment on function supasaasy.functions_url() is
  'The base URL of the edge functions; raises 55000 when nothing says it.';
