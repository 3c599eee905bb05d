begin;
set local search_path = extensions, public;
select plan(7);

select tests.have_app();
select tests.stop_clock_at(clock_timestamp());
select tests.sync_listing('stripe_customer', tests.customers(1, 2));
select tests.move_clock('1 minute');

-- What changed could not be fetched.
select supasaasy.refetch('stripe_main', 'customer', 'cus_000001');
select supasaasy.fail_page(t.id, tests.begin(t.id), 'permanent', 'it is broken')
from (select tests.task('stripe_customer', 'cus_000001') as id) t;
select is(
  (select status from supasaasy.status where resource = 'customer'), 'failed', 'status does not say that all is well'
);
select matches(
  supasaasy.why_not_synced('stripe_main', 'customer', 'cus_000001'),
  'is not up to date: it changed, and could not be fetched \(it is broken\)', 'nor does why_not_synced'
);
select supasaasy.watch();
select is((select kind || ' ' || subject from supasaasy.alerts), 'fetch_failed stripe_customer', 'it is an alert');
update supasaasy.sync_tasks set finished_at = finished_at - interval '1 year' where finished_at is not null;
select supasaasy.forget_tasks(100);
select is(
  (select count(*)::integer from supasaasy.sync_tasks where state = 'failed'), 1, 'it is not forgotten'
);
select supasaasy.sync('stripe_main', 'full', array['customer']);
select is(
  tests.open_tasks('stripe_customer'), 'list revalidate:cus_000001', 'the next sync fetches it again'
);
select tests.bring_page('stripe_customer', tests.customers(1, 2));
select is(
  (select status from supasaasy.sync_jobs order by id desc limit 1), 'running', 'and is not complete without it'
);
select tests.move_clock('1 second');
select tests.bring_page('stripe_customer', tests.customers(1, 1), null, 'cus_000001');
select is(
  (select status from supasaasy.status where resource = 'customer'), 'synced', 'then all is well'
);

select * from finish();
rollback;
