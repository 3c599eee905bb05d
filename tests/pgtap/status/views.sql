begin;
set local search_path = extensions, public;
select plan(12);

select tests.have_app('stripe_main', '{"sync_resources": ["customer", "product"]}');
select tests.stop_clock_at(clock_timestamp());
create function pg_temp.customer_status()
returns setof supasaasy.status
language sql
as $$ select * from supasaasy.status where resource = 'customer'; $$;

select results_eq(
  $$ select resource, status, rows, backlog, complete_as_of is null from supasaasy.status order by resource $$,
  $$ values ('customer', 'never synced', 0::bigint, 0::bigint, true), ('product', 'never synced', 0, 0, true) $$,
  'a row for each resource that the app syncs'
);
select supasaasy.sync('stripe_main', 'full');
select results_eq(
  $$ select status, running_mode, progress_percentage from pg_temp.customer_status() $$,
  $$ values ('running', 'full', 0.0) $$, 'a job under way'
);
select tests.bring_page('stripe_customer', tests.customers(1, 4));
select results_eq(
  $$ select status, rows, running_job_id, lag, last_success_at = supasaasy.clock(), last_error from pg_temp.customer_status() $$,
  $$ values ('synced', 4::bigint, null::bigint, interval '0', true, null) $$, 'a resource that is complete'
);
select results_eq(
  $$ select resource, status, progress_percentage, tasks, tasks_ended, inserted
     from supasaasy.job_progress((select max(id) from supasaasy.sync_jobs)) $$,
  $$ values ('customer', 'completed', 100.0, 1::bigint, 1::bigint, 4::bigint), ('product', 'running', 0, 1, 0, 0) $$,
  'job_progress has a row for each resource'
);
select tests.bring_page('stripe_product', '[]');
select tests.move_clock('1 hour');
select supasaasy.sync('stripe_main', 'full', array['customer']);
select tests.bring_page('stripe_customer', tests.customers(1, 2), 'cus_000002');
select is(
  (select progress_percentage from pg_temp.customer_status()), 50.0,
  'the second time progress is by the rows of the first'
);
update supasaasy.sync_tasks set state = 'pending', start_token = null, lease_expires_at = null where start_token is not null;
select supasaasy.fail_page(id, tests.begin(id), 'transient', 'the provider is down')
from (select tests.task('stripe_customer') as id) t;
select results_eq(
  $$ select status, backlog >= 1, retries, next_attempt_at > supasaasy.clock(), last_error from pg_temp.customer_status() $$,
  $$ values ('running', true, 1::bigint, true, 'the provider is down') $$, 'a retry, when it is due, and why'
);
select supasaasy.reserve_request('stripe_main', 'customers');
select supasaasy.slow_down('stripe_main', 'customers', 'endpoint-rate', '9 seconds');
select is(
  (select rate_limited_until from pg_temp.customer_status()), supasaasy.clock() + interval '9 seconds',
  'a rate limit, and until when'
);
insert into supasaasy.schedules (app_key, cron) values ('stripe_main', '* * * * *');
select is(
  (select next_scheduled_at from pg_temp.customer_status()),
  supasaasy.cron_next('* * * * *', supasaasy.clock()), 'and when it is scheduled next'
);
select throws_ok(
  format('call supasaasy.wait(%s)', (select max(id) from supasaasy.sync_jobs)), '55000', null,
  'nobody waits for a job of the own transaction'
);
select throws_ok($$ select * from supasaasy.job_progress(-1) $$, 'P0002', 'there is no job -1', 'an unknown job is named');
select results_eq(
  $$ select resource, kind, state, error_message from supasaasy.job_tasks((select max(id) from supasaasy.sync_jobs)) limit 1 $$,
  $$ values ('customer', 'list', 'waiting', 'the provider is down') $$, 'job_tasks shows the tasks'
);
update supasaasy.apps set enabled = false where true;
select is((select distinct status from supasaasy.status), 'disabled', 'a disabled app');

select * from finish();
rollback;
