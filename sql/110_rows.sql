-- Owns what must hold before rows are written: each is an object with an id, and the collections
-- that a page will write are locked.
--
-- The order of a caller: check_rows, lock_rows, then its own row locks, then observe (140_observe).

create function supasaasy.is_row(p_value jsonb)
returns boolean
language plpgsql
immutable
parallel safe
set search_path = ''
as $$
begin
  return coalesce(
    jsonb_typeof(p_value) = 'object'
      and jsonb_typeof(p_value -> 'id') = 'string'
      and length(p_value ->> 'id') between 1 and 255,
    false
  );
end;
$$;

comment on function supasaasy.is_row(jsonb) is
  'Whether a value is an object with an id of 1 to 255 characters.';

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
  where not supasaasy.is_row(r.value)
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
language plpgsql
immutable
rows 200
set search_path = ''
as $$
begin
  return query
  select p.payload ->> 'id', c.payload
  from unnest(p_parents) as p (payload)
  cross join lateral jsonb_array_elements(
    case
      when jsonb_typeof(p.payload #> p_path) = 'array' then p.payload #> p_path
      else '[]'
    end
  ) as c (payload);
end;
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
    v_removes := v_exclusive or v_child.children_path is not null and exists (
      select
      from jsonb_array_elements(p_rows) as p (value)
      -- A look-up for each parent, whatever the statistics say of a collection that is being filled.
      cross join lateral (
        select c.external_id
        from supasaasy.entities c
        where c.app_key = p_app_key
          and c.collection_key = v_child.collection_key
          and c.parent_external_id = p.value ->> 'id'
        offset 0
      ) e
      where not coalesce((p.value #> v_child.truncated_path) = 'true', false)
        and jsonb_typeof(p.value #> v_child.children_path) = 'array'
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
