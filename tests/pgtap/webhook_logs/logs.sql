begin;
set local search_path = extensions, public;
select plan(8);

select tests.have_app('off');
select tests.have_app('short', '{"webhook_logging": true}');
select tests.have_app('full', '{"webhook_logging": "with_body"}');
select supasaasy.log_webhook(
  a, 'POST', '/webhook/' || a,
  '{"content-type": "application/json", "Stripe-Signature": "t=1,v1=abc", "authorization": "Bearer x"}',
  '{"id": "evt_1"}', 200, '{"outcome": "applied"}', null, 12
) from unnest(array['off', 'short', 'full', 'nobody']) as a;
select bag_eq(
  $$ select app_key from supasaasy.webhook_logs $$, array['short', 'full'], 'only apps that want it are logged'
);
select is(
  (select request_headers from supasaasy.webhook_logs where app_key = 'short'),
  '{"content-type": "application/json", "Stripe-Signature": "[redacted]", "authorization": "[redacted]"}',
  'signatures and keys are redacted'
);
select is((select request_body from supasaasy.webhook_logs where app_key = 'short'), null, 'bodies are optional');
select is((select request_body from supasaasy.webhook_logs where app_key = 'full'), '{"id": "evt_1"}', 'and kept if wanted');
select supasaasy.set_setting('webhook_log_body', '10');
select supasaasy.log_webhook('full', 'POST', '/', '{}', repeat('x', 1000), 500, 'no', 'it failed', 3);
select results_eq(
  $$ select length(request_body), response_status, error_message from supasaasy.webhook_logs order by id desc limit 1 $$,
  $$ values (10, 500, 'it failed') $$, 'up to a size'
);
select is((select logging from jsonb_to_record(supasaasy.webhook_app('full')) as r (logging boolean)), true,
  'the function is told to log');
select supasaasy.set_setting('webhook_log_rows', '2');
select supasaasy.clean_up();
select is((select count(*)::integer from supasaasy.webhook_logs), 2, 'the table has a size cap');
update supasaasy.webhook_logs set created_at = now() - interval '8 days' where app_key = 'full' and response_status = 200;
select supasaasy.clean_up();
select is((select count(*)::integer from supasaasy.webhook_logs), 1, 'and forgets what is old');

select * from finish();
rollback;
