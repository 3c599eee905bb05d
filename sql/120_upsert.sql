-- Owns writing the observed rows of one collection: only what changed, with true counts. What must
-- be fetched once more becomes a revalidation (210_tasks).

-- Upserts one collection's rows. An anti-join finds what changed before anything is written, so
-- unchanged rows cost neither a dead tuple nor WAL; the same rule stands again in the conflict
-- clause, for what another session wrote in between. A row that lost that race is fetched anew.
create function supasaasy.upsert_rows(
  p_app_key text,
  p_resource supasaasy.resources,
  p_ids text[],
  p_parents text[],
  p_payloads jsonb[],
  p_repaired text[],
  p_at timestamptz,
  p_until timestamptz,
  p_source text,
  p_api_version text,
  out inserted integer,
  out updated integer,
  out unchanged integer,
  out applied text[],
  out kept text[]
)
language plpgsql
volatile
set search_path = ''
as $$
declare
  v_now timestamptz := supasaasy.clock();
  -- One time-ordered id (version 7) for all rows: each ends in its number instead.
  v_uuid_head text := left(supasaasy.uuid_v7()::text, 30);
  v_below_floor boolean := false;
  v_floor_from timestamptz;
  v_volatile boolean := cardinality(p_resource.volatile_paths) > 0;
  v_total integer;
  v_check_ids text[];
  v_check_at timestamptz[];
begin
  select p_until <= s.floor, s.floor_from
  into v_below_floor, v_floor_from
  from supasaasy.sync_state s
  where s.app_key = p_app_key and s.collection_key = p_resource.collection_key;

  with incoming as materialized (
    select distinct on (i.external_id)
      i.external_id,
      i.parent_external_id,
      i.payload,
      i.position,
      supasaasy.unix_time(i.payload -> p_resource.created_field) as source_created_at
    from unnest(p_ids, p_parents, p_payloads) with ordinality
      as i (external_id, parent_external_id, payload, position)
    order by i.external_id, i.position desc
  ),
  compared as materialized (
    select
      i.*,
      e.archived_at as stored_archived_at,
      t.observed_until is not null as buried,
      coalesce(e.observed_at, t.observed_at) as stored_at,
      coalesce(e.observed_until, t.observed_until) as stored_until,
      coalesce(
        e.api_version = p_api_version
          and e.parent_external_id is not distinct from i.parent_external_id
          and case
            when v_volatile then
              supasaasy.comparable(e.raw_payload, p_resource.volatile_paths)
              = supasaasy.comparable(i.payload, p_resource.volatile_paths)
            else e.raw_payload = i.payload
          end,
        false
      ) as same
    from incoming i
    left join lateral (
      select e.observed_at, e.observed_until, e.api_version, e.parent_external_id,
        e.raw_payload, e.archived_at
      from supasaasy.entities e
      where e.app_key = p_app_key
        and e.collection_key = p_resource.collection_key
        and e.external_id = i.external_id
      -- A look-up for each row, whatever the statistics say of a table that is being filled.
      offset 0
    ) e on true
    left join lateral (
      select t.observed_at, t.observed_until
      from supasaasy.tombstones t
      where t.app_key = p_app_key
        and t.collection_key = p_resource.collection_key
        and t.external_id = i.external_id
      offset 0
    ) t on true
  ),
  judged as materialized (
    select
      c.*,
      case
        -- Older than the last complete listing. A row that it found unchanged is newer than its
        -- interval says, and one that it did not show was deleted, or lives though it was omitted:
        -- only a fetch can tell.
        when v_below_floor
          and (v_floor_from is null or c.source_created_at >= v_floor_from)
          and d.verdict in ('apply', 'apply_and_check')
        then 'check'
        else d.verdict
      end as verdict
    from compared c
    -- What most rows of a page are, without a call each: never seen, or the same as before.
    cross join lateral (
      select case
        when c.stored_at is null then 'apply'
        when c.same and p_source = 'page' and p_until > c.stored_at then 'keep'
        else supasaasy.decide(c.stored_at, c.stored_until, c.same, p_at, p_until, p_source)
      end as verdict
      offset 0
    ) d
  ),
  revived as (
    delete from supasaasy.tombstones t
    where t.app_key = p_app_key
      and t.collection_key = p_resource.collection_key
      and t.external_id = any (array(
        select j.external_id
        from judged j
        where j.buried and j.verdict in ('apply', 'apply_and_check')
      ))
      -- Until something is revived, nothing is read.
      and exists (
        select from judged j where j.buried and j.verdict in ('apply', 'apply_and_check')
      )
  ),
  written as (
    insert into supasaasy.entities as e (
      id, app_key, collection_key, external_id, parent_external_id, api_version, raw_payload,
      payload_repaired, source_created_at, observed_at, observed_until, created_at, updated_at,
      archived_at
    )
    select
      (v_uuid_head || lpad(to_hex(j.position), 6, '0'))::uuid,
      p_app_key, p_resource.collection_key, j.external_id, j.parent_external_id, p_api_version,
      j.payload, j.external_id = any (p_repaired), j.source_created_at, p_at, p_until, v_now, v_now,
      case when j.payload @@ p_resource.archived_when then
        coalesce(
          supasaasy.unix_time(j.payload -> p_resource.archived_at_field),
          j.stored_archived_at,
          v_now
        )
      end
    from judged j
    where j.verdict in ('apply', 'apply_and_check', 'touch')
    order by j.external_id
    on conflict (app_key, collection_key, external_id) do update
    set parent_external_id = excluded.parent_external_id,
      api_version = excluded.api_version,
      raw_payload = excluded.raw_payload,
      payload_repaired = excluded.payload_repaired,
      source_created_at = excluded.source_created_at,
      observed_at = excluded.observed_at,
      observed_until = excluded.observed_until,
      updated_at = case
        when e.raw_payload = excluded.raw_payload and e.api_version = excluded.api_version
        then e.updated_at
        else excluded.updated_at
      end,
      archived_at = case when excluded.archived_at is not null then
        coalesce(
          supasaasy.unix_time(excluded.raw_payload -> p_resource.archived_at_field),
          e.archived_at,
          excluded.archived_at
        )
      end
    where supasaasy.decide(
      e.observed_at,
      e.observed_until,
      e.raw_payload = excluded.raw_payload
        and e.api_version = excluded.api_version
        and e.parent_external_id is not distinct from excluded.parent_external_id,
      excluded.observed_at,
      excluded.observed_until,
      p_source
    ) in ('apply', 'apply_and_check', 'touch')
    returning e.external_id, e.xmax = 0 as is_new
  )
  select
    count(*) filter (where w.is_new),
    count(*) filter (where not w.is_new and not j.same),
    count(*),
    array_agg(j.external_id) filter (where w.external_id is not null and not j.same),
    array_agg(j.external_id) filter (where j.verdict in ('keep', 'touch')),
    array_agg(j.external_id) filter (where j.verdict in ('apply_and_check', 'check')
      or (j.verdict in ('apply', 'touch') and w.external_id is null)),
    array_agg(greatest(p_until, j.stored_until, v_now)) filter (
      where j.verdict in ('apply_and_check', 'check')
        or (j.verdict in ('apply', 'touch') and w.external_id is null))
  into inserted, updated, v_total, applied, kept, v_check_ids, v_check_at
  from judged j
  left join written w on w.external_id = j.external_id;

  unchanged := v_total - inserted - updated;
  applied := coalesce(applied, '{}');
  kept := coalesce(kept, '{}');

  -- One id twice in a page, with different payloads: the last one stands until it is fetched.
  if v_total < cardinality(p_ids) then
    select v_check_ids || array_agg(d.external_id),
      v_check_at || array_agg(greatest(p_until, v_now))
    into v_check_ids, v_check_at
    from (
      select i.external_id
      from unnest(p_ids, p_payloads) as i (external_id, payload)
      group by i.external_id
      having count(distinct i.payload) > 1
    ) d;
  end if;
  if v_check_ids is not null then
    perform supasaasy.request_revalidation(
      p_app_key := p_app_key,
      p_collection_key := p_resource.collection_key,
      p_ids := v_check_ids,
      p_after := v_check_at
    );
  end if;
end;
$$;

comment on function supasaasy.upsert_rows(
  text, supasaasy.resources, text[], text[], jsonb[], text[], timestamptz, timestamptz, text, text
) is
  'Upserts observed rows of one collection where the interval clock says so; returns true counts.';
