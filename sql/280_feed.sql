-- Owns incremental syncs: which resources the provider's list of events keeps complete, from where it
-- is read, and how a page of it is applied; and since when changes are listed where there is none.

create function supasaasy.events_are_listed(
  p_collection_key text,
  p_since timestamptz
)
returns boolean
language sql
stable
set search_path = ''
as $$
  select coalesce(p_since > supasaasy.clock() - c.event_retention + interval '1 day', false)
  from supasaasy.resources r
  join supasaasy.connectors c on c.connector = r.connector
  where r.collection_key = p_collection_key;
$$;

comment on function supasaasy.events_are_listed(text, timestamptz) is
  'Whether the provider still lists every event since a time, with a day to spare.';

-- What an incremental sync can bring up to date by reading events: what was complete once, not so
-- long ago that events are no longer listed, and for no narrower sync_from than the present one.
create function supasaasy.covered_by_events(
  p_app supasaasy.apps,
  p_resources text[]
)
returns text[]
language sql
stable
set search_path = ''
as $$
  select coalesce(array_agg(r.collection_key order by r.position), '{}')
  from supasaasy.resources r
  join supasaasy.sync_state s
    on s.app_key = p_app.app_key
    and s.collection_key = r.collection_key
  where r.collection_key = any (p_resources)
    and r.parent_collection_key is null
    and r.event_types <> '{}'
    and supasaasy.events_are_listed(r.collection_key, s.events_as_of)
    and (s.floor_from is null or p_app.sync_from >= s.floor_from)
    -- A child that was never complete needs its parents listed.
    and not exists (
      select
      from supasaasy.resources h
      where h.parent_collection_key = r.collection_key
        and h.collection_key = any (p_resources)
        and not exists (
          select from supasaasy.sync_state o
          where o.app_key = p_app.app_key and o.collection_key = h.collection_key
        )
    );
$$;

comment on function supasaasy.covered_by_events(supasaasy.apps, text[]) is
  'The resources that reading the provider''s events brings up to date; the others are listed.';

-- What an incremental sync lists of a resource that can be asked for its changes: those since the last
-- time, with an overlap for the clocks' skew. Null lists everything: the first time, for a wider
-- sync_from than before, or while a child resource was never complete.
create function supasaasy.changed_since(
  p_app supasaasy.apps,
  p_resource supasaasy.resources
)
returns timestamptz
language sql
stable
set search_path = ''
as $$
  select s.events_as_of - supasaasy.clock_skew(p_app.app_key) - interval '10 seconds'
  from supasaasy.sync_state s
  where p_resource.filters_updated
    and s.app_key = p_app.app_key
    and s.collection_key = p_resource.collection_key
    and (s.floor_from is null or p_app.sync_from >= s.floor_from)
    and not exists (
      select
      from supasaasy.resources h
      where h.parent_collection_key = p_resource.collection_key
        and h.collection_key = any (supasaasy.app_resources(p_app.app_key))
        and not exists (
          select from supasaasy.sync_state o
          where o.app_key = p_app.app_key and o.collection_key = h.collection_key
        )
    );
$$;

comment on function supasaasy.changed_since(supasaasy.apps, supasaasy.resources) is
  'Since when an incremental sync must list the changes of a resource; null lists everything.';

-- Where a run over the events begins: at the second up to which they were read for all that it covers,
-- with an overlap for the clocks' skew. A listing in between does not move that: what it omits
-- though it lives is told by events alone. What was seen before is not applied twice.
create function supasaasy.feed_start(p_run supasaasy.sync_runs)
returns bigint
language sql
stable
set search_path = ''
as $$
  select floor(extract(epoch from
    min(s.events_as_of) - supasaasy.clock_skew(p_run.app_key) - interval '10 seconds'
  ))::bigint
  from supasaasy.sync_state s
  where s.app_key = p_run.app_key and s.collection_key = any (p_run.covers);
$$;

comment on function supasaasy.feed_start(supasaasy.sync_runs) is
  'The first creation second of the events that a run must read.';

create function supasaasy.feed_listings(p_run supasaasy.sync_runs)
returns jsonb
language sql
stable
set search_path = ''
as $$
  select coalesce(jsonb_agg(jsonb_build_object('types', g.types)), '[]')
  from (
    select string_agg(t.type, ',' order by t.position) as types
    from (
      select e.type, row_number() over (order by r.position, e.position) - 1 as position,
        c.event_types_per_request
      from supasaasy.resources r
      join supasaasy.connectors c on c.connector = r.connector
      cross join unnest(r.event_types) with ordinality as e (type, position)
      where r.collection_key = any (p_run.covers)
    ) t
    group by t.position / t.event_types_per_request
  ) g;
$$;

comment on function supasaasy.feed_listings(supasaasy.sync_runs) is
  'The event types that a run must read, in as many listings as the provider''s limit demands.';

-- A page of events, oldest first: they are listed newest first, and may be of one object.
create function supasaasy.apply_events(
  p_app_key text,
  p_events jsonb,
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
  v_app supasaasy.apps%rowtype := supasaasy.find_app(p_app_key);
  v_event jsonb;
  v_result record;
begin
  inserted := 0;
  updated := 0;
  unchanged := 0;
  deleted := 0;
  for v_event in
    select e.value
    from jsonb_array_elements(p_events) with ordinality as e (value, position)
    left join supasaasy.resources r
      on r.connector = v_app.connector
      and r.resource = e.value ->> 'resource'
    order by r.position, e.value ->> 'external_id', (e.value ->> 'created')::numeric,
      e.position desc
  loop
    v_result := supasaasy.apply_event(v_app, v_event);
    inserted := inserted + v_result.inserted;
    updated := updated + v_result.updated;
    unchanged := unchanged + v_result.unchanged;
    deleted := deleted + v_result.deleted;
  end loop;
end;
$$;

comment on function supasaasy.apply_events(text, jsonb) is
  'Applies a page of normalised events in key order, oldest first; returns true counts.';
