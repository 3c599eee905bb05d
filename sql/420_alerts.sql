-- Owns alerts: what somebody should look at, once when it begins and once when it has ended, as a row,
-- a notification on the channel supasaasy_alerts, and a request to alert_url if that is set.

create table supasaasy.alerts (
  id bigint generated always as identity primary key,
  app_key text not null,
  kind text not null,
  subject text not null,
  message text not null,
  raised_at timestamptz not null default supasaasy.clock(),
  resolved_at timestamptz,
  constraint kind_is_known
    check (kind in (
      'job_failed', 'fetch_failed', 'breaker_open', 'sweep_held', 'stale', 'schedule_missed'
    ))
);

comment on table supasaasy.alerts is
  'What needs somebody''s attention: raised once, resolved when its cause has gone.';
comment on column supasaasy.alerts.subject is
  'What it is about: a job, a resource, a cron expression.';

create unique index alerts_open_idx on supasaasy.alerts (app_key, kind, subject)
where resolved_at is null;
create index alerts_resolved_idx on supasaasy.alerts (resolved_at) where resolved_at is not null;

-- What is wrong just now, as alerts see it.
create view supasaasy.alert_causes
with (security_invoker = true)
as
select a.app_key, 'breaker_open' as kind, 'circuit breaker' as subject, a.breaker_message as message
from supasaasy.apps a
where a.breaker_opened_at is not null and a.enabled
union all
select r.app_key, 'sweep_held', format('job %s, %s', r.job_id, r.collection_key), r.note
from supasaasy.sync_runs r
where r.status = 'held'
union all
-- A failed job matters until the same was synced; of several with the same resources one is enough.
(
  select distinct on (j.app_key, j.resources)
    j.app_key, 'job_failed', array_to_string(j.resources, ', '),
    format('job %s: %s', j.id, coalesce(j.error_message, 'no message'))
  from supasaasy.sync_jobs j
  where j.status = 'failed'
    and not exists (
      select from supasaasy.sync_jobs n
      where n.app_key = j.app_key
        and n.id > j.id
        and n.status = 'completed'
        and n.mode <> 'verify'
        and n.resources @> j.resources
    )
  order by j.app_key, j.resources, j.id
)
union all
-- What changed and could not be fetched is not as the provider has it.
(
  select distinct on (t.app_key, t.collection_key)
    t.app_key, 'fetch_failed', t.collection_key,
    format('%s could not be fetched: %s', t.external_id, t.error_message)
  from supasaasy.sync_tasks t
  where t.run_id is null and t.state = 'failed'
  order by t.app_key, t.collection_key, t.id
)
union all
select s.app_key, 'schedule_missed',
  concat_ws(' ', s.cron, s.mode, array_to_string(s.resources, ', ')),
  coalesce(s.error_message, format('it should have run at %s', s.next_at))
from supasaasy.schedule_status s
where s.state in ('missed', 'refused')
union all
select s.app_key, 'stale', s.collection_key,
  format('complete as of %s only', s.complete_as_of)
from supasaasy.sync_state s
join supasaasy.apps a on a.app_key = s.app_key and a.enabled
-- The moment is one for all rows: it is worked out once.
where greatest(s.complete_as_of, s.events_as_of)
    < (select supasaasy.clock() - supasaasy.setting('stale_after')::interval)
  and s.collection_key = any (supasaasy.app_resources(s.app_key))
  and exists (select from supasaasy.schedules c where c.app_key = s.app_key and c.enabled);

comment on view supasaasy.alert_causes is
  'What alerts are raised for, as it is now.';

create function supasaasy.watch()
returns integer
language plpgsql
volatile
set search_path = ''
as $$
declare
  v_alert record;
  v_body jsonb;
  v_changes integer := 0;
begin
  for v_alert in
    with resolved as (
      update supasaasy.alerts l
      set resolved_at = supasaasy.clock()
      where l.resolved_at is null
        and not exists (
          select from supasaasy.alert_causes c
          where c.app_key = l.app_key and c.kind = l.kind and c.subject = l.subject
        )
      returning l.app_key, l.kind, l.subject, l.message, 'resolved' as state
    ),
    raised as (
      insert into supasaasy.alerts (app_key, kind, subject, message)
      select c.app_key, c.kind, c.subject, left(c.message, 1000)
      from supasaasy.alert_causes c
      on conflict (app_key, kind, subject) where resolved_at is null do nothing
      returning app_key, kind, subject, message, 'raised' as state
    )
    select * from resolved
    union all
    select * from raised
  loop
    v_changes := v_changes + 1;
    v_body := jsonb_build_object(
      'state', v_alert.state,
      'app_key', v_alert.app_key,
      'kind', v_alert.kind,
      'subject', v_alert.subject,
      'message', v_alert.message
    );
    perform pg_notify('supasaasy_alerts', v_body::text);
    if supasaasy.setting('alert_url') is not null then
      perform net.http_post(url := supasaasy.setting('alert_url'), body := v_body);
    end if;
  end loop;
  return v_changes;
end;
$$;

comment on function supasaasy.watch() is
  'Raises and resolves alerts, and tells of each change once; returns how many.';
