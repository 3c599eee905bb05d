begin;
set local search_path = extensions, public;
select plan(14);

select supasaasy.set_setting('functions_url', 'http://127.0.0.1:9/functions/v1');

create function pg_temp.changes(p_config jsonb)
returns text[]
language sql
as $$
  select array_agg(concat_ws(' ', c.change, c.path, c.before, '->', c.after) order by c.path, c.after, c.before)
  from supasaasy.configure(p_config) c;
$$;

create temporary table config as select $$ {
  "settings": {"rate_headroom": "0.5"},
  "apps": [{
    "app_key": "stripe_main", "name": "Stripe", "connector": "stripe",
    "config": {
      "api_key_env": "STRIPE_API_KEY", "webhook_secret_env": "STRIPE_WEBHOOK_SECRET",
      "sync_resources": ["customer", "product"], "sync_from": "2026-01-01", "webhook_logging": true,
      "sync_schedules": [{"cron": "*/5 * * * *"}, {"cron": "0 3 * * *", "mode": "full"}]
    }
  }]
} $$::jsonb as c;

select is(
  (select pg_temp.changes(c) from config),
  array[
    'inserted apps.stripe_main -> stripe',
    'inserted schedules.stripe_main -> */5 * * * * incremental',
    'inserted schedules.stripe_main -> 0 3 * * * full',
    'updated settings.rate_headroom 0.8 -> 0.5'
  ],
  'it reports what it changed'
);
select results_eq(
  $$ select name, connector, config, sync_from, enabled from supasaasy.apps $$,
  $$ values ('Stripe', 'stripe', '{"api_key_env": "STRIPE_API_KEY", "webhook_secret_env": "STRIPE_WEBHOOK_SECRET",
       "sync_resources": ["customer", "product"], "webhook_logging": true}'::jsonb, '2026-01-01'::timestamptz, true) $$,
  'the app is as it says'
);
select is((select count(*)::integer from supasaasy.schedules), 2, 'and its schedules');
select is((select pg_temp.changes(c) from config), null, 'a second time changes nothing');
update config set c = jsonb_set(c, '{apps,0,config,sync_schedules}', '[{"cron": "*/10 * * * *"}]');
update config set c = jsonb_set(c, '{apps,0,config,sync_resources}', '["customer"]');
select is(
  (select pg_temp.changes(c) from config),
  array[
    'updated apps.stripe_main.config.sync_resources ["customer", "product"] -> ["customer"]',
    'inserted schedules.stripe_main -> */10 * * * * incremental',
    'deleted schedules.stripe_main */5 * * * * incremental ->',
    'deleted schedules.stripe_main 0 3 * * * full ->'
  ],
  'schedules become exactly what it says'
);
update supasaasy.apps set enabled = false where true;
select is(
  pg_temp.changes('{"apps": [{"app_key": "stripe_main", "connector": "stripe"}]}'), null,
  'what it does not name stays as it is'
);
select is(
  pg_temp.changes('{"apps": [{"app_key": "stripe_main", "connector": "stripe", "enabled": true}]}'),
  array['updated apps.stripe_main.enabled false -> true'],
  'what it names changes'
);
select is(pg_temp.changes('{}'), null, 'an empty one changes nothing');

create temporary table wrong as select $$ {
  "setings": {},
  "settings": {"rate_headrom": "1", "lease": "soon"},
  "apps": [
    {"app_key": "Main", "connector": "stripe", "config": {
      "api_key_env": "sk_live_do_not_show_me", "sync_resources": ["unicorn", "invoice"], "sync_form": 1,
      "sync_from": "yesteryear", "sync_schedules": [{"cron": "daily", "mode": "half"}, 5]
    }},
    {"app_key": "b", "connector": "strype", "enabled": "yes"},
    {"app_key": "b", "connector": "stripe"}
  ]
} $$::jsonb as c;
select is(
  (select array_agg(p.path order by p.path) from wrong, supasaasy.config_problems(c) p),
  array[
    'apps[0].app_key', 'apps[0].config.api_key_env', 'apps[0].config.sync_form', 'apps[0].config.sync_from',
    'apps[0].config.sync_resources', 'apps[0].config.sync_resources',
    'apps[0].config.sync_schedules[0].cron', 'apps[0].config.sync_schedules[0].mode',
    'apps[0].config.sync_schedules[1]',
    'apps[1].connector', 'apps[1].enabled', 'apps[2].app_key',
    'setings', 'settings.lease', 'settings.rate_headrom'
  ],
  'every error is listed by its path'
);
create temporary table message (m text);
do $$
begin
  perform * from wrong, supasaasy.configure(c);
exception
  when invalid_parameter_value then
    insert into message values (sqlerrm);
end;
$$;
select ok((select m like 'the configuration has 15 errors, and nothing was changed%' from message), 'as one error');
select ok(
  (select m like '%apps[0].config.sync_resources: connector "stripe" has no resource "unicorn" (Resources: customer,%' from message),
  'a line each, with what would be valid'
);
select ok((select m not like '%do_not_show_me%' from message), 'a secret in the wrong place is not repeated');
select is((select count(*)::integer from supasaasy.apps), 1, 'and nothing was changed');
select throws_ok(
  $$ select * from supasaasy.configure('[]') $$, '22023', null, 'a document of another kind is refused'
);

select * from finish();
rollback;
