-- Owns the queue's tables. A job is one call of sync(); it has a run per resource; a run has tasks,
-- each of which fetches pages one after another. Revalidations may stand alone, without a run.
--
-- Job:          pending -> running -> completed | failed | cancelled
-- Run:          pending -> running -> (sweeping (-> held -> sweeping) ->) the same ends
-- Task:         pending -> leased -> (pending | waiting | done | failed | cancelled)
-- A leased task has a start token (issued, not begun) or a work token (begun), never both.
--
-- Locks, in this order: collection and object (100_entities), task, the app's row, its queue
-- (lock_queue), claims (210_tasks). Jobs and runs are written only under the app's queue lock, which a page takes
-- only when its task ends; under it, task rows are taken with skip locked.

create table supasaasy.sync_jobs (
  id bigint generated always as identity primary key,
  app_key text not null references supasaasy.apps on delete cascade,
  mode text not null,
  resources text[] not null,
  sync_from timestamptz,
  status text not null default 'pending',
  error_message text,
  created_at timestamptz not null default supasaasy.clock(),
  started_at timestamptz,
  completed_at timestamptz,
  constraint mode_is_known check (mode in ('full', 'incremental', 'verify')),
  constraint status_is_known
    check (status in ('pending', 'running', 'completed', 'failed', 'cancelled')),
  constraint ended_jobs_have_an_end
    check ((status in ('completed', 'failed', 'cancelled')) = (completed_at is not null))
)
with (fillfactor = 70);

comment on table supasaasy.sync_jobs is
  'One row per call of sync(): what was asked for, and how it ended.';

create index sync_jobs_app_idx on supasaasy.sync_jobs (app_key, id);
create index sync_jobs_ended_idx on supasaasy.sync_jobs (completed_at)
where completed_at is not null;
create index sync_jobs_failed_idx on supasaasy.sync_jobs (id) where status = 'failed';
create index sync_jobs_open_idx on supasaasy.sync_jobs (app_key, id)
where status in ('pending', 'running');

create table supasaasy.sync_runs (
  id bigint generated always as identity primary key,
  job_id bigint not null references supasaasy.sync_jobs on delete cascade,
  app_key text not null references supasaasy.apps on delete cascade,
  collection_key text not null references supasaasy.resources,
  status text not null default 'pending',
  began_at timestamptz,
  ended_at timestamptz,
  swept_to text,
  compared bigint not null default 0,
  nominated bigint not null default 0,
  confirmed boolean not null default false,
  is_first boolean not null default false,
  inserted bigint,
  updated bigint,
  deleted bigint,
  covers text[],
  since timestamptz,
  note text,
  unique (job_id, collection_key),
  constraint status_is_known
    check (status in (
      'pending', 'running', 'sweeping', 'held', 'completed', 'failed', 'cancelled'
    )),
  constraint ended_runs_have_an_end
    check ((status in ('completed', 'failed', 'cancelled')) = (ended_at is not null)),
  constraint begun_runs_have_a_begin check (status in ('pending', 'cancelled') or began_at is not null)
)
with (fillfactor = 70);

comment on table supasaasy.sync_runs is
  'One resource in one job: its listing, then its sweep.';
comment on column supasaasy.sync_runs.swept_to is
  'The last external id that the sweep has compared.';
comment on column supasaasy.sync_runs.compared is
  'Rows that the sweep has compared with the listing.';
comment on column supasaasy.sync_runs.confirmed is
  'Whether somebody confirmed that so many rows may be gone.';
comment on column supasaasy.sync_runs.is_first is
  'Whether the resource was never complete before.';
comment on column supasaasy.sync_runs.inserted is
  'What the whole run inserted, children included; updated and deleted alike.';
comment on column supasaasy.sync_runs.nominated is
  'Rows that the listing did not show; each was or is fetched before anything is deleted.';
comment on column supasaasy.sync_runs.covers is
  'The collections that a run over the provider''s events keeps complete.';
comment on column supasaasy.sync_runs.since is
  'An incremental run lists what changed since this time; null lists everything.';
comment on column supasaasy.sync_runs.note is
  'What a user should know of this run, such as why nothing was swept.';

create index sync_runs_open_idx on supasaasy.sync_runs (app_key, collection_key, id)
where status in ('pending', 'running', 'sweeping', 'held');
create index sync_runs_app_idx on supasaasy.sync_runs (app_key, collection_key, id);
create index sync_runs_held_idx on supasaasy.sync_runs (id) where status = 'held';
create index sync_runs_sweeping_idx on supasaasy.sync_runs (id) where status = 'sweeping';
create index sync_runs_collection_idx on supasaasy.sync_runs (collection_key);

-- The columns that a page changes come last, so that its WAL holds little else.
create table supasaasy.sync_tasks (
  id bigint generated always as identity primary key,
  run_id bigint references supasaasy.sync_runs on delete cascade,
  created_at timestamptz not null default supasaasy.clock(),
  app_key text not null references supasaasy.apps on delete cascade,
  collection_key text not null references supasaasy.resources,
  kind text not null,
  external_id text,
  params jsonb not null default '{}',
  created_gte bigint,
  created_lt bigint,
  updated_gte bigint,
  page_size integer not null,
  priority smallint not null,
  run_after timestamptz not null default supasaasy.clock(),
  again_after timestamptz,
  finished_at timestamptz,
  error_class text,
  error_message text,
  seen text[],
  attempts integer not null default 0,
  lost_leases integer not null default 0,
  inserted bigint not null default 0,
  updated bigint not null default 0,
  deleted bigint not null default 0,
  state text not null default 'pending',
  unchanged bigint not null default 0,
  pages bigint not null default 0,
  cursor text,
  cursor_created bigint,
  start_token uuid,
  work_token uuid,
  begun_at timestamptz,
  lease_expires_at timestamptz,
  answered_token uuid,
  answer jsonb,
  constraint kind_is_known check (kind in ('list', 'children', 'revalidate', 'webhook')),
  constraint state_is_known
    check (state in ('pending', 'leased', 'waiting', 'done', 'failed', 'cancelled')),
  constraint listings_belong_to_a_run check (kind <> 'list' or run_id is not null),
  constraint listings_have_no_object check ((kind = 'list') = (external_id is null)),
  constraint leased_tasks_have_one_token
    check ((state = 'leased') = (num_nonnulls(start_token, work_token) = 1)),
  constraint leased_tasks_expire check ((state = 'leased') = (lease_expires_at is not null)),
  constraint begun_tasks_have_a_work_token check ((work_token is null) = (begun_at is null)),
  constraint ended_tasks_have_an_end
    check ((state in ('done', 'failed', 'cancelled')) = (finished_at is not null)),
  constraint failed_tasks_say_why check (state <> 'failed' or error_message is not null)
)
with (
  fillfactor = 50,
  autovacuum_vacuum_scale_factor = 0.01,
  autovacuum_vacuum_threshold = 1000,
  autovacuum_vacuum_cost_delay = 0
);

comment on table supasaasy.sync_tasks is
  'The work queue: what to fetch, how far it is, and why it failed.';
comment on column supasaasy.sync_tasks.kind is
  'list: a resource or a slice; children: those of a parent; revalidate: one object; webhook.';
comment on column supasaasy.sync_tasks.external_id is
  'The object to fetch, or the parent whose children to list.';
comment on column supasaasy.sync_tasks.priority is
  '0 revalidations, 1 children, 2 listings.';
comment on column supasaasy.sync_tasks.created_gte is
  'First creation second of the slice, in unix seconds; null is unbounded.';
comment on column supasaasy.sync_tasks.created_lt is
  'The creation second at which the slice ends, itself not in it.';
comment on column supasaasy.sync_tasks.updated_gte is
  'Only what changed since this second is wanted; null is all.';
comment on column supasaasy.sync_tasks.seen is
  'The children that a children task has listed so far.';
comment on column supasaasy.sync_tasks.again_after is
  'Set when a revalidation under way must be repeated: it may have begun too early.';
comment on column supasaasy.sync_tasks.answered_token is
  'The work token last completed; completing with it again returns the same answer.';
comment on column supasaasy.sync_tasks.attempts is
  'Consecutive failures; a page resets them.';

create index sync_tasks_due_idx on supasaasy.sync_tasks (app_key, priority, run_after, id)
where state in ('pending', 'waiting');
-- Expired leases are found among the leased, which are few: an index on the expiry would make every
-- page's writes cost an entry in each index.
create index sync_tasks_leased_idx on supasaasy.sync_tasks (app_key)
where state = 'leased';
create index sync_tasks_run_idx on supasaasy.sync_tasks (run_id, state);
create index sync_tasks_alone_idx on supasaasy.sync_tasks (finished_at)
where run_id is null and finished_at is not null;
create index sync_tasks_doubt_idx on supasaasy.sync_tasks (app_key, collection_key)
where run_id is null and state = 'failed';
create index sync_tasks_collection_idx on supasaasy.sync_tasks (collection_key);
-- One open revalidation an object, one open children listing a parent: further wishes coalesce.
create unique index sync_tasks_coalesce_idx
on supasaasy.sync_tasks (app_key, collection_key, external_id, kind)
where kind <> 'list' and state in ('pending', 'waiting', 'leased');

-- What full runs have listed. Unlogged: a crash empties it, the marker row with it (external_id
-- '', one a run), and a run without its marker is never swept.
create unlogged table supasaasy.sync_seen (
  run_id bigint not null,
  external_id text not null,
  primary key (run_id, external_id)
);

comment on table supasaasy.sync_seen is
  'The external ids that the open full runs have listed.';

create table supasaasy.sync_state (
  app_key text not null references supasaasy.apps on delete cascade,
  collection_key text not null references supasaasy.resources,
  complete_as_of timestamptz not null,
  events_as_of timestamptz not null,
  floor timestamptz not null,
  floor_from timestamptz,
  primary key (app_key, collection_key)
);

comment on table supasaasy.sync_state is
  'How far each resource of each app is complete.';
comment on column supasaasy.sync_state.complete_as_of is
  'Everything that changed before this time is here.';
comment on column supasaasy.sync_state.events_as_of is
  'What events or an incremental listing tell of before this time was read.';
comment on column supasaasy.sync_state.floor is
  'When the last complete listing began: what was observed before it is fetched, not written.';
comment on column supasaasy.sync_state.floor_from is
  'The floor holds for objects created since this time; null for all.';

create index sync_state_collection_idx on supasaasy.sync_state (collection_key);

-- Serialises what decides about an app's queue: new jobs, whose turn a resource is, and which task
-- was the last.
create function supasaasy.lock_queue(p_app_key text)
returns void
language plpgsql
volatile
set search_path = ''
as $$
begin
  perform pg_advisory_xact_lock(hashtextextended(p_app_key, 7306));
end;
$$;

comment on function supasaasy.lock_queue(text) is
  'Until the end of the transaction: only this one decides about the app''s jobs and turns.';

create function supasaasy.try_lock_queue(p_app_key text)
returns boolean
language plpgsql
volatile
set search_path = ''
as $$
begin
  return pg_try_advisory_xact_lock(hashtextextended(p_app_key, 7306));
end;
$$;

comment on function supasaasy.try_lock_queue(text) is
  'lock_queue, unless somebody holds it; whether it was had.';

-- A full sync of a resource that was complete before measures how true it had stayed.
create view supasaasy.drift
with (security_invoker = true)
as
select
  r.app_key,
  r.collection_key,
  r.job_id,
  r.began_at as measured_at,
  r.inserted as missing,
  r.updated as stale,
  r.deleted as extra,
  s.complete_as_of
from supasaasy.sync_runs r
join supasaasy.sync_state s
  on s.app_key = r.app_key
  and s.collection_key = r.collection_key
join supasaasy.sync_jobs j on j.id = r.job_id and j.mode <> 'verify'
where r.status = 'completed' and r.covers is null and r.since is null and not r.is_first;

comment on view supasaasy.drift is
  'What each full sync had to repair: rows that were missing, stale, or gone at the provider.';
