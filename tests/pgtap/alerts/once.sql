begin;
set local search_path = extensions, public;
select plan(11);

select tests.have_app();
select supasaasy.watch();
delete from net.http_request_queue where true;
create function pg_temp.alerts()
returns text
language sql
as $$
  select coalesce(string_agg(kind, ' ' order by kind), '') from supasaasy.alerts where resolved_at is null;
$$;

select is(supasaasy.watch(), 0, 'all is well');
select supasaasy.sync('stripe_main', 'full', array['customer']);
select supasaasy.fail_page(id, tests.begin(id), 'auth', 'the key was revoked')
from (select tests.task('stripe_customer') as id) t;
select is(supasaasy.watch(), 2, 'a failed job and an open breaker are two alerts');
select is(pg_temp.alerts(), 'breaker_open job_failed', 'by their names');
select is(supasaasy.watch(), 0, 'each is told once');
select supasaasy.set_setting('alert_url', 'http://127.0.0.1:9/alerts');
delete from net.http_request_queue where true;
select supasaasy.set_secret('stripe_main', 'api_key', 'sk_test_a_new_one');
select tests.sync_listing('stripe_customer', '[]');
select is(supasaasy.watch(), 2, 'their end is told once, too');
select is(pg_temp.alerts(), '', 'nothing is left');
select is(
  (select count(*)::integer from net.http_request_queue where url = 'http://127.0.0.1:9/alerts'), 2,
  'each change is posted to alert_url'
);

insert into supasaasy.schedules (app_key, cron) values ('stripe_main', '*/5 * * * *');
update supasaasy.sync_state set complete_as_of = now() - interval '3 days', events_as_of = now() - interval '3 days'
where true;
update supasaasy.schedules set next_at = now() - interval '1 hour' where true;
select supasaasy.watch();
select is(pg_temp.alerts(), 'schedule_missed stale', 'a missed schedule and staleness are alerts');

select tests.observe('stripe_product', (
  select jsonb_agg(jsonb_build_object('id', 'prod_' || i)) from generate_series(1, 100) as i
), now() - interval '1 day', now() - interval '1 day');
select tests.sync_listing('stripe_product', '[]');
select supasaasy.watch();
select is(pg_temp.alerts(), 'schedule_missed stale sweep_held', 'a held sweep is one');
select matches(
  (select message from supasaasy.alerts where kind = 'sweep_held'), 'confirm_sweep', 'that says what to do'
);
update supasaasy.apps set enabled = false where true;
select supasaasy.watch();
select is(pg_temp.alerts(), 'sweep_held', 'a disabled app is not stale');

select * from finish();
rollback;
