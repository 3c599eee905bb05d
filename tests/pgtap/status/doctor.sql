begin;
set local search_path = extensions, public;
select plan(22);

-- What the functions would do when they are asked.
create function pg_temp.functions_answer(p_missing text[], p_connectors text[])
returns void
language sql
as $$
  select supasaasy.pong(h.ping_token, p_missing, p_connectors) from supasaasy.heartbeat h;
$$;
create function pg_temp.check(p_name text)
returns text
language sql
as $$
  select coalesce(d.ok::text, 'unknown') || ': ' || d.detail
  from supasaasy.doctor() d where d.check_name = p_name;
$$;

select supasaasy.schedule_tick();
delete from supasaasy.heartbeat where true;
select tests.have_app();
select supasaasy.tick();
select tests.stop_clock_at(clock_timestamp());
update supasaasy.heartbeat set ticked_at = supasaasy.clock() where true;

select is(pg_temp.check('functions answer'), 'unknown: asked just now', 'the functions are asked');
select is(
  (select count(*)::integer from net.http_request_queue where url like '%/fetch-page'
    and convert_from(body::text::bytea, 'utf8')::jsonb ->> 'task_id' = '0'),
  1, 'by one request'
);
select is(
  (select supasaasy.begin_page(0, ping_token) from supasaasy.heartbeat),
  '{"status": "ping", "env": ["STRIPE_API_KEY"]}', 'they are told which variables to look up'
);
select is(supasaasy.begin_page(0, gen_random_uuid()) ->> 'status', 'refused', 'nobody else is');
select pg_temp.functions_answer('{}', '{stripe}');
select is_empty($$ select check_name, detail from supasaasy.doctor() where ok is not true $$, 'on a good stack all is well');

select tests.move_clock('1 hour');
select matches(pg_temp.check('heartbeat'), '^false: tick\(\) last ran at', 'a heart that stopped is named');
select cron.unschedule('supasaasy-tick');
select is(pg_temp.check('heartbeat'), 'false: pg_cron has no job supasaasy-tick', 'so is a missing cron job');
select is(
  (select hint from supasaasy.doctor() where check_name = 'heartbeat'), 'select supasaasy.schedule_tick();',
  'with what fixes it'
);

select pg_temp.functions_answer('{STRIPE_API_KEY}', '{other}');
select is(pg_temp.check('api key of stripe_main'), 'false: the functions have no STRIPE_API_KEY', 'a missing secret is named');
select is(pg_temp.check('connectors'), 'false: the functions do not have: stripe', 'and functions that are too old');
select supasaasy.set_secret('stripe_main', 'api_key', 'sk_test_in_vault');
select is(pg_temp.check('api key of stripe_main'), 'true: in Vault', 'a key in Vault is one');

create function pg_temp.answered(p_status integer, p_error text, p_check text default 'functions answer')
returns text
language plpgsql
as $$
begin
  update supasaasy.heartbeat set ping_at = supasaasy.clock() - interval '10 seconds',
    pong_at = supasaasy.clock() - interval '1 day', ping_request = 4711 where true;
  delete from net._http_response where id = 4711;
  insert into net._http_response (id, status_code, error_msg, timed_out) values (4711, p_status, p_error, false);
  return pg_temp.check(p_check);
end;
$$;
select is(pg_temp.answered(404, null), 'false: fetch-page answers 404: it is not deployed', 'a function that is not deployed');
select is(pg_temp.answered(401, null), 'false: fetch-page answers 401: it wants a JWT', 'a function that wants a JWT');
select is(
  pg_temp.answered(null, 'Couldn''t connect to server'),
  'false: fetch-page does not answer: Couldn''t connect to server', 'a function that cannot be reached'
);
select is(
  pg_temp.answered(202, null, 'functions reach the database'), 'false: fetch-page answered 202, but its RPC did not arrive',
  'a schema that is not exposed'
);
delete from net._http_response where true;
update supasaasy.heartbeat set ping_at = supasaasy.clock() - interval '30 seconds' where true;
select is(
  pg_temp.check('functions answer'), 'false: pg_net has not sent the question: its worker does not run',
  'a pg_net that does not send'
);
select supasaasy.set_setting('functions_url', null);
select set_config('supasaasy.functions_url', '', true);
select is(pg_temp.check('functions_url'), 'false: nothing says where the edge functions are', 'a missing functions_url');

select is(pg_temp.check('grants'), 'true: service_role may call the API, nobody else may', 'grants are as they should be');
revoke execute on function supasaasy.begin_page(bigint, uuid) from service_role;
grant usage on schema supasaasy to anon;
select is(
  pg_temp.check('grants'),
  'false: service_role may not execute supasaasy.begin_page(bigint,uuid); anon may use the schema',
  'a revoked grant and one too many are named'
);

insert into supasaasy.schedules (app_key, cron) values ('stripe_main', '*/5 * * * *');
select cron.unschedule(supasaasy.cron_job_name('*/5 * * * *'));
select is(pg_temp.check('schedules'), 'false: no cron job for */5 * * * *', 'a schedule without its cron job');
update supasaasy.schedules set enabled = enabled where enabled;
select is(left(pg_temp.check('schedules'), 5), 'true:', 'whose hint repairs it');
select supasaasy.note_failure('stripe_main', 'auth', 'the key was revoked');
select matches(
  pg_temp.check('circuit breaker of stripe_main'), '^false: open since .*: the key was revoked', 'an open breaker'
);

select * from finish();
rollback;
