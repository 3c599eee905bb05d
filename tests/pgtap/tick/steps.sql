begin;
set local search_path = extensions, public;
select plan(7);

select tests.have_app();
select tests.stop_clock_at(clock_timestamp());
-- A step that must fail: an alert that cannot be written.
alter table supasaasy.alerts add constraint nothing_is_wrong check (kind <> 'breaker_open');
select supasaasy.note_failure('stripe_main', 'auth', 'the key was revoked');
update supasaasy.heartbeat set watched_at = null, cleaned_at = null where true;
select tests.have_app('b');
insert into supasaasy.schedules (app_key, cron, mode) values ('b', '0 0 1 1 *', 'full');
update supasaasy.schedules set due_at = supasaasy.clock() where true;
select tests.tick();
select matches(
  (select step_errors ->> 'watch' from supasaasy.heartbeat), 'nothing_is_wrong',
  'a step of the tick that fails is kept'
);
select is((select app_key from supasaasy.sync_jobs), 'b', 'and the others go on');
select is(
  (select ok from supasaasy.doctor() where check_name = 'steps of tick()'), false, 'doctor names it'
);

select throws_ok(
  $$ update supasaasy.apps set sync_from = 'infinity' where app_key = 'b' $$, '22023',
  'sync_from of app "b" is infinity', 'sync_from is finite'
);
select throws_ok(
  $$ select supasaasy.set_setting('job_retention', '10000 years') $$, '22023', null, 'a time span is bounded'
);
select supasaasy.set_setting('functions_url', null);
select set_config('supasaasy.functions_url', '', true);
select tests.tick();
select is(
  (select step_errors -> 'start' from supasaasy.heartbeat), null, 'without functions_url nothing is started, nor fails'
);
select is(
  supasaasy.cancel((select id from supasaasy.sync_jobs)), 'cancelled', 'and a job can be cancelled'
);

select * from finish();
rollback;
