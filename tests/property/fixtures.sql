-- Owns what the property test calls: the engine's own functions, at a simulated time. Each call
-- moves the clock, and says when something is due next, in simulated seconds.

create schema if not exists sim;

create or replace function sim.at(p_seconds double precision)
returns timestamptz
language sql
immutable
as $$ select '2026-01-01 00:00:00+00'::timestamptz + p_seconds * interval '1 second'; $$;

create or replace function sim.move_clock(p_seconds double precision)
returns void
language sql
as $$ select set_config('supasaasy.clock', sim.at(p_seconds)::text, true); $$;

-- A start goes to pg_net, which is not played here: what was started becomes due at once.
create or replace function sim.next_due()
returns double precision
language plpgsql
as $$
begin
  update supasaasy.sync_tasks
  set state = 'pending', start_token = null, lease_expires_at = null
  where state = 'leased' and start_token is not null;
  return (
    select extract(epoch from min(run_after) - sim.at(0))
    from supasaasy.sync_tasks
    where state in ('pending', 'waiting')
  );
end;
$$;

create or replace function sim.begin_tasks(p_now double precision)
returns jsonb
language plpgsql
as $$
declare
  v_orders jsonb;
begin
  perform sim.move_clock(p_now);
  select jsonb_agg(jsonb_build_object('task_id', c.task_id)
    || supasaasy.begin_page(c.task_id, c.start_token))
  into v_orders
  from supasaasy.claim_tasks(3) c;
  return jsonb_build_object('orders', coalesce(v_orders, '[]'), 'due', sim.next_due());
end;
$$;

create or replace function sim.complete(
  p_now double precision,
  p_task_id bigint,
  p_work_token uuid,
  p_page jsonb
)
returns double precision
language plpgsql
as $$
begin
  perform sim.move_clock(p_now);
  if p_page ? 'error' then
    perform supasaasy.fail_page(p_task_id, p_work_token, p_page ->> 'error', 'simulated');
  else
    perform supasaasy.complete_page(
      p_task_id := p_task_id,
      p_work_token := p_work_token,
      p_rows := p_page -> 'rows',
      p_next_cursor := p_page ->> 'cursor',
      p_missing := array(select jsonb_array_elements_text(p_page -> 'missing')),
      p_events := nullif(p_page -> 'events', 'null'),
      p_is_partial := coalesce((p_page ->> 'partial')::boolean, false),
      p_merged := p_page -> 'merged'
    );
  end if;
  return sim.next_due();
end;
$$;

create or replace function sim.receive(p_now double precision, p_event jsonb)
returns double precision
language plpgsql
as $$
begin
  perform sim.move_clock(p_now);
  perform supasaasy.receive_event('main', p_event);
  return sim.next_due();
end;
$$;

create or replace function sim.sync(p_now double precision, p_mode text, p_resources text[])
returns double precision
language plpgsql
as $$
begin
  perform sim.move_clock(p_now);
  perform supasaasy.sync('main', p_mode, p_resources);
  return sim.next_due();
end;
$$;

create or replace function sim.prepare(p_connector text)
returns void
language plpgsql
as $$
begin
  perform sim.move_clock(0);
  delete from supasaasy.entities where true;
  delete from supasaasy.tombstones where true;
  delete from supasaasy.seen_events where true;
  delete from supasaasy.apps where true;
  perform supasaasy.set_setting('functions_url', 'http://127.0.0.1:9/functions/v1');
  perform supasaasy.set_setting('rate_headroom', '100000');
  insert into supasaasy.apps (app_key, connector, config)
  values ('main', p_connector, '{"api_key_env": "API_KEY", "max_concurrency": 3}');
  update supasaasy.apps set account_id = 'acct_1', livemode = (p_connector = 'intercom'), key_fingerprint = 'f';
  update supasaasy.resources set page_size = 2 where not is_feed;
  update supasaasy.resources set page_size = 5 where is_feed;
end;
$$;
