-- Owns who may do what: all that is callable from outside is on this page.
--
-- anon and authenticated may do nothing. service_role may execute the functions below, which are
-- security definer because it holds no grant on the tables they write, and may read the data.

revoke all on schema supasaasy from public, anon, authenticated;
revoke all on all tables in schema supasaasy from public, anon, authenticated, service_role;
revoke all on all sequences in schema supasaasy from public, anon, authenticated, service_role;
revoke all on all routines in schema supasaasy from public, anon, authenticated, service_role;

grant usage on schema supasaasy to service_role;

-- For users, in SQL or through PostgREST.
grant execute on function
  supasaasy.sync(text, text, text[]),
  supasaasy.cancel(bigint),
  supasaasy.retry(bigint),
  supasaasy.refetch(text, text, text),
  supasaasy.confirm_sweep(bigint),
  supasaasy.manage_webhook(text),
  supasaasy.job_status(bigint),
  supasaasy.job_progress(bigint),
  supasaasy.job_tasks(bigint, integer)
to service_role;

-- For the edge functions.
grant execute on function
  supasaasy.begin_page(bigint, uuid),
  supasaasy.pin_account(bigint, uuid, text, text, boolean),
  supasaasy.complete_page(
    bigint, uuid, jsonb, text, text[], text[], jsonb, timestamptz, boolean, jsonb, jsonb
  ),
  supasaasy.fail_page(bigint, uuid, text, text, double precision, text),
  supasaasy.release_task(bigint, uuid),
  supasaasy.webhook_app(text),
  supasaasy.complete_webhook(bigint, uuid, text, text, text),
  supasaasy.receive_event(text, jsonb),
  supasaasy.report_webhook_error(text, text),
  supasaasy.log_webhook(text, text, text, jsonb, text, integer, text, text, integer),
  supasaasy.pong(uuid, text[], text[]),
  supasaasy.start_work(bigint, integer),
  supasaasy.admit_request()
to service_role;

-- The data, and the connectors' views of it: they are security_invoker, so what they stand on is
-- granted with them. What operators look at (status, alerts, schedules) is the owner's.
grant select on
  supasaasy.entities,
  supasaasy.tombstones,
  supasaasy.sync_state,
  supasaasy.sync_runs,
  supasaasy.entity_versions,
  supasaasy.webhook_endpoints,
  supasaasy.verify_findings
to service_role;
do $$
declare
  v_table record;
  v_function record;
begin
  for v_table in
    select c.oid::regclass as name
    from pg_catalog.pg_class c
    where c.relnamespace = 'supasaasy'::regnamespace and c.relkind = 'r'
  loop
    execute format('alter table %s enable row level security', v_table.name);
  end loop;
  for v_table in
    select c.oid::regclass as name
    from pg_catalog.pg_class c
    join supasaasy.connectors k on starts_with(c.relname, k.connector || '_')
    where c.relnamespace = 'supasaasy'::regnamespace and c.relkind = 'v'
  loop
    execute format('grant select on %s to service_role', v_table.name);
  end loop;
  -- Immutable functions read nothing but their arguments; a connector's own read what views read.
  for v_function in
    select p.oid::regprocedure as name
    from pg_catalog.pg_proc p
    where p.pronamespace = 'supasaasy'::regnamespace
      and (
        p.provolatile = 'i'
        or exists (
          select from supasaasy.connectors c where starts_with(p.proname, c.connector || '_')
        )
      )
  loop
    execute format('grant execute on function %s to service_role', v_function.name);
  end loop;
end;
$$;
