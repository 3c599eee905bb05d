begin;
set local search_path = extensions, public;
select plan(29);

select tests.have_app('stripe_main', '{"history": true, "webhook_logging": "with_body"}');
select tests.have_app('stripe_eu');
select supasaasy.set_secret(a, 'webhook_secret', 'whsec_12345678') from unnest(array['stripe_main', 'stripe_eu']) as a;
insert into supasaasy.schedules (app_key, cron) values ('stripe_main', '*/5 * * * *');
select tests.observe('stripe_customer', tests.customers(1, 9), now() - interval '2 hours', now() - interval '2 hours');
select tests.observe('stripe_customer', tests.customers(1, 9), now(), now(), p_app_key := 'stripe_eu');
select tests.observe('stripe_subscription', jsonb_build_array(tests.subscription('sub_1', array['si_1', 'si_2'])),
  now() - interval '2 hours', now() - interval '2 hours');
select tests.observe('stripe_customer', jsonb_build_array(tests.customer('cus_000001', '{"email": "ada@example.com"}')),
  now() - interval '1 hour', now() - interval '1 hour');
select supasaasy.log_webhook('stripe_main', 'POST', '/webhook/stripe_main', '{}',
  '{"id": "evt_1", "data": {"object": {"id": "cus_000001"}}}', 200, '{}', null, 5);

-- Erase.
select throws_ok(
  $$ select supasaasy.erase('stripe_main', 'unicorn', 'cus_1') $$, '22023', null, 'an unknown collection is named'
);
select throws_ok(
  $$ select supasaasy.erase('stripe_main', 'customer', '') $$, '22023', null, 'an empty id is refused'
);
select is(
  supasaasy.erase('stripe_main', 'customer', 'cus_000001'), 3,
  'a record goes from the data, the history and the logs'
);
select is(
  (select count(*)::integer from supasaasy.entities where app_key = 'stripe_main' and external_id = 'cus_000001')
  + (select count(*)::integer from supasaasy.entity_versions where external_id = 'cus_000001')
  + (select count(*)::integer from supasaasy.webhook_logs),
  0, 'nothing of it is left'
);
select is(tests.buried('stripe_customer'), 'cus_000001', 'but the mark that keeps it out');
select tests.observe('stripe_customer', tests.customers(1, 1), now(), now() + interval '1 second');
select tests.observe('stripe_customer', tests.customers(1, 1), now(), now() + interval '1 hour', 'event');
select tests.observe('stripe_customer', tests.customers(1, 1), now(), now() + interval '1 hour', 'fetch');
select is(
  (select count(*)::integer from supasaasy.entities where app_key = 'stripe_main' and external_id = 'cus_000001'), 0,
  'no page, event or fetch brings it back'
);
select is(tests.open_tasks('stripe_customer'), '', 'nor asks for it');
select matches(
  supasaasy.why_not_synced('stripe_main', 'customer', 'cus_000001'), 'was erased here .* kept out',
  'and why_not_synced says so'
);
select is(
  (select count(*)::integer from supasaasy.entities where app_key = 'stripe_eu' and external_id = 'cus_000001'), 1,
  'another app''s record of the same id stays'
);
select supasaasy.set_setting('tombstone_retention', '1 second');
insert into supasaasy.sync_state (app_key, collection_key, complete_as_of, events_as_of, floor)
values ('stripe_main', 'stripe_customer', now(), now(), now() + interval '1 year');
update supasaasy.tombstones set deleted_at = '2020-01-01' where true;
select supasaasy.clean_up();
select is(tests.buried('stripe_customer'), 'cus_000001', 'the mark is never forgotten');
select is(supasaasy.erase('stripe_main', 'subscription', 'sub_1'), 3, 'children go with their parent');
select tests.observe('stripe_subscription', jsonb_build_array(tests.subscription('sub_1', array['si_1'])), now(), now());
select is(tests.ids('stripe_subscription_item'), '', 'and stay out with it');

select supasaasy.log_webhook('stripe_main', 'POST', '/', '{}', format('{"id": "%s"}', i), 200, '{}', null, 5)
from unnest(array['cus_77', 'cus_777']) as i;
select supasaasy.note_failure('stripe_main', 'auth', 'the customer {"id": "cus_77"} is odd');
select supasaasy.watch();
select supasaasy.erase('stripe_main', 'customer', 'cus_77');
select is(
  (select string_agg(request_body, ' ') from supasaasy.webhook_logs), '{"id": "cus_777"}',
  'a log of another record stays'
);
select is(
  (select count(*)::integer from supasaasy.alerts where message ~ 'cus_77')
  + (select count(*)::integer from supasaasy.apps where breaker_message ~ 'cus_77'),
  0, 'messages that quote the record go'
);
select supasaasy.close_breaker('stripe_main');

-- Prune.
select tests.observe('stripe_product', '[{"id": "prod_1", "created": 1700000000}]', now(), now());
update supasaasy.apps set sync_from = to_timestamp(1700000000 - 5) where app_key = 'stripe_main';
select tests.observe('stripe_subscription', jsonb_build_array(tests.subscription('sub_2', array['si_9'],
  '{"created": 1600000000}')), now(), now());
select is(supasaasy.prune('stripe_main'), 6, 'rows from before sync_from are pruned, children with their parents');
update supasaasy.apps set config = config || '{"sync_resources": ["customer"]}' where app_key = 'stripe_main';
select is(supasaasy.prune('stripe_main'), 1, 'and rows of resources that are left out');
select is(supasaasy.prune('stripe_main'), 0, 'until there are none');
select is((select count(*)::integer from supasaasy.tombstones where external_id = 'prod_1'), 0,
  'they leave no tombstones');
select throws_ok($$ select supasaasy.prune('stripe_main', 0) $$, '22023', null, 'a limit is at least 1');

-- Delete.
select supasaasy.sync('stripe_main', 'full');
select is(supasaasy.delete_app('stripe_main'), 'deleted stripe_main', 'a small app goes at once');
select is(
  (select count(*)::integer from supasaasy.apps where app_key = 'stripe_main')
  + (select count(*)::integer from supasaasy.entities where app_key = 'stripe_main')
  + (select count(*)::integer from supasaasy.tombstones where app_key = 'stripe_main')
  + (select count(*)::integer from supasaasy.entity_versions where app_key = 'stripe_main')
  + (select count(*)::integer from supasaasy.sync_jobs where app_key = 'stripe_main')
  + (select count(*)::integer from supasaasy.schedules)
  + (select count(*)::integer from vault.secrets where name like 'supasaasy/stripe_main/%')
  + (select count(*)::integer from cron.job where jobname like 'supasaasy-schedule-%'),
  0, 'with its data, jobs, schedules, cron jobs and secrets'
);
select is(
  (select count(*)::integer from supasaasy.entities where app_key = 'stripe_eu'), 9, 'the other app is untouched'
);
select is(supasaasy.has_secret('stripe_eu', 'webhook_secret'), true, 'and so are its secrets');
select tests.observe('stripe_product', (
  select jsonb_agg(jsonb_build_object('id', 'prod_' || i)) from generate_series(1, 11000) as i
), now(), now(), p_app_key := 'stripe_eu');
select matches(supasaasy.delete_app('stripe_eu'), '^deleting stripe_eu', 'a large one goes over the next ticks');
select throws_ok(
  $$ update supasaasy.apps set enabled = true where app_key = 'stripe_eu' $$, '55000',
  'app "stripe_eu" is being deleted', 'it cannot be enabled meanwhile'
);
select throws_ok(
  $$ select supasaasy.set_secret('stripe_eu', 'api_key', 'sk_test_too_late') $$, '55000', null,
  'nor given a secret'
);
select throws_ok(
  $$ insert into supasaasy.schedules (app_key, cron) values ('stripe_eu', '* * * * *') $$, '55000', null,
  'nor a schedule'
);
select is(supasaasy.webhook_app('stripe_eu'), null, 'it receives no webhooks meanwhile');
select supasaasy.clean_up();
select is((select count(*)::integer from supasaasy.apps), 0, 'and is gone at last');

select * from finish();
rollback;
