begin;
set local search_path = extensions, public;
select plan(18);

select tests.have_app('stripe_main', '{"max_concurrency": 1}');
select tests.stop_clock_at(clock_timestamp());

create function pg_temp.fail(
  p_class text,
  p_message text default 'it broke',
  p_retry_after double precision default null,
  p_collection_key text default 'stripe_customer'
)
returns text
language plpgsql
as $$
declare
  v_id bigint := tests.task(p_collection_key);
begin
  update supasaasy.sync_tasks set run_after = supasaasy.clock() where id = v_id;
  perform supasaasy.fail_page(v_id, tests.begin(v_id), p_class, p_message, p_retry_after);
  return (select state from supasaasy.sync_tasks where id = v_id);
end;
$$;

create function pg_temp.wait_of(p_collection_key text default 'stripe_customer')
returns interval
language sql
as $$ select run_after - supasaasy.clock() from supasaasy.sync_tasks
  where id = tests.task(p_collection_key); $$;

select throws_ok(
  $$ select supasaasy.fail_page(1, gen_random_uuid(), 'bad luck', 'x') $$,
  '22023', 'cannot fail a page with class "bad luck"', 'an unknown class is named'
);
select is(
  supasaasy.fail_page(1, gen_random_uuid(), 'transient', 'x') ->> 'status', 'stale',
  'a stale token fails nothing'
);

select supasaasy.sync('stripe_main', 'full', array['customer', 'product']);
select is(pg_temp.fail('transient'), 'waiting', 'after a transient error the task waits');
select ok(pg_temp.wait_of() between '0.75 s' and '1.25 s', 'a second, with jitter');
select is(pg_temp.fail('transient'), 'waiting', 'and again');
select ok(pg_temp.wait_of() between '1.5 s' and '2.5 s', 'twice as long');
select is(pg_temp.fail('transient', 'busy', 40), 'waiting', 'Retry-After is honoured');
select is(pg_temp.wait_of(), '40 s', 'to the second');
select is(pg_temp.fail('rate_limited', 'slow down', 7), 'waiting', 'a rate limit waits');
select is(
  (select attempts from supasaasy.sync_tasks where id = tests.task('stripe_customer')), 3,
  'and does not count as a failure'
);
select tests.move_clock('10 minutes');
update supasaasy.sync_tasks set run_after = supasaasy.clock() where state = 'waiting';
select tests.bring_page('stripe_customer', tests.customers(1, 2), 'cus_000002');
select is(
  (select attempts from supasaasy.sync_tasks where id = tests.task('stripe_customer')), 0,
  'a page resets the count'
);
select is(pg_temp.fail('cursor_gone'), 'waiting', 'a cursor that is gone goes on');
select results_eq(
  $$ select cursor, created_lt from supasaasy.sync_tasks where id = tests.task('stripe_customer') $$,
  $$ values (null::text, 1699999999::bigint) $$,
  'from the last row''s second, which is read again'
);
select is(
  pg_temp.fail('forbidden', 'no permission for products', null, 'stripe_product'), 'failed',
  'a missing permission fails its resource'
);
select is(
  (select status from supasaasy.sync_runs where collection_key = 'stripe_customer'), 'running',
  'and no other'
);
select supasaasy.set_setting('max_attempts', '2');
select is(pg_temp.fail('transient', 'down'), 'failed', 'after the last attempt the task has failed');
select results_eq(
  $$ select status, error_message from supasaasy.job_status((select max(id) from supasaasy.sync_jobs)) $$,
  $$ values ('failed', 'stripe_customer: down; stripe_product: no permission for products') $$,
  'the job says which resources failed, and why'
);
select supasaasy.sync('stripe_main', 'full', array['customer', 'product', 'price']);
select pg_temp.fail('auth', 'the key was revoked');
select is(
  (select count(*)::integer from supasaasy.sync_tasks t join supasaasy.sync_runs r on r.id = t.run_id
   where r.job_id = (select max(id) from supasaasy.sync_jobs)
     and t.state in ('pending', 'waiting')),
  0,
  'a refused key leaves nothing of the job waiting'
);

select * from finish();
rollback;
