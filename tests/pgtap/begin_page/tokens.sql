begin;
set local search_path = extensions, public;
select plan(11);

select tests.have_app();
select supasaasy.sync('stripe_main', 'full', array['customer']);
create temporary table t as
select id, start_token from supasaasy.sync_tasks where collection_key = 'stripe_customer';

create function pg_temp.status(p_id bigint, p_token uuid)
returns text
language sql
as $$ select supasaasy.begin_page(p_id, p_token) ->> 'status'; $$;

select is(pg_temp.status(id, gen_random_uuid()), 'refused', 'a forged token is refused') from t;
select is(pg_temp.status(id, null), 'refused', 'so is none') from t;
select is(pg_temp.status(-1, start_token), 'refused', 'and a task that does not exist') from t;
select is(
  (select count(*)::integer from supasaasy.sync_tasks where work_token is not null), 0,
  'none of them changed anything'
);
create temporary table work as select supasaasy.begin_page(id, start_token) as o from t;
select is((select o ->> 'status' from work), 'begun', 'the token that was issued begins a page');
select is(pg_temp.status(id, start_token), 'refused', 'a second begin with it is refused') from t;
select results_eq(
  $$ select o ->> 'resource', o ->> 'operation', o ->> 'api_key_env', o ->> 'cursor',
       (o ->> 'page_size')::integer from work $$,
  $$ values ('customer', 'list', 'STRIPE_API_KEY', null, 100) $$,
  'the order says what to fetch, and where the key is'
);
select is((select o ->> 'api_key' from work), null, 'it does not hold a key that lies elsewhere');

select supasaasy.sync('stripe_main', 'full', array['product']);
select tests.stop_clock_at(clock_timestamp() + interval '2 minutes');
select is(
  pg_temp.status(id, start_token), 'refused', 'an expired start is refused'
) from supasaasy.sync_tasks where collection_key = 'stripe_product';
select supasaasy.sync('stripe_main', 'full', array['plan']) as plan_job;
select supasaasy.cancel(max(id)) from supasaasy.sync_jobs;
select is(
  pg_temp.status(id, start_token), 'refused', 'a page of a cancelled job is not begun'
) from supasaasy.sync_tasks where collection_key = 'stripe_plan';
select is(
  (select state from supasaasy.sync_tasks where collection_key = 'stripe_plan'), 'cancelled',
  'its task is cancelled instead'
);

select * from finish();
rollback;
