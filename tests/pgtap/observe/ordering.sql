begin;
set local search_path = extensions, public;
select plan(24);

select tests.have_app();
select tests.stop_clock_at('2026-01-01 12:00:00+00');
create function pg_temp.at(p_seconds integer)
returns timestamptz
language sql
as $$ select '2026-01-01 11:00:00+00'::timestamptz + p_seconds * interval '1 second'; $$;
create function pg_temp.see(
  p_name text,
  p_at integer,
  p_until integer,
  p_source text default 'page'
)
returns text
language sql
as $$
  select tests.observe(
    'stripe_customer',
    case when p_name is null then '[]' else
      jsonb_build_array(tests.customer('cus_1', jsonb_build_object('name', p_name))) end,
    pg_temp.at(p_at), pg_temp.at(p_until), p_source,
    case when p_name is null then array['cus_1'] else array[]::text[] end
  );
$$;
create function pg_temp.name_of()
returns text
language sql
as $$ select max(name) from supasaasy.stripe_customers; $$;

select is(pg_temp.see('old', 100, 110), '1 inserted, 0 updated, 0 unchanged, 0 deleted', 'new');
select is(pg_temp.see('older', 80, 90), '0 inserted, 0 updated, 1 unchanged, 0 deleted', 'older');
select is(pg_temp.name_of(), 'old', 'an older page does not overwrite');
select pg_temp.see('new', 120, 130);
select is(pg_temp.name_of(), 'new', 'a newer one does');
select is(tests.open_tasks('stripe_customer'), '', 'and nothing is in doubt');

select pg_temp.see('doubt', 125, 135, 'event');
select is(pg_temp.name_of(), 'doubt', 'overlapping: the later lower bound stands');
select is(tests.open_tasks('stripe_customer'), 'revalidate:cus_1', 'and the object is fetched');
select ok(
  (select run_after > pg_temp.at(135) from supasaasy.sync_tasks), 'after both intervals have ended'
);
select pg_temp.see('more doubt', 122, 150);
select is(pg_temp.name_of(), 'doubt', 'with an earlier lower bound nothing is written');
select results_eq(
  $$ select count(*)::integer, max(run_after) > pg_temp.at(150) from supasaasy.sync_tasks $$,
  $$ values (1, true) $$,
  'one fetch answers every doubt, and moves with it'
);

select is(
  pg_temp.see(null, 160, 170, 'event'), '0 inserted, 0 updated, 0 unchanged, 1 deleted',
  'a delete that is newer deletes'
);
select is(tests.buried('stripe_customer'), 'cus_1', 'and leaves a tombstone');
select pg_temp.see('late', 100, 110);
select pg_temp.see('late', 130, 140, 'event');
select is(tests.ids('stripe_customer'), '', 'a late page or event does not bring it back');
select pg_temp.see(null, 100, 110, 'event');
select is(tests.buried('stripe_customer'), 'cus_1', 'nor does a repeated delete change anything');
select pg_temp.see('alive', 180, 190);
select is(tests.ids('stripe_customer'), 'cus_1', 'what is seen later lives');
select is(tests.buried('stripe_customer'), '', 'and has no tombstone');

select tests.observe('stripe_customer', '[]', pg_temp.at(1), pg_temp.at(2), 'event', array['cus_9']);
select is(
  tests.buried('stripe_customer'), 'cus_9', 'the delete of an unknown object is remembered too'
);
create temporary table before as
select updated_at, observed_until from supasaasy.entities where external_id = 'cus_1';
select tests.move_clock('1 minute');
select pg_temp.see('alive', 200, 210, 'event');
select ok(
  (select e.updated_at = b.updated_at and e.observed_until > b.observed_until
   from supasaasy.entities e, before b where e.external_id = 'cus_1'),
  'an event with the same payload records its interval, and is no update'
);

insert into supasaasy.sync_state (app_key, collection_key, complete_as_of, events_as_of, floor)
values ('stripe_main', 'stripe_customer', pg_temp.at(500), pg_temp.at(500), pg_temp.at(500));
select tests.observe('stripe_customer', tests.customers(7, 7), pg_temp.at(400), pg_temp.at(450), 'event');
select is(
  tests.ids('stripe_customer'), 'cus_1',
  'what ended before the last complete listing began, and it did not show, is not written'
);
select matches(
  tests.open_tasks('stripe_customer'), 'revalidate:cus_000007',
  'but fetched: listings omit objects that live'
);
select pg_temp.see('from before', 300, 310, 'event');
select is(
  (select name from supasaasy.stripe_customers where external_id = 'cus_1'), 'alive',
  'of a known object it is not written either'
);
select tests.observe('stripe_customer', tests.customers(7, 7), pg_temp.at(499), pg_temp.at(501), 'event');
select is(tests.ids('stripe_customer'), 'cus_000007 cus_1', 'what did not, is not');

select is(
  tests.observe('stripe_customer',
    jsonb_build_array(tests.customer('cus_2', '{"name": "a"}'), tests.customer('cus_2', '{"name": "a"}')),
    pg_temp.at(600), pg_temp.at(610)),
  '1 inserted, 0 updated, 0 unchanged, 0 deleted',
  'one id twice in a page is one row'
);
select tests.observe('stripe_customer',
  jsonb_build_array(tests.customer('cus_3', '{"name": "a"}'), tests.customer('cus_3', '{"name": "b"}')),
  pg_temp.at(600), pg_temp.at(610));
select matches(
  tests.open_tasks('stripe_customer'), 'revalidate:cus_3', 'with different payloads it is fetched'
);

select * from finish();
rollback;
