-- Owns history: the versions of an object that were changed or deleted, with their validity. It is
-- off by default, and costs nothing while it is: the trigger that keeps versions exists only while
-- some app's config asks for it ("history": true, or a list of resources).

create table supasaasy.entity_versions (
  id uuid primary key default supasaasy.uuid_v7(),
  app_key text not null,
  collection_key text not null,
  external_id text not null,
  api_version text not null,
  raw_payload jsonb not null,
  archived_at timestamptz,
  valid_from timestamptz not null,
  valid_until timestamptz not null,
  was_deleted boolean not null,
  constraint validity_is_an_interval check (valid_from <= valid_until)
);

comment on table supasaasy.entity_versions is
  'What objects were before they changed or were deleted, for apps whose config asks for history.';
comment on column supasaasy.entity_versions.valid_from is
  'Since when Postgres held this version; valid_until is when it was replaced or deleted.';

create index entity_versions_time_idx
on supasaasy.entity_versions (collection_key, valid_until, valid_from);
create index entity_versions_object_idx
on supasaasy.entity_versions (app_key, collection_key, external_id, valid_until);

create function supasaasy.keeps_history(
  p_app_key text,
  p_collection_key text
)
returns boolean
language plpgsql
stable
set search_path = ''
as $$
begin
  return exists (
    select
    from supasaasy.apps a
    join supasaasy.resources r on r.collection_key = p_collection_key
    where a.app_key = p_app_key
      and (
        a.config -> 'history' = 'true'
        or a.config -> 'history' ?| array[r.resource, r.collection_key]
      )
  );
end;
$$;

comment on function supasaasy.keeps_history(text, text) is
  'Whether an app''s config asks for the history of a collection.';

create function supasaasy.keep_version()
returns trigger
language plpgsql
set search_path = ''
as $$
begin
  if supasaasy.keeps_history(old.app_key, old.collection_key) then
    insert into supasaasy.entity_versions (
      app_key, collection_key, external_id, api_version, raw_payload, archived_at,
      valid_from, valid_until, was_deleted
    )
    values (
      old.app_key, old.collection_key, old.external_id, old.api_version, old.raw_payload,
      old.archived_at, old.updated_at, greatest(old.updated_at, supasaasy.clock()),
      tg_op = 'DELETE'
    );
  end if;
  return null;
end;
$$;

comment on function supasaasy.keep_version() is
  'Trigger: keeps a version that was replaced or deleted.';

-- Follows the apps: the triggers on entities come with the first app that wants history, and go
-- with the last.
create function supasaasy.follow_history()
returns trigger
language plpgsql
set search_path = ''
as $$
declare
  v_wanted boolean := exists (
    select from supasaasy.apps a
    where a.config ? 'history' and a.config -> 'history' not in ('false', '[]')
  );
  v_there boolean := exists (
    select from pg_catalog.pg_trigger t
    where t.tgrelid = 'supasaasy.entities'::regclass and t.tgname = 'keep_changed_version'
  );
begin
  if v_wanted and not v_there then
    create trigger keep_changed_version
    after update on supasaasy.entities
    for each row
    when (old.raw_payload is distinct from new.raw_payload or old.api_version <> new.api_version)
    execute function supasaasy.keep_version();
    create trigger keep_deleted_version
    after delete on supasaasy.entities
    for each row execute function supasaasy.keep_version();
  elsif v_there and not v_wanted then
    drop trigger keep_changed_version on supasaasy.entities;
    drop trigger keep_deleted_version on supasaasy.entities;
  end if;
  return null;
end;
$$;

comment on function supasaasy.follow_history() is
  'Trigger: keeps versions exactly while some app''s config asks for history.';

create trigger follow_history
after insert or update of config or delete on supasaasy.apps
for each statement execute function supasaasy.follow_history();

create function supasaasy.as_of(
  p_collection_key text,
  p_time timestamptz
)
returns table (
  app_key text,
  external_id text,
  raw_payload jsonb,
  api_version text,
  archived_at timestamptz
)
language plpgsql
stable
set search_path = ''
as $$
#variable_conflict use_column
begin
  if not exists (
    select from supasaasy.resources r where r.collection_key = p_collection_key and not r.is_feed
  ) then
    raise exception using
      errcode = '22023',
      message = format('there is no collection "%s"', coalesce(p_collection_key, 'null')),
      hint = format('Collections: %s.', (
        select string_agg(r.collection_key, ', ' order by r.collection_key)
        from supasaasy.resources r
        where not r.is_feed
      ));
  elsif p_time is null then
    raise exception using
      errcode = '22023',
      message = 'cannot look at the past without a time';
  end if;
  return query
  select e.app_key, e.external_id, e.raw_payload, e.api_version, e.archived_at
  from supasaasy.entities e
  where e.collection_key = p_collection_key and e.updated_at <= p_time
  union all
  select v.app_key, v.external_id, v.raw_payload, v.api_version, v.archived_at
  from supasaasy.entity_versions v
  where v.collection_key = p_collection_key
    and v.valid_from <= p_time
    and v.valid_until > p_time;
end;
$$;

comment on function supasaasy.as_of(text, timestamptz) is
  'A collection as Postgres held it at a time, for apps that keep history.';
