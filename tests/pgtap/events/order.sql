begin;
set local search_path = extensions, public;
select plan(14);

select tests.have_app();
select tests.stop_clock_at('2026-01-01 12:00:00.4+00');

create function pg_temp.event(
  p_id text,
  p_name text,
  p_created timestamptz,
  p_fields jsonb default '{}'
)
returns text
language sql
as $$
  select supasaasy.receive_event('stripe_main', jsonb_build_object(
    'id', p_id, 'created', floor(extract(epoch from p_created)), 'account', null,
    'api_version', '2026-10-28.endive', 'livemode', false, 'resource', 'customer',
    'external_id', 'cus_1', 'deleted', false,
    'object', tests.customer('cus_1', jsonb_build_object('name', p_name))
  ) || p_fields) ->> 'outcome';
$$;
create function pg_temp.name_of()
returns text
language sql
as $$ select name from supasaasy.stripe_customers where external_id = 'cus_1'; $$;

select is(pg_temp.event('e1', 'one', supasaasy.clock()), 'applied', 'an event is applied');
select is(pg_temp.event('e1', 'one', supasaasy.clock()), 'duplicate', 'once');
select is(pg_temp.event('e2', 'two', supasaasy.clock()), 'applied', 'so is another of its second');
select is(tests.open_tasks('stripe_customer'), 'revalidate:cus_1',
  'two events of one second: a fetch decides, not their order of arrival');

update supasaasy.sync_tasks set state = 'done', finished_at = now() where true;
select tests.move_clock('1 minute');
select pg_temp.event('e3', 'late second', supasaasy.clock() - interval '59 seconds');
select is(tests.open_tasks('stripe_customer'), 'revalidate:cus_1',
  'a late event of a second that was seen is not lost');

update supasaasy.sync_tasks set state = 'done', finished_at = now() where true;
select tests.move_clock('1 minute');
select tests.observe('stripe_customer', tests.customers(9, 9), supasaasy.clock(), supasaasy.clock());
select tests.observe('stripe_customer', jsonb_build_array(tests.customer('cus_1', '{"name": "page"}')),
  supasaasy.clock() - interval '20 seconds', supasaasy.clock());
select tests.move_clock('1 second');
select pg_temp.event('e4', 'after the page began', supasaasy.clock() - interval '10 seconds');
select is(pg_temp.name_of(), 'after the page began',
  'a webhook of a change during a page''s fetch is not taken for older than the page');
select is(tests.open_tasks('stripe_customer'), 'revalidate:cus_1', 'and a fetch decides');

select is(pg_temp.event('e5', 'x', supasaasy.clock() + interval '1 hour'), 'revalidating',
  'an event of the future says only that something changed');
select is(pg_temp.name_of(), 'after the page began', 'and writes nothing');
select is(pg_temp.event('e6', 'x', supasaasy.clock(), '{"object": null}'), 'revalidating',
  'so does one without its object');
select is(pg_temp.event('e7', 'x', supasaasy.clock(), '{"account": "acct_2"}'),
  'ignored: of another account', 'a connected account''s event does not land under the platform');
select is(pg_temp.event('e8', 'x', supasaasy.clock(), '{"livemode": true}'),
  'ignored: of the other mode', 'nor does one of the other mode');
select tests.move_clock('1 minute');
select pg_temp.event('e9', 'rendered', supasaasy.clock(), '{"api_version": "2020-08-27"}');
select is((select api_version from supasaasy.entities where external_id = 'cus_1'), '2020-08-27',
  'an event in another API version is recorded as such, and fetched in ours');
select throws_ok(
  $$ select supasaasy.receive_event('stripe_main', '{"id": "e"}') $$, '22023', null,
  'an event that does not say what changed is refused'
);

select * from finish();
rollback;
