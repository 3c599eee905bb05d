-- Owns the accounts to sync: one row each, inserted and changed by SQL, checked by a trigger.
--
-- An app is pinned to the provider's account at its first success (account_id, livemode): a key of
-- another account is then an auth error and changes nothing. Setting account_id to null unpins it.

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
  created_at timestamptz not null default supasaasy.clock(),
  updated_at timestamptz not null default supasaasy.clock(),
  constraint connector_is_registered foreign key (connector) references supasaasy.connectors,
  constraint pinned_account_has_a_mode check ((account_id is null) = (livemode is null))
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

create index apps_connector_idx on supasaasy.apps (connector);

create function supasaasy.check_env_name(
  p_key text,
  p_value jsonb
)
returns void
language plpgsql
immutable
set search_path = ''
as $$
begin
  if p_value is null then
    return;
  end if;
  if jsonb_typeof(p_value) <> 'string' or p_value #>> '{}' !~ '^[A-Z][A-Z0-9_]{0,126}$' then
    raise exception using
      errcode = '22023',
      message = format('config key "%s" must name an environment variable', p_key),
      detail = case
        when p_value #>> '{}' ~ '^[a-z]{2,}_' then 'The value looks like a secret, and is not shown.'
        else format('The value is %s.', left(p_value::text, 40))
      end,
      hint = 'Use capitals, digits and underscores, such as STRIPE_API_KEY: the name, not the key.';
  end if;
  if p_value #>> '{}' like 'SUPABASE\_%' or p_value #>> '{}' = 'ADMIN_API_KEY' then
    raise exception using
      errcode = '22023',
      message = format('config key "%s" may not name %s', p_key, p_value #>> '{}'),
      hint = 'Variables of the platform itself are never sent to a provider; use another name.';
  end if;
end;
$$;

comment on function supasaasy.check_env_name(text, jsonb) is
  'Raises 22023 unless a config value names an environment variable that may hold a secret.';

create function supasaasy.check_app()
returns trigger
language plpgsql
set search_path = ''
as $$
declare
  v_connector supasaasy.connectors%rowtype;
  v_known text[];
  v_bad text;
begin
  if new.app_key is null or new.app_key !~ '^[a-z][a-z0-9_]{0,62}$' then
    raise exception using
      errcode = '22023',
      message = format('app_key "%s" is malformed', coalesce(new.app_key, 'null')),
      hint = 'Use 1 to 63 lower-case letters, digits and underscores, a letter first: stripe_main.';
  end if;

  select c.* into v_connector from supasaasy.connectors c where c.connector = new.connector;
  if not found then
    raise exception using
      errcode = '22023',
      message = format('app "%s" names the unknown connector "%s"',
        new.app_key, coalesce(new.connector, 'null')),
      hint = format('Connectors: %s.',
        (select string_agg(c.connector, ', ' order by c.connector) from supasaasy.connectors c));
  end if;

  if new.config is null or jsonb_typeof(new.config) <> 'object' then
    raise exception using
      errcode = '22023',
      message = format('config of app "%s" is not a JSON object', new.app_key),
      hint = 'For example {"api_key_env": "STRIPE_API_KEY"}.';
  end if;
  v_known := array[
    'api_key_env', 'webhook_secret_env', 'sync_resources', 'max_concurrency', 'history'
  ] || v_connector.config_keys;
  select k.key into v_bad
  from jsonb_object_keys(new.config) as k (key)
  where not (k.key = any (v_known))
  order by k.key
  limit 1;
  if found then
    raise exception using
      errcode = '22023',
      message = format('config of app "%s" has the unknown key "%s"', new.app_key, v_bad),
      hint = format('Known keys: %s.', array_to_string(v_known, ', '));
  end if;

  if new.config -> 'api_key_env' is null then
    raise exception using
      errcode = '22023',
      message = format('config of app "%s" has no "api_key_env"', new.app_key),
      hint = 'Name the environment variable of the edge functions that holds the API key.';
  end if;
  perform supasaasy.check_env_name('api_key_env', new.config -> 'api_key_env');
  perform supasaasy.check_env_name('webhook_secret_env', new.config -> 'webhook_secret_env');

  if new.config ? 'max_concurrency'
    and coalesce(supasaasy.whole_number(new.config -> 'max_concurrency'), 0) not between 1 and 100
  then
    raise exception using
      errcode = '22023',
      message = format('config key "max_concurrency" of app "%s" is %s',
        new.app_key, left((new.config -> 'max_concurrency')::text, 40)),
      hint = 'Give a whole number from 1 to 100.';
  end if;

  if new.config ? 'sync_resources' then
    if jsonb_typeof(new.config -> 'sync_resources') <> 'array'
      or new.config -> 'sync_resources' = '[]'
      or jsonb_path_exists(new.config, 'strict $.sync_resources[*] ? (@.type() != "string")')
    then
      raise exception using
        errcode = '22023',
        message = format('config key "sync_resources" of app "%s" is %s',
          new.app_key, left((new.config -> 'sync_resources')::text, 40)),
        hint = 'Give an array of resource names, or leave the key out to sync them all.';
    end if;
    perform supasaasy.resolve_resources(
      new.connector,
      array(select jsonb_array_elements_text(new.config -> 'sync_resources'))
    );
  end if;

  if new.config ? 'history' and jsonb_typeof(new.config -> 'history') = 'array' then
    perform supasaasy.resolve_resources(
      new.connector,
      array(select jsonb_array_elements_text(new.config -> 'history')),
      p_with_parents := false
    );
  elsif new.config ? 'history' and jsonb_typeof(new.config -> 'history') <> 'boolean' then
    raise exception using
      errcode = '22023',
      message = format('config key "history" of app "%s" is %s',
        new.app_key, left((new.config -> 'history')::text, 40)),
      hint = 'Give true, false, or an array of resource names.';
  end if;

  if new.account_id is null then
    new.livemode := null;
    new.key_fingerprint := null;
  end if;
  if tg_op = 'UPDATE' then
    if new.connector <> old.connector then
      raise exception using
        errcode = '22023',
        message = format('app "%s" cannot change its connector from "%s" to "%s"',
          new.app_key, old.connector, new.connector),
        hint = 'Insert another app for the other provider.';
    end if;
    new.updated_at := supasaasy.clock();
  end if;
  return new;
end;
$$;

comment on function supasaasy.check_app() is
  'Trigger: an app''s key, connector and config are valid; unpinning clears what belongs to the pin.';

create trigger check_app
before insert or update on supasaasy.apps
for each row execute function supasaasy.check_app();

create function supasaasy.app_resources(p_app_key text)
returns text[]
language sql
stable
set search_path = ''
as $$
  select supasaasy.resolve_resources(
    a.connector,
    case when a.config ? 'sync_resources'
      then array(select jsonb_array_elements_text(a.config -> 'sync_resources'))
    end
  )
  from supasaasy.apps a
  where a.app_key = p_app_key;
$$;

comment on function supasaasy.app_resources(text) is
  'The collection keys that an app syncs, parents first.';
