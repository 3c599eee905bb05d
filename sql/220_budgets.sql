-- Owns the rate budgets: one bucket an app and one an endpoint of it, reserved before a request is
-- made. Unlogged, since a crash may forget them: they begin anew at the provider's limits.
--
-- Each bucket is a single instant, next_at: a request waits for the later of its two, and moves each
-- on by 1/rate from there or from now, so that a busy endpoint does not hold up the others. A refusal
-- by the provider lowers the rate; it recovers with time. Where it also asks several endpoints to wait,
-- what was reserved on them comes out together once, which may be refused and lowers the rate again.

create unlogged table supasaasy.rate_budgets (
  app_key text not null,
  endpoint text not null,
  next_at timestamptz not null,
  factor double precision not null default 1,
  slowed_at timestamptz not null,
  primary key (app_key, endpoint),
  constraint factor_is_a_share check (factor > 0 and factor <= 1)
)
with (fillfactor = 30, autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_cost_delay = 0);

comment on table supasaasy.rate_budgets is
  'The next free slot of each app (endpoint *) and of each of its endpoints.';
comment on column supasaasy.rate_budgets.factor is
  'The share of the budget left after the provider last refused; it recovers with time.';

create function supasaasy.budget_rate(
  p_app_key text,
  p_endpoint text
)
returns double precision
language plpgsql
stable
set search_path = ''
as $$
begin
  return (
    select supasaasy.setting('rate_headroom')::double precision * case
      when p_endpoint <> '*' then c.rate_endpoint
      when a.livemode then c.rate_live
      else c.rate_sandbox
    end
    from supasaasy.apps a
    join supasaasy.connectors c on c.connector = a.connector
    where a.app_key = p_app_key
  );
end;
$$;

comment on function supasaasy.budget_rate(text, text) is
  'Requests per second that an app may make to an endpoint (* for all together).';

-- Grows by a tenth in about thirteen seconds, from the least to the whole in six minutes.
create function supasaasy.budget_share(
  p_factor double precision,
  p_slowed_at timestamptz
)
returns double precision
language plpgsql
stable
set search_path = ''
as $$
begin
  return least(
    1,
    p_factor * exp(least(600, extract(epoch from supasaasy.clock() - p_slowed_at)) / 120)
  );
end;
$$;

comment on function supasaasy.budget_share(double precision, timestamptz) is
  'The share of a budget that may be used now: what its last refusal left, recovered since.';

-- The wait is at most p_patience; where it would be longer nothing is reserved, and the caller
-- comes back after it.
create function supasaasy.reserve_request(
  p_app_key text,
  p_endpoint text,
  p_patience interval default '2 seconds'
)
returns interval
language plpgsql
volatile
set search_path = ''
as $$
declare
  v_now timestamptz := supasaasy.clock();
  v_slot timestamptz;
  v_buckets integer;
begin
  select max(greatest(b.next_at, v_now)), count(*)
  into v_slot, v_buckets
  from (
    select b.next_at
    from supasaasy.rate_budgets b
    where b.app_key = p_app_key and b.endpoint in ('*', p_endpoint)
    order by b.endpoint
    for update
  ) b;
  if v_buckets < 2 then
    insert into supasaasy.rate_budgets (app_key, endpoint, next_at, slowed_at)
    values (p_app_key, '*', v_now, v_now), (p_app_key, p_endpoint, v_now, v_now)
    on conflict (app_key, endpoint) do nothing;
    return supasaasy.reserve_request(p_app_key, p_endpoint, p_patience);
  end if;
  if v_slot > v_now + p_patience then
    return v_slot - v_now;
  end if;
  update supasaasy.rate_budgets b
  set next_at = greatest(b.next_at, v_now) + interval '1 second' / (
    supasaasy.budget_rate(p_app_key, b.endpoint)
    * supasaasy.budget_share(b.factor, b.slowed_at)
  )
  where b.app_key = p_app_key and b.endpoint in ('*', p_endpoint);
  return v_slot - v_now;
end;
$$;

comment on function supasaasy.reserve_request(text, text, interval) is
  'Reserves one request; returns how long to wait, more than p_patience if nothing was reserved.';

-- What the provider named as its reason tells which bucket was too fast. Requests that were under way
-- when the budget was lowered are refused too: they do not lower it once more.
create function supasaasy.slow_down(
  p_app_key text,
  p_endpoint text,
  p_reason text,
  p_retry_after interval,
  p_begun_at timestamptz default null
)
returns void
language plpgsql
volatile
set search_path = ''
as $$
declare
  v_now timestamptz := supasaasy.clock();
begin
  update supasaasy.rate_budgets b
  set factor = greatest(0.05, supasaasy.budget_share(b.factor, b.slowed_at) * 0.9),
    slowed_at = v_now
  where b.app_key = p_app_key
    and b.endpoint = case when p_reason like 'global%' then '*' else p_endpoint end
    and (p_begun_at is null or p_begun_at > b.slowed_at);
  update supasaasy.rate_budgets b
  set next_at = greatest(b.next_at, v_now + coalesce(p_retry_after, '0'))
  where b.app_key = p_app_key
    and b.endpoint = case when p_reason like 'global%' then '*' else p_endpoint end;
end;
$$;

comment on function supasaasy.slow_down(text, text, text, interval, timestamptz) is
  'Lowers the budget that a provider''s refusal names, once for all that was under way.';

-- What a provider says of its own window: {"limit", "remaining", "reset"} (reset in unix seconds). Once
-- only the share that is left to others remains, nothing is asked before the window ends.
create function supasaasy.heed_rate(
  p_app_key text,
  p_rate jsonb
)
returns void
language plpgsql
volatile
set search_path = ''
as $$
begin
  update supasaasy.rate_budgets b
  set next_at = supasaasy.unix_time(p_rate -> 'reset')
  where b.app_key = p_app_key
    and b.endpoint = '*'
    and supasaasy.whole_number(p_rate -> 'remaining')
      < (1 - supasaasy.setting('rate_headroom')::numeric) * supasaasy.whole_number(p_rate -> 'limit')
    and b.next_at < supasaasy.unix_time(p_rate -> 'reset')
    and supasaasy.unix_time(p_rate -> 'reset') < supasaasy.clock() + interval '5 minutes';
end;
$$;

comment on function supasaasy.heed_rate(text, jsonb) is
  'Waits for the provider''s next window when little of this one is left.';

-- The HTTP API has a bucket too, with bursts of ten seconds' worth.
create function supasaasy.admit_request()
returns double precision
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
  v_now timestamptz := supasaasy.clock();
  v_burst interval := interval '10 seconds';
  v_pace interval := interval '1 second' / supasaasy.setting('api_rate')::double precision;
begin
  insert into supasaasy.rate_budgets as b (app_key, endpoint, next_at, slowed_at)
  values ('', 'api', v_now + v_pace, v_now)
  on conflict (app_key, endpoint) do update
  set next_at = greatest(b.next_at, v_now) + v_pace
  where b.next_at < v_now + v_burst;
  if found then
    return 0;
  end if;
  return (
    select greatest(0.1, extract(epoch from b.next_at - v_burst - v_now))
    from supasaasy.rate_budgets b
    where b.app_key = '' and b.endpoint = 'api'
  );
end;
$$;

-- Definer: functions hold no grant on the budgets.
comment on function supasaasy.admit_request() is
  'Admits a request of the HTTP API: 0, or how many seconds to wait before the next.';
