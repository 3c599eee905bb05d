-- Owns the begin of a page: the start token becomes a work token and a work order, and the key
-- that will be used is of the pinned account.

-- Task 0 is doctor()'s: its start token proves that the functions answer and reach the database.
-- A forged or repeated request ends at one look-up by primary key, before any lock.
create function supasaasy.begin_page(
  p_task_id bigint,
  p_start_token uuid
)
returns jsonb
language plpgsql
volatile
security definer
set search_path = ''
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set jit = off
as $$
declare
  v_task supasaasy.sync_tasks%rowtype;
  v_app supasaasy.apps%rowtype;
  v_resource supasaasy.resources%rowtype;
  v_connector supasaasy.connectors%rowtype;
  v_wait interval;
  v_begins boolean := false;
  v_now timestamptz;
begin
  if p_task_id = 0 then
    return supasaasy.answer_ping(p_start_token);
  end if;
  perform
  from supasaasy.sync_tasks t
  where t.id = p_task_id and t.start_token = p_start_token;
  if not found then
    return jsonb_build_object('status', 'refused', 'reason', 'the start token is not valid');
  end if;
  select t.*
  into v_task
  from supasaasy.sync_tasks t
  where t.id = p_task_id and t.start_token = p_start_token
  for update;
  v_now := supasaasy.clock();
  if not found or v_task.state <> 'leased' or v_task.lease_expires_at <= v_now then
    return jsonb_build_object('status', 'refused', 'reason', 'the start token is not valid');
  end if;

  if exists (
    select from supasaasy.sync_runs r
    where r.id = v_task.run_id and r.status not in ('running', 'sweeping')
  ) then
    perform supasaasy.end_task(p_task_id, 'cancelled');
    return jsonb_build_object(
      'status', 'later',
      'next', supasaasy.next_task(v_task.app_key)
    );
  end if;

  select a.* into strict v_app from supasaasy.apps a where a.app_key = v_task.app_key;
  select c.* into strict v_connector
  from supasaasy.connectors c where c.connector = v_app.connector;
  select r.* into strict v_resource
  from supasaasy.resources r where r.collection_key = v_task.collection_key;

  if not v_app.enabled then
    v_wait := interval '0';
  elsif supasaasy.breaker_state(v_app) = 'open'
    or (supasaasy.breaker_state(v_app) = 'half_open' and exists (
      select from supasaasy.sync_tasks t
      where t.app_key = v_app.app_key and t.state = 'leased' and t.work_token is not null
    ))
  then
    -- Due at once: while the breaker is not closed nothing but a probe is claimed.
    v_wait := interval '0';
  elsif v_task.run_after > v_now then
    v_wait := v_task.run_after - v_now;
  else
    v_wait := supasaasy.reserve_request(v_app.app_key, v_resource.endpoint);
    v_begins := v_wait <= interval '2 seconds';
  end if;
  if not v_begins and supasaasy.is_job_refused(v_task.run_id) then
    -- Its job failed when somebody held this task: it must not wait for a probe.
    perform supasaasy.fail_refused(p_task_id);
    return jsonb_build_object('status', 'later', 'next', supasaasy.next_task(v_app.app_key));
  end if;
  if not v_begins then
    update supasaasy.sync_tasks t
    set state = 'waiting',
      run_after = v_now + v_wait,
      start_token = null,
      lease_expires_at = null
    where t.id = p_task_id;
    return jsonb_build_object(
      'status', 'later',
      'next', supasaasy.next_task(v_app.app_key)
    );
  end if;

  update supasaasy.sync_tasks t
  set start_token = null,
    work_token = gen_random_uuid(),
    begun_at = v_now,
    lease_expires_at = v_now + supasaasy.setting('lease')::interval
  where t.id = p_task_id
  returning t.* into v_task;
  return jsonb_build_object(
    'status', 'begun',
    'work_token', v_task.work_token,
    'wait_ms', ceil(extract(epoch from v_wait) * 1000),
    'app_key', v_app.app_key,
    'connector', v_app.connector,
    'api_version', supasaasy.app_api_version(v_app.app_key),
    'config', (
      select coalesce(jsonb_object_agg(k.key, k.value), '{}')
      from jsonb_each(v_app.config) as k (key, value)
      where v_connector.config_keys ? k.key
    ),
    'api_key', (supasaasy.vault_secrets(v_app.app_key, 'api_key'))[1],
    'api_key_env', v_app.config ->> 'api_key_env',
    'key_fingerprint', v_app.key_fingerprint,
    'resource', v_resource.resource,
    'operation', case
      when v_task.kind = 'webhook' then 'webhook'
      when v_resource.is_feed then 'events'
      when v_task.kind = 'revalidate' then 'get'
      else 'list'
    end,
    'external_id', case when v_task.kind = 'revalidate' then v_task.external_id end,
    'parent_id', case when v_task.kind = 'children' then v_task.external_id end,
    'updated_gte', v_task.updated_gte,
    'params', v_task.params,
    'created_gte', v_task.created_gte,
    'created_lt', v_task.created_lt,
    'cursor', v_task.cursor,
    'page_size', v_task.page_size,
    'webhook', case when v_task.kind = 'webhook' then supasaasy.webhook_order(v_app.app_key) end
  );
end;
$$;

-- Definer: functions hold no grant on the queue.
comment on function supasaasy.begin_page(bigint, uuid) is
  'Consumes a start token: a work order for one page, or refused, or later if it is not its time.';

create function supasaasy.is_job_refused(p_run_id bigint)
returns boolean
language plpgsql
stable
set search_path = ''
as $$
begin
  return exists (
    select
    from supasaasy.sync_runs r
    join supasaasy.apps a on a.app_key = r.app_key and a.breaker_opened_at is not null
    join supasaasy.sync_runs o on o.job_id = r.job_id
    join supasaasy.sync_tasks t on t.run_id = o.id and t.state = 'failed'
    where r.id = p_run_id and t.error_class = 'auth'
  );
end;
$$;

comment on function supasaasy.is_job_refused(bigint) is
  'Whether the key of a run''s job was refused, so that its tasks fail without asking.';

create function supasaasy.fail_refused(p_task_id bigint)
returns void
language plpgsql
volatile
set search_path = ''
as $$
begin
  update supasaasy.sync_tasks t
  set error_class = 'auth',
    error_message = coalesce(a.breaker_message, 'the key was refused')
  from supasaasy.apps a
  where t.id = p_task_id and a.app_key = t.app_key;
  perform supasaasy.end_task(p_task_id, 'failed');
  perform supasaasy.fail_job_tasks(p_task_id);
end;
$$;

comment on function supasaasy.fail_refused(bigint) is
  'Fails a task of a job whose key was refused, and what else the job has open.';

create function supasaasy.issue_start_token(p_task_id bigint)
returns jsonb
language sql
volatile
set search_path = ''
as $$
  update supasaasy.sync_tasks t
  set state = 'leased',
    work_token = null,
    begun_at = null,
    start_token = gen_random_uuid(),
    lease_expires_at = supasaasy.clock() + supasaasy.setting('start_token_ttl')::interval
  where t.id = p_task_id
  returning jsonb_build_object('task_id', t.id, 'token', t.start_token);
$$;

comment on function supasaasy.issue_start_token(bigint) is
  'Lets the chain that holds a task begin its next page: the id and a new start token.';

-- An app belongs to the account of the first key that worked. A key of another account, or of the
-- other mode, is an auth error: nothing is written, and the message says how to unpin.
create function supasaasy.pin_account(
  p_task_id bigint,
  p_work_token uuid,
  p_key_fingerprint text,
  p_account_id text,
  p_livemode boolean
)
returns jsonb
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
  v_task supasaasy.sync_tasks%rowtype;
  v_app supasaasy.apps%rowtype;
begin
  if coalesce(p_account_id, '') = '' or p_livemode is null or coalesce(p_key_fingerprint, '') = '' then
    raise exception using
      errcode = '22023',
      message = format('cannot pin an app to account "%s", livemode %s',
        coalesce(p_account_id, 'null'), coalesce(p_livemode::text, 'null'));
  end if;
  select t.*
  into v_task
  from supasaasy.sync_tasks t
  where t.id = p_task_id and t.work_token = p_work_token
  for update;
  if not found then
    return jsonb_build_object('status', 'stale');
  end if;

  select a.* into strict v_app
  from supasaasy.apps a
  where a.app_key = v_task.app_key
  for no key update;
  if v_app.account_id <> p_account_id or v_app.livemode <> p_livemode then
    return supasaasy.fail_page(
      p_task_id := p_task_id,
      p_work_token := p_work_token,
      p_class := 'auth',
      p_message := format(
        'the API key is of account %s (%s), but app %s is pinned to %s (%s); '
          || 'to sync the other account, insert another app, or unpin this one: '
          || 'update supasaasy.apps set account_id = null where app_key = %L',
        p_account_id, case when p_livemode then 'live' else 'test' end,
        v_app.app_key,
        v_app.account_id, case when v_app.livemode then 'live' else 'test' end,
        v_app.app_key
      )
    );
  end if;
  update supasaasy.apps a
  set account_id = p_account_id,
    livemode = p_livemode,
    key_fingerprint = p_key_fingerprint
  where a.app_key = v_app.app_key;
  return jsonb_build_object('status', 'ok', 'next', supasaasy.issue_start_token(p_task_id));
end;
$$;

-- Definer: functions hold no grant on apps.
comment on function supasaasy.pin_account(bigint, uuid, text, text, boolean) is
  'Pins an app to the account of its key, or fails the task when it is pinned to another.';
