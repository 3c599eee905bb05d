-- Owns what is forgotten, and when: a step a table, each of a bounded number of rows, so that tick can
-- run them all. What a user may want to keep longer is a setting.

create function supasaasy.forget_seen(p_limit integer)
returns integer
language sql
volatile
set search_path = ''
as $$
  with gone as (
    delete from supasaasy.sync_seen s
    using (
      select o.run_id, o.external_id
      from supasaasy.sync_seen o
      where o.run_id = (
        select m.run_id
        from supasaasy.sync_seen m
        left join supasaasy.sync_runs r on r.id = m.run_id
        where m.external_id = ''
          and (
            r.id is null
            or r.status in ('completed', 'cancelled')
            or (r.status = 'failed' and exists (
              select from supasaasy.sync_runs n
              where n.app_key = r.app_key
                and n.collection_key = r.collection_key
                and n.id > r.id
            ))
          )
        order by m.run_id
        limit 1
      )
      order by o.external_id desc
      limit p_limit
    ) old
    where s.run_id = old.run_id and s.external_id = old.external_id
    returning 1
  )
  select count(*)::integer from gone;
$$;

comment on function supasaasy.forget_seen(integer) is
  'Forgets what ended runs have listed, some rows at a time, the marker last.';

-- Tombstones below a floor are no longer needed: what is older than it is fetched, not written.
create function supasaasy.forget_tombstones(p_limit integer)
returns integer
language sql
volatile
set search_path = ''
as $$
  with gone as (
    delete from supasaasy.tombstones t
    using (
      select o.app_key, o.collection_key, o.external_id
      from supasaasy.tombstones o
      join supasaasy.sync_state s
        on s.app_key = o.app_key
        and s.collection_key = o.collection_key
      where o.deleted_at < supasaasy.clock() - supasaasy.setting('tombstone_retention')::interval
        and o.observed_until < s.floor
        and s.floor_from is null
        and o.merged_into is null
      order by o.deleted_at
      limit p_limit
    ) old
    where t.app_key = old.app_key
      and t.collection_key = old.collection_key
      and t.external_id = old.external_id
    returning 1
  )
  select count(*)::integer from gone;
$$;

comment on function supasaasy.forget_tombstones(integer) is
  'Forgets tombstones that are old, and below the floor of their collection.';

create function supasaasy.forget_events(p_limit integer)
returns integer
language sql
volatile
set search_path = ''
as $$
  with gone as (
    delete from supasaasy.seen_events e
    using (
      select o.app_key, o.event_id
      from supasaasy.seen_events o
      where o.seen_at < supasaasy.clock() - supasaasy.setting('event_id_retention')::interval
      order by o.seen_at
      limit p_limit
    ) old
    where e.app_key = old.app_key and e.event_id = old.event_id
    returning 1
  )
  select count(*)::integer from gone;
$$;

comment on function supasaasy.forget_events(integer) is
  'Forgets the ids of events that were applied long ago.';

-- A job goes with its runs and findings once its tasks have gone; the last of an app stays, so that
-- status can show it.
create function supasaasy.forget_jobs(p_limit integer)
returns integer
language sql
volatile
set search_path = ''
as $$
  with old as materialized (
    select j.id
    from supasaasy.sync_jobs j
    where j.completed_at < supasaasy.clock() - supasaasy.setting('job_retention')::interval
      and exists (
        select from supasaasy.sync_jobs n
        where n.app_key = j.app_key and n.id > j.id and n.completed_at is not null
      )
    order by j.completed_at
    limit 100
  ),
  tasks as materialized (
    select t.id
    from old o
    join supasaasy.sync_runs r on r.job_id = o.id
    join supasaasy.sync_tasks t on t.run_id = r.id
    limit p_limit
  ),
  gone_tasks as (
    delete from supasaasy.sync_tasks t
    using tasks g
    where t.id = g.id
    returning 1
  ),
  gone_jobs as (
    delete from supasaasy.sync_jobs j
    using old o
    where j.id = o.id
      and not exists (
        select from supasaasy.sync_runs r
        join supasaasy.sync_tasks t on t.run_id = r.id
        where r.job_id = o.id
      )
    returning 1
  )
  select ((select count(*) from gone_tasks) + (select count(*) from gone_jobs))::integer;
$$;

comment on function supasaasy.forget_jobs(integer) is
  'Forgets jobs that ended long ago, their tasks first.';

create function supasaasy.forget_tasks(p_limit integer)
returns integer
language sql
volatile
set search_path = ''
as $$
  with gone as (
    delete from supasaasy.sync_tasks t
    where t.id in (
      select o.id
      from supasaasy.sync_tasks o
      where o.run_id is null
        and o.state <> 'failed'
        and o.finished_at < supasaasy.clock() - supasaasy.setting('task_retention')::interval
      order by o.finished_at
      limit p_limit
    )
    returning 1
  )
  select count(*)::integer from gone;
$$;

comment on function supasaasy.forget_tasks(integer) is
  'Forgets ended tasks that belong to no job.';

create function supasaasy.forget_webhook_logs(p_limit integer)
returns integer
language sql
volatile
set search_path = ''
as $$
  with gone as (
    delete from supasaasy.webhook_logs w
    where w.id in (
      select o.id
      from supasaasy.webhook_logs o
      where o.created_at < supasaasy.clock() - supasaasy.setting('webhook_log_retention')::interval
        or o.id <= (
          select l.id
          from supasaasy.webhook_logs l
          order by l.id desc
          offset supasaasy.setting('webhook_log_rows')::integer
          limit 1
        )
      order by o.id
      limit p_limit
    )
    returning 1
  )
  select count(*)::integer from gone;
$$;

comment on function supasaasy.forget_webhook_logs(integer) is
  'Forgets logged webhooks that are old, or more than are kept.';

create function supasaasy.forget_alerts(p_limit integer)
returns integer
language sql
volatile
set search_path = ''
as $$
  with gone as (
    delete from supasaasy.alerts l
    where l.id in (
      select o.id
      from supasaasy.alerts o
      where o.resolved_at < supasaasy.clock() - supasaasy.setting('alert_retention')::interval
      order by o.resolved_at
      limit p_limit
    )
    returning 1
  )
  select count(*)::integer from gone;
$$;

comment on function supasaasy.forget_alerts(integer) is
  'Forgets alerts whose cause has long gone.';

-- pg_cron forgets nothing by itself; the runs of other jobs are not ours to delete.
create function supasaasy.forget_cron_runs(p_limit integer)
returns integer
language sql
volatile
set search_path = ''
as $$
  with gone as (
    delete from cron.job_run_details d
    where d.runid = any (array(
      select o.runid
      from cron.job_run_details o
      where o.command like 'select supasaasy.%'
        and o.end_time < supasaasy.clock() - supasaasy.setting('cron_log_retention')::interval
      limit p_limit
    ))
    returning 1
  )
  select count(*)::integer from gone;
$$;

comment on function supasaasy.forget_cron_runs(integer) is
  'Forgets what pg_cron recorded of our jobs long ago.';

create function supasaasy.clean_up()
returns boolean
language plpgsql
volatile
set search_path = ''
as $$
declare
  v_app_key text;
  v_busy boolean := false;
begin
  for v_app_key in
    select a.app_key from supasaasy.apps a where a.deleting_since is not null order by a.app_key limit 3
  loop
    v_busy := not supasaasy.remove_app_rows(v_app_key, 5000) or v_busy;
  end loop;
  return greatest(
    supasaasy.forget_seen(20000) / 20,
    supasaasy.forget_tombstones(1000),
    supasaasy.forget_events(1000),
    supasaasy.forget_jobs(1000),
    supasaasy.forget_tasks(1000),
    supasaasy.forget_webhook_logs(1000),
    supasaasy.forget_alerts(1000),
    supasaasy.forget_cron_runs(1000)
  ) >= 1000 or v_busy;
end;
$$;

comment on function supasaasy.clean_up() is
  'One step of forgetting what is past its retention; whether there is more to do at once.';

select supasaasy.schedule_tick();
