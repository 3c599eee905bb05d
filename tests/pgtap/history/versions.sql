begin;
set local search_path = extensions, public;
select plan(12);

create function pg_temp.triggers()
returns integer
language sql
as $$ select count(*)::integer from pg_trigger
  where tgrelid = 'supasaasy.entities'::regclass and tgname like 'keep%version'; $$;
create function pg_temp.see(p_name text, p_time timestamptz)
returns text
language plpgsql
as $$
begin
  perform tests.stop_clock_at(p_time);
  return tests.observe('stripe_customer',
    case when p_name is null then '[]'
      else jsonb_build_array(tests.customer('cus_1', jsonb_build_object('name', p_name))) end,
    p_time - interval '1 s', p_time, 'fetch',
    case when p_name is null then array['cus_1'] else array[]::text[] end);
end;
$$;
create function pg_temp.name_at(p_time timestamptz)
returns text
language sql
as $$ select max(raw_payload ->> 'name') from supasaasy.as_of('stripe_customer', p_time); $$;

select tests.have_app();
select is(pg_temp.triggers(), 0, 'while no app wants history, nothing on entities keeps any');
select pg_temp.see('unkept', '2026-01-01');
select pg_temp.see('one', '2026-01-02');
select is((select count(*)::integer from supasaasy.entity_versions), 0, 'and none is kept');

update supasaasy.apps set config = config || '{"history": ["customer"]}';
select is(pg_temp.triggers(), 2, 'an app that wants it has it kept');
select pg_temp.see('two', '2026-01-03');
select pg_temp.see('two', '2026-01-04');
select is((select count(*)::integer from supasaasy.entity_versions), 1, 'a change keeps one version');
select pg_temp.see(null, '2026-01-05');
select results_eq(
  $$ select raw_payload ->> 'name', valid_from, valid_until, was_deleted
     from supasaasy.entity_versions order by valid_from $$,
  $$ values ('one', '2026-01-02'::timestamptz, '2026-01-03'::timestamptz, false),
       ('two', '2026-01-03', '2026-01-05', true) $$,
  'each with its validity, the deleted one too'
);
select is(pg_temp.name_at('2026-01-02 12:00'), 'one', 'the past is there as it was');
select is(pg_temp.name_at('2026-01-04'), 'two', 'at each time');
select is(pg_temp.name_at('2026-01-06'), null, 'and gone after its end');
select throws_ok(
  $$ select * from supasaasy.as_of('stripe_unicorn', now()) $$,
  '22023', 'there is no collection "stripe_unicorn"', 'an unknown collection is named'
);
select throws_ok(
  $$ update supasaasy.apps set config = config || '{"history": "yes"}' $$,
  '22023', 'config key "history" of app "stripe_main" is "yes"', 'a bad value is named'
);
select throws_ok(
  $$ update supasaasy.apps set config = config || '{"history": ["unicorn"]}' $$,
  '22023', 'connector "stripe" has no resource "unicorn"', 'so is an unknown resource'
);
update supasaasy.apps set config = config - 'history';
select is(pg_temp.triggers(), 0, 'when nobody wants it any more, it costs nothing again');

select * from finish();
rollback;
