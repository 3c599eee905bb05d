-- Owns answering why a record is not here, or not as the provider shows it: one sentence, the first
-- reason that holds.

create function supasaasy.why_not_synced(
  p_app_key text,
  p_collection_key text,
  p_external_id text
)
returns text
language plpgsql
stable
set search_path = ''
as $$
declare
  v_app supasaasy.apps%rowtype := supasaasy.find_app(p_app_key);
  v_collection text := supasaasy.find_collection(v_app.connector, p_collection_key);
  v_what text := format('%s %s of %s', v_collection, left(p_external_id, 80), p_app_key);
  v_entity supasaasy.entities%rowtype;
  v_tombstone supasaasy.tombstones%rowtype;
  v_task supasaasy.sync_tasks%rowtype;
  v_state supasaasy.sync_state%rowtype;
  v_status supasaasy.status%rowtype;
begin
  if p_external_id is null or length(p_external_id) not between 1 and 255 then
    raise exception using
      errcode = '22023',
      message = format('no %s can have the id "%s"',
        v_collection, coalesce(left(p_external_id, 60), 'null')),
      hint = 'An id is a text of 1 to 255 characters.';
  end if;
  select e.* into v_entity
  from supasaasy.entities e
  where e.app_key = p_app_key
    and e.collection_key = v_collection
    and e.external_id = p_external_id;
  select t.* into v_tombstone
  from supasaasy.tombstones t
  where t.app_key = p_app_key
    and t.collection_key = v_collection
    and t.external_id = p_external_id;
  select t.* into v_task
  from supasaasy.sync_tasks t
  where t.app_key = p_app_key
    and t.collection_key = v_collection
    and t.external_id = p_external_id
    and t.kind = 'revalidate'
    and (t.state in ('pending', 'waiting', 'leased') or (t.state = 'failed' and t.run_id is null))
  order by t.state = 'failed', t.id desc
  limit 1;
  select s.* into v_state
  from supasaasy.sync_state s
  where s.app_key = p_app_key and s.collection_key = v_collection;
  select s.* into v_status
  from supasaasy.status s
  where s.app_key = p_app_key
    and s.resource = (
      select r.resource from supasaasy.resources r where r.collection_key = v_collection
    );

  return case
    when v_tombstone.observed_until = 'infinity' then format(
      '%s was erased here on %s and is kept out for good.', v_what, v_tombstone.deleted_at)
    when v_app.deleting_since is not null then format(
      '%s is being deleted since %s, with all its rows.', p_app_key, v_app.deleting_since)
    when not v_collection = any (supasaasy.app_resources(p_app_key)) then format(
      '%s is not synced: the config of %s leaves %s out of sync_resources.',
      v_what, p_app_key, v_collection)
    when not v_app.enabled then format(
      '%s is %s: the app is disabled (update supasaasy.apps set enabled = true where app_key = %L).',
      v_what, case when v_entity.id is null then 'not here' else 'not kept up to date' end, p_app_key)
    when v_app.breaker_opened_at is not null then format(
      '%s is %s: nothing of %s works since %s (%s); the next attempt is at %s.',
      v_what, case when v_entity.id is null then 'not here' else 'not kept up to date' end,
      p_app_key, v_app.breaker_opened_at, v_app.breaker_message, v_app.breaker_retry_at)
    when v_task.state = 'failed' then format(
      '%s is %s: it changed, and could not be fetched (%s); the next sync tries again.', v_what,
      case when v_entity.id is null then 'not here' else 'not up to date' end, v_task.error_message)
    when v_task.id is not null then format(
      '%s is being fetched: task %s is %s%s%s.', v_what, v_task.id, v_task.state,
      case when v_task.run_after > supasaasy.clock() then format(' until %s', v_task.run_after) else '' end,
      coalesce(' (last error: ' || v_task.error_message || ')', ''))
    when v_entity.id is not null and v_app.sync_from > v_entity.source_created_at then format(
      '%s is here, but was created before sync_from (%s), so it is not kept up to date.',
      v_what, v_app.sync_from)
    when v_entity.id is not null then format(
      '%s is here as it was observed at %s; what changed before %s is in it.',
      v_what, v_entity.observed_at,
      coalesce(greatest(v_state.complete_as_of, v_entity.observed_at), v_entity.observed_at))
    when v_tombstone.external_id is not null then format(
      '%s was deleted at the provider, which was seen here on %s.', v_what, v_tombstone.deleted_at)
    when v_status.running_job_id is not null then format(
      '%s is not here yet: job %s (%s) is %s, %s%% done%s.', v_what, v_status.running_job_id,
      v_status.running_mode, v_status.status, v_status.progress_percentage,
      coalesce(' (' || v_status.last_error || ')', ''))
    when v_status.status = 'failed' then format(
      '%s is not here: the last sync of %s failed (%s).', v_what, v_collection, v_status.last_error)
    when v_state.complete_as_of is null then format(
      '%s is not here: %s was never synced (select supasaasy.sync(%L)).',
      v_what, v_collection, p_app_key)
    else format(
      '%s is not here: the provider listed no such object by %s%s; to ask for it: '
        || 'select supasaasy.refetch(%L, %L, %L).',
      v_what, v_state.complete_as_of,
      coalesce(', and what was created before ' || v_app.sync_from || ' is left out', ''),
      p_app_key, p_collection_key, p_external_id)
  end;
end;
$$;

comment on function supasaasy.why_not_synced(text, text, text) is
  'Why a record is not here, or how fresh it is: one sentence.';
