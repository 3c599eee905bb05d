-- Owns what a user calls: sync, cancel, retry and job_status.

create function supasaasy.find_app(p_app_key text)
returns supasaasy.apps
language plpgsql
stable
set search_path = ''
as $$
declare
  v_app supasaasy.apps%rowtype;
begin
  select a.* into v_app from supasaasy.apps a where a.app_key = p_app_key;
  if not found then
    raise exception using
      errcode = 'P0002',
      message = format('there is no app "%s"', coalesce(p_app_key, 'null')),
      hint = coalesce(
        'Apps: ' || (select string_agg(a.app_key, ', ' order by a.app_key) from supasaasy.apps a)
          || '.',
        'Insert one: insert into supasaasy.apps (app_key, connector, config) values '
          || '(''stripe_main'', ''stripe'', ''{"api_key_env": "STRIPE_API_KEY"}'');'
      );
  end if;
  return v_app;
end;
$$;

comment on function supasaasy.find_app(text) is
  'An app by its key; raises P0002 and names the others when there is none.';

create function supasaasy.find_job(p_job_id bigint)
returns supasaasy.sync_jobs
language plpgsql
volatile
set search_path = ''
as $$
declare
  v_job supasaasy.sync_jobs%rowtype;
begin
  select j.* into v_job from supasaasy.sync_jobs j where j.id = p_job_id;
  if not found then
    raise exception using
      errcode = 'P0002',
      message = format('there is no job %s', coalesce(p_job_id::text, 'null')),
      hint = 'select id, app_key, status from supasaasy.sync_jobs order by id desc;';
  end if;
  return v_job;
end;
$$;

comment on function supasaasy.find_job(bigint) is
  'A job by its id; raises P0002 when there is none.';

create function supasaasy.find_collection(
  p_connector text,
  p_name text
)
returns text
language plpgsql
stable
set search_path = ''
as $$
declare
  v_collections text[] := supasaasy.resolve_resources(p_connector, null);
  v_collection_key text;
begin
  select r.collection_key
  into v_collection_key
  from supasaasy.resources r
  where r.collection_key = any (v_collections)
    and p_name in (r.resource, r.collection_key);
  if not found then
    raise exception using
      errcode = '22023',
      message = format('connector "%s" has no collection "%s"',
        p_connector, coalesce(p_name, 'null')),
      hint = format('Collections: %s.', array_to_string(v_collections, ', '));
  end if;
  return v_collection_key;
end;
$$;

comment on function supasaasy.find_collection(text, text) is
  'The collection key of customer or stripe_customer; raises 22023 and names the others.';

-- The same wish twice is one job; another mode or other resources queue behind it, per resource.
-- An app that is not being deleted.
create function supasaasy.living_app(p_app_key text)
returns supasaasy.apps
language plpgsql
stable
set search_path = ''
as $$
declare
  v_app supasaasy.apps%rowtype := supasaasy.find_app(p_app_key);
begin
  if v_app.deleting_since is not null then
    raise exception using
      errcode = '55000',
      message = format('app "%s" is being deleted', p_app_key),
      hint = 'Wait until it is gone, then insert it anew.';
  end if;
  return v_app;
end;
$$;

comment on function supasaasy.living_app(text) is
  'An app by its key; raises P0002 when there is none, and 55000 while it is being deleted.';

create function supasaasy.ready_app(p_app_key text)
returns supasaasy.apps
language plpgsql
stable
set search_path = ''
as $$
declare
  v_app supasaasy.apps%rowtype := supasaasy.living_app(p_app_key);
begin
  if not v_app.enabled then
    raise exception using
      errcode = '55000',
      message = format('cannot sync "%s": the app is disabled', p_app_key),
      hint = format('update supasaasy.apps set enabled = true where app_key = %L;', p_app_key);
  end if;
  if v_app.config -> 'api_key_env' is null and not supasaasy.has_secret(p_app_key, 'api_key') then
    raise exception using
      errcode = '55000',
      message = format('cannot sync "%s": it has no API key', p_app_key),
      hint = format('select supasaasy.set_secret(%L, ''api_key'', ''...''); or name an environment '
        || 'variable of the functions in config.api_key_env.', p_app_key);
  end if;
  perform supasaasy.functions_url();
  return v_app;
end;
$$;

comment on function supasaasy.ready_app(text) is
  'An app that can be synced now; raises 55000 and says what is missing when it cannot.';

create function supasaasy.queue_job(
  p_app_key text,
  p_mode text,
  p_resources text[]
)
returns bigint
language plpgsql
volatile
set search_path = ''
as $$
declare
  v_app supasaasy.apps%rowtype := supasaasy.ready_app(p_app_key);
  v_resources text[];
  v_excluded text;
  v_covers text[] := array[]::text[];
  v_job_id bigint;
begin
  if p_mode is null or p_mode not in ('full', 'incremental', 'verify') then
    raise exception using
      errcode = '22023',
      message = format('cannot sync "%s" in mode "%s"', p_app_key, coalesce(p_mode, 'null')),
      hint = 'Modes: incremental, full, verify.';
  end if;
  if p_resources = '{}' then
    raise exception using
      errcode = '22023',
      message = format('cannot sync "%s": the list of resources is empty', p_app_key),
      hint = 'Name at least one resource, or leave the argument out to sync them all.';
  end if;
  perform supasaasy.check_app_resources(v_app);
  if p_resources is null then
    v_resources := supasaasy.app_resources(p_app_key);
  else
    v_resources := supasaasy.resolve_resources(v_app.connector, p_resources);
    select r.key
    into v_excluded
    from unnest(v_resources) as r (key)
    where not (r.key = any (supasaasy.app_resources(p_app_key)))
    limit 1;
    if found then
      raise exception using
        errcode = '22023',
        message = format('cannot sync "%s" of "%s": its sync_resources leave it out',
          v_excluded, p_app_key),
        hint = format('Its resources: %s.',
          array_to_string(supasaasy.app_resources(p_app_key), ', '));
    end if;
    -- A parent's page holds its children, so they come with it.
    v_resources := array(
      select r.collection_key
      from supasaasy.resources r
      where r.collection_key = any (supasaasy.app_resources(p_app_key))
        and (r.collection_key = any (v_resources) or r.parent_collection_key = any (v_resources))
      order by r.position
    );
  end if;

  perform supasaasy.lock_queue(p_app_key);
  select j.id
  into v_job_id
  from supasaasy.sync_jobs j
  where j.app_key = p_app_key
    and j.status in ('pending', 'running')
    and j.mode = p_mode
    and j.resources = v_resources
  order by j.id desc
  limit 1;
  if found then
    return v_job_id;
  end if;

  insert into supasaasy.sync_jobs (app_key, mode, resources, sync_from)
  values (p_app_key, p_mode, v_resources, v_app.sync_from)
  returning id into v_job_id;
  if p_mode = 'incremental' then
    v_covers := supasaasy.covered_by_events(v_app, v_resources);
  end if;
  insert into supasaasy.sync_runs (job_id, app_key, collection_key, covers, since)
  select
    v_job_id, p_app_key, r.collection_key,
    case when r.is_feed then v_covers end,
    case when p_mode = 'incremental' then supasaasy.changed_since(v_app, r) end
  from supasaasy.resources r
  where case
    when r.is_feed then r.connector = v_app.connector and v_covers <> '{}'
    else r.parent_collection_key is null
      and r.collection_key = any (v_resources)
      and not (r.collection_key = any (v_covers))
  end
  order by r.position;
  perform supasaasy.start_next_runs(p_app_key);
  return v_job_id;
end;
$$;

comment on function supasaasy.queue_job(text, text, text[]) is
  'Queues a sync of an app, or finds the same one already open; returns its job id.';

create function supasaasy.sync(
  p_app_key text,
  p_mode text default 'incremental',
  p_resources text[] default null
)
returns bigint
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
  v_job_id bigint;
begin
  perform supasaasy.probe_now(p_app_key);
  v_job_id := supasaasy.queue_job(p_app_key, p_mode, p_resources);
  perform supasaasy.start_tasks(100, p_app_key);
  return v_job_id;
end;
$$;

-- Definer: whoever may execute it needs no grant on the queue.
comment on function supasaasy.sync(text, text, text[]) is
  'Starts a sync of an app, or finds the same one already open; returns its job id.';

-- A page that has begun completes and is kept; its task finds its run cancelled when it begins
-- the next.
create function supasaasy.cancel(p_job_id bigint)
returns text
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
  v_job supasaasy.sync_jobs%rowtype := supasaasy.find_job(p_job_id);
begin
  perform supasaasy.lock_queue(v_job.app_key);
  v_job := supasaasy.find_job(p_job_id);
  if v_job.completed_at is not null then
    return v_job.status;
  end if;
  update supasaasy.sync_jobs j
  set status = 'cancelled',
    completed_at = supasaasy.clock()
  where j.id = p_job_id;
  update supasaasy.sync_runs r
  set status = 'cancelled',
    ended_at = supasaasy.clock()
  where r.job_id = p_job_id and r.status in ('pending', 'running', 'sweeping', 'held');
  update supasaasy.sync_tasks t
  set state = 'cancelled',
    finished_at = supasaasy.clock(),
    start_token = null,
    work_token = null,
    begun_at = null,
    lease_expires_at = null
  from (
    select o.id
    from supasaasy.sync_tasks o
    join supasaasy.sync_runs r on r.id = o.run_id
    where r.job_id = p_job_id
      and (o.state in ('pending', 'waiting') or (o.state = 'leased' and o.begun_at is null))
    for update of o skip locked
  ) open
  where t.id = open.id;
  perform supasaasy.start_next_runs(v_job.app_key);
  perform supasaasy.start_tasks(100, v_job.app_key);
  return 'cancelled';
end;
$$;

-- Definer: whoever may execute it needs no grant on the queue.
comment on function supasaasy.cancel(bigint) is
  'Cancels an open job; returns the job''s status.';

-- Failed tasks go on from their cursor, with their attempts counted anew.
create function supasaasy.retry(p_job_id bigint)
returns text
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
  v_job supasaasy.sync_jobs%rowtype := supasaasy.find_job(p_job_id);
  v_newer bigint;
begin
  perform supasaasy.ready_app(v_job.app_key);
  perform supasaasy.probe_now(v_job.app_key);
  perform supasaasy.lock_queue(v_job.app_key);
  v_job := supasaasy.find_job(p_job_id);
  if v_job.status <> 'failed' then
    raise exception using
      errcode = '55000',
      message = format('cannot retry job %s: it is %s, not failed', p_job_id, v_job.status),
      hint = format('Start another: select supasaasy.sync(%L, %L);', v_job.app_key, v_job.mode);
  end if;
  select max(n.job_id)
  into v_newer
  from supasaasy.sync_runs r
  join supasaasy.sync_runs n
    on n.app_key = r.app_key and n.collection_key = r.collection_key and n.job_id > r.job_id
  where r.job_id = p_job_id and r.status = 'failed';
  if v_newer is not null then
    raise exception using
      errcode = '55000',
      message = format('cannot retry job %s: job %s has synced its resources since',
        p_job_id, v_newer),
      hint = format('Start another: select supasaasy.sync(%L, %L);', v_job.app_key, v_job.mode);
  end if;

  update supasaasy.sync_tasks t
  set state = 'pending',
    run_after = supasaasy.clock(),
    attempts = 0,
    finished_at = null
  from supasaasy.sync_runs r
  where r.id = t.run_id and r.job_id = p_job_id and t.state = 'failed';
  update supasaasy.sync_runs r
  set status = 'running',
    ended_at = null
  where r.job_id = p_job_id and r.status = 'failed';
  update supasaasy.sync_jobs j
  set status = 'running',
    completed_at = null,
    error_message = null
  where j.id = p_job_id;
  perform supasaasy.start_tasks(100, v_job.app_key);
  return 'running';
end;
$$;

-- Definer: whoever may execute it needs no grant on the queue.
comment on function supasaasy.retry(bigint) is
  'Lets the failed tasks of a failed job go on from where they stopped; returns the job''s status.';

create function supasaasy.confirm_sweep(p_job_id bigint)
returns bigint
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
  v_job supasaasy.sync_jobs%rowtype := supasaasy.find_job(p_job_id);
  v_run_id bigint;
  v_confirmed bigint := 0;
begin
  perform supasaasy.lock_queue(v_job.app_key);
  for v_run_id in
    update supasaasy.sync_runs r
    set status = 'sweeping',
      confirmed = true,
      note = null
    where r.job_id = p_job_id and r.status = 'held'
    returning r.id
  loop
    v_confirmed := v_confirmed + 1;
    perform supasaasy.advance_run(v_run_id);
  end loop;
  if v_confirmed = 0 then
    raise exception using
      errcode = '55000',
      message = format('job %s has no sweep to confirm', p_job_id),
      hint = format('select * from supasaasy.job_status(%s);', p_job_id);
  end if;
  perform supasaasy.start_tasks(100, v_job.app_key);
  return v_confirmed;
end;
$$;

-- Definer: whoever may execute it needs no grant on the queue.
comment on function supasaasy.confirm_sweep(bigint) is
  'Lets the held sweeps of a job go on; each row is still fetched before it is deleted.';

create function supasaasy.job_status(p_job_id bigint)
returns table (
  job_id bigint,
  app_key text,
  mode text,
  resource_types text[],
  status text,
  progress_percentage numeric,
  total_tasks bigint,
  completed_tasks bigint,
  failed_tasks bigint,
  pages bigint,
  processed_entities bigint,
  inserted bigint,
  updated bigint,
  unchanged bigint,
  deleted bigint,
  created_at timestamptz,
  started_at timestamptz,
  completed_at timestamptz,
  error_message text
)
language plpgsql
stable
security definer
set search_path = ''
as $$
declare
  v_job supasaasy.sync_jobs%rowtype := supasaasy.find_job(p_job_id);
begin
  return query
  select
    v_job.id,
    v_job.app_key,
    v_job.mode,
    array(
      select o.resource from supasaasy.resources o
      where o.collection_key = any (v_job.resources)
      order by o.position
    ),
    v_job.status,
    case
      when v_job.status = 'completed' then 100
      else (
        select coalesce(round(avg(supasaasy.run_progress(r)), 1), 0)
        from supasaasy.sync_runs r
        where r.job_id = p_job_id
      )
    end,
    t.total,
    t.done,
    t.failed,
    t.pages,
    t.inserted + t.updated + t.unchanged + t.deleted,
    t.inserted,
    t.updated,
    t.unchanged,
    t.deleted,
    v_job.created_at,
    v_job.started_at,
    v_job.completed_at,
    coalesce(v_job.error_message, (
      select string_agg(format('%s: %s', h.collection_key, h.note), '; ' order by h.id)
      from supasaasy.sync_runs h
      where h.job_id = p_job_id and h.status = 'held'
    ))
  from (
    select
      count(*) as total,
      count(*) filter (where k.state = 'done') as done,
      count(*) filter (where k.state = 'failed') as failed,
      coalesce(sum(k.pages), 0)::bigint as pages,
      coalesce(sum(k.inserted), 0)::bigint as inserted,
      coalesce(sum(k.updated), 0)::bigint as updated,
      coalesce(sum(k.unchanged), 0)::bigint as unchanged,
      coalesce(sum(k.deleted), 0)::bigint as deleted
    from supasaasy.sync_runs r
    join supasaasy.sync_tasks k on k.run_id = r.id
    where r.job_id = p_job_id
  ) t;
end;
$$;

-- Definer: whoever may execute it needs no grant on the queue.
comment on function supasaasy.job_status(bigint) is
  'A job''s status, progress and true counts of what it changed.';

create function supasaasy.refetch(
  p_app_key text,
  p_collection_key text,
  p_external_id text
)
returns text
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
  v_app supasaasy.apps%rowtype := supasaasy.ready_app(p_app_key);
  v_collection_key text := supasaasy.find_collection(v_app.connector, p_collection_key);
begin
  if p_external_id is null or length(p_external_id) not between 1 and 255 then
    raise exception using
      errcode = '22023',
      message = format('cannot fetch a %s with the id "%s"',
        v_collection_key, coalesce(left(p_external_id, 60), 'null')),
      hint = 'An id is a text of 1 to 255 characters.';
  end if;
  perform supasaasy.request_revalidation(
    p_app_key := p_app_key,
    p_collection_key := v_collection_key,
    p_ids := array[p_external_id],
    p_after := array[supasaasy.clock() - interval '10 milliseconds']
  );
  perform supasaasy.start_tasks(1, p_app_key);
  return format('fetching %s %s', v_collection_key, p_external_id);
end;
$$;

-- Definer: whoever may execute it needs no grant on the queue.
comment on function supasaasy.refetch(text, text, text) is
  'Fetches one object from its provider, and makes Postgres equal to it.';
