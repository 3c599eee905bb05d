begin;
set local search_path = extensions, public;
select plan(3);

select tests.have_app();
update supasaasy.apps set account_id = null where app_key = 'stripe_main';
select results_eq(
  $$ select account_id, livemode, key_fingerprint from supasaasy.apps $$,
  $$ values (null::text, null::boolean, null::text) $$,
  'setting account_id to null unpins the app'
);
select tests.observe('stripe_customer', tests.customers(1, 1), now() - interval '1 hour', now());
select throws_ok(
  $$ delete from supasaasy.apps where app_key = 'stripe_main' $$,
  '23503', 'cannot delete app "stripe_main": it still has entities or tombstones',
  'an app that owns data is not deleted'
);
delete from supasaasy.entities where app_key = 'stripe_main';
select lives_ok(
  $$ delete from supasaasy.apps where app_key = 'stripe_main' $$,
  'an app without data is'
);

select * from finish();
rollback;
