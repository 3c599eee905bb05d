begin;
set local search_path = extensions, public;
select plan(6);

create function pg_temp.queue(p_app_key text, p_count integer)
returns void
language sql
as $$
  insert into supasaasy.sync_tasks
    (app_key, collection_key, kind, external_id, priority, page_size)
  select p_app_key, 'stripe_customer', 'revalidate', 'cus_' || i, 0, 1
  from generate_series(1, p_count) as i;
$$;

create function pg_temp.claim(p_limit integer)
returns text
language sql
as $$
  select coalesce(string_agg(t.app_key, ' ' order by t.app_key), '')
  from supasaasy.claim_tasks(p_limit) c
  join supasaasy.sync_tasks t on t.id = c.task_id;
$$;

select tests.have_app(a, '{"max_concurrency": 5}') from unnest(array['a', 'b', 'c', 'd']) as a;
select pg_temp.queue(a, 5) from unnest(array['a', 'b', 'c', 'd']) as a;
select is(
  array[pg_temp.claim(1), pg_temp.claim(1), pg_temp.claim(1), pg_temp.claim(1), pg_temp.claim(1)],
  array['a', 'b', 'c', 'd', 'a'],
  'apps take turns, round and round'
);
select is(pg_temp.claim(4), 'a b c d', 'several at once are dealt one to each');
select supasaasy.set_setting('max_in_flight', '11');
select is(pg_temp.claim(9), 'b c', 'the last leases go on where the last turn ended');

-- Every lease is taken: a chain's next page is somebody else's turn.
create temporary table chain as
select id, tests.begin(id) as token from supasaasy.sync_tasks where app_key = 'a' and state = 'leased' limit 1;
select tests.have_app('e', '{"max_concurrency": 5}');
insert into supasaasy.sync_jobs (app_key, mode, resources) values ('a', 'full', '{}');
insert into supasaasy.sync_runs (job_id, app_key, collection_key, status, began_at)
select id, 'a', 'stripe_customer', 'running', now() from supasaasy.sync_jobs;
update supasaasy.sync_tasks t
set kind = 'list', external_id = null, priority = 2, run_id = r.id
from supasaasy.sync_runs r
where t.id = (select id from chain);
create temporary table answer as
select supasaasy.complete_page(id, token, tests.customers(1, 2), 'cus_000002') as a from chain;
select is(
  (select t.app_key from answer join supasaasy.sync_tasks t on t.id = (a #>> '{next,task_id}')::bigint),
  'd',
  'while leases are scarce a chain goes on with the next app'
);
select is(
  (select state from supasaasy.sync_tasks where id = (select id from chain)), 'pending',
  'and its own page waits for its turn'
);
select supasaasy.set_setting('max_in_flight', '64');
update supasaasy.sync_tasks set state = 'pending', start_token = null, lease_expires_at = null
where state = 'leased' and begun_at is null;
create temporary table again as
select id, tests.begin(id) as token from chain;
select is(
  (select (supasaasy.complete_page(id, token, tests.customers(3, 4), 'cus_000004')
    #>> '{next,task_id}')::bigint <> id from again),
  true,
  'with leases to spare it yields to what is more urgent of its own app only'
);

select * from finish();
rollback;
