-- Owns what a provider pushes or lists as events. An event says that an object was so, or was
-- deleted, at a second of the provider's clock: an observation like any other, with an interval as
-- wide as that second and the clocks' skew on either side. Nothing of an event is kept but the
-- entity, and its id for a while, so that a repeated one is not applied twice.
--
-- Events reach SQL normalised by the connector, as JSON:
--   {id, created, api_version, account, livemode, resource, external_id, object, deleted}
-- object is null for an event that only names what changed.

-- Unlogged: after a crash a repeated event is judged by the interval clock alone.
create unlogged table supasaasy.seen_events (
  app_key text not null,
  event_id text not null,
  seen_at timestamptz not null default supasaasy.clock(),
  primary key (app_key, event_id)
);

comment on table supasaasy.seen_events is
  'The ids of the events that were applied lately.';

create index seen_events_seen_idx on supasaasy.seen_events (seen_at);

create function supasaasy.clock_skew(p_app_key text)
returns interval
language plpgsql
stable
set search_path = ''
as $$
begin
  return (
    select greatest(supasaasy.setting('clock_skew')::interval, a.clock_skew)
    from supasaasy.apps a
    where a.app_key = p_app_key
  );
end;
$$;

comment on function supasaasy.clock_skew(text) is
  'How far the provider''s clock may be from ours: the setting, or more where more was measured.';

create function supasaasy.check_event(p_event jsonb)
returns void
language plpgsql
immutable
set search_path = ''
as $$
begin
  if p_event is null
    or jsonb_typeof(p_event) <> 'object'
    or coalesce(p_event ->> 'id', '') = ''
    or length(p_event ->> 'id') > 255
    or supasaasy.unix_time(p_event -> 'created') is null
    or coalesce(p_event ->> 'resource', '') = ''
    or length(coalesce(p_event ->> 'external_id', '')) not between 1 and 255
  then
    raise exception using
      errcode = '22023',
      message = format('cannot apply an event: %s', coalesce(left(p_event::text, 200), 'null')),
      hint = 'An event has an id, created (unix seconds), resource and external_id.';
  end if;
end;
$$;

comment on function supasaasy.check_event(jsonb) is
  'Raises 22023 unless an event says what changed, and when.';

-- The collection locks that a list of events needs, in the order of all lockers.
create function supasaasy.lock_events(
  p_app_key text,
  p_events jsonb
)
returns void
language plpgsql
volatile
set search_path = ''
as $$
declare
  v_collection record;
begin
  for v_collection in
    select
      r.collection_key,
      coalesce(
        jsonb_agg(e.value -> 'object') filter (where jsonb_typeof(e.value -> 'object') = 'object'),
        '[]'
      ) as rows,
      coalesce(
        array_agg(e.value ->> 'external_id') filter (where supasaasy.truth(e.value -> 'deleted')),
        '{}'
      ) as missing
    from jsonb_array_elements(p_events) as e (value)
    join supasaasy.apps a on a.app_key = p_app_key
    join supasaasy.resources r
      on r.connector = a.connector
      and r.resource = e.value ->> 'resource'
    group by r.collection_key, r.position
    order by r.position
  loop
    perform supasaasy.lock_rows(
      p_app_key, v_collection.collection_key, v_collection.rows, v_collection.missing
    );
  end loop;
end;
$$;

comment on function supasaasy.lock_events(text, jsonb) is
  'Locks the collections that a list of events will write.';

-- Applies one event under the locks of lock_events; says what became of it.
create function supasaasy.apply_event(
  p_app supasaasy.apps,
  p_event jsonb,
  out outcome text,
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
  v_now timestamptz := supasaasy.clock();
  v_created timestamptz := supasaasy.unix_time(p_event -> 'created');
  v_skew interval := supasaasy.clock_skew(p_app.app_key);
  v_id text := p_event ->> 'external_id';
  v_object jsonb := p_event -> 'object';
  v_gone boolean := coalesce(supasaasy.truth(p_event -> 'deleted'), false);
  v_pinned_version text;
  v_version text;
  v_resource supasaasy.resources%rowtype;
  v_counts record;
begin
  inserted := 0;
  updated := 0;
  unchanged := 0;
  deleted := 0;
  if p_app.account_id is null then
    outcome := 'ignored: the app was not synced yet';
    return;
  elsif p_event ->> 'account' <> p_app.account_id then
    outcome := 'ignored: of another account';
    return;
  elsif supasaasy.truth(p_event -> 'livemode') <> p_app.livemode then
    outcome := 'ignored: of the other mode';
    return;
  end if;
  select r.*
  into v_resource
  from supasaasy.resources r
  where r.connector = p_app.connector
    and r.resource = p_event ->> 'resource'
    and r.collection_key = any (supasaasy.app_resources(p_app.app_key));
  if not found then
    outcome := 'ignored: its resource is not synced';
    return;
  elsif supasaasy.unix_time(v_object -> v_resource.created_field) < p_app.sync_from then
    outcome := 'ignored: created before sync_from';
    return;
  end if;

  insert into supasaasy.seen_events (app_key, event_id)
  values (p_app.app_key, p_event ->> 'id')
  on conflict (app_key, event_id) do nothing;
  if not found then
    outcome := 'duplicate';
    return;
  end if;

  if v_created > v_now + v_skew
    or (not v_gone and v_object ->> 'id' is distinct from v_id)
  then
    -- A stamp of the future, or an event without its object, says only that something changed.
    perform supasaasy.request_revalidation(
      p_app_key := p_app.app_key,
      p_collection_key := v_resource.collection_key,
      p_ids := array[v_id],
      p_after := array[v_now]
    );
    outcome := 'revalidating';
    return;
  end if;

  v_pinned_version := supasaasy.app_api_version(p_app.app_key);
  v_version := coalesce(p_event ->> 'api_version', v_pinned_version);
  v_counts := supasaasy.observe(
    p_app_key := p_app.app_key,
    p_collection_key := v_resource.collection_key,
    p_rows := case when v_gone then '[]' else jsonb_build_array(v_object) end,
    p_missing := case when v_gone then array[v_id] else '{}' end,
    p_repaired := case
      when supasaasy.truth(p_event -> 'repaired') then array[v_id]
      else '{}'
    end,
    p_parent := null,
    p_at := v_created - v_skew,
    p_until := v_created + interval '1 second' + v_skew,
    p_source := 'event',
    p_api_version := v_version,
    p_may_remove := supasaasy.lock_rows(
      p_app.app_key,
      v_resource.collection_key,
      case when v_gone then '[]' else jsonb_build_array(v_object) end,
      case when v_gone then array[v_id] else '{}' end
    ),
    p_run_id := null
  );
  inserted := v_counts.inserted;
  updated := v_counts.updated;
  unchanged := v_counts.unchanged;
  deleted := v_counts.deleted;
  if v_version <> v_pinned_version and not v_gone then
    perform supasaasy.request_revalidation(
      p_app_key := p_app.app_key,
      p_collection_key := v_resource.collection_key,
      p_ids := array[v_id],
      p_after := array[greatest(v_now, v_created + interval '1 second' + v_skew)]
    );
  end if;
  outcome := 'applied';
end;
$$;

comment on function supasaasy.apply_event(supasaasy.apps, jsonb) is
  'Applies one normalised event of an app, once; says what became of it, with true counts.';

-- What the webhook function needs to know of an app before it reads a body.
create function supasaasy.webhook_app(p_app_key text)
returns jsonb
language plpgsql
stable
security definer
set search_path = ''
as $$
begin
  return (
    select jsonb_build_object(
      'connector', a.connector,
      'enabled', a.enabled,
      'logging', coalesce(a.config -> 'webhook_logging', 'false') <> 'false',
      'secret_env', a.config ->> 'webhook_secret_env',
      'secrets', supasaasy.vault_secrets(a.app_key, 'webhook_secret')
    )
    from supasaasy.apps a
    where a.app_key = p_app_key and a.deleting_since is null
  );
end;
$$;

-- Definer: functions hold no grant on apps.
comment on function supasaasy.webhook_app(text) is
  'How to verify the webhooks of an app; null for an app that does not exist.';

create function supasaasy.receive_event(
  p_app_key text,
  p_event jsonb
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
  v_app supasaasy.apps%rowtype := supasaasy.find_app(p_app_key);
  v_result record;
begin
  perform supasaasy.check_event(p_event);
  if not v_app.enabled then
    return jsonb_build_object('outcome', 'ignored: the app is disabled');
  end if;
  perform supasaasy.lock_events(p_app_key, jsonb_build_array(p_event));
  -- Under the locks: delete_app takes them too, before the last look.
  v_app := supasaasy.find_app(p_app_key);
  if not v_app.enabled then
    return jsonb_build_object('outcome', 'ignored: the app is disabled');
  end if;
  v_result := supasaasy.apply_event(v_app, p_event);
  if v_app.webhook_error is not null then
    update supasaasy.apps a
    set webhook_error = null
    where a.app_key = p_app_key;
  end if;
  return jsonb_build_object('outcome', v_result.outcome);
end;
$$;

-- Definer: functions hold no grant on entities.
comment on function supasaasy.receive_event(text, jsonb) is
  'Applies a verified webhook event; says what became of it.';

create function supasaasy.report_webhook_error(
  p_app_key text,
  p_message text
)
returns void
language plpgsql
volatile
security definer
set search_path = ''
as $$
begin
  update supasaasy.apps a
  set webhook_error = left(p_message, 500)
  where a.app_key = p_app_key and a.webhook_error is distinct from left(p_message, 500);
end;
$$;

-- Definer: functions hold no grant on apps.
comment on function supasaasy.report_webhook_error(text, text) is
  'Keeps why an app''s webhooks cannot be received, until the next one is.';
