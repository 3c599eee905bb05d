begin;
set local search_path = extensions, public;
select plan(8);

select tests.have_app();
update supasaasy.apps set account_id = null;
select supasaasy.sync('stripe_main', 'full', array['customer', 'product']);

create function pg_temp.pin(p_collection_key text, p_account_id text, p_livemode boolean)
returns text
language plpgsql
as $$
declare
  v_id bigint := tests.task(p_collection_key);
begin
  return supasaasy.pin_account(v_id, tests.begin(v_id), 'fp', p_account_id, p_livemode) ->> 'status';
end;
$$;

select throws_ok(
  $$ select supasaasy.pin_account(1, gen_random_uuid(), 'fp', '', true) $$,
  '22023', 'cannot pin an app to account "", livemode true', 'an account has an id'
);
select is(
  supasaasy.pin_account(tests.task('stripe_customer'), gen_random_uuid(), 'fp', 'acct_1', false)
    ->> 'status',
  'stale',
  'a stale token pins nothing'
);
select is(pg_temp.pin('stripe_customer', 'acct_1', false), 'ok', 'the first account is taken');
select results_eq(
  $$ select account_id, livemode, key_fingerprint from supasaasy.apps $$,
  $$ values ('acct_1', false, 'fp') $$,
  'the app is pinned to it'
);
select is(pg_temp.pin('stripe_customer', 'acct_1', false), 'ok', 'the same account is welcome');
select pg_temp.pin('stripe_product', 'acct_2', false) is not null;
select results_eq(
  $$ select state, error_class from supasaasy.sync_tasks where collection_key = 'stripe_product' $$,
  $$ values ('failed', 'auth') $$,
  'another account is an auth error'
);
select matches(
  (select error_message from supasaasy.sync_tasks where collection_key = 'stripe_product'),
  'acct_2.*pinned to acct_1', 'which names both'
);
select is((select account_id from supasaasy.apps), 'acct_1', 'and the app stays what it was');

select * from finish();
rollback;
