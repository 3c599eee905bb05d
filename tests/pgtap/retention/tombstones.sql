begin;
set local search_path = extensions, public;
select plan(5);

select tests.have_app();
select tests.stop_clock_at('2026-03-01');
insert into supasaasy.tombstones
  (app_key, collection_key, external_id, observed_at, observed_until, deleted_at)
values
  ('stripe_main', 'stripe_customer', 'old', '2026-01-01', '2026-01-01', '2026-01-01'),
  ('stripe_main', 'stripe_customer', 'young', '2026-01-01', '2026-01-01', '2026-02-20');
insert into supasaasy.seen_events (app_key, event_id, seen_at)
values ('stripe_main', 'evt_old', '2026-02-01'), ('stripe_main', 'evt_young', '2026-02-27');

select supasaasy.clean_up();
select is(tests.buried('stripe_customer'), 'old young', 'without a complete listing no tombstone goes');
select is((select string_agg(event_id, ' ') from supasaasy.seen_events), 'evt_young',
  'old event ids are forgotten');
insert into supasaasy.sync_state (app_key, collection_key, complete_as_of, events_as_of, floor, floor_from)
values ('stripe_main', 'stripe_customer', '2026-02-01', '2026-02-01', '2026-02-01', '2025-01-01');
select supasaasy.clean_up();
select is(tests.buried('stripe_customer'), 'old young', 'nor for a listing of a part');
update supasaasy.sync_state set floor_from = null where true;
select supasaasy.clean_up();
select is(tests.buried('stripe_customer'), 'young', 'below the floor old ones are forgotten');
select tests.observe('stripe_customer', tests.customers(1, 1), '2026-01-02', '2026-01-03', 'event');
select is(tests.open_tasks('stripe_customer'), 'revalidate:cus_000001',
  'a late event of what was forgotten is fetched, not believed');

select * from finish();
rollback;
