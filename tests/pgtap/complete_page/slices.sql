begin;
set local search_path = extensions, public;
select plan(7);

select tests.have_app('stripe_main', '{"max_concurrency": 3}');
select supasaasy.sync('stripe_main', 'full', array['customer', 'price']);
select is(
  (select array_agg(params order by params) from supasaasy.sync_tasks where collection_key = 'stripe_price'),
  array['{"active": "false"}', '{"active": "true"}']::jsonb[],
  'prices are listed twice, active and inactive'
);
select tests.bring_page('stripe_price', '[]');
select tests.bring_page('stripe_price', '[]');
select is(
  (select count(*)::integer from supasaasy.sync_tasks where collection_key = 'stripe_customer'), 1,
  'a listing starts as one task'
);
select tests.bring_page('stripe_customer', tests.customers(1, 2), 'cus_000002');
select is(
  (select count(*)::integer from supasaasy.sync_tasks where collection_key = 'stripe_customer'), 2,
  'while pages remain and there is room, its range halves'
);
select tests.bring_page('stripe_customer', tests.customers(3, 4), 'cus_000004');
select results_eq(
  $$ select a.created_gte = b.created_lt
     from (select created_gte, created_lt, lag(id) over (order by created_lt desc) as newer, id
           from supasaasy.sync_tasks where collection_key = 'stripe_customer') b
     join supasaasy.sync_tasks a on a.id = b.newer $$,
  $$ values (true), (true) $$,
  'slices are half-open and touch: nothing is listed twice or between them'
);
select is(
  (select count(*)::integer from supasaasy.sync_tasks
   where collection_key = 'stripe_customer' and created_gte is null), 1,
  'the lowest slice is unbounded below'
);
select tests.bring_page('stripe_customer', tests.customers(5, 6), 'cus_000006');
select is(
  (select count(*)::integer from supasaasy.sync_tasks where collection_key = 'stripe_customer'), 3,
  'an app without room slices no further'
);
select ok(
  (select bool_and(cursor_created >= created_gte) from supasaasy.sync_tasks
   where cursor is not null and created_gte is not null),
  'a task''s cursor stays inside its range'
);

select * from finish();
rollback;
