-- Owns the log of webhooks, off by default (config.webhook_logging). Only a request whose signature was
-- verified is logged, so that a stranger cannot fill it.

create table supasaasy.webhook_logs (
  id bigint generated always as identity primary key,
  app_key text not null references supasaasy.apps on delete cascade,
  request_method text not null,
  request_path text not null,
  request_headers jsonb not null,
  request_body text,
  response_status integer not null,
  response_body text,
  error_message text,
  processing_duration_ms integer not null,
  created_at timestamptz not null default supasaasy.clock()
);

comment on table supasaasy.webhook_logs is
  'Verified webhook requests and what was answered, for apps with config.webhook_logging.';
comment on column supasaasy.webhook_logs.request_headers is
  'Names and values; the values of all but a few harmless headers are redacted.';
comment on column supasaasy.webhook_logs.request_body is
  'The body, cut to the setting webhook_log_body; kept only with "webhook_logging": "with_body".';

create index webhook_logs_app_idx on supasaasy.webhook_logs (app_key, id);
create index webhook_logs_created_idx on supasaasy.webhook_logs (created_at);

create function supasaasy.log_webhook(
  p_app_key text,
  p_method text,
  p_path text,
  p_headers jsonb,
  p_body text,
  p_status integer,
  p_response text,
  p_error text,
  p_duration_ms integer
)
returns void
language sql
volatile
security definer
set search_path = ''
as $$
  insert into supasaasy.webhook_logs (
    app_key, request_method, request_path, request_headers, request_body,
    response_status, response_body, error_message, processing_duration_ms
  )
  select
    a.app_key, left(p_method, 10), left(p_path, 500),
    (
      select coalesce(jsonb_object_agg(left(h.key, 100), case
        when lower(h.key) in (
          'content-type', 'content-length', 'user-agent', 'accept', 'date', 'x-request-id'
        ) then left(h.value, 200)
        else '[redacted]'
      end), '{}')
      from (select e.* from jsonb_each_text(p_headers) as e (key, value) limit 50) h
    ),
    case a.config -> 'webhook_logging'
      when '"with_body"' then left(p_body, supasaasy.setting('webhook_log_body')::integer)
    end,
    p_status, left(p_response, 2000), left(p_error, 2000), p_duration_ms
  from supasaasy.apps a
  where a.app_key = p_app_key and a.config -> 'webhook_logging' in ('true', '"with_body"');
$$;

-- Definer: functions hold no grant on the log.
comment on function supasaasy.log_webhook(
  text, text, text, jsonb, text, integer, text, text, integer
) is
  'Keeps a verified webhook request in webhook_logs, if its app wants that; secrets are redacted.';
