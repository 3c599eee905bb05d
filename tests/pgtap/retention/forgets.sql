begin;
set local search_path = extensions, public;
select plan(7);

select tests.have_app();
select tests.stop_clock_at(now() - interval '40 days');
select tests.sync_listing('stripe_customer', tests.customers(1, 3));
select tests.sync_listing('stripe_product', '[]');
select supasaasy.refetch('stripe_main', 'customer', 'cus_000001');
select tests.bring_page('stripe_customer', tests.customers(1, 1), null, 'cus_000001');
insert into supasaasy.alerts (app_key, kind, subject, message, resolved_at)
values ('stripe_main', 'job_failed', 'job 1', 'x', supasaasy.clock()), ('stripe_main', 'job_failed', 'job 2', 'x', null);
insert into cron.job_run_details (jobid, command, status, end_time)
select jobid, command, 'succeeded', now() - interval '2 days' from cron.job where jobname = 'supasaasy-tick';
insert into cron.job_run_details (jobid, command, status, end_time) values (-1, 'select 1', 'succeeded', now() - interval '2 days');
update supasaasy.heartbeat set cleaned_at = null where true;

select tests.stop_clock_at(clock_timestamp());
select is((select count(*)::integer from supasaasy.sync_jobs where status = 'completed'), 2, 'two jobs are old');
select supasaasy.clean_up() from generate_series(1, 3);
select is((select count(*)::integer from supasaasy.sync_jobs), 1, 'old jobs go, and the last that completed stays');
select is((select count(*)::integer from supasaasy.sync_tasks where run_id is null), 0, 'tasks without a job go');
select is((select count(*)::integer from supasaasy.entities), 3, 'the data stays');
select is((select string_agg(subject, ' ') from supasaasy.alerts), 'job 2', 'resolved alerts go, open ones stay');
select is(
  (select count(*)::integer from cron.job_run_details d join cron.job j using (jobid)
   where j.jobname = 'supasaasy-tick' and d.end_time < now() - interval '1 day'),
  0, 'the runs of our cron jobs go'
);
select is((select count(*)::integer from cron.job_run_details where jobid = -1), 1, 'those of others stay');

select * from finish();
rollback;
