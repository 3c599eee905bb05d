begin;
set local search_path = extensions, public;
select plan(21);

select tests.have_app();
select tests.stop_clock_at(clock_timestamp());

create function pg_temp.fail(p_class text, p_message text default 'it failed')
returns void
language sql
as $$
  update supasaasy.sync_tasks set run_after = supasaasy.clock() where state = 'waiting';
  select supasaasy.fail_page(t.id, tests.begin(t.id), p_class, p_message)
  from (select tests.task('stripe_customer') as id) t;
$$;
create function pg_temp.breaker()
returns text
language sql
as $$ select supasaasy.breaker_state(a) from supasaasy.apps a where app_key = 'stripe_main'; $$;

-- A refused key.
select supasaasy.sync('stripe_main', 'full', array['customer', 'product']);
select pg_temp.fail('auth', 'the key was revoked');
select is(pg_temp.breaker(), 'open', 'a refused key opens the breaker at once');
select is((select status from supasaasy.sync_jobs where id = (select max(id) from supasaasy.sync_jobs)),
  'failed', 'and the job fails');
select results_eq(
  $$ select distinct status, breaker, last_error from supasaasy.status $$,
  $$ values ('breaker open', 'open', 'the key was revoked') $$,
  'status says so, in one message'
);
select supasaasy.queue_job('stripe_main', 'full', null);
select is(
  (select count(*)::integer from supasaasy.claim_tasks(10)), 0,
  'nothing is started while it is open'
);
select tests.move_clock('31 seconds');
select is(pg_temp.breaker(), 'half_open', 'after its wait it is half-open');
select is(
  (select count(*)::integer from supasaasy.claim_tasks(10)), 1,
  'and one task probes'
);
select is((select count(*)::integer from supasaasy.claim_tasks(10)), 0, 'one at a time');
select supasaasy.fail_page(id, tests.begin(id), 'auth', 'still revoked')
from supasaasy.sync_tasks where state = 'leased';
select is(
  (select breaker_retry_at - supasaasy.clock() from supasaasy.apps), '60 seconds'::interval,
  'a probe that fails opens it for twice as long'
);
select tests.have_app('stripe_eu');
select supasaasy.queue_job('stripe_eu', 'full', array['customer']);
select is(
  (select count(*)::integer from supasaasy.claim_tasks(10)), 1,
  'other apps go on'
);
select supasaasy.set_secret('stripe_main', 'api_key', 'sk_test_a_new_one');
select is(pg_temp.breaker(), 'closed', 'a new key closes it');

-- Failures of the provider.
select supasaasy.sync('stripe_main', 'full', array['customer']);
select pg_temp.fail('transient') from generate_series(1, 4);
select is(pg_temp.breaker(), 'closed', 'four failures in a row do not open it');
update supasaasy.sync_tasks set run_after = supasaasy.clock() where true;
select tests.bring_page('stripe_customer', tests.customers(1, 2), 'cus_000002');
select is((select failures from supasaasy.apps where app_key = 'stripe_main'), 0, 'a success resets the count');
update supasaasy.sync_tasks set state = 'pending', start_token = null, lease_expires_at = null
where start_token is not null;
select pg_temp.fail('transient', 'the provider is down') from generate_series(1, 5);
select is(pg_temp.breaker(), 'open', 'five do');
select tests.move_clock('2 minutes');
select is(pg_temp.breaker(), 'half_open', 'it is tried again by itself');
update supasaasy.sync_tasks set run_after = supasaasy.clock() where true;
select tests.bring_page('stripe_customer', tests.customers(1, 2), 'cus_000002');
select is(pg_temp.breaker(), 'closed', 'and the probe''s success closes it');

-- What does not open it.
update supasaasy.sync_tasks set state = 'pending', start_token = null, lease_expires_at = null
where start_token is not null;
select pg_temp.fail('rate_limited') from generate_series(1, 9);
select is(pg_temp.breaker(), 'closed', 'rate limits do not open it');
select pg_temp.fail('forbidden', 'rak_customer_read is missing');
select is(pg_temp.breaker(), 'closed', 'nor does a missing permission');

select pg_temp.fail('auth') from supasaasy.sync('stripe_main', 'full', array['customer']);
select supasaasy.sync('stripe_main', 'full', array['customer']);
select is(
  pg_temp.breaker(), 'half_open',
  'whoever asks for a sync lets one task try at once'
);

-- The probe: one at a time, and any answer of the provider closes the breaker.
update supasaasy.sync_tasks set state = 'leased', start_token = gen_random_uuid(),
  lease_expires_at = supasaasy.clock() + interval '1 minute'
where state in ('pending', 'waiting') and app_key = 'stripe_main';
select supasaasy.queue_job('stripe_main', 'full', '{product}');
update supasaasy.sync_tasks set state = 'leased', start_token = gen_random_uuid(),
  lease_expires_at = supasaasy.clock() + interval '1 minute'
where state in ('pending', 'waiting') and app_key = 'stripe_main';
create temporary table begun as
select t.id, supasaasy.begin_page(t.id, t.start_token) as o
from supasaasy.sync_tasks t where t.app_key = 'stripe_main' and t.start_token is not null order by t.id;
select is(
  (select array_agg(o ->> 'status' order by id) from begun), array['begun', 'later'],
  'of two tasks that were started one probes'
);
select supasaasy.fail_page(id, (o ->> 'work_token')::uuid, 'forbidden', 'no permission')
from begun where o ->> 'status' = 'begun';
select is(pg_temp.breaker(), 'closed', 'a provider that answers closes the breaker');
select is(
  (select count(*)::integer from supasaasy.sync_tasks
   where app_key = 'stripe_main' and state = 'leased' and start_token is not null),
  1, 'and the other task goes on at once'
);

select * from finish();
rollback;
