-- Owns deleting what a provider says is gone: the row, its children, and the tombstones they leave.

-- Deletes what the provider says is gone, with its children, and leaves tombstones. The caller
-- holds the exclusive locks.
create function supasaasy.delete_rows(
  p_app_key text,
  p_collection_key text,
  p_ids text[],
  p_at timestamptz,
  p_until timestamptz,
  p_source text
)
returns integer
language plpgsql
volatile
set search_path = ''
as $$
declare
  v_now timestamptz := supasaasy.clock();
  v_deleted integer;
  v_gone text[];
  v_check_ids text[];
  v_check_at timestamptz[];
  v_child text;
  v_child_ids text[];
  v_child_until timestamptz;
begin
  with judged as materialized (
    select
      i.external_id,
      e.id,
      e.parent_external_id,
      e.source_created_at,
      coalesce(e.observed_until, t.observed_until) as stored_until,
      case
        when p_until <= s.floor
          and (s.floor_from is null or e.source_created_at >= s.floor_from)
          and d.verdict in ('apply', 'apply_and_check')
        then case when e.id is null then 'drop' else 'check' end
        else d.verdict
      end as verdict
    from (select distinct u.external_id from unnest(p_ids) as u (external_id)) i
    left join lateral (
      select e.id, e.parent_external_id, e.source_created_at, e.observed_at, e.observed_until
      from supasaasy.entities e
      where e.app_key = p_app_key
        and e.collection_key = p_collection_key
        and e.external_id = i.external_id
      offset 0
    ) e on true
    left join lateral (
      select t.observed_at, t.observed_until
      from supasaasy.tombstones t
      where t.app_key = p_app_key
        and t.collection_key = p_collection_key
        and t.external_id = i.external_id
      offset 0
    ) t on true
    left join supasaasy.sync_state s
      on s.app_key = p_app_key
      and s.collection_key = p_collection_key
    cross join lateral (
      select supasaasy.decide(
        coalesce(e.observed_at, t.observed_at),
        coalesce(e.observed_until, t.observed_until),
        e.id is null,
        p_at,
        p_until,
        p_source
      ) as verdict
    ) d
  ),
  gone as (
    delete from supasaasy.entities e
    where e.id = any (array(
      select j.id from judged j where j.verdict in ('apply', 'apply_and_check')
    ))
    returning e.external_id
  ),
  buried as (
    insert into supasaasy.tombstones as t (
      app_key, collection_key, external_id, parent_external_id, source_created_at,
      observed_at, observed_until, deleted_at
    )
    select
      p_app_key, p_collection_key, j.external_id, j.parent_external_id, j.source_created_at,
      p_at, p_until, v_now
    from judged j
    where j.verdict in ('apply', 'apply_and_check', 'touch')
    on conflict (app_key, collection_key, external_id) do update
    set observed_at = excluded.observed_at,
      observed_until = excluded.observed_until
  )
  select
    count(g.external_id),
    array_agg(g.external_id) filter (where g.external_id is not null),
    array_agg(j.external_id) filter (where j.verdict in ('apply_and_check', 'check')),
    array_agg(greatest(p_until, j.stored_until, v_now))
      filter (where j.verdict in ('apply_and_check', 'check'))
  into v_deleted, v_gone, v_check_ids, v_check_at
  from judged j
  left join gone g on g.external_id = j.external_id;

  if v_check_ids is not null then
    perform supasaasy.request_revalidation(
      p_app_key := p_app_key,
      p_collection_key := p_collection_key,
      p_ids := v_check_ids,
      p_after := v_check_at
    );
  end if;

  for v_child in
    select r.collection_key
    from supasaasy.resources r
    where r.parent_collection_key = p_collection_key and v_gone is not null
    order by r.position
  loop
    select array_agg(e.external_id), max(e.observed_until)
    into v_child_ids, v_child_until
    from unnest(v_gone) as g (external_id)
    cross join lateral (
      select c.external_id, c.observed_until
      from supasaasy.entities c
      where c.app_key = p_app_key
        and c.collection_key = v_child
        and c.parent_external_id = g.external_id
      offset 0
    ) e;
    if v_child_ids is not null then
      -- A child cannot outlive its parent, whatever was observed of it since.
      v_deleted := v_deleted + supasaasy.delete_rows(
        p_app_key := p_app_key,
        p_collection_key := v_child,
        p_ids := v_child_ids,
        p_at := greatest(p_at, v_child_until),
        p_until := greatest(p_until, v_child_until),
        p_source := p_source
      );
    end if;
  end loop;
  return v_deleted;
end;
$$;

comment on function supasaasy.delete_rows(text, text, text[], timestamptz, timestamptz, text) is
  'Deletes observed deletions and their children, leaving tombstones; returns how many rows went.';
