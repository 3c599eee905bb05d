begin;
set local search_path = extensions, public;
select plan(20);

select tests.have_app();
select supasaasy.sync('stripe_main', 'full', array['customer']);
create temporary table w as
select tests.task('stripe_customer') as id, tests.begin(tests.task('stripe_customer')) as token;

create function pg_temp.refused(p_rows jsonb, p_message text, p_description text)
returns text
language sql
as $$
  select throws_ok(
    format('select supasaasy.complete_page(%s, %L, %L)', id, token, p_rows), '22023', p_message,
    p_description
  )
  from w;
$$;

select pg_temp.refused(null,
  'cannot store a page of "stripe_customer": its rows are missing, not an array', 'no rows at all');
select pg_temp.refused('{"data": []}',
  'cannot store a page of "stripe_customer": its rows are object, not an array', 'an object');
select pg_temp.refused('[null]',
  'cannot store row 1 of a page of "stripe_customer": it is null, not an object', 'a null row');
select pg_temp.refused('[{"id": "cus_1"}, 7]',
  'cannot store row 2 of a page of "stripe_customer": it is 7, not an object', 'a number');
select pg_temp.refused('["cus_1"]',
  'cannot store row 1 of a page of "stripe_customer": it is "cus_1", not an object', 'a text');
select pg_temp.refused('[{"object": "customer"}]',
  'cannot store row 1 of a page of "stripe_customer": its id is missing', 'a row without id');
select pg_temp.refused('[{"id": 5}]',
  'cannot store row 1 of a page of "stripe_customer": its id is 5', 'a number as id');
select pg_temp.refused('[{"id": ""}]',
  'cannot store row 1 of a page of "stripe_customer": its id is ""', 'an empty id');
select pg_temp.refused('[{"id": null}]',
  'cannot store row 1 of a page of "stripe_customer": its id is null', 'a null id');
select pg_temp.refused(jsonb_build_array(jsonb_build_object('id', repeat('x', 256))),
  format('cannot store row 1 of a page of "stripe_customer": its id is "%s', repeat('x', 59)),
  'an id of 256 characters');
select results_eq(
  $$ select (select count(*) from supasaasy.entities), pages, work_token is not null
     from supasaasy.sync_tasks $$,
  $$ values (0::bigint, 0::bigint, true) $$,
  'none of them changed anything: the page is still open'
);

select is(
  supasaasy.complete_page(id, gen_random_uuid(), tests.customers(1, 1)) ->> 'status', 'stale',
  'a forged token stores nothing'
) from w;
select is(
  supasaasy.complete_page(id, null, tests.customers(1, 1)) ->> 'status', 'stale', 'nor does none'
) from w;
select is((select count(*)::integer from supasaasy.entities), 0, 'not one row');

create temporary table answers as
select supasaasy.complete_page(id, token, tests.customers(1, 2), 'cus_000002') as first from w;
alter table answers add column again jsonb;
update answers set again = supasaasy.complete_page(id, token, tests.customers(1, 9), null) from w;
select is((select again from answers), (select first from answers),
  'repeated with the same token a completion answers the same');
select is((select pages from supasaasy.sync_tasks where id = (select id from w)), 1::bigint,
  'and is one page');
select is(
  (select (first -> 'next' ->> 'task_id')::bigint from answers), (select id from w),
  'the next page is of the same task'
);
select results_eq(
  $$ select cursor, cursor_created from supasaasy.sync_tasks where id = (select id from w) $$,
  $$ values ('cus_000002', 1699999998::bigint) $$,
  'the cursor is kept, and the second of its row'
);

select lives_ok(
  $$ select tests.observe('stripe_customer', jsonb_build_array(
       tests.customer('cus_long', jsonb_build_object('email', repeat('e', 10000)))), now(), now()) $$,
  'a 10 kB string in an indexed field is stored'
);
select lives_ok(
  $$ select tests.observe('stripe_subscription', jsonb_build_array(
       tests.subscription('sub_long', array['si_1'], jsonb_build_object(
         'customer', repeat('c', 10000), 'status', repeat('s', 10000)))), now(), now()) $$,
  'in a subscription as well'
);

select * from finish();
rollback;
