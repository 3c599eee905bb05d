-- The heartbeat looks every few seconds for what is due and what is past its retention: what is
-- neither must not be read for that, however much of it there is.
begin;
set local search_path = extensions, public;
select plan(4);

select tests.have_app();
insert into supasaasy.tombstones
  (app_key, collection_key, external_id, observed_at, observed_until)
select 'stripe_main', 'stripe_customer', 'cus_' || i, now(), now()
from generate_series(1, 3000) as i;
insert into supasaasy.seen_events (app_key, event_id)
select 'stripe_main', 'evt_' || i from generate_series(1, 3000) as i;
insert into supasaasy.sync_tasks
  (app_key, collection_key, kind, external_id, priority, page_size, state, run_after)
select 'stripe_main', 'stripe_customer', 'revalidate', 'cus_' || i, 0, 1, 'waiting',
  supasaasy.clock() + interval '1 hour'
from generate_series(1, 3000) as i;
analyze supasaasy.tombstones, supasaasy.seen_events, supasaasy.sync_tasks;

create function pg_temp.rows_read_by(p_statement text)
returns bigint
language sql
as $$
  select tests.rows_read_by(p_statement, array['tombstones', 'seen_events', 'sync_tasks']);
$$;

select cmp_ok(
  pg_temp.rows_read_by('select supasaasy.clean_up()'), '<', 100::bigint,
  'what is within its retention is not read to forget what is past it'
);
select cmp_ok(
  pg_temp.rows_read_by('select supasaasy.claim_tasks(10)'), '<', 100::bigint,
  'tasks that wait are not read to find those that are due'
);
select cmp_ok(
  pg_temp.rows_read_by('select supasaasy.tick()'), '<', 200::bigint,
  'nor by a tick'
);
update supasaasy.sync_tasks set run_after = supasaasy.clock() where external_id = 'cus_2000';
select is(
  (select count(*)::integer from supasaasy.claim_tasks(10)), 1, 'the one that is due is found'
);

select * from finish();
rollback;
