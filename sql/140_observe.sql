-- Owns applying an observation as a whole: upserts, deletions, and children after their parents.

-- Applies one page, fetch or event of a collection, children included: they follow their parent's
-- verdict, its whole set when the parent is not truncated. A truncated parent never deletes
-- children, and its list is followed up even where the parent did not change.
create function supasaasy.observe(
  p_app_key text,
  p_collection_key text,
  p_rows jsonb,
  p_missing text[],
  p_repaired text[],
  p_parent text,
  p_at timestamptz,
  p_until timestamptz,
  p_source text,
  p_api_version text,
  p_may_remove boolean,
  p_run_id bigint,
  out inserted integer,
  out updated integer,
  out unchanged integer,
  out deleted integer
)
language plpgsql
volatile
set search_path = ''
as $$
declare
  v_resource supasaasy.resources%rowtype;
  v_child supasaasy.resources%rowtype;
  v_ids text[];
  v_parents text[];
  v_payloads jsonb[];
  v_gone text[];
  v_followed jsonb[];
  v_child_ids text[];
  v_child_parents text[];
  v_child_payloads jsonb[];
  v_rows record;
  v_child_rows record;
  v_removed text[];
  v_truncated text[];
  v_is_new boolean;
  v_are_rows boolean;
begin
  select r.* into strict v_resource
  from supasaasy.resources r
  where r.collection_key = p_collection_key;

  select
    array_agg(r.value ->> 'id') filter (where not r.gone),
    array_agg(r.value) filter (where not r.gone),
    array_agg(coalesce(p_parent, r.value ->> v_resource.parent_field)) filter (where not r.gone),
    array_agg(r.value ->> 'id') filter (where r.gone)
  into v_ids, v_payloads, v_parents, v_gone
  from (
    select p.value, coalesce(p.value @@ v_resource.deleted_when, false) as gone
    from jsonb_array_elements(p_rows) as p (value)
  ) r;
  v_gone := p_missing || coalesce(v_gone, '{}');
  inserted := 0;
  updated := 0;
  unchanged := 0;
  deleted := 0;

  if v_ids is not null then
    v_rows := supasaasy.upsert_rows(
      p_app_key := p_app_key,
      p_resource := v_resource,
      p_ids := v_ids,
      p_parents := v_parents,
      p_payloads := v_payloads,
      p_repaired := p_repaired,
      p_at := p_at,
      p_until := p_until,
      p_source := p_source,
      p_api_version := p_api_version
    );
    inserted := v_rows.inserted;
    updated := v_rows.updated;
    unchanged := v_rows.unchanged;
  end if;
  if cardinality(v_gone) > 0 then
    deleted := supasaasy.delete_rows(
      p_app_key := p_app_key,
      p_collection_key := p_collection_key,
      p_ids := v_gone,
      p_at := p_at,
      p_until := p_until,
      p_source := p_source
    );
  end if;
  if v_ids is null then
    return;
  end if;

  for v_child in
    select r.*
    from supasaasy.resources r
    where r.parent_collection_key = p_collection_key
      and r.collection_key = any (supasaasy.app_resources(p_app_key))
    order by r.position
  loop
    v_is_new := not exists (
      select from supasaasy.sync_state s
      where s.app_key = p_app_key and s.collection_key = v_child.collection_key
    );
    -- Listed for each parent: when it changed, or has another number of them than are here.
    select array_agg(p.payload ->> 'id')
    into v_truncated
    from unnest(v_payloads) as p (payload)
    where p.payload ->> 'id' = any (v_rows.applied || v_rows.kept)
      and case
        when v_child.children_path is not null
          then p.payload #> v_child.truncated_path = 'true'
        else v_is_new
          or p.payload ->> 'id' = any (v_rows.applied)
          or supasaasy.whole_number(p.payload #> v_child.children_count_path) <> (
            select count(*)
            from supasaasy.entities e
            where e.app_key = p_app_key
              and e.collection_key = v_child.collection_key
              and e.parent_external_id = p.payload ->> 'id'
          )
      end;
    if v_truncated is not null then
      perform supasaasy.request_children(
        p_app_key := p_app_key,
        p_collection_key := v_child.collection_key,
        p_parents := v_truncated,
        p_run_id := p_run_id
      );
    end if;

    continue when v_child.children_path is null;

    -- Until this child resource is complete once, unchanged parents bring their children too.
    select array_agg(p.payload)
    into v_followed
    from unnest(v_payloads) as p (payload)
    where p.payload ->> 'id' = any (
      case when v_is_new then v_rows.applied || v_rows.kept else v_rows.applied end
    );
    continue when v_followed is null;

    select
      array_agg(c.payload ->> 'id'), array_agg(c.parent_external_id), array_agg(c.payload),
      bool_and(supasaasy.is_row(c.payload))
    into v_child_ids, v_child_parents, v_child_payloads, v_are_rows
    from supasaasy.child_rows(v_followed, v_child.children_path) c;
    if not v_are_rows then
      perform supasaasy.check_rows(v_child.collection_key, to_jsonb(v_child_payloads));
    end if;
    if v_child_ids is not null then
      v_child_rows := supasaasy.upsert_rows(
        p_app_key := p_app_key,
        p_resource := v_child,
        p_ids := v_child_ids,
        p_parents := v_child_parents,
        p_payloads := v_child_payloads,
        p_repaired := p_repaired,
        p_at := p_at,
        p_until := p_until,
        p_source := p_source,
        p_api_version := p_api_version
      );
      inserted := inserted + v_child_rows.inserted;
      updated := updated + v_child_rows.updated;
      unchanged := unchanged + v_child_rows.unchanged;
    end if;

    select array_agg(e.external_id)
    into v_removed
    from unnest(v_followed) as p (payload)
    cross join lateral (
      select c.external_id
      from supasaasy.entities c
      where c.app_key = p_app_key
        and c.collection_key = v_child.collection_key
        and c.parent_external_id = p.payload ->> 'id'
      offset 0
    ) e
    where not coalesce((p.payload #> v_child.truncated_path) = 'true', false)
      and jsonb_typeof(p.payload #> v_child.children_path) = 'array'
      and not (e.external_id = any (coalesce(v_child_ids, '{}')));
    if v_removed is null then
      continue;
    elsif p_may_remove then
      deleted := deleted + supasaasy.delete_rows(
        p_app_key := p_app_key,
        p_collection_key := v_child.collection_key,
        p_ids := v_removed,
        p_at := p_at,
        p_until := p_until,
        p_source := p_source
      );
    else
      perform supasaasy.request_revalidation(
        p_app_key := p_app_key,
        p_collection_key := v_child.collection_key,
        p_ids := v_removed,
        p_after := array_fill(p_until, array[cardinality(v_removed)])
      );
    end if;
  end loop;
end;
$$;

comment on function supasaasy.observe(
  text, text, jsonb, text[], text[], text, timestamptz, timestamptz, text, text, boolean, bigint
) is
  'Applies a page, fetch or event of a collection, children included; returns true counts.';
