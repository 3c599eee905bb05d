-- Owns doctor: whether everything that the engine stands on is there and works, each fault with what
-- fixes it. ok is null for what cannot be known yet.

create function supasaasy.doctor()
returns table (
  check_name text,
  ok boolean,
  detail text,
  hint text
)
language plpgsql
volatile
set search_path = ''
as $$
declare
  v_now timestamptz := supasaasy.clock();
  v_beat supasaasy.heartbeat%rowtype := supasaasy.beat();
  v_missing text;
  v_extensions boolean;
  v_url text := supasaasy.known_functions_url();
begin
  select string_agg(n.name, ', ')
  into v_missing
  from unnest(array['pg_cron', 'pg_net', 'supabase_vault']) as n (name)
  where not exists (select from pg_catalog.pg_extension e where e.extname = n.name);
  v_extensions := v_missing is null;
  return query select
    'extensions', v_extensions,
    coalesce('missing: ' || v_missing, 'pg_cron, pg_net and supabase_vault are installed'),
    format('create extension %s;', v_missing);
  if not v_extensions then
    return;
  end if;

  return query
  select
    'heartbeat',
    coalesce(j.active, false) and coalesce(v_beat.ticked_at > v_now - f.late, false),
    case
      when j.active is null then 'pg_cron has no job supasaasy-tick'
      when not j.active then 'the cron job supasaasy-tick is not active'
      when v_beat.ticked_at is null then 'tick() has not run yet'
      else format('tick() last ran at %s, and should every %s', v_beat.ticked_at, f.every)
    end,
    case
      when not coalesce(j.active, false) then 'select supasaasy.schedule_tick();'
      else 'Is pg_cron running? select * from cron.job_run_details order by runid desc limit 5;'
    end
  from (
    select
      case when supasaasy.cron_knows_seconds() then '2 seconds' else 'minute' end as every,
      case when supasaasy.cron_knows_seconds() then interval '30 seconds' else interval '3 minutes' end as late
  ) f
  left join cron.job j on j.jobname = 'supasaasy-tick';

  return query
  select 'steps of tick()', count(*) = 0,
    coalesce(string_agg(format('%s: %s', e.key, e.value), '; '), 'none failed the last time'),
    'What each step does is said in sql/310_tick.sql.'
  from jsonb_each_text(v_beat.step_errors) as e (key, value);

  return query
  select 'schedules', count(*) = 0,
    coalesce(string_agg(p.problem, '; '), 'every enabled schedule has its cron job and is on time'),
    'update supasaasy.schedules set enabled = enabled where enabled;'
  from (
    select format('no cron job for %s', s.cron) as problem
    from supasaasy.schedules s
    where s.enabled
      and not exists (
        select from cron.job j
        where j.jobname = supasaasy.cron_job_name(s.cron) and j.schedule = s.cron and j.active
      )
    union
    select format('%s of %s: %s', s.cron, s.app_key, coalesce(s.error_message, s.state))
    from supasaasy.schedule_status s
    where s.state in ('missed', 'refused')
  ) p;

  return query select
    'functions_url', v_url is not null,
    coalesce(v_url, 'nothing says where the edge functions are'),
    'select supasaasy.set_setting(''functions_url'', ''https://<project>.supabase.co/functions/v1'');';
  if v_url is not null then
    return query select * from supasaasy.examine_functions(v_beat);
  end if;

  return query
  select 'grants', count(*) = 0,
    coalesce(string_agg(p.problem, '; '), 'service_role may call the API, nobody else may'),
    'grant usage on schema supasaasy to service_role; grant execute on function ... to service_role; '
      || 'revoke all on schema supasaasy from anon, authenticated, public;'
  from (
    select 'service_role may not use the schema' as problem
    where not has_schema_privilege('service_role', 'supasaasy', 'usage')
    union all
    select format('service_role may not execute %s', p.oid::regprocedure)
    from pg_catalog.pg_proc p
    where p.pronamespace = 'supasaasy'::regnamespace
      and p.prosecdef
      and not has_function_privilege('service_role', p.oid, 'execute')
    union all
    select format('%s may use the schema', r.name)
    from unnest(array['anon', 'authenticated']) as r (name)
    where has_schema_privilege(r.name, 'supasaasy', 'usage')
    union all
    select format('row level security is off for %s', c.relname)
    from pg_catalog.pg_class c
    where c.relnamespace = 'supasaasy'::regnamespace and c.relkind = 'r' and not c.relrowsecurity
  ) p;

  return query
  select
    'api key of ' || a.app_key,
    case
      when supasaasy.has_secret(a.app_key, 'api_key') then true
      when a.config -> 'api_key_env' is null then false
      when v_beat.pong_at is null then null
      else not a.config ->> 'api_key_env' = any (v_beat.missing_env)
    end,
    case
      when supasaasy.has_secret(a.app_key, 'api_key') then 'in Vault'
      when a.config -> 'api_key_env' is null then 'neither in Vault nor named by config.api_key_env'
      when v_beat.pong_at is null then 'known once the functions have answered'
      when a.config ->> 'api_key_env' = any (v_beat.missing_env)
        then format('the functions have no %s', a.config ->> 'api_key_env')
      else format('in %s', a.config ->> 'api_key_env')
    end,
    format('supabase secrets set %s=... or select supasaasy.set_secret(%L, ''api_key'', ''...'');',
      coalesce(a.config ->> 'api_key_env', 'STRIPE_API_KEY'), a.app_key)
  from supasaasy.apps a
  where a.enabled
  order by a.app_key;

  return query
  select 'webhooks of ' || a.app_key,
    case
      when a.config ->> 'webhook_secret_env' = any (v_beat.missing_env) then false
      when a.webhook_error is null then true
      -- A stranger can send an unsigned request, so that alone is no fault.
      when not starts_with(a.webhook_error, 'a request was not signed') then false
    end,
    coalesce(
      a.webhook_error,
      case when a.config ->> 'webhook_secret_env' = any (v_beat.missing_env)
        then format('the functions have no %s', a.config ->> 'webhook_secret_env') end,
      'nothing is known to be wrong'
    ),
    format('select supasaasy.set_secret(%L, ''webhook_secret'', ''...'');', a.app_key)
  from supasaasy.apps a
  where a.enabled
    and (a.config ? 'webhook_secret_env' or supasaasy.has_secret(a.app_key, 'webhook_secret')
      or a.webhook_error is not null)
  order by a.app_key;

  return query
  select 'circuit breaker of ' || a.app_key, false,
    format('%s since %s: %s', supasaasy.breaker_state(a), a.breaker_opened_at, a.breaker_message),
    format('Put the cause right, then: select supasaasy.sync(%L);', a.app_key)
  from supasaasy.apps a
  where a.breaker_opened_at is not null
  order by a.app_key;

  return query
  select 'sweeps', count(*) = 0, coalesce(string_agg(r.note, '; '), 'none is held'),
    'select supasaasy.confirm_sweep(job_id), or select supasaasy.cancel(job_id);'
  from supasaasy.sync_runs r
  where r.status = 'held';

  return query
  select 'clocks', count(*) = 0,
    coalesce(
      string_agg(format('the clock of %s is off by %s', a.app_key, a.clock_skew), '; '),
      'no provider''s clock is seen to be off by more than 30 seconds'
    ),
    'Events can be ordered only as finely as the clocks agree; is the time of this database right?'
  from supasaasy.apps a
  where a.clock_skew > interval '30 seconds';
end;
$$;

comment on function supasaasy.doctor() is
  'Checks what the engine stands on: each check, whether it is well, and what fixes it.';

-- A function is asked by pg_net, after this transaction: what is known is its answer to the last
-- question, or a page that it brought lately.
create function supasaasy.examine_functions(p_beat supasaasy.heartbeat)
returns table (
  check_name text,
  ok boolean,
  detail text,
  hint text
)
language plpgsql
volatile
set search_path = ''
as $$
declare
  v_now timestamptz := supasaasy.clock();
  v_status integer;
  v_error text;
  v_answered boolean := p_beat.pong_at >= p_beat.ping_at;
  v_overdue boolean := p_beat.ping_at < v_now - interval '20 seconds';
  v_unknown text;
begin
  select r.status_code, coalesce(r.error_msg, case when r.timed_out then 'no answer in time' end)
  into v_status, v_error
  from net._http_response r
  where r.id = p_beat.ping_request;
  if p_beat.ping_at is null
    or p_beat.ping_at < v_now - interval '30 seconds'
    or (p_beat.ping_at < v_now - interval '5 seconds'
      and (v_answered or v_status is not null or v_error is not null))
  then
    perform supasaasy.ping();
  end if;

  return query select
    'functions answer',
    case
      when v_answered or v_status = 202 then true
      when v_status is not null or v_error is not null or v_overdue then false
    end,
    case
      when v_answered or v_status = 202 then 'fetch-page answers'
      when v_status = 401 then 'fetch-page answers 401: it wants a JWT'
      when v_status = 404 then 'fetch-page answers 404: it is not deployed'
      when v_status is not null then format('fetch-page answers %s', v_status)
      when v_error is not null then format('fetch-page does not answer: %s', v_error)
      when v_overdue then 'pg_net has not sent the question: its worker does not run'
      else 'asked just now'
    end,
    case
      when v_status = 401 then 'config.toml must say verify_jwt = false for [functions.fetch-page]'
      when v_status = 404 then 'supabase functions deploy fetch-page webhook sync worker job-status'
      when v_status is null and v_error is null and v_overdue then 'select net.worker_restart();'
      when v_status is null and v_error is null then 'Run doctor() again in a few seconds.'
      else 'Is the setting functions_url right? Are the functions running? See their logs.'
    end;

  return query select
    'functions reach the database',
    case
      when v_answered then true
      when v_status = 202 and p_beat.ping_at < v_now - interval '5 seconds' then false
    end,
    case
      when v_answered then format('they answered by an RPC at %s', p_beat.pong_at)
      when v_status = 202 then 'fetch-page answered 202, but its RPC did not arrive'
      else 'known once fetch-page answers'
    end,
    'Expose the schema supasaasy (Settings, API, Exposed schemas; config.toml: [api] schemas), and see '
      || 'the logs of fetch-page: is the service key of the functions this project''s?';

  select string_agg(distinct a.connector, ', ')
  into v_unknown
  from supasaasy.apps a
  where a.enabled and not a.connector = any (p_beat.connectors);
  if v_answered then
    return query select
      'connectors', v_unknown is null,
      coalesce('the functions do not have: ' || v_unknown, 'the functions have all in use'),
      'Deploy the functions again: they are older than this schema.';
  end if;
end;
$$;

comment on function supasaasy.examine_functions(supasaasy.heartbeat) is
  'What is known of the edge functions; asks them anew.';
