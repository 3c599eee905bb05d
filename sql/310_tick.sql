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

-- Every two seconds where pg_cron knows seconds (1.5 on), else every minute.
create function supasaasy.schedule_tick()
returns text
language plpgsql
volatile
set search_path = ''
as $$
declare
  v_schedule text := case
    when supasaasy.cron_knows_seconds() then '2 seconds'
    else '* * * * *'
  end;
begin
  perform cron.schedule('supasaasy-tick', v_schedule, 'select supasaasy.tick()');
  return v_schedule;
end;
$$;

comment on function supasaasy.schedule_tick() is
  'Makes the cron job of the heartbeat, or puts it right; returns its schedule.';

-- One step of a tick; gives how much it did. What fails in one does not stop the others: it is undone,
-- and kept for doctor().
create function supasaasy.tick_step(
  p_step text,
  inout p_errors jsonb,
  out p_done integer
)
language plpgsql
volatile
set search_path = ''
as $$
declare
  v_began timestamptz := clock_timestamp();
  v_before integer;
  v_run record;
begin
  p_done := 0;
  case p_step
    when 'expire' then
      p_done := supasaasy.expire_leases(500);
    when 'sweep' then
      -- An app that is busy is left to its pages, and none waits long for the tick's commit.
      loop
        v_before := p_done;
        for v_run in
          select r.id, r.app_key
          from supasaasy.sync_runs r
          where r.status = 'sweeping' and r.swept_to is not null
          order by r.app_key, r.id
          limit 10
        loop
          exit when clock_timestamp() > v_began + interval '300 milliseconds';
          if supasaasy.try_lock_queue(v_run.app_key) then
            perform supasaasy.advance_run(v_run.id);
            p_done := p_done + 1;
          end if;
        end loop;
        exit when p_done = v_before;
      end loop;
    when 'watch' then
      p_done := supasaasy.watch();
    when 'clean' then
      p_done := supasaasy.clean_up()::integer;
    when 'schedule' then
      p_done := supasaasy.start_schedules(100);
    when 'start' then
      if exists (select from supasaasy.sync_tasks t where t.state in ('pending', 'waiting')) then
        p_done := supasaasy.start_tasks(200);
      end if;
  end case;
exception
  when others then
    p_done := 0;
    p_errors := p_errors || jsonb_build_object(p_step, left(sqlerrm, 500));
    raise warning 'supasaasy: the step "%" of tick() failed: %', p_step, sqlerrm;
end;
$$;

comment on function supasaasy.tick_step(text, jsonb) is
  'Runs one step of a tick: how much it did, and the errors so far with its own.';

-- Claims come last: their lock is the last in the order of locks, and held until the commit. Only the
-- heartbeat is written after that, and only if nobody holds it.
create function supasaasy.tick()
returns jsonb
language plpgsql
volatile
set search_path = ''
as $$
declare
  v_beat supasaasy.heartbeat%rowtype;
  v_now timestamptz := supasaasy.clock();
  v_watches boolean;
  v_cleans boolean;
  v_step text;
  v_result record;
  v_errors jsonb := jsonb_build_object();
  v_done jsonb := jsonb_build_object();
begin
  if not pg_try_advisory_xact_lock(7308) then
    return jsonb_build_object('skipped', 'another tick is running');
  end if;
  v_beat := supasaasy.beat();
  v_watches := coalesce(v_beat.watched_at < v_now - interval '10 seconds', true);
  v_cleans := coalesce(v_beat.cleaned_at < v_now - interval '1 minute', true);
  foreach v_step in array array['expire', 'sweep', 'watch', 'clean', 'schedule', 'start'] loop
    continue when v_step = 'watch' and not v_watches or v_step = 'clean' and not v_cleans;
    v_result := supasaasy.tick_step(v_step, v_errors);
    v_errors := v_result.p_errors;
    v_done := v_done || jsonb_build_object(v_step, v_result.p_done);
  end loop;

  perform from supasaasy.heartbeat h where h.singleton for update skip locked;
  if found then
    update supasaasy.heartbeat h
    set ticked_at = v_now,
      watched_at = case when v_watches then v_now else h.watched_at end,
      -- Soon again while there is much to forget.
      cleaned_at = case when v_done -> 'clean' = '0' then v_now else h.cleaned_at end,
      step_errors = v_errors
    where h.singleton;
  end if;
  return jsonb_strip_nulls(v_done || jsonb_build_object('errors', nullif(v_errors, '{}')));
end;
$$;

comment on function supasaasy.tick() is
  'The heartbeat: returns expired leases, moves sweeps on, starts what is due, forgets what is old.';
