-- Owns the accounts to sync: one row each, inserted and changed by SQL, checked by a trigger.
--
-- An app is pinned to the provider's account at its first success (account_id, livemode): a key of
-- another account is then an auth error and changes nothing. Setting account_id to null unpins it.
-- The columns after it are the engine's: how the app does, as supasaasy.status shows it.

create table supasaasy.apps (
  app_key text primary key,
  name text not null default '',
  connector text not null,
  config jsonb not null default '{}',
  sync_from timestamptz,
  enabled boolean not null default true,
  account_id text,
  livemode boolean,
  key_fingerprint text,
  clock_skew interval,
  webhook_error text,
  failures integer not null default 0,
  breaker_opened_at timestamptz,
  breaker_retry_at timestamptz,
  breaker_message text,
  deleting_since timestamptz,
  created_at timestamptz not null default supasaasy.clock(),
  updated_at timestamptz not null default supasaasy.clock(),
  constraint connector_is_registered foreign key (connector) references supasaasy.connectors,
  constraint pinned_account_has_a_mode check ((account_id is null) = (livemode is null)),
  constraint open_breaker_is_tried_again
    check (num_nulls(breaker_opened_at, breaker_retry_at, breaker_message) in (0, 3))
);

comment on table supasaasy.apps is
  'One row per SaaS account to sync; config names the environment variable that holds its key.';
comment on column supasaasy.apps.account_id is
  'The provider''s account that this app is pinned to; null until the first success.';
comment on column supasaasy.apps.key_fingerprint is
  'A hash of the key that last proved to be of the pinned account.';

comment on column supasaasy.apps.clock_skew is
  'How far the provider''s clock was seen to be from ours at most.';
comment on column supasaasy.apps.webhook_error is
  'Why webhooks could not be received lately; null once one was.';

comment on column supasaasy.apps.failures is
  'Consecutive failures of the provider or the key; a success resets them.';
comment on column supasaasy.apps.breaker_opened_at is
  'Since when nothing but a probe is started; null while the circuit breaker is closed.';
comment on column supasaasy.apps.breaker_retry_at is
  'From when on one task may probe whether it works again.';
comment on column supasaasy.apps.deleting_since is
  'When delete_app was called, while its rows are being removed.';

create index apps_connector_idx on supasaasy.apps (connector);
create index apps_breaker_idx on supasaasy.apps (app_key) where breaker_opened_at is not null;
create index apps_deleting_idx on supasaasy.apps (app_key) where deleting_since is not null;

-- What is wrong with an app's row, every problem of it: the trigger raises the first, configure
-- lists them all. A path names the key, as in config.sync_resources.
create function supasaasy.app_problems(
  p_app_key text,
  p_connector text,
  p_config jsonb
)
returns table (
  path text,
  message text,
  detail text,
  hint text
)
language plpgsql
stable
set search_path = ''
as $$
declare
  v_connector supasaasy.connectors%rowtype;
  v_known text[];
  v_key text;
  v_value jsonb;
begin
  if p_app_key is null or p_app_key !~ '^[a-z][a-z0-9_]{0,62}$' then
    return query select
      'app_key', format('app_key "%s" is malformed', coalesce(p_app_key, 'null')), null::text,
      'Use 1 to 63 lower-case letters, digits and underscores, a letter first: stripe_main.';
  end if;
  select c.* into v_connector from supasaasy.connectors c where c.connector = p_connector;
  if not found then
    return query select
      'connector',
      format('app "%s" names the unknown connector "%s"', p_app_key, coalesce(p_connector, 'null')),
      null::text,
      format('Connectors: %s.',
        (select string_agg(c.connector, ', ' order by c.connector) from supasaasy.connectors c));
    return;
  end if;
  if p_config is null or jsonb_typeof(p_config) <> 'object' then
    return query select
      'config', format('config of app "%s" is not a JSON object', p_app_key), null::text,
      'For example {"api_key_env": "STRIPE_API_KEY"}.';
    return;
  end if;

  v_known := array[
    'api_key_env', 'webhook_secret_env', 'sync_resources', 'max_concurrency', 'history',
    'webhook_logging'
  ] || array(select jsonb_object_keys(v_connector.config_keys));
  for v_key, v_value in
    select k.key, k.value from jsonb_each(p_config) as k (key, value) order by k.key
  loop
    if not (v_key = any (v_known)) then
      return query select
        'config.' || v_key, format('config of app "%s" has the unknown key "%s"', p_app_key, v_key),
        null::text, format('Known keys: %s.', array_to_string(v_known, ', '));
    elsif v_connector.config_keys ? v_key and not v_connector.config_keys -> v_key @> v_value then
      return query select
        'config.' || v_key,
        format('config key "%s" of app "%s" is %s', v_key, p_app_key, left(v_value::text, 40)),
        null::text,
        format('Values: %s.', (
          select string_agg(a.value, ', ')
          from jsonb_array_elements_text(v_connector.config_keys -> v_key) as a (value)
        ));
    elsif v_key in ('api_key_env', 'webhook_secret_env') then
      return query select
        'config.' || v_key, e.message, e.detail, e.hint
      from supasaasy.env_name_problems(v_key, v_value) e;
    elsif v_key = 'max_concurrency'
      and coalesce(supasaasy.whole_number(v_value), 0) not between 1 and 100
    then
      return query select
        'config.' || v_key,
        format('config key "%s" of app "%s" is %s', v_key, p_app_key, left(v_value::text, 40)),
        null::text, 'Give a whole number from 1 to 100.';
    elsif v_key = 'webhook_logging'
      and v_value not in ('true', 'false', '"with_body"')
    then
      return query select
        'config.' || v_key,
        format('config key "%s" of app "%s" is %s', v_key, p_app_key, left(v_value::text, 40)),
        null::text, 'Give true, false or "with_body".';
    elsif v_key = 'sync_resources' or (v_key = 'history' and jsonb_typeof(v_value) <> 'boolean') then
      if jsonb_typeof(v_value) <> 'array'
        or v_value = '[]'
        or jsonb_path_exists(v_value, 'strict $[*] ? (@.type() != "string")')
      then
        return query select
          'config.' || v_key,
          format('config key "%s" of app "%s" is %s', v_key, p_app_key, left(v_value::text, 40)),
          null::text,
          case v_key
            when 'history' then 'Give true, false, or an array of resource names.'
            else 'Give an array of resource names, or leave the key out to sync them all.'
          end;
      else
        return query select
          'config.' || v_key, r.message, null::text, r.hint
        from supasaasy.resource_problems(
          p_connector,
          array(select jsonb_array_elements_text(v_value)),
          v_key = 'sync_resources'
        ) r;
      end if;
    end if;
  end loop;
end;
$$;

comment on function supasaasy.app_problems(text, text, jsonb) is
  'What is wrong with an app''s key, connector or config: a row a problem, none if all is well.';

-- The value is not repeated: it may be a secret.
create function supasaasy.env_name_problems(
  p_key text,
  p_value jsonb
)
returns table (
  message text,
  detail text,
  hint text
)
language sql
immutable
set search_path = ''
as $$
  select
    format('config key "%s" must name an environment variable', p_key),
    'The value may be a secret, and is not shown.',
    'Use capitals, digits and underscores, such as STRIPE_API_KEY: the name, not the key.'
  where jsonb_typeof(p_value) <> 'string' or p_value #>> '{}' !~ '^[A-Z][A-Z0-9_]{0,126}$'
  union all
  select
    format('config key "%s" may not name %s', p_key, p_value #>> '{}'),
    null,
    'Variables of the platform itself are never sent to a provider; use another name.'
  where p_value #>> '{}' like 'SUPABASE\_%' or p_value #>> '{}' = 'ADMIN_API_KEY';
$$;

comment on function supasaasy.env_name_problems(text, jsonb) is
  'Why a config value does not name an environment variable that may hold a secret.';

create function supasaasy.check_app()
returns trigger
language plpgsql
set search_path = ''
as $$
declare
  v_problem record;
begin
  select p.* into v_problem
  from supasaasy.app_problems(new.app_key, new.connector, new.config) p
  limit 1;
  if found then
    raise exception using
      errcode = '22023',
      message = v_problem.message,
      detail = coalesce(v_problem.detail, ''),
      hint = v_problem.hint;
  end if;
  if not isfinite(new.sync_from) then
    raise exception using
      errcode = '22023',
      message = format('sync_from of app "%s" is %s', new.app_key, new.sync_from),
      hint = 'Give a time, or null to sync everything.';
  end if;
  if new.account_id is null then
    new.livemode := null;
    new.key_fingerprint := null;
  end if;
  if tg_op = 'UPDATE' then
    if old.deleting_since is not null and new.enabled then
      raise exception using
        errcode = '55000',
        message = format('app "%s" is being deleted', new.app_key),
        hint = 'Wait until it is gone, then insert it anew.';
    end if;
    if new.connector <> old.connector then
      raise exception using
        errcode = '22023',
        message = format('app "%s" cannot change its connector from "%s" to "%s"',
          new.app_key, old.connector, new.connector),
        hint = 'Insert another app for the other provider.';
    end if;
    if (new.config, new.enabled, new.account_id is null)
      is distinct from (old.config, old.enabled, old.account_id is null)
    then
      -- Whatever was wrong may have been put right: try again.
      new.failures := 0;
      new.breaker_opened_at := null;
      new.breaker_retry_at := null;
      new.breaker_message := null;
    end if;
    new.updated_at := supasaasy.clock();
  end if;
  return new;
end;
$$;

comment on function supasaasy.check_app() is
  'Trigger: an app''s key, connector and config are valid; unpinning clears what belongs to the pin.';

create trigger check_app
before insert or update of app_key, name, connector, config, sync_from, enabled, account_id
on supasaasy.apps
for each row execute function supasaasy.check_app();

create function supasaasy.app_resources(p_app_key text)
returns text[]
language plpgsql
stable
set search_path = ''
as $$
begin
  return array(
    select r.collection_key
    from supasaasy.apps a
    join supasaasy.resources r on r.connector = a.connector
    where a.app_key = p_app_key
      and not r.is_feed
      and (
        not a.config ? 'sync_resources'
        or a.config -> 'sync_resources' ?| array[r.resource, r.collection_key]
      )
    order by r.position
  );
end;
$$;

comment on function supasaasy.app_resources(text) is
  'The collection keys that an app syncs, parents first.';

-- A later version of a connector may have dropped a resource that an app names: before something is
-- decided by that list, it must be right.
create function supasaasy.check_app_resources(p_app supasaasy.apps)
returns void
language plpgsql
stable
set search_path = ''
as $$
begin
  if p_app.config ? 'sync_resources' then
    perform supasaasy.resolve_resources(
      p_app.connector,
      array(select jsonb_array_elements_text(p_app.config -> 'sync_resources'))
    );
  end if;
end;
$$;

comment on function supasaasy.check_app_resources(supasaasy.apps) is
  'Raises 22023 when an app''s sync_resources are none of its connector''s.';

create function supasaasy.app_api_version(p_app_key text)
returns text
language plpgsql
stable
set search_path = ''
as $$
begin
  return (
    select coalesce(a.config ->> 'api_version', c.api_version)
    from supasaasy.apps a
    join supasaasy.connectors c on c.connector = a.connector
    where a.app_key = p_app_key
  );
end;
$$;

comment on function supasaasy.app_api_version(text) is
  'The API version that an app''s objects are asked for in: its config''s, or the connector''s.';
