-- Owns what the engine remembers of itself: one row, unlogged, since a crash may forget all of it.

create unlogged table supasaasy.heartbeat (
  singleton boolean primary key default true,
  ticked_at timestamptz,
  cleaned_at timestamptz,
  watched_at timestamptz,
  ping_token uuid,
  ping_request bigint,
  ping_at timestamptz,
  pong_at timestamptz,
  step_errors jsonb not null default '{}',
  missing_env text[] not null default '{}',
  connectors text[] not null default '{}',
  constraint there_is_one_row check (singleton)
)
with (fillfactor = 30);

comment on table supasaasy.heartbeat is
  'When the engine last ticked, cleaned up and heard from its functions, and what failed in it.';
comment on column supasaasy.heartbeat.step_errors is
  'The steps of the last tick that failed, and why; the other steps went on.';
comment on column supasaasy.heartbeat.cleaned_at is
  'When what is past its retention was last deleted.';
comment on column supasaasy.heartbeat.watched_at is
  'When alerts were last looked for.';
comment on column supasaasy.heartbeat.ping_token is
  'What doctor() last sent to the functions, and they must send back.';
comment on column supasaasy.heartbeat.missing_env is
  'Environment variables that apps name and the functions did not have when they answered.';
comment on column supasaasy.heartbeat.connectors is
  'The connectors that the functions had when they answered.';

-- Written under the claims lock only, so it is no part of the row above.
create unlogged table supasaasy.claim_turn (
  singleton boolean primary key default true,
  app_key text not null,
  constraint there_is_one_row check (singleton)
)
with (fillfactor = 30);

comment on table supasaasy.claim_turn is
  'The app that was last given a turn: the next claim begins after it.';

-- The row, made anew after a crash.
create function supasaasy.beat()
returns supasaasy.heartbeat
language plpgsql
volatile
set search_path = ''
as $$
declare
  v_heartbeat supasaasy.heartbeat%rowtype;
begin
  select h.* into v_heartbeat from supasaasy.heartbeat h;
  if not found then
    insert into supasaasy.heartbeat (singleton)
    values (true)
    on conflict (singleton) do nothing;
    select h.* into v_heartbeat from supasaasy.heartbeat h;
  end if;
  return v_heartbeat;
end;
$$;

comment on function supasaasy.beat() is
  'The engine''s memory of itself.';

-- Asks the functions to answer: pg_net sends it once this transaction has committed.
create function supasaasy.ping()
returns void
language plpgsql
volatile
set search_path = ''
as $$
declare
  v_token uuid := gen_random_uuid();
  v_request bigint;
begin
  perform supasaasy.beat();
  v_request := net.http_post(
    url := supasaasy.functions_url() || '/fetch-page',
    body := jsonb_build_object('task_id', 0, 'token', v_token)
  );
  update supasaasy.heartbeat h
  set ping_token = v_token,
    ping_request = v_request,
    ping_at = supasaasy.clock()
  where h.singleton;
end;
$$;

comment on function supasaasy.ping() is
  'Sends the functions a one-time token that they must bring back.';

create function supasaasy.answer_ping(p_token uuid)
returns jsonb
language plpgsql
stable
set search_path = ''
as $$
begin
  return case
    when not exists (select from supasaasy.heartbeat h where h.singleton and h.ping_token = p_token)
      then jsonb_build_object('status', 'refused', 'reason', 'the start token is not valid')
    else jsonb_build_object('status', 'ping', 'env', coalesce((
      select jsonb_agg(distinct n.name)
      from supasaasy.apps a
      cross join lateral (values
        (a.config ->> 'api_key_env'), (a.config ->> 'webhook_secret_env')
      ) as n (name)
      where a.enabled and n.name is not null
    ), '[]'))
  end;
end;
$$;

comment on function supasaasy.answer_ping(uuid) is
  'What the functions are to look up before they answer a ping.';

create function supasaasy.pong(
  p_token uuid,
  p_missing_env text[],
  p_connectors text[]
)
returns void
language sql
volatile
security definer
set search_path = ''
as $$
  update supasaasy.heartbeat h
  set ping_token = null,
    pong_at = supasaasy.clock(),
    missing_env = coalesce(p_missing_env, '{}'),
    connectors = coalesce(p_connectors, '{}')
  where h.ping_token = p_token;
$$;

-- Definer: functions hold no grant on the heartbeat.
comment on function supasaasy.pong(uuid, text[], text[]) is
  'The answer of the functions to a ping: which variables they miss, which connectors they have.';
