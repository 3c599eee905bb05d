begin;
set local search_path = extensions, public;
select plan(10);

create function pg_temp.queue(p_app_key text, p_count integer, p_priority integer default 2)
returns void
language sql
as $$
  insert into supasaasy.sync_tasks
    (app_key, collection_key, kind, external_id, priority, page_size)
  select p_app_key, 'stripe_customer', 'revalidate', 'cus_' || p_priority || '_' || i, p_priority, 1
  from generate_series(1, p_count) as i;
$$;

select throws_ok(
  $$ select supasaasy.claim_tasks(0) $$, '22023', 'cannot claim 0 tasks', 'a limit is at least 1'
);
select tests.have_app('big', '{"max_concurrency": 5}');
select tests.have_app('small', '{"max_concurrency": 5}');
select pg_temp.queue('big', 50);
select pg_temp.queue('small', 1);

create temporary table claimed as
select t.app_key
from supasaasy.claim_tasks(2) c join supasaasy.sync_tasks t on t.id = c.task_id;
select bag_eq(
  $$ select app_key from claimed $$, array['big', 'small'],
  'a small app has its turn beside a huge backlog'
);
select is(
  (select count(*)::integer from supasaasy.claim_tasks(100)), 4,
  'an app never has more leased than its concurrency'
);
select is((select count(*)::integer from supasaasy.claim_tasks(100)), 0, 'not even later');

select tests.have_app('urgent', '{"max_concurrency": 1}');
select pg_temp.queue('urgent', 2, 2);
select pg_temp.queue('urgent', 2, 0);
select is(
  (select t.priority::integer from supasaasy.claim_tasks(1) c
   join supasaasy.sync_tasks t on t.id = c.task_id),
  0,
  'revalidations go before listings'
);

select tests.have_app('later', '{"max_concurrency": 10}');
select pg_temp.queue('later', 3);
update supasaasy.sync_tasks set run_after = now() + interval '1 hour' where app_key = 'later';
select is(
  (select count(*)::integer from supasaasy.claim_tasks(9, 'later')), 0,
  'nothing is claimed before its time'
);
update supasaasy.sync_tasks set run_after = now() - interval '1 hour' where app_key = 'later';
update supasaasy.apps set enabled = false where app_key = 'later';
select is(
  (select count(*)::integer from supasaasy.claim_tasks(9, 'later')), 0,
  'nothing of a disabled app is claimed'
);
update supasaasy.apps set enabled = true where app_key = 'later';
select supasaasy.set_setting('max_in_flight', '8');
select is(
  (select count(*)::integer from supasaasy.claim_tasks(9, 'later')), 1,
  'all apps together never have more leased than max_in_flight'
);

delete from net.http_request_queue where true;
select supasaasy.set_setting('max_in_flight', '64');
select supasaasy.start_tasks(1, 'later');
select is(
  (select array_agg(k order by k) from net.http_request_queue q,
     jsonb_object_keys(convert_from(q.body::text::bytea, 'utf8')::jsonb) k),
  array['task_id', 'token'],
  'a start carries a task id and a token, and nothing else'
);
select is(
  (select string_agg(url, ' ') from net.http_request_queue),
  'http://127.0.0.1:9/functions/v1/fetch-page',
  'it goes to fetch-page'
);

select * from finish();
rollback;
