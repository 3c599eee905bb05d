-- A stand-in for pg_net: the same SQL API, with a process outside of Postgres as its worker.
-- As in the real one, both tables are unlogged, and readable and writable by every SQL role.

create schema net;

create unlogged table net.http_request_queue (
  id bigint generated always as identity primary key,
  method text not null,
  url text not null,
  headers jsonb,
  body text,
  timeout_milliseconds integer not null
);

create unlogged table net._http_response (
  id bigint primary key,
  status_code integer,
  content_type text,
  headers jsonb,
  content text,
  timed_out boolean,
  error_msg text,
  created timestamptz not null default now()
);

create index on net._http_response (created);

create function net._queue(
  method text,
  url text,
  params jsonb,
  headers jsonb,
  body text,
  timeout_milliseconds integer
)
returns bigint
language plpgsql
as $$
declare
  v_query text := (
    select string_agg(format('%s=%s', p.key, p.value), '&')
    from jsonb_each_text(params) as p
  );
  v_id bigint;
begin
  if url !~ '^https?://' then
    raise exception 'url "%" is not http or https', url;
  end if;
  insert into net.http_request_queue as q (method, url, headers, body, timeout_milliseconds)
  values (
    _queue.method,
    _queue.url || coalesce(case when _queue.url ~ '[?]' then '&' else '?' end || v_query, ''),
    _queue.headers,
    _queue.body,
    _queue.timeout_milliseconds
  )
  returning q.id into v_id;
  perform pg_notify('supasaasy_net', '');
  return v_id;
end;
$$;

create function net.http_post(
  url text,
  body jsonb default '{}',
  params jsonb default '{}',
  headers jsonb default '{"Content-Type": "application/json"}',
  timeout_milliseconds integer default 5000
)
returns bigint
language sql
as $$
  select net._queue('POST', url, params, headers, body::text, timeout_milliseconds);
$$;

create function net.http_get(
  url text,
  params jsonb default '{}',
  headers jsonb default '{}',
  timeout_milliseconds integer default 5000
)
returns bigint
language sql
as $$
  select net._queue('GET', url, params, headers, null, timeout_milliseconds);
$$;

create function net.http_delete(
  url text,
  params jsonb default '{}',
  headers jsonb default '{}',
  timeout_milliseconds integer default 5000,
  body jsonb default null
)
returns bigint
language sql
as $$
  select net._queue('DELETE', url, params, headers, body::text, timeout_milliseconds);
$$;

grant usage on schema net to public;
grant all on all tables in schema net to public;
grant all on all sequences in schema net to public;
