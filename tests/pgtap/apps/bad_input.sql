begin;
set local search_path = extensions, public;
select plan(17);

create function pg_temp.insert_app(
  p_app_key text,
  p_connector text,
  p_config jsonb
)
returns void
language sql
as $$
  insert into supasaasy.apps (app_key, connector, config) values (p_app_key, p_connector, p_config);
$$;

create function pg_temp.refused(
  p_app_key text,
  p_connector text,
  p_config jsonb,
  p_message text,
  p_description text
)
returns text
language sql
as $$
  select throws_ok(
    format('select pg_temp.insert_app(%L, %L, %L)', p_app_key, p_connector, p_config),
    '22023', p_message, p_description
  );
$$;

select pg_temp.refused('Stripe-Main', 'stripe', '{"api_key_env": "K"}',
  'app_key "Stripe-Main" is malformed', 'a malformed app_key is named');
select pg_temp.refused('', 'stripe', '{"api_key_env": "K"}',
  'app_key "" is malformed', 'an empty app_key is refused');
select pg_temp.refused('a', 'strype', '{"api_key_env": "K"}',
  'app "a" names the unknown connector "strype"', 'an unknown connector is named');
select pg_temp.refused('a', 'stripe', '[]',
  'config of app "a" is not a JSON object', 'config is an object');
select pg_temp.refused('a', 'stripe', '{"api_key_env": "K", "api_kee": 1}',
  'config of app "a" has the unknown key "api_kee"', 'an unknown config key is named');
select pg_temp.refused('a', 'stripe', '{"api_key_env": "K", "webhook_logging": "yes"}',
  'config key "webhook_logging" of app "a" is "yes"', 'webhook_logging has three values');
select pg_temp.refused('a', 'stripe', '{"api_key_env": 5}',
  'config key "api_key_env" must name an environment variable', 'a variable is named by a text');
select pg_temp.refused('a', 'stripe', '{"api_key_env": "SUPABASE_SERVICE_ROLE_KEY"}',
  'config key "api_key_env" may not name SUPABASE_SERVICE_ROLE_KEY',
  'the platform''s own keys are never sent to a provider');
select pg_temp.refused('a', 'stripe', '{"api_key_env": "ADMIN_API_KEY"}',
  'config key "api_key_env" may not name ADMIN_API_KEY', 'nor is the admin key');
select pg_temp.refused('a', 'stripe', '{"api_key_env": "K", "max_concurrency": 0}',
  'config key "max_concurrency" of app "a" is 0', 'a concurrency of 0 is refused');
select pg_temp.refused('a', 'stripe', '{"api_key_env": "K", "max_concurrency": "many"}',
  'config key "max_concurrency" of app "a" is "many"', 'a concurrency is a number');
select pg_temp.refused('a', 'stripe', '{"api_key_env": "K", "sync_resources": []}',
  'config key "sync_resources" of app "a" is []', 'an empty list of resources is refused');
select pg_temp.refused('a', 'stripe', '{"api_key_env": "K", "sync_resources": ["unicorn"]}',
  'connector "stripe" has no resource "unicorn"', 'an unknown resource is named');
select pg_temp.refused('a', 'stripe', '{"api_key_env": "K", "sync_resources": ["subscription_item"]}',
  'resource "subscription_item" is synced as a part of "subscription", which is not named',
  'a child needs its parent');

do $$
begin
  perform pg_temp.insert_app('a', 'stripe', '{"api_key_env": "sk_live_do_not_show_me"}');
exception
  when invalid_parameter_value then
    perform set_config('tests.seen', sqlerrm || coalesce((
      select string_agg(v, '') from (values ('')) as t (v)
    ), ''), true);
end;
$$;
select is(
  current_setting('tests.seen'),
  'config key "api_key_env" must name an environment variable',
  'a key in place of its variable''s name is refused, and not repeated'
);

select tests.have_app();
select throws_ok(
  $$ update supasaasy.apps set connector = 'other' where app_key = 'stripe_main' $$,
  '22023', null, 'an app cannot change its connector'
);
select is((select count(*)::integer from supasaasy.apps), 1, 'nothing bad was inserted');

select * from finish();
rollback;
