begin;
set local search_path = extensions, public;
select plan(6);

select tests.have_app();
select tests.sync_listing('stripe_customer', tests.customers(1, 3));
select results_eq(
  $$ select inserted, updated, unchanged, deleted from supasaasy.job_status(
       (select max(id) from supasaasy.sync_jobs)) $$,
  $$ values (3::bigint, 0::bigint, 0::bigint, 0::bigint) $$,
  'new rows are counted as inserted'
);
create temporary table before as
select external_id, ctid::text as place, xmin::text as writer, updated_at
from supasaasy.entities;

select tests.sync_listing('stripe_customer', tests.customers(1, 3));
select results_eq(
  $$ select inserted, updated, unchanged, deleted from supasaasy.job_status(
       (select max(id) from supasaasy.sync_jobs)) $$,
  $$ values (0::bigint, 0::bigint, 3::bigint, 0::bigint) $$,
  'the same rows again are counted as unchanged'
);
select results_eq(
  $$ select external_id, ctid::text, xmin::text, updated_at from supasaasy.entities
     order by external_id $$,
  $$ select * from before order by external_id $$,
  'an unchanged row is not written'
);

select tests.sync_listing(
  'stripe_customer',
  tests.customers(1, 2) || tests.customers(3, 4, '{"email": "new@example.com"}')
);
select results_eq(
  $$ select inserted, updated, unchanged, deleted from supasaasy.job_status(
       (select max(id) from supasaasy.sync_jobs)) $$,
  $$ values (1::bigint, 1::bigint, 2::bigint, 0::bigint) $$,
  'a changed row is updated, a new one inserted'
);
select is(
  (select email from supasaasy.stripe_customers where external_id = 'cus_000003'),
  'new@example.com',
  'the view shows the change'
);
select is(
  (select count(*)::integer from supasaasy.sync_seen where external_id <> ''), 10,
  'the listings are remembered for their sweeps'
);

select * from finish();
rollback;
