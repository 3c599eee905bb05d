-- Owns the webhook endpoint that an app has at its provider: wanted here, made and repaired by a task
-- like any other, its secret kept in Vault.

create table supasaasy.webhook_endpoints (
  app_key text primary key references supasaasy.apps on delete cascade,
  url text not null,
  event_types text[] not null,
  endpoint_id text,
  did text,
  error_message text,
  checked_at timestamptz
);

comment on table supasaasy.webhook_endpoints is
  'The webhook endpoint that each app has at its provider, and how it was when last looked at.';
comment on column supasaasy.webhook_endpoints.did is
  'What the last look did: created, kept, repaired, or removed of its own.';

create function supasaasy.manage_webhook(p_app_key text)
returns text
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
  v_app supasaasy.apps%rowtype := supasaasy.living_app(p_app_key);
  v_base text := coalesce(supasaasy.setting('public_functions_url'), supasaasy.functions_url());
  v_url text := v_base || '/webhook/' || p_app_key;
begin
  if v_base ~ '^http://kong:' then
    raise exception using
      errcode = '55000',
      message = format('cannot make a webhook for "%s": %s is known in Docker''s network only',
        p_app_key, v_base),
      hint = 'select supasaasy.set_setting(''public_functions_url'', ''https://...'');';
  elsif not v_app.enabled then
    raise exception using
      errcode = '55000',
      message = format('cannot make a webhook for "%s": the app is disabled', p_app_key),
      hint = format('update supasaasy.apps set enabled = true where app_key = %L;', p_app_key);
  end if;
  if not exists (
    select from supasaasy.resources r where r.connector = v_app.connector and r.is_feed
  ) then
    raise exception using
      errcode = '55000',
      message = format('cannot make a webhook for "%s": %s has no API for that', p_app_key, v_app.connector),
      hint = format('Set it up at the provider, with this address: %s', v_url);
  end if;
  insert into supasaasy.webhook_endpoints as w (app_key, url, event_types)
  select p_app_key, v_url, array_agg(t.type order by r.position, t.position)
  from supasaasy.resources r
  cross join unnest(r.event_types) with ordinality as t (type, position)
  where r.collection_key = any (supasaasy.app_resources(p_app_key))
  on conflict (app_key) do update
  set url = excluded.url,
    event_types = excluded.event_types;
  insert into supasaasy.sync_tasks as t (
    app_key, collection_key, kind, external_id, priority, page_size
  )
  select p_app_key, r.collection_key, 'webhook', p_app_key, 0, 1
  from supasaasy.resources r
  where r.connector = v_app.connector and r.is_feed
  on conflict (app_key, collection_key, external_id, kind)
    where kind <> 'list' and state in ('pending', 'waiting', 'leased')
  do nothing;
  perform supasaasy.start_tasks(1, p_app_key);
  return v_url;
end;
$$;

-- Definer: whoever may execute it needs no grant on the queue.
comment on function supasaasy.manage_webhook(text) is
  'Finds, makes or repairs an app''s webhook endpoint at its provider; returns its URL.';

create function supasaasy.webhook_order(p_app_key text)
returns jsonb
language sql
stable
set search_path = ''
as $$
  select jsonb_build_object(
    'url', w.url,
    'types', to_jsonb(w.event_types),
    'endpoint_id', w.endpoint_id,
    'secret_is_known', supasaasy.vault_secrets(p_app_key, 'webhook_secret') <> '{}'
  )
  from supasaasy.webhook_endpoints w
  where w.app_key = p_app_key;
$$;

comment on function supasaasy.webhook_order(text) is
  'What a function needs to know to manage an app''s webhook endpoint.';

create function supasaasy.complete_webhook(
  p_task_id bigint,
  p_work_token uuid,
  p_endpoint_id text,
  p_secret text,
  p_did text
)
returns jsonb
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
  v_task supasaasy.sync_tasks%rowtype;
  v_answer jsonb;
begin
  select t.*
  into v_task
  from supasaasy.sync_tasks t
  where t.id = p_task_id
  for update;
  if v_task.answered_token = p_work_token then
    return v_task.answer;
  elsif v_task.work_token is distinct from p_work_token
    or p_work_token is null
    or v_task.kind <> 'webhook'
  then
    return jsonb_build_object('status', 'stale');
  end if;
  if p_secret is not null then
    perform supasaasy.set_secret(v_task.app_key, 'webhook_secret', p_secret);
  end if;
  perform supasaasy.close_breaker(v_task.app_key);
  update supasaasy.webhook_endpoints w
  set endpoint_id = p_endpoint_id,
    did = left(p_did, 200),
    error_message = null,
    checked_at = supasaasy.clock()
  where w.app_key = v_task.app_key;
  perform supasaasy.end_task(p_task_id, 'done');
  v_answer := jsonb_build_object('status', 'ok', 'next', supasaasy.next_task(v_task.app_key));
  update supasaasy.sync_tasks t
  set answered_token = p_work_token,
    answer = v_answer
  where t.id = p_task_id;
  return v_answer;
end;
$$;

-- Definer: functions hold no grant on the queue or on Vault.
comment on function supasaasy.complete_webhook(bigint, uuid, text, text, text) is
  'Records an app''s webhook endpoint, and keeps its secret in Vault.';
