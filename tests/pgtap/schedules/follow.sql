begin;
set local search_path = extensions, public;
select plan(22);

select tests.have_app('a');
select tests.have_app('b');
select tests.stop_clock_at(clock_timestamp());

create function pg_temp.crons()
returns text
language sql
as $$
  select coalesce(string_agg(schedule, ', ' order by schedule), '')
  from cron.job where jobname like 'supasaasy-schedule-%' and active;
$$;

select throws_ok(
  $$ insert into supasaasy.schedules (app_key, cron) values ('a', '61 * * * *') $$,
  '22023', 'cannot schedule "a": the cron expression "61 * * * *" is not valid, or never due',
  'a bad cron expression is refused when it is inserted'
);
select throws_ok(
  $$ insert into supasaasy.schedules (app_key, cron, mode) values ('a', '* * * * *', 'partial') $$,
  '22023', 'cannot schedule "a" in mode "partial"', 'so is an unknown mode'
);
select throws_ok(
  $$ insert into supasaasy.schedules (app_key, cron) values ('z', '* * * * *') $$,
  'P0002', 'there is no app "z"', 'and an unknown app'
);
select throws_ok(
  $$ insert into supasaasy.schedules (app_key, cron, resources) values ('a', '* * * * *', '{unicorn}') $$,
  '22023', null, 'and an unknown resource'
);

insert into supasaasy.schedules (app_key, cron, mode)
values ('a', '*/5 * * * *', 'incremental'), ('b', '*/5  * * * *', 'incremental'), ('a', '0 3 * * *', 'full');
select is(pg_temp.crons(), '*/5 * * * *, 0 3 * * *', 'there is one cron job for each distinct expression');
update supasaasy.schedules set cron = '0 4 * * *' where mode = 'full';
select is(pg_temp.crons(), '*/5 * * * *, 0 4 * * *', 'it follows an update');
update supasaasy.schedules set enabled = false where mode = 'full';
select is(pg_temp.crons(), '*/5 * * * *', 'a disabled schedule has none');
delete from supasaasy.schedules where app_key = 'a' and mode = 'incremental';
select is(pg_temp.crons(), '*/5 * * * *', 'one that others use stays');
delete from supasaasy.schedules where app_key = 'b';
select is(pg_temp.crons(), '', 'the last delete removes it');

insert into supasaasy.schedules (app_key, cron, mode, resources)
values ('a', '*/5 * * * *', 'full', '{customer}'), ('b', '*/5 * * * *', 'full', '{customer}');
select is(
  (select next_at > supasaasy.clock() and next_at <= supasaasy.clock() + interval '5 minutes' from supasaasy.schedules
   where app_key = 'a' and cron like '*/5%'),
  true, 'it knows when it is due next'
);
update supasaasy.apps set enabled = false where app_key = 'b';
select is(supasaasy.fire_schedules('*/5 * * * *'), 1, 'a disabled app does not run');
select is(
  (select array_agg(app_key || ' ' || mode || ' ' || resources::text) from supasaasy.sync_jobs),
  array['a full {stripe_customer}'], 'the job is what the schedule says'
);
create temporary table lost as select start_token from supasaasy.sync_tasks where state = 'leased';
update supasaasy.sync_tasks set lease_expires_at = supasaasy.clock() where state = 'leased';
select supasaasy.fire_schedules('*/5 * * * *');
select results_eq(
  $$ select count(*)::integer, (select count(*)::integer from supasaasy.sync_tasks t where t.start_token in (
       select l.start_token from lost l)) from lost $$,
  $$ values (1, 0) $$,
  'the tick that a fire keeps out is made up for: a lost start is repeated'
);
select is((select count(*)::integer from supasaasy.sync_jobs), 1, 'overlapping runs do not pile up');
select is(
  (select state from supasaasy.schedule_status where app_key = 'a' and cron like '*/5%'), 'on time',
  'what fired is on time'
);
select tests.move_clock('10 minutes');
select is(
  (select state from supasaasy.schedule_status where app_key = 'a' and cron like '*/5%'), 'missed',
  'what did not fire is visibly missed'
);
select is(
  (select state from supasaasy.schedule_status where app_key = 'b'), 'app disabled', 'unless its app is disabled'
);

-- A thousand apps in one minute.
select tests.have_app('app_' || i) from generate_series(1, 500) as i;
insert into supasaasy.schedules (app_key, cron, mode)
select 'app_' || i, '0 5 * * *', 'full' from generate_series(1, 500) as i;
select supasaasy.set_setting('max_in_flight', '1');
select is(supasaasy.fire_schedules('0 5 * * *'), 1, 'of many apps in one minute only the first starts at once');
select is(
  (select extract(epoch from max(due_at) - supasaasy.clock()) between 55 and 60 from supasaasy.schedules),
  true, 'the others are spread over a minute'
);
select tests.move_clock('30 seconds');
select is(supasaasy.start_schedules(1000) between 240 and 260, true, 'after half of it, half of them have begun');
select supasaasy.set_setting('functions_url', null);
select set_config('supasaasy.functions_url', '', true);
select tests.move_clock('30 seconds');
select supasaasy.start_schedules(1000);
select is(
  (select distinct error_message from supasaasy.schedules where error_message is not null),
  'cannot start a task: the setting "functions_url" is not set',
  'a start that is refused says why'
);
select is(
  (select count(*)::integer from supasaasy.schedules where due_at is not null), 0, 'and is not tried for ever'
);

select * from finish();
rollback;
