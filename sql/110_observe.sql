-- Owns writing what a provider says into entities and tombstones: checked rows in, set statements
-- that touch only what changed, true counts out.
--
-- The order of a caller: check_rows, lock_rows, then its own row locks, then observe. What must be
-- fetched once more becomes a revalidation (210_tasks).

create function supasaasy.check_rows(
  p_collection_key text,
  p_rows jsonb
)
returns void
language plpgsql
immutable
set search_path = ''
as $$
declare
  v_bad record;
begin
  if p_rows is null or jsonb_typeof(p_rows) <> 'array' then
    raise exception using
      errcode = '22023',
      message = format('cannot store a page of "%s": its rows are %s, not an array',
        p_collection_key, coalesce(jsonb_typeof(p_rows), 'missing'));
  end if;
  select r.position, r.value
  into v_bad
  from jsonb_array_elements(p_rows) with ordinality as r (value, position)
  where case
    when jsonb_typeof(r.value) <> 'object' then true
    when coalesce(jsonb_typeof(r.value -> 'id'), 'missing') <> 'string' then true
    else length(r.value ->> 'id') not between 1 and 255
  end
  limit 1;
  if found then
    raise exception using
      errcode = '22023',
      message = case jsonb_typeof(v_bad.value)
        when 'object' then format('cannot store row %s of a page of "%s": its id is %s',
          v_bad.position, p_collection_key, coalesce(left((v_bad.value -> 'id')::text, 60), 'missing'))
        else format('cannot store row %s of a page of "%s": it is %s, not an object',
          v_bad.position, p_collection_key, left(v_bad.value::text, 60))
      end,
      hint = 'An id is a text of 1 to 255 characters.';
  end if;
end;
$$;

comment on function supasaasy.check_rows(text, jsonb) is
  'Raises 22023 unless every row of a page is an object with a text id.';

-- The objects of a child resource inside its parents' payloads. What is not an array is no child.
create function supasaasy.child_rows(
  p_parents jsonb[],
  p_path text[]
)
returns table (
  parent_external_id text,
  payload jsonb
)
language sql
immutable
rows 200
set search_path = ''
as $$
  select p.payload ->> 'id', c.payload
  from unnest(p_parents) as p (payload)
  cross join lateral jsonb_array_elements(
    case
      when jsonb_typeof(p.payload #> p_path) = 'array' then p.payload #> p_path
      else '[]'
    end
  ) as c (payload);
$$;

comment on function supasaasy.child_rows(jsonb[], text[]) is
  'Child objects inside parent payloads, each with its parent''s id.';

-- Takes the collection locks that observe needs, the parent's before the children's. Deleting
-- takes the exclusive form: without it an uncommitted delete and a concurrent insert would leave
-- both an entity and a tombstone. Returns whether children may be deleted under these locks; a
-- removal that shows up only later is left to a revalidation.
create function supasaasy.lock_rows(
  p_app_key text,
  p_collection_key text,
  p_rows jsonb,
  p_missing text[]
)
returns boolean
language plpgsql
volatile
set search_path = ''
set enable_seqscan = off
as $$
declare
  v_resource supasaasy.resources%rowtype;
  v_child supasaasy.resources%rowtype;
  v_exclusive boolean;
  v_removes boolean;
  v_any_removes boolean := false;
begin
  select r.* into strict v_resource
  from supasaasy.resources r
  where r.collection_key = p_collection_key;
  v_exclusive := cardinality(p_missing) > 0 or (
    v_resource.deleted_when is not null
    and exists (
      select from jsonb_array_elements(p_rows) as r (value)
      where r.value @@ v_resource.deleted_when
    )
  );
  perform supasaasy.lock_collection(p_app_key, p_collection_key, v_exclusive);

  for v_child in
    select r.*
    from supasaasy.resources r
    where r.parent_collection_key = p_collection_key
    order by r.position
  loop
    v_removes := v_exclusive or exists (
      select
      from jsonb_array_elements(p_rows) as p (value)
      join supasaasy.entities e
        on e.app_key = p_app_key
        and e.collection_key = v_child.collection_key
        and e.parent_external_id = p.value ->> 'id'
      where not coalesce((p.value #> v_child.truncated_path) = 'true', false)
        and not coalesce(
          jsonb_path_exists(
            p.value #> v_child.children_path,
            '$[*] ? (@.id == $id)',
            jsonb_build_object('id', e.external_id)
          ),
          false
        )
    );
    perform supasaasy.lock_collection(p_app_key, v_child.collection_key, v_removes);
    v_any_removes := v_any_removes or v_removes;
  end loop;
  return v_any_removes;
end;
$$;

comment on function supasaasy.lock_rows(text, text, jsonb, text[]) is
  'Locks the collections that a page will write; returns whether children may be deleted.';

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
set enable_seqscan = off
as $$
declare
  v_now timestamptz := supasaasy.clock();
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
    ) e on true
    left join lateral (
      select t.observed_at, t.observed_until
      from supasaasy.tombstones t
      where t.app_key = p_app_key
        and t.collection_key = p_resource.collection_key
        and t.external_id = i.external_id
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
    cross join lateral (
      select supasaasy.decide(c.stored_at, c.stored_until, c.same, p_at, p_until, p_source)
        as verdict
    ) d
  ),
  revived as (
    delete from supasaasy.tombstones t
    using judged j
    where j.buried
      and j.verdict in ('apply', 'apply_and_check')
      and t.app_key = p_app_key
      and t.collection_key = p_resource.collection_key
      and t.external_id = j.external_id
  ),
  written as (
    insert into supasaasy.entities as e (
      app_key, collection_key, external_id, parent_external_id, api_version, raw_payload,
      payload_repaired, source_created_at, observed_at, observed_until, created_at, updated_at,
      archived_at
    )
    select
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
set enable_seqscan = off
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
    left join supasaasy.entities e
      on e.app_key = p_app_key
      and e.collection_key = p_collection_key
      and e.external_id = i.external_id
    left join supasaasy.tombstones t
      on t.app_key = p_app_key
      and t.collection_key = p_collection_key
      and t.external_id = i.external_id
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
    using judged j
    where e.id = j.id and j.verdict in ('apply', 'apply_and_check')
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
    from supasaasy.entities e
    where e.app_key = p_app_key
      and e.collection_key = v_child
      and e.parent_external_id = any (v_gone);
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
set enable_seqscan = off
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
    select array_agg(p.payload ->> 'id')
    into v_truncated
    from unnest(v_payloads) as p (payload)
    where p.payload #> v_child.truncated_path = 'true'
      and p.payload ->> 'id' = any (v_rows.applied || v_rows.kept);
    if v_truncated is not null then
      perform supasaasy.request_children(
        p_app_key := p_app_key,
        p_collection_key := v_child.collection_key,
        p_parents := v_truncated,
        p_run_id := p_run_id
      );
    end if;

    -- Until this child resource is complete once, unchanged parents bring their children too.
    select array_agg(p.payload)
    into v_followed
    from unnest(v_payloads) as p (payload)
    where p.payload ->> 'id' = any (
      case
        when exists (
          select from supasaasy.sync_state s
          where s.app_key = p_app_key and s.collection_key = v_child.collection_key
        ) then v_rows.applied
        else v_rows.applied || v_rows.kept
      end
    );
    continue when v_followed is null;

    perform supasaasy.check_rows(
      v_child.collection_key,
      coalesce((
        select jsonb_agg(c.payload)
        from supasaasy.child_rows(v_followed, v_child.children_path) c
      ), '[]')
    );
    select array_agg(c.payload ->> 'id'), array_agg(c.parent_external_id), array_agg(c.payload)
    into v_child_ids, v_child_parents, v_child_payloads
    from supasaasy.child_rows(v_followed, v_child.children_path) c;
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
    join supasaasy.entities e
      on e.app_key = p_app_key
      and e.collection_key = v_child.collection_key
      and e.parent_external_id = p.payload ->> 'id'
    where not coalesce((p.payload #> v_child.truncated_path) = 'true', false)
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
