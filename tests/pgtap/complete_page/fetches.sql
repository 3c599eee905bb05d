begin;
set local search_path = extensions, public;
select plan(8);

select tests.have_app();
select tests.stop_clock_at(clock_timestamp());
select tests.observe('stripe_customer', tests.customers(1, 3), supasaasy.clock() - interval '1 hour',
  supasaasy.clock() - interval '59 minutes');

create function pg_temp.fetch(p_id text, p_rows jsonb, p_missing text[] default '{}')
returns text
language plpgsql
as $$
declare
  v_task bigint;
begin
  perform supasaasy.request_revalidation('stripe_main', 'stripe_customer', array[p_id],
    array[supasaasy.clock()]);
  perform tests.move_clock('1 second');
  v_task := tests.task('stripe_customer', p_id);
  return supasaasy.complete_page(v_task, tests.begin(v_task), p_rows, null, p_missing) ->> 'deleted';
end;
$$;

select is(pg_temp.fetch('cus_000001', '[]', array['cus_000001']), '1', 'a 404 deletes');
select is(
  pg_temp.fetch('cus_000002', '[{"id": "cus_000002", "object": "customer", "deleted": true}]'), '1',
  'so does deleted: true'
);
select is(pg_temp.fetch('cus_000003', tests.customers(3, 3)), '0', 'a live object stays');
select is(tests.ids('stripe_customer'), 'cus_000003', 'and nothing else');
select throws_ok(
  $$ select pg_temp.fetch('cus_000003', tests.customers(4, 4)) $$,
  '22023', 'cannot store the fetch of "stripe_customer" cus_000003: the answer is about cus_000004',
  'an answer about another object is refused'
);

select supasaasy.refetch('stripe_main', 'customer', 'cus_000003');
create temporary table w as
select tests.task('stripe_customer', 'cus_000003') as id;
alter table w add column token uuid;
update supasaasy.sync_tasks set run_after = supasaasy.clock() where true;
update w set token = tests.begin(id);
select supasaasy.request_revalidation('stripe_main', 'stripe_customer', array['cus_000003'],
  array[supasaasy.clock() + interval '5 seconds']);
select supasaasy.complete_page(id, token, tests.customers(3, 3)) from w;
select results_eq(
  $$ select state, run_after > supasaasy.clock() from supasaasy.sync_tasks where id = (select id from w) $$,
  $$ values ('waiting', true) $$,
  'a doubt that arises during a fetch repeats it, after the doubt'
);

update supasaasy.sync_tasks set run_after = supasaasy.clock() where state = 'waiting';
update w set token = tests.begin(id);
select tests.move_clock('1 second');
select tests.observe('stripe_customer', tests.customers(3, 3, '{"name": "newer"}'),
  supasaasy.clock() - interval '10 seconds', supasaasy.clock() + interval '3 seconds', 'event');
select supasaasy.complete_page(id, token, tests.customers(3, 3, '{"name": "older"}')) from w;
select results_eq(
  $$ select state, run_after > supasaasy.clock() + interval '3 seconds'
     from supasaasy.sync_tasks where id = (select id from w) $$,
  $$ values ('waiting', true) $$,
  'a fetch that itself is in doubt is repeated too'
);
select throws_ok(
  $$ select supasaasy.refetch('stripe_main', 'unicorn', 'x') $$,
  '22023', 'connector "stripe" has no collection "unicorn"', 'an unknown collection is named'
);

select * from finish();
rollback;
