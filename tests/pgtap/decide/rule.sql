begin;
set local search_path = extensions, public;
select plan(18);

-- The stored observation is [100, 110] seconds; each case is another one against it.
create function pg_temp.verdict(
  p_at integer,
  p_until integer,
  p_same boolean,
  p_source text
)
returns text
language sql
as $$
  select supasaasy.decide(
    to_timestamp(100), to_timestamp(110), p_same, to_timestamp(p_at), to_timestamp(p_until), p_source
  );
$$;

select is(
  supasaasy.decide(null, null, null, to_timestamp(1), to_timestamp(2), 'page'), 'apply',
  'what was never seen is applied'
);
select is(pg_temp.verdict(120, 130, false, 'page'), 'apply', 'a newer page with a change is applied');
select is(pg_temp.verdict(120, 130, false, 'event'), 'apply', 'so is a newer event');
select is(pg_temp.verdict(110, 130, false, 'page'), 'apply', 'newer begins where the stored one ends');
select is(pg_temp.verdict(120, 130, true, 'page'), 'keep', 'a newer page without one writes nothing');
select is(pg_temp.verdict(120, 130, true, 'event'), 'touch', 'an event without one records its interval');
select is(pg_temp.verdict(120, 130, true, 'fetch'), 'touch', 'so does a fetch');
select is(pg_temp.verdict(80, 90, false, 'page'), 'drop', 'an older page is dropped');
select is(pg_temp.verdict(80, 100, false, 'event'), 'drop', 'older ends where the stored one begins');
select is(pg_temp.verdict(80, 90, true, 'fetch'), 'drop', 'an older one is dropped whatever it says');
select is(pg_temp.verdict(105, 115, true, 'page'), 'keep', 'overlapping and the same is kept');
select is(pg_temp.verdict(105, 115, true, 'event'), 'touch', 'an event then records the later interval');
select is(pg_temp.verdict(95, 115, true, 'event'), 'keep', 'but never an earlier one');
select is(
  pg_temp.verdict(105, 115, false, 'page'), 'apply_and_check',
  'overlapping and different: the later lower bound stands until it was fetched'
);
select is(pg_temp.verdict(100, 105, false, 'event'), 'apply_and_check', 'an equal one counts as later');
select is(pg_temp.verdict(95, 105, false, 'page'), 'check', 'with an earlier bound nothing is written');
select is(pg_temp.verdict(95, 200, false, 'fetch'), 'check', 'however late it ends');
select is(pg_temp.verdict(105, 107, false, 'event'), 'apply_and_check', 'an interval inside is later too');

select * from finish();
rollback;
