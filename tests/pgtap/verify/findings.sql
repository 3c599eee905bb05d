begin;
set local search_path = extensions, public;
select plan(5);

select tests.have_app();
select tests.stop_clock_at('2026-01-01 12:00:00+00');
select tests.sync_listing('stripe_customer', tests.customers(1, 4));
create temporary table before as
select external_id, ctid::text as place, xmin::text as writer from supasaasy.entities;
create temporary table state_before as select * from supasaasy.sync_state;
select tests.move_clock('1 hour');

create temporary table j as select supasaasy.sync('stripe_main', 'verify', array['customer']) as id;
select tests.bring_page('stripe_customer',
  tests.customers(1, 2) || tests.customers(3, 3, '{"name": "changed"}') || tests.customers(9, 9));
select results_eq(
  $$ select external_id, finding from supasaasy.verify_findings order by 1 $$,
  $$ values ('cus_000003', 'stale'), ('cus_000004', 'extra'), ('cus_000009', 'missing') $$,
  'what is missing, stale or not listed is found'
);
select results_eq(
  $$ select status, inserted, updated, unchanged, deleted from supasaasy.job_status((select id from j)) $$,
  $$ values ('completed', 0::bigint, 0::bigint, 2::bigint, 0::bigint) $$,
  'the job is complete, and changed nothing'
);
select results_eq(
  $$ select external_id, ctid::text, xmin::text from supasaasy.entities order by 1 $$,
  $$ select * from before order by 1 $$, 'not one row was written'
);
select is(tests.open_tasks('stripe_customer'), '', 'nothing is fetched');
select results_eq($$ select * from supasaasy.sync_state $$, $$ select * from state_before $$,
  'and completeness is what it was');

select * from finish();
rollback;
