-- Owns verify: a sync that lists and compares, and writes nothing but what it found. Nothing is
-- fetched one by one, so an extra row is one that the listing does not show, gone or not.

create table supasaasy.verify_findings (
  job_id bigint not null references supasaasy.sync_jobs on delete cascade,
  collection_key text not null,
  external_id text not null,
  finding text not null,
  found_at timestamptz not null default supasaasy.clock(),
  primary key (job_id, collection_key, external_id),
  constraint finding_is_known check (finding in ('missing', 'stale', 'extra'))
);

comment on table supasaasy.verify_findings is
  'What a verify job found: rows that are missing or stale here, or that the listing does not show.';

create function supasaasy.is_verifying(p_run_id bigint)
returns boolean
language plpgsql
stable
set search_path = ''
as $$
begin
  return coalesce((
    select j.mode = 'verify'
    from supasaasy.sync_runs r
    join supasaasy.sync_jobs j on j.id = r.job_id
    where r.id = p_run_id
  ), false);
end;
$$;

comment on function supasaasy.is_verifying(bigint) is
  'Whether a run only compares.';

-- What the ordering rule would write is a finding; what is newer here than the page is none.
create function supasaasy.verify_page(
  p_task supasaasy.sync_tasks,
  p_resource supasaasy.resources,
  p_rows jsonb,
  p_at timestamptz,
  p_until timestamptz,
  p_api_version text,
  out inserted integer,
  out updated integer,
  out unchanged integer,
  out deleted integer
)
language plpgsql
volatile
set search_path = ''
as $$
begin
  inserted := 0;
  updated := 0;
  deleted := 0;
  with compared as (
    select
      l.value ->> 'id' as external_id,
      e.id is null as is_missing,
      supasaasy.decide(
        coalesce(e.observed_at, t.observed_at),
        coalesce(e.observed_until, t.observed_until),
        coalesce(
          e.api_version = p_api_version
            and supasaasy.comparable(e.raw_payload, p_resource.volatile_paths)
              = supasaasy.comparable(l.value, p_resource.volatile_paths),
          false
        ),
        p_at,
        p_until,
        'page'
      ) as verdict
    from jsonb_array_elements(p_rows) as l (value)
    left join lateral (
      select e.id, e.api_version, e.raw_payload, e.observed_at, e.observed_until
      from supasaasy.entities e
      where e.app_key = p_task.app_key
        and e.collection_key = p_task.collection_key
        and e.external_id = l.value ->> 'id'
      offset 0
    ) e on true
    left join lateral (
      select t.observed_at, t.observed_until
      from supasaasy.tombstones t
      where t.app_key = p_task.app_key
        and t.collection_key = p_task.collection_key
        and t.external_id = l.value ->> 'id'
      offset 0
    ) t on true
  ),
  found as (
    insert into supasaasy.verify_findings (job_id, collection_key, external_id, finding)
    select r.job_id, p_task.collection_key, c.external_id,
      case when c.is_missing then 'missing' else 'stale' end
    from compared c
    join supasaasy.sync_runs r on r.id = p_task.run_id
    where c.verdict in ('apply', 'apply_and_check')
    on conflict do nothing
    returning 1
  )
  select jsonb_array_length(p_rows) - (select count(*) from found) into unchanged;
end;
$$;

comment on function supasaasy.verify_page(
  supasaasy.sync_tasks, supasaasy.resources, jsonb, timestamptz, timestamptz, text
) is
  'Compares a page with what is stored, and keeps what differs as findings.';
