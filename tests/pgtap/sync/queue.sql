begin;
set local search_path = extensions, public;
select plan(9);

select tests.have_app();
create temporary table jobs as
select supasaasy.sync('stripe_main', 'full', array['customer']) as first,
  supasaasy.sync('stripe_main', 'full', array['stripe_customer']) as same;
select is((select same from jobs), (select first from jobs), 'the same wish twice is one job');

alter table jobs add column other bigint;
update jobs set other = supasaasy.sync('stripe_main', 'full', array['customer', 'product']);
select isnt((select other from jobs), (select first from jobs), 'another wish is another job');
select results_eq(
  $$ select r.collection_key, r.status from supasaasy.sync_runs r, jobs
     where r.job_id = jobs.other order by 1 $$,
  $$ values ('stripe_customer', 'pending'), ('stripe_product', 'running') $$,
  'it queues behind the first for the resource they share, and only for that'
);

select tests.bring_page('stripe_customer', tests.customers(1, 2));
select is(
  (select status from supasaasy.job_status((select first from jobs))), 'completed',
  'the first ends'
);
select is(
  (select r.status from supasaasy.sync_runs r, jobs
   where r.job_id = jobs.other and r.collection_key = 'stripe_customer'),
  'running',
  'and the resource is the second''s turn'
);

select supasaasy.sync('stripe_main', 'full', array['subscription']);
select is(
  (select resources from supasaasy.sync_jobs order by id desc limit 1),
  array['stripe_subscription', 'stripe_subscription_item'],
  'children come with their parent'
);
update supasaasy.apps
set config = config || '{"sync_resources": ["customer"]}', sync_from = '2024-01-01';
select throws_ok(
  $$ select supasaasy.sync('stripe_main', 'full', array['product']) $$,
  '22023', 'cannot sync "stripe_product" of "stripe_main": its sync_resources leave it out',
  'what sync_resources leave out is not synced'
);
select supasaasy.sync('stripe_main', 'full');
select results_eq(
  $$ select resources, sync_from from supasaasy.sync_jobs order by id desc limit 1 $$,
  $$ values (array['stripe_customer'], '2024-01-01'::timestamptz) $$,
  'a job keeps the resources and the sync_from of its creation'
);
select is(
  (select count(*)::integer from supasaasy.sync_tasks t
   join supasaasy.sync_runs r on r.id = t.run_id join jobs on jobs.first = r.job_id), 1,
  'a listing starts as one task'
);

select * from finish();
rollback;
