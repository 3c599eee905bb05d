-- Owns the sweep: what becomes of rows that a complete listing did not show.
--
-- The sweep deletes nothing. It walks the collection's keys and nominates rows that the listing
-- did not show; each nominee is fetched, and only the provider's own answer deletes it, because
-- listings omit live objects (test clocks, a flip between two filtered listings, index lag). Where an
-- implausible share is missing, the sweep is held: so many fetches are for somebody to confirm.

-- One step of the sweep: a bounded range of keys. Rows observed wholly since the run began, outside
-- of sync_from, or seen by the listing are not nominated.
create function supasaasy.sweep_step(p_run supasaasy.sync_runs)
returns void
language plpgsql
volatile
set search_path = ''
set enable_seqscan = off
set jit = off
as $$
declare
  v_limit integer := supasaasy.setting('sweep_batch')::integer;
  v_sync_from timestamptz;
  v_last text;
  v_compared integer;
  v_nominees text[];
  v_after timestamptz[];
begin
  if p_run.swept_to is not null then
    if not exists (
      select from supasaasy.sync_seen s where s.run_id = p_run.id and s.external_id = ''
    ) then
      update supasaasy.sync_runs r
      set swept_to = null,
        note = 'the sweep stopped: the database restarted after a crash, and what the listing had '
          || 'seen is lost; run a full sync to find deleted objects'
      where r.id = p_run.id;
    else
      select j.sync_from into v_sync_from from supasaasy.sync_jobs j where j.id = p_run.job_id;
      select
        max(w.external_id),
        count(*),
        array_agg(w.external_id) filter (where w.absent),
        array_agg(greatest(w.observed_until, supasaasy.clock())) filter (where w.absent)
      into v_last, v_compared, v_nominees, v_after
      from (
        select
          e.external_id,
          e.observed_until,
          e.observed_at < p_run.began_at
            and (v_sync_from is null or e.source_created_at is null
              or e.source_created_at >= v_sync_from)
            and not exists (
              select from supasaasy.sync_seen s
              where s.run_id = p_run.id and s.external_id = e.external_id
              offset 0
            ) as absent
        from supasaasy.entities e
        where e.app_key = p_run.app_key
          and e.collection_key = p_run.collection_key
          and e.external_id > p_run.swept_to
        order by e.external_id
        limit v_limit
      ) w;
      if supasaasy.is_verifying(p_run.id) then
        insert into supasaasy.verify_findings (job_id, collection_key, external_id, finding)
        select p_run.job_id, p_run.collection_key, n.external_id, 'extra'
        from unnest(v_nominees) as n (external_id)
        on conflict do nothing;
        v_nominees := null;
      elsif not p_run.confirmed
        and p_run.nominated + coalesce(cardinality(v_nominees), 0)
          > greatest(
            supasaasy.setting('sweep_hold_minimum')::integer,
            supasaasy.setting('sweep_hold_share')::numeric * (p_run.compared + v_compared)
          )
      then
        update supasaasy.sync_runs r
        set status = 'held',
          note = format(
            'the listing did not show %s of %s rows, which is held to be implausible; nothing was '
              || 'deleted. To fetch each of them and delete what is gone: '
              || 'select supasaasy.confirm_sweep(%s); otherwise: select supasaasy.cancel(%s);',
            p_run.nominated + coalesce(cardinality(v_nominees), 0), p_run.compared + v_compared,
            p_run.job_id, p_run.job_id
          )
        where r.id = p_run.id;
        return;
      end if;
      if v_nominees is not null then
        perform supasaasy.request_revalidation(
          p_app_key := p_run.app_key,
          p_collection_key := p_run.collection_key,
          p_ids := v_nominees,
          p_after := v_after,
          p_run_id := p_run.id
        );
      end if;
      update supasaasy.sync_runs r
      set swept_to = case when v_compared = v_limit then v_last end,
        compared = r.compared + v_compared,
        nominated = r.nominated + coalesce(cardinality(v_nominees), 0)
      where r.id = p_run.id
      returning r.* into p_run;
      if p_run.swept_to is not null then
        return;
      end if;
    end if;
  end if;

  if not exists (
    select from supasaasy.sync_tasks t
    where t.run_id = p_run.id and t.state in ('pending', 'waiting', 'leased')
  ) then
    perform supasaasy.end_run(p_run.id, case
      when exists (
        select from supasaasy.sync_tasks t where t.run_id = p_run.id and t.state = 'failed'
      ) then 'failed'
      else 'completed'
    end);
  end if;
end;
$$;

comment on function supasaasy.sweep_step(supasaasy.sync_runs) is
  'Compares the next keys of a collection with what was listed; ends the run after the last.';
