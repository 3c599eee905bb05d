begin;
set local search_path = extensions, public;
select plan(5);

select tests.stop_clock_at(clock_timestamp());
select is(
  (select array_agg(distinct supasaasy.admit_request()) from generate_series(1, 100)), array[0]::double precision[],
  'a burst of ten seconds'' worth is admitted'
);
select ok(supasaasy.admit_request() between 0.05 and 0.2, 'then it says how long to wait');
select tests.move_clock('1 second');
select is(
  (select count(*)::integer from generate_series(1, 20) where supasaasy.admit_request() = 0), 10,
  'and ten a second are admitted'
);
select throws_ok($$ select supasaasy.start_work(null, 0) $$, '22023', 'cannot start 0 tasks', 'a number of tasks is checked');
select throws_ok($$ select supasaasy.start_work(-1) $$, 'P0002', 'there is no job -1', 'and a job');

select * from finish();
rollback;
