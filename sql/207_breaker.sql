-- Owns the circuit breaker of each app. A refused key opens it at once, failures of the provider
-- open it after breaker_threshold of them in a row. While it is open nothing is started; from
-- breaker_retry_at on one task probes (half-open): its success closes the breaker, its failure
-- opens it again for twice as long.

create function supasaasy.breaker_state(p_app supasaasy.apps)
returns text
language plpgsql
stable
set search_path = ''
as $$
begin
  return case
    when p_app.breaker_opened_at is null then 'closed'
    when p_app.breaker_retry_at > supasaasy.clock() then 'open'
    else 'half_open'
  end;
end;
$$;

comment on function supasaasy.breaker_state(supasaasy.apps) is
  'closed: all goes on; open: nothing is started; half_open: one task may probe.';

-- What was under way when the breaker opened fails too, and must not open it for longer.
create function supasaasy.note_failure(
  p_app_key text,
  p_class text,
  p_message text
)
returns void
language plpgsql
volatile
set search_path = ''
as $$
declare
  v_threshold integer := supasaasy.setting('breaker_threshold')::integer;
  v_app supasaasy.apps%rowtype;
  v_failures integer;
begin
  select a.* into strict v_app
  from supasaasy.apps a
  where a.app_key = p_app_key
  for no key update;
  if supasaasy.breaker_state(v_app) = 'open' then
    return;
  end if;
  v_failures := greatest(v_app.failures + 1, case p_class when 'auth' then v_threshold end);
  if v_failures < v_threshold then
    update supasaasy.apps a
    set failures = v_failures
    where a.app_key = p_app_key;
  else
    update supasaasy.apps a
    set failures = v_failures,
      breaker_opened_at = coalesce(a.breaker_opened_at, supasaasy.clock()),
      breaker_retry_at = supasaasy.clock() + least(
        supasaasy.setting('breaker_cap')::interval,
        supasaasy.setting('breaker_wait')::interval * 2 ^ least(v_failures - v_threshold, 20)
      ),
      breaker_message = left(p_message, 500)
    where a.app_key = p_app_key;
  end if;
end;
$$;

comment on function supasaasy.note_failure(text, text, text) is
  'Counts a failure of an app''s provider or key, and opens its circuit breaker when it is time.';

create function supasaasy.close_breaker(p_app_key text)
returns void
language plpgsql
volatile
set search_path = ''
as $$
begin
  update supasaasy.apps a
  set failures = 0,
    breaker_opened_at = null,
    breaker_retry_at = null,
    breaker_message = null
  where a.app_key = p_app_key and (a.failures > 0 or a.breaker_opened_at is not null);
end;
$$;

comment on function supasaasy.close_breaker(text) is
  'After a success: nothing stands in the way of an app.';

create function supasaasy.probe_now(p_app_key text)
returns void
language sql
volatile
set search_path = ''
as $$
  update supasaasy.apps a
  set breaker_retry_at = least(a.breaker_retry_at, supasaasy.clock())
  where a.app_key = p_app_key and a.breaker_opened_at is not null;
  -- A task that waits for its next attempt need not, when it is to be the probe.
  update supasaasy.sync_tasks t
  set run_after = supasaasy.clock()
  where t.id = (
    select o.id
    from supasaasy.sync_tasks o
    join supasaasy.apps a on a.app_key = o.app_key and a.breaker_opened_at is not null
    where o.app_key = p_app_key and o.state = 'waiting' and o.run_after < 'infinity'
    order by o.run_after, o.id
    limit 1
    for update of o skip locked
  );
$$;

comment on function supasaasy.probe_now(text) is
  'Lets one task of an app with an open circuit breaker try at once: somebody asked for it.';
