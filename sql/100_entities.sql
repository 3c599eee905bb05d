-- Owns the canonical data: entities, the tombstones of what was deleted, and the rule that decides
-- between two observations of one object.
--
-- Interval clock. What a provider says of an object was true at some instant inside a known
-- interval of the database's clock: [observed_at, observed_until]. An entity or its tombstone
-- holds the interval of the newest observation; never both exist for one key.
--
-- Locks, in this order: the advisory lock of the parent's collection, then of the child's
-- (lock_collection: shared to upsert, exclusive to delete), then rows in key order.

create table supasaasy.entities (
  id uuid primary key default supasaasy.uuid_v7(),
  app_key text not null,
  collection_key text not null,
  external_id text not null,
  parent_external_id text,
  api_version text not null,
  raw_payload jsonb not null,
  payload_repaired boolean not null default false,
  source_created_at timestamptz,
  observed_at timestamptz not null,
  observed_until timestamptz not null,
  created_at timestamptz not null default supasaasy.clock(),
  updated_at timestamptz not null default supasaasy.clock(),
  archived_at timestamptz,
  deleted_at timestamptz,
  unique (app_key, collection_key, external_id),
  constraint observation_is_an_interval check (observed_at <= observed_until),
  constraint deleted_rows_are_tombstones check (deleted_at is null)
);

-- No foreign key to apps: it would cost a look-up a row, and a trigger on apps keeps the promise.
comment on table supasaasy.entities is
  'One row per object of a provider, as it holds it now.';
comment on column supasaasy.entities.raw_payload is
  'The object as the provider sent it.';
comment on column supasaasy.entities.payload_repaired is
  'Whether code points that jsonb refuses were replaced by U+FFFD.';
comment on column supasaasy.entities.updated_at is
  'When the payload last changed here.';
comment on column supasaasy.entities.archived_at is
  'Since when the object is inactive, canceled or closed at the provider; null while it is not.';
comment on column supasaasy.entities.deleted_at is
  'Always null: what the provider deleted is deleted here, and tombstones say when.';

create index entities_parent_idx
on supasaasy.entities (app_key, collection_key, parent_external_id, external_id)
where parent_external_id is not null;

create table supasaasy.tombstones (
  app_key text not null,
  collection_key text not null,
  external_id text not null,
  parent_external_id text,
  source_created_at timestamptz,
  observed_at timestamptz not null,
  observed_until timestamptz not null,
  deleted_at timestamptz not null default supasaasy.clock(),
  merged_into text,
  primary key (app_key, collection_key, external_id),
  constraint observation_is_an_interval check (observed_at <= observed_until)
);

comment on table supasaasy.tombstones is
  'What the provider deleted, so that a late page or event cannot bring it back.';
comment on column supasaasy.tombstones.deleted_at is
  'When the deletion was recorded here.';
comment on column supasaasy.tombstones.merged_into is
  'The object that this one was merged into, if the provider says so; such a tombstone is kept.';

create index tombstones_deleted_idx on supasaasy.tombstones (deleted_at);

-- Payloads are most of the bytes: lz4 where this server was built with it, else the default.
do $$
begin
  if (select 'lz4' = any (s.enumvals) from pg_catalog.pg_settings s
    where s.name = 'default_toast_compression')
  then
    alter table supasaasy.entities alter column raw_payload set compression lz4;
  end if;
end;
$$;

create function supasaasy.keep_app_of_entities()
returns trigger
language plpgsql
set search_path = ''
as $$
begin
  if exists (select from supasaasy.entities e where e.app_key = old.app_key)
    or exists (select from supasaasy.tombstones t where t.app_key = old.app_key)
  then
    raise exception using
      errcode = '23503',
      message = format('cannot delete app "%s": it still has entities or tombstones', old.app_key),
      hint = 'Set enabled to false to stop it, or delete its entities and tombstones first.';
  end if;
  return old;
end;
$$;

comment on function supasaasy.keep_app_of_entities() is
  'Trigger: an app that owns data is not deleted, nor renamed.';

create trigger keep_app_of_entities
before delete on supasaasy.apps
for each row execute function supasaasy.keep_app_of_entities();

create trigger keep_key_of_entities
before update of app_key on supasaasy.apps
for each row when (old.app_key <> new.app_key)
execute function supasaasy.keep_app_of_entities();

create function supasaasy.lock_collection(
  p_app_key text,
  p_collection_key text,
  p_exclusive boolean
)
returns void
language plpgsql
volatile
set search_path = ''
as $$
declare
  v_key bigint := hashtextextended(p_app_key || '/' || p_collection_key, 7305);
begin
  if p_exclusive then
    perform pg_advisory_xact_lock(v_key);
  else
    perform pg_advisory_xact_lock_shared(v_key);
  end if;
end;
$$;

comment on function supasaasy.lock_collection(text, text, boolean) is
  'Until the end of the transaction: shared for upserts of a collection, exclusive for deletes.';

-- The rule. p_same says whether both observations hold the same value (payload and API version,
-- or both deleted); p_source is page, event or fetch. Answers:
--   apply            the incoming value is newer: write it
--   apply_and_check  the order is unknown: write it, and fetch the object once more
--   check            the order is unknown and the stored lower bound is later: fetch, write nothing
--   touch            the same value seen anew: record the interval (an event or a fetch)
--   keep             the same value: write nothing
--   drop             the incoming observation is older
create function supasaasy.decide(
  p_stored_at timestamptz,
  p_stored_until timestamptz,
  p_same boolean,
  p_at timestamptz,
  p_until timestamptz,
  p_source text
)
returns text
language plpgsql
immutable
parallel safe
set search_path = ''
as $$
begin
  return case
    when p_stored_at is null then 'apply'
    when p_at >= p_stored_until then
      case when not p_same then 'apply' when p_source = 'page' then 'keep' else 'touch' end
    when p_until <= p_stored_at then 'drop'
    when p_same then
      case when p_source <> 'page' and p_at >= p_stored_at then 'touch' else 'keep' end
    when p_at >= p_stored_at then 'apply_and_check'
    else 'check'
  end;
end;
$$;

comment on function supasaasy.decide(timestamptz, timestamptz, boolean, timestamptz, timestamptz, text) is
  'What to do with an observation, given the stored one: the ordering rule of the interval clock.';
