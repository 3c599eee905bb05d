begin;
set local search_path = extensions, public;
select plan(9);

select tests.have_app();
select tests.stop_clock_at('2026-01-01 12:00:00+00');
create function pg_temp.run_of(p_job_id bigint)
returns text
language sql
as $$ select string_agg(collection_key, ' ' order by collection_key)
  from supasaasy.sync_runs where job_id = p_job_id; $$;
create temporary table j (id bigint);

insert into j select supasaasy.sync('stripe_main', 'incremental', array['customer', 'product']);
select is(pg_temp.run_of(id), 'stripe_customer stripe_product',
  'the first incremental sync lists everything') from j;
select tests.bring_page('stripe_customer', tests.customers(1, 2));
select tests.bring_page('stripe_product', '[]');

select tests.move_clock('1 hour');
truncate j;
insert into j select supasaasy.sync('stripe_main', 'incremental', array['customer', 'product', 'plan']);
select is(pg_temp.run_of(id), 'stripe_event stripe_plan',
  'then it reads the events, and lists only what was never complete') from j;
select is(
  (select params ->> 'types' from supasaasy.sync_tasks where id = tests.task('stripe_event')),
  'customer.created,customer.updated,customer.deleted,product.created,product.updated,product.deleted',
  'of the types in use'
);
select is(
  (select to_timestamp(created_gte) from supasaasy.sync_tasks where id = tests.task('stripe_event')),
  '2026-01-01 11:58:48+00',
  'from before the last time: the list lags a minute, clocks differ, and some seconds overlap'
);
select supasaasy.complete_page(
  p_task_id := tests.task('stripe_event'),
  p_work_token := tests.begin(tests.task('stripe_event')),
  p_rows := '[]',
  p_events := jsonb_build_array(jsonb_build_object(
    'id', 'evt_1', 'created', extract(epoch from supasaasy.clock() - interval '10 minutes'),
    'api_version', '2026-10-28.endive', 'account', null, 'livemode', false, 'resource', 'customer',
    'external_id', 'cus_000001', 'deleted', true, 'object', tests.customer('cus_000001')))
) is not null;
select is(tests.ids('stripe_customer'), 'cus_000002', 'a deletion is seen');
select results_eq(
  $$ select complete_as_of, events_as_of from supasaasy.sync_state
     where collection_key = 'stripe_customer' $$,
  $$ values ('2026-01-01 12:58:58+00'::timestamptz, '2026-01-01 12:58:58+00'::timestamptz) $$,
  'complete up to the run''s begin, less the lag and the skew'
);
select tests.bring_page('stripe_plan', '[]');

select tests.move_clock('1 hour');
select supasaasy.sync('stripe_main', 'incremental', array['customer']);
select supasaasy.fail_page(tests.task('stripe_event'), tests.begin(tests.task('stripe_event')),
  'permanent', 'no') is not null;
select is(
  (select events_as_of from supasaasy.sync_state where collection_key = 'stripe_customer'),
  '2026-01-01 12:58:58+00', 'after a failure it does not move'
);

select tests.move_clock('40 days');
truncate j;
insert into j select supasaasy.sync('stripe_main', 'incremental', array['customer']);
select is(pg_temp.run_of(id), 'stripe_customer',
  'what is older than the provider keeps events is listed') from j;
update supasaasy.connectors set event_types_per_request = 4;
select is(
  jsonb_array_length(supasaasy.feed_listings(jsonb_populate_record(null::supasaasy.sync_runs,
    '{"covers": ["stripe_customer", "stripe_product", "stripe_plan"]}'))), 3,
  'more types than one request takes are read in several'
);

select * from finish();
rollback;
