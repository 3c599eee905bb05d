begin;
set local search_path = extensions, public;
select plan(9);

select tests.have_app();
select tests.stop_clock_at(clock_timestamp());
select supasaasy.sync('stripe_main', 'full', array['customer']);
select tests.move_clock('61 seconds');
select is(supasaasy.expire_leases(10), 1, 'a start that was lost comes back');
select results_eq(
  $$ select state, attempts from supasaasy.sync_tasks $$, $$ values ('pending', 0) $$,
  'and is no failure'
);
create temporary table w as select tests.begin(tests.task('stripe_customer')) as token;
select tests.move_clock('91 seconds');
select is(supasaasy.expire_leases(10), 1, 'a page that was never completed comes back');
select results_eq(
  $$ select state, attempts, page_size, error_class from supasaasy.sync_tasks $$,
  $$ values ('waiting', 1, 100, 'transient') $$,
  'and counts as one'
);
select is(
  supasaasy.complete_page(tests.task('stripe_customer'), token, tests.customers(1, 2)) ->> 'status',
  'stale',
  'completing it too late changes nothing'
) from w;
select is((select count(*)::integer from supasaasy.entities), 0, 'not one row');
update supasaasy.sync_tasks set run_after = supasaasy.clock() where true;
select tests.begin(tests.task('stripe_customer'));
select tests.move_clock('91 seconds');
select supasaasy.expire_leases(10);
select is(
  (select page_size from supasaasy.sync_tasks), 50, 'after two at one cursor the page is halved'
);
update supasaasy.sync_tasks set run_after = supasaasy.clock() where true;
select tests.bring_page('stripe_customer', tests.customers(1, 2), 'cus_000002');
select results_eq(
  $$ select attempts, lost_leases from supasaasy.sync_tasks where kind = 'list' order by id limit 1 $$,
  $$ values (0, 0) $$,
  'a completed page resets both counts'
);
select supasaasy.release_task(id, start_token) from supasaasy.sync_tasks where start_token is not null;
select is(
  (select count(*)::integer from supasaasy.sync_tasks where state = 'leased'), 0,
  'a refused relay gives its task back at once'
);

select * from finish();
rollback;
