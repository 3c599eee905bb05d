begin;
set local search_path = extensions, public;
select plan(16);

select tests.have_app();
select tests.stop_clock_at('2026-01-01 12:00:00+00');
select tests.sync_listing('stripe_customer', tests.customers(1, 6));
select is(
  (select complete_as_of from supasaasy.sync_state), '2026-01-01 12:00:00+00',
  'after a clean finish the resource is complete as of the run''s begin'
);

select tests.move_clock('1 hour');
select supasaasy.set_setting('sweep_batch', '2');
create temporary table j as select supasaasy.sync('stripe_main', 'full', array['customer']) as id;
select tests.bring_page('stripe_customer', tests.customers(1, 3));
select is(tests.ids('stripe_customer'), 'cus_000001 cus_000002 cus_000003 cus_000004 cus_000005 cus_000006',
  'a listing that shows less deletes nothing');
select is((select status from supasaasy.sync_runs r, j where r.job_id = j.id), 'sweeping',
  'its sweep takes several steps');
select tests.tick();
select tests.tick();
select tests.tick();
select is(tests.open_tasks('stripe_customer'),
  'revalidate:cus_000004 revalidate:cus_000005 revalidate:cus_000006',
  'each row that it did not show is fetched');
select is((select nominated from supasaasy.sync_runs r, j where r.job_id = j.id), 3::bigint,
  'and counted');
select is((select status from supasaasy.job_status((select id from j))), 'running',
  'the job waits for the fetches');
select tests.move_clock('1 second');
update supasaasy.sync_tasks set state = 'pending', start_token = null, lease_expires_at = null
where state = 'leased';
select tests.bring_page('stripe_customer', tests.customers(4, 4), null, 'cus_000004');
select supasaasy.complete_page(tests.task('stripe_customer', 'cus_000005'),
  tests.begin(tests.task('stripe_customer', 'cus_000005')), '[]', null, '{cus_000005}') is not null;
select tests.bring_page('stripe_customer',
  '[{"id": "cus_000006", "object": "customer", "deleted": true}]', null, 'cus_000006');
select is(tests.ids('stripe_customer'), 'cus_000001 cus_000002 cus_000003 cus_000004',
  'what lives stays, what the provider itself says is gone goes');
select results_eq(
  $$ select status, deleted from supasaasy.job_status((select id from j)) $$,
  $$ values ('completed', 2::bigint) $$,
  'and the job is complete'
);
select is((select complete_as_of from supasaasy.sync_state), '2026-01-01 13:00:00+00',
  'as of its begin');

select tests.move_clock('1 hour');
select supasaasy.set_setting('sweep_batch', null);
truncate j;
insert into j select supasaasy.sync('stripe_main', 'full', array['customer']);
delete from supasaasy.sync_seen where true;
select tests.bring_page('stripe_customer', tests.customers(1, 1));
select is(tests.open_tasks('stripe_customer'), '',
  'when a crash emptied what was seen, nothing is nominated');
select matches((select error_message from supasaasy.job_status((select id from j))),
  'nothing was swept', 'and the job says so');
select is((select complete_as_of from supasaasy.sync_state), '2026-01-01 13:00:00+00',
  'and completeness does not move');

truncate j;
insert into j select supasaasy.sync('stripe_main', 'full', array['customer']);
select supasaasy.fail_page(tests.task('stripe_customer'), tests.begin(tests.task('stripe_customer')),
  'permanent', 'no') is not null;
select is(tests.open_tasks('stripe_customer'), '', 'a failed listing is not swept');

update supasaasy.apps set sync_from = to_timestamp(1700000000);
truncate j;
insert into j select supasaasy.sync('stripe_main', 'full', array['customer']);
select is((select created_gte from supasaasy.sync_tasks where id = tests.task('stripe_customer')),
  1700000000::bigint, 'sync_from bounds the listing');
select tests.bring_page('stripe_customer', '[]');
select is(tests.open_tasks('stripe_customer'), '',
  'rows from before it are not nominated');
select is((select status from supasaasy.job_status((select id from j))), 'completed', 'nor missed');

select * from finish();
rollback;
