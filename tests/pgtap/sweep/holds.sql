begin;
set local search_path = extensions, public;
select plan(10);

select tests.have_app();
select tests.stop_clock_at('2026-01-01 12:00:00+00');
select supasaasy.set_setting('sweep_hold_minimum', '3');
select tests.sync_listing('stripe_customer', tests.customers(1, 20));
select tests.move_clock('1 hour');
create temporary table j as select tests.sync_listing('stripe_customer', tests.customers(1, 4)) as id;
select results_eq(
  $$ select status from supasaasy.sync_runs r, j where r.job_id = j.id $$, $$ values ('held') $$,
  'a sweep that misses an implausible share is held'
);
select is(tests.open_tasks('stripe_customer'), '', 'nothing is fetched, let alone deleted');
select matches(
  (select error_message from supasaasy.job_status((select id from j))),
  'did not show 16 of 20 rows.*confirm_sweep', 'the job says how many, and what to do'
);
select is((select status from supasaasy.job_status((select id from j))), 'running', 'and waits');
select is(supasaasy.confirm_sweep((select id from j)), 1::bigint, 'it can be confirmed');
select is(
  (select count(*)::integer from supasaasy.sync_tasks where kind = 'revalidate'), 16,
  'each row is then fetched before it is deleted'
);
select throws_ok(
  format('select supasaasy.confirm_sweep(%s)', (select id from j)), '55000', null,
  'there is nothing to confirm twice'
);
select supasaasy.cancel((select id from j));

truncate j;
insert into j select tests.sync_listing('stripe_customer', tests.customers(1, 18));
select is(
  tests.open_tasks('stripe_customer'), 'revalidate:cus_000019 revalidate:cus_000020',
  'a few missing rows are fetched at once'
);
update supasaasy.sync_tasks set state = 'pending', start_token = null, lease_expires_at = null
where state = 'leased';
select tests.move_clock('1 second');
select supasaasy.complete_page(tests.task('stripe_customer', i), tests.begin(tests.task('stripe_customer', i)),
  '[]', null, array[i]) is not null
from unnest(array['cus_000019', 'cus_000020']) as i;
select results_eq(
  $$ select missing, stale, extra from supasaasy.drift, j where job_id = j.id $$,
  $$ values (0::bigint, 0::bigint, 2::bigint) $$,
  'what a full sync had to repair is kept as drift'
);
select is(
  (select count(*)::integer from supasaasy.drift where job_id not in (select id from j)), 0,
  'the first sync of a resource is none'
);

select * from finish();
rollback;
