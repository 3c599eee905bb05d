-- Owns the heartbeat: the one cron job that finds what stopped and starts what is due.

-- Expired leases come back. A start that was lost is no failure; a page that was begun and never
-- ended is, and after two at one cursor the page halves: it may be too large for the function.
create function supasaasy.expire_leases(p_limit integer)
returns integer
language plpgsql
volatile
set search_path = ''
as $$
declare
  v_now timestamptz := supasaasy.clock();
  v_task supasaasy.sync_tasks%rowtype;
  v_expired integer := 0;
begin
  for v_task in
    select t.*
    from supasaasy.sync_tasks t
    where t.state = 'leased' and t.lease_expires_at <= v_now
    order by t.lease_expires_at, t.id
    limit p_limit
    for update skip locked
  loop
    v_expired := v_expired + 1;
    if v_task.begun_at is null then
      perform supasaasy.put_back(v_task.id);
    else
      update supasaasy.sync_tasks t
      set lost_leases = (t.lost_leases + 1) % 2,
        page_size = case when t.lost_leases = 1
          then greatest(1, t.page_size / 2) else t.page_size end
      where t.id = v_task.id;
      perform supasaasy.count_failure(
        p_task_id := v_task.id,
        p_class := 'transient',
        p_message := format(
          'a page begun at %s was not completed within the lease: the function was stopped, '
            || 'or could not reach the database', v_task.begun_at),
        p_retry_after := null
      );
    end if;
  end loop;
  return v_expired;
end;
$$;

comment on function supasaasy.expire_leases(integer) is
  'Returns tasks with an expired lease to the queue; returns how many.';

create function supasaasy.purge_seen(p_limit integer)
returns void
language sql
volatile
set search_path = ''
as $$
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
  ) gone
  where s.run_id = gone.run_id and s.external_id = gone.external_id;
$$;

comment on function supasaasy.purge_seen(integer) is
  'Forgets what ended runs have listed, some rows at a time, the marker last.';

-- Tombstones below a floor are no longer needed: what is older than it is fetched, not written.
create function supasaasy.purge_tombstones(p_limit integer)
returns void
language sql
volatile
set search_path = ''
as $$
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
    order by o.deleted_at
    limit p_limit
  ) old
  where t.app_key = old.app_key
    and t.collection_key = old.collection_key
    and t.external_id = old.external_id;
$$;

comment on function supasaasy.purge_tombstones(integer) is
  'Forgets tombstones that are old, and below the floor of their collection.';

create function supasaasy.purge_events(p_limit integer)
returns void
language sql
volatile
set search_path = ''
as $$
  delete from supasaasy.seen_events e
  using (
    select o.app_key, o.event_id
    from supasaasy.seen_events o
    where o.seen_at < supasaasy.clock() - supasaasy.setting('event_id_retention')::interval
    order by o.seen_at
    limit p_limit
  ) old
  where e.app_key = old.app_key and e.event_id = old.event_id;
$$;

comment on function supasaasy.purge_events(integer) is
  'Forgets the ids of events that were applied long ago.';

-- Claims come last: their lock is the last in the order of locks, and held until the commit.
create function supasaasy.tick()
returns jsonb
language plpgsql
volatile
set search_path = ''
as $$
declare
  v_expired integer;
  v_started integer := 0;
  v_swept integer := 0;
  v_run record;
begin
  if not pg_try_advisory_xact_lock(7308) then
    return jsonb_build_object('skipped', 'another tick is running');
  end if;
  v_expired := supasaasy.expire_leases(500);
  for v_run in
    select r.id, r.app_key
    from supasaasy.sync_runs r
    where r.status = 'sweeping' and r.swept_to is not null
    order by r.app_key, r.id
    limit 10
  loop
    perform supasaasy.lock_queue(v_run.app_key);
    perform supasaasy.advance_run(v_run.id);
    v_swept := v_swept + 1;
  end loop;
  perform supasaasy.purge_seen(20000);
  perform supasaasy.purge_tombstones(1000);
  perform supasaasy.purge_events(1000);
  if exists (
    select from supasaasy.sync_tasks t where t.state in ('pending', 'waiting')
  ) then
    v_started := supasaasy.start_tasks(200);
  end if;
  return jsonb_build_object('expired', v_expired, 'swept', v_swept, 'started', v_started);
end;
$$;

comment on function supasaasy.tick() is
  'The heartbeat: returns expired leases, moves sweeps on and starts what is due.';

-- Every two seconds where pg_cron knows seconds (1.5 on), else every minute.
do $$
begin
  perform cron.schedule(
    'supasaasy-tick',
    case
      when (
        select regexp_match(e.extversion, '^(\d+)[.](\d+)')::integer[] >= array[1, 5]
        from pg_catalog.pg_extension e
        where e.extname = 'pg_cron'
      ) then '2 seconds'
      else '* * * * *'
    end,
    'select supasaasy.tick()'
  );
end;
$$;
