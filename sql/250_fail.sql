-- Owns the end of a page that was not fetched. The function says what class of error it met; SQL
-- decides what follows:
--   rate_limited  the budget is lowered, and the task waits; it does not count as a failure
--   transient     tried again with doubling, jittered waits, max_attempts times in a row; many in a
--                 row open the app's circuit breaker
--   cursor_gone   the cursor's object was deleted meanwhile: on from the last row's second
--   auth          the key does not work: the whole job of the app fails at once, and its circuit
--                 breaker opens
--   forbidden, malformed, permanent   the task fails, other resources go on

create function supasaasy.backoff(p_attempts integer)
returns interval
language plpgsql
volatile
set search_path = ''
as $$
begin
  return (0.75 + random() / 2) * least(
    supasaasy.setting('backoff_cap')::interval,
    supasaasy.setting('backoff_base')::interval * 2 ^ least(p_attempts - 1, 20)
  );
end;
$$;

comment on function supasaasy.backoff(integer) is
  'The wait after so many consecutive failures: doubling, capped, with a quarter of jitter.';

-- One more failure of a task: it waits and is tried again, or has failed.
create function supasaasy.count_failure(
  p_task_id bigint,
  p_class text,
  p_message text,
  p_retry_after interval
)
returns void
language plpgsql
volatile
set search_path = ''
as $$
declare
  v_task supasaasy.sync_tasks%rowtype;
begin
  update supasaasy.sync_tasks t
  set attempts = t.attempts + 1,
    error_class = p_class,
    error_message = p_message
  where t.id = p_task_id
  returning t.* into v_task;
  -- Whether the provider has answered and used the cursor up, nobody knows.
  update supasaasy.sync_tasks t
  set cursor = null,
    cursor_created = null
  from supasaasy.resources r
  where t.id = p_task_id and r.collection_key = t.collection_key and r.cursor_is_used_up;
  if v_task.attempts >= supasaasy.setting('max_attempts')::integer then
    perform supasaasy.end_task(p_task_id, 'failed');
  else
    perform supasaasy.postpone_task(
      p_task_id,
      greatest(supasaasy.backoff(v_task.attempts), p_retry_after)
    );
  end if;
end;
$$;

comment on function supasaasy.count_failure(bigint, text, text, interval) is
  'Lets a task wait for its next attempt, or fail after the last.';

create function supasaasy.postpone_task(
  p_task_id bigint,
  p_wait interval
)
returns void
language sql
volatile
set search_path = ''
as $$
  update supasaasy.sync_tasks t
  set state = 'waiting',
    run_after = greatest(t.run_after, supasaasy.clock() + p_wait),
    start_token = null,
    work_token = null,
    begun_at = null,
    lease_expires_at = null
  where t.id = p_task_id;
$$;

comment on function supasaasy.postpone_task(bigint, interval) is
  'Returns a task to the queue, due after a wait.';

create function supasaasy.fail_page(
  p_task_id bigint,
  p_work_token uuid,
  p_class text,
  p_message text,
  p_retry_after double precision default null,
  p_reason text default null
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
  v_resource supasaasy.resources%rowtype;
  v_message text := left(coalesce(nullif(p_message, ''), 'no message was given'), 2000);
  v_retry_after interval := least(greatest(p_retry_after, 0), 86400) * interval '1 second';
begin
  if p_class is null or p_class not in (
    'rate_limited', 'transient', 'cursor_gone', 'auth', 'forbidden', 'malformed', 'permanent'
  ) then
    raise exception using
      errcode = '22023',
      message = format('cannot fail a page with class "%s"', coalesce(p_class, 'null')),
      hint = 'Classes: rate_limited, transient, cursor_gone, auth, forbidden, malformed, permanent.';
  end if;
  select t.*
  into v_task
  from supasaasy.sync_tasks t
  where t.id = p_task_id and t.work_token = p_work_token
  for update;
  if not found then
    return jsonb_build_object('status', 'stale');
  end if;
  select r.* into strict v_resource
  from supasaasy.resources r
  where r.collection_key = v_task.collection_key;
  if p_class in ('transient', 'auth') then
    perform supasaasy.note_failure(v_task.app_key, p_class, v_message);
  else
    -- Whatever it says, the provider answers and the key works.
    perform supasaasy.close_breaker(v_task.app_key);
  end if;
  if v_task.kind = 'webhook' then
    update supasaasy.webhook_endpoints w
    set error_message = v_message,
      checked_at = supasaasy.clock()
    where w.app_key = v_task.app_key;
  end if;

  if p_class = 'rate_limited' then
    perform supasaasy.slow_down(
      p_app_key := v_task.app_key,
      p_endpoint := v_resource.endpoint,
      p_reason := p_reason,
      p_retry_after := v_retry_after,
      p_begun_at := v_task.begun_at
    );
    update supasaasy.sync_tasks t
    set error_class = p_class,
      error_message = v_message
    where t.id = p_task_id;
    perform supasaasy.postpone_task(
      p_task_id, coalesce(v_retry_after, interval '1 second' * (0.5 + random()))
    );
  elsif p_class = 'transient' then
    perform supasaasy.count_failure(p_task_id, p_class, v_message, v_retry_after);
  elsif p_class = 'cursor_gone' then
    update supasaasy.sync_tasks t
    set cursor = null,
      created_lt = case when v_resource.filters_created
        then coalesce(t.cursor_created + 1, t.created_lt) else t.created_lt end
    where t.id = p_task_id;
    perform supasaasy.count_failure(p_task_id, p_class, v_message, null);
  else
    update supasaasy.sync_tasks t
    set error_class = p_class,
      error_message = v_message
    where t.id = p_task_id;
    perform supasaasy.end_task(p_task_id, 'failed');
    if p_class = 'auth' then
      perform supasaasy.fail_job_tasks(p_task_id);
    end if;
  end if;
  return jsonb_build_object('status', 'ok', 'next', supasaasy.next_task(v_task.app_key));
end;
$$;

-- Definer: functions hold no grant on the queue.
comment on function supasaasy.fail_page(bigint, uuid, text, text, double precision, text) is
  'Ends a page that was not fetched: the task is tried again later, or fails, by the error''s class.';
