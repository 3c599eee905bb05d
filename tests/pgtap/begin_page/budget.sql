begin;
set local search_path = extensions, public;
select plan(9);

select tests.have_app();
select supasaasy.set_setting('rate_headroom', '0.8');
select tests.stop_clock_at(clock_timestamp());
select is(
  (select array_agg(supasaasy.reserve_request('stripe_main', 'customers')) from generate_series(1, 3)),
  array['0 ms', '50 ms', '100 ms']::interval[],
  'requests of one endpoint are spaced by its rate: 80 % of 25 a second'
);
select is(
  supasaasy.reserve_request('stripe_main', 'products'), '150 ms'::interval,
  'a sandbox''s endpoints share its 25 a second'
);
select supasaasy.reserve_request('stripe_main', 'customers') from generate_series(1, 60);
select ok(
  supasaasy.reserve_request('stripe_main', 'customers') > interval '2 seconds',
  'beyond two seconds nothing is reserved'
);
select supasaasy.sync('stripe_main', 'full', array['customer']);
select is(
  (select supasaasy.begin_page(id, start_token) ->> 'status' from supasaasy.sync_tasks
   where collection_key = 'stripe_customer'),
  'later',
  'a page that would wait longer goes back to the queue'
);
select supasaasy.slow_down('stripe_main', 'customers', 'endpoint-rate', '5 seconds');
select is(
  (select round(factor::numeric, 2) from supasaasy.rate_budgets where endpoint = 'customers'), 0.90,
  'a refusal lowers the budget of the endpoint that it names'
);
select supasaasy.slow_down(
  'stripe_main', 'customers', 'endpoint-rate', '5 seconds', supasaasy.clock() - interval '1 second'
);
select is(
  (select round(factor::numeric, 2) from supasaasy.rate_budgets where endpoint = 'customers'), 0.90,
  'one that was under way then does not lower it once more'
);
select supasaasy.slow_down('stripe_main', 'customers', 'global-rate', null);
select is(
  (select round(factor::numeric, 2) from supasaasy.rate_budgets where endpoint = '*'), 0.90,
  'or of the whole app'
);
select tests.move_clock('13 seconds');
select is(
  (select supasaasy.budget_share(factor, slowed_at) from supasaasy.rate_budgets where endpoint = '*'),
  1::double precision,
  'and is whole again soon after'
);

truncate supasaasy.rate_budgets;
update supasaasy.apps set account_id = 'acct_test', livemode = true;
select supasaasy.reserve_request('stripe_main', 'customers') from generate_series(1, 20);
select is(
  supasaasy.reserve_request('stripe_main', 'products'), '250 ms'::interval,
  'in live mode a busy endpoint leaves the other endpoints their share of the 100 a second'
);

select * from finish();
rollback;
