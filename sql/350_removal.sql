-- Owns removing: an app with all that is its own, rows that a change of its config left outside, and
-- one record for good. Each takes a bounded number of rows at a time.

-- What is left goes with the next ticks; the app itself goes last.
create function supasaasy.delete_app(p_app_key text)
returns text
language plpgsql
volatile
set search_path = ''
as $$
declare
  v_job_id bigint;
begin
  perform supasaasy.find_app(p_app_key);
  update supasaasy.apps a
  set enabled = false,
    deleting_since = coalesce(a.deleting_since, supasaasy.clock())
  where a.app_key = p_app_key;
  for v_job_id in
    select j.id
    from supasaasy.sync_jobs j
    where j.app_key = p_app_key and j.status in ('pending', 'running')
    order by j.id desc
  loop
    perform supasaasy.cancel(v_job_id);
  end loop;
  delete from supasaasy.schedules s
  where s.app_key = p_app_key;
  delete from vault.secrets s
  where starts_with(s.name, format('supasaasy/%s/', p_app_key));
  if supasaasy.remove_app_rows(p_app_key, 10000) then
    return format('deleted %s', p_app_key);
  end if;
  return format(
    'deleting %s: it is stopped, its schedules and secrets are gone; its rows go with the next ticks',
    p_app_key
  );
end;
$$;

comment on function supasaasy.delete_app(text) is
  'Deletes an app with its data, schedules and secrets; a large one over the next ticks.';

-- Returns whether nothing is left. A webhook or page that was under way finds the app disabled.
create function supasaasy.remove_app_rows(
  p_app_key text,
  p_limit integer
)
returns boolean
language plpgsql
volatile
set search_path = ''
as $$
declare
  v_table text;
  v_removed integer;
  v_left integer := p_limit;
begin
  foreach v_table in array array[
    'sync_tasks', 'webhook_logs', 'seen_events', 'entities', 'entity_versions', 'tombstones'
  ] loop
    execute format(
      'delete from supasaasy.%1$I d
       where d.ctid = any (array(
         select o.ctid from supasaasy.%1$I o where o.app_key = $1 limit $2 for update skip locked
       ))',
      v_table
    ) using p_app_key, v_left;
    get diagnostics v_removed = row_count;
    v_left := v_left - v_removed;
    if v_left <= 0 then
      return false;
    end if;
  end loop;
  -- Whoever still writes a row holds one of these, and finds the app disabled after us.
  perform supasaasy.lock_collection(p_app_key, r.collection_key, true)
  from (
    select o.collection_key
    from supasaasy.resources o
    join supasaasy.apps a on a.connector = o.connector and a.app_key = p_app_key
    order by o.position
  ) r;
  if exists (select from supasaasy.entities e where e.app_key = p_app_key)
    or exists (select from supasaasy.tombstones t where t.app_key = p_app_key)
    or exists (select from supasaasy.sync_tasks t where t.app_key = p_app_key)
  then
    return false;
  end if;
  delete from supasaasy.entity_versions v
  where v.app_key = p_app_key;
  delete from supasaasy.rate_budgets b
  where b.app_key = p_app_key;
  delete from supasaasy.alerts l
  where l.app_key = p_app_key;
  delete from vault.secrets s
  where starts_with(s.name, format('supasaasy/%s/', p_app_key));
  delete from supasaasy.apps a
  where a.app_key = p_app_key;
  return true;
end;
$$;

comment on function supasaasy.remove_app_rows(text, integer) is
  'Removes some of the rows of an app that is being deleted, at last the app; whether all is gone.';

-- No tombstones: what is outside is ignored anyway, and must come back if it is wanted again.
create function supasaasy.prune(
  p_app_key text,
  p_limit integer default 10000
)
returns integer
language plpgsql
volatile
set search_path = ''
as $$
declare
  v_app supasaasy.apps%rowtype := supasaasy.find_app(p_app_key);
  v_synced text[] := supasaasy.app_resources(p_app_key);
  v_collection text;
  v_parent text;
  v_removed integer;
  v_total integer := 0;
begin
  if p_limit is null or p_limit < 1 then
    raise exception using
      errcode = '22023',
      message = format('cannot prune %s rows', coalesce(p_limit::text, 'null')),
      hint = 'Give a limit of at least 1; call again until it returns 0.';
  end if;
  perform supasaasy.check_app_resources(v_app);
  for v_collection, v_parent in
    select r.collection_key, r.parent_collection_key
    from supasaasy.resources r
    where r.connector = v_app.connector and not r.is_feed
    order by r.position
  loop
    perform supasaasy.lock_collection(p_app_key, v_collection, true);
    delete from supasaasy.entities e
    where e.id in (
      select o.id
      from supasaasy.entities o
      where o.app_key = p_app_key
        and o.collection_key = v_collection
        and (
          not v_collection = any (v_synced)
          or (v_parent is null and o.source_created_at < v_app.sync_from)
          or (v_parent is not null and not exists (
            select from supasaasy.entities p
            where p.app_key = p_app_key
              and p.collection_key = v_parent
              and p.external_id = o.parent_external_id
          ))
        )
      limit p_limit - v_total
    );
    get diagnostics v_removed = row_count;
    v_total := v_total + v_removed;
    delete from supasaasy.sync_state s
    where s.app_key = p_app_key
      and s.collection_key = v_collection
      and not v_collection = any (v_synced);
    exit when v_total >= p_limit;
  end loop;
  return v_total;
end;
$$;

comment on function supasaasy.prune(text, integer) is
  'Deletes rows that sync_resources or sync_from leave out by now; returns how many: call until 0.';

-- A tombstone observed at the end of time keeps the record out: every observation is older than it.
create function supasaasy.erase(
  p_app_key text,
  p_collection_key text,
  p_external_id text
)
returns integer
language plpgsql
volatile
set search_path = ''
as $$
declare
  v_app supasaasy.apps%rowtype := supasaasy.find_app(p_app_key);
  v_collection text := supasaasy.find_collection(v_app.connector, p_collection_key);
  v_children text[];
  v_child text;
  v_ids text[];
  v_count integer;
  v_erased integer := 0;
begin
  if p_external_id is null or length(p_external_id) not between 1 and 255 then
    raise exception using
      errcode = '22023',
      message = format('cannot erase a %s with the id "%s"',
        v_collection, coalesce(left(p_external_id, 60), 'null')),
      hint = 'An id is a text of 1 to 255 characters.';
  end if;
  v_children := array(
    select r.collection_key from supasaasy.resources r
    where r.parent_collection_key = v_collection
    order by r.position
  );
  perform supasaasy.lock_collection(p_app_key, c.key, true)
  from unnest(v_collection || v_children) with ordinality as c (key, position);

  foreach v_child in array v_children loop
    v_ids := array(
      select e.external_id from supasaasy.entities e
      where e.app_key = p_app_key
        and e.collection_key = v_child
        and e.parent_external_id = p_external_id
      union
      select t.external_id from supasaasy.tombstones t
      where t.app_key = p_app_key
        and t.collection_key = v_child
        and t.parent_external_id = p_external_id
      union
      select v.external_id from supasaasy.entity_versions v
      join supasaasy.resources r on r.collection_key = v_child
      where v.app_key = p_app_key
        and v.collection_key = v_child
        and v.raw_payload ->> r.parent_field = p_external_id
    );
    v_erased := v_erased + supasaasy.erase_rows(p_app_key, v_child, v_ids);
  end loop;
  v_count := supasaasy.erase_rows(p_app_key, v_collection, array[p_external_id]);
  return v_erased + v_count;
end;
$$;

comment on function supasaasy.erase(text, text, text) is
  'Removes a record with its children everywhere and keeps it out; returns how many rows held it.';

create function supasaasy.erase_rows(
  p_app_key text,
  p_collection_key text,
  p_ids text[]
)
returns integer
language plpgsql
volatile
set search_path = ''
as $$
declare
  v_pattern text;
  v_count integer;
  v_erased integer;
begin
  delete from supasaasy.entity_versions v
  where v.app_key = p_app_key and v.collection_key = p_collection_key and v.external_id = any (p_ids);
  get diagnostics v_count = row_count;
  delete from supasaasy.entities e
  where e.app_key = p_app_key and e.collection_key = p_collection_key and e.external_id = any (p_ids);
  get diagnostics v_erased = row_count;
  v_erased := v_erased + v_count;
  -- An app that keeps history has kept what was just deleted.
  delete from supasaasy.entity_versions v
  where v.app_key = p_app_key and v.collection_key = p_collection_key and v.external_id = any (p_ids);
  delete from supasaasy.verify_findings f
  using supasaasy.sync_jobs j
  where j.id = f.job_id
    and j.app_key = p_app_key
    and f.collection_key = p_collection_key
    and f.external_id = any (p_ids);
  insert into supasaasy.tombstones as t (
    app_key, collection_key, external_id, observed_at, observed_until
  )
  select p_app_key, p_collection_key, i.external_id, 'infinity', 'infinity'
  from unnest(p_ids) as i (external_id)
  order by i.external_id
  on conflict (app_key, collection_key, external_id) do update
  set parent_external_id = null,
    source_created_at = null,
    observed_at = 'infinity',
    observed_until = 'infinity';
  -- Messages and logged bodies may quote the record.
  select '(?<![A-Za-z0-9_])('
    || string_agg(regexp_replace(i.external_id, '([.^$*+?()\[\]{}|\\-])', '\\\1', 'g'), '|')
    || ')(?![A-Za-z0-9_])'
  into v_pattern
  from unnest(p_ids) as i (external_id);
  delete from supasaasy.webhook_logs w
  where w.app_key = p_app_key and w.request_body ~ v_pattern;
  get diagnostics v_count = row_count;
  v_erased := v_erased + v_count;
  update supasaasy.sync_tasks t
  set error_message = 'erased'
  where t.app_key = p_app_key and t.error_message ~ v_pattern;
  update supasaasy.sync_runs r
  set note = 'erased'
  where r.app_key = p_app_key and r.note ~ v_pattern;
  update supasaasy.sync_jobs j
  set error_message = 'erased'
  where j.app_key = p_app_key and j.error_message ~ v_pattern;
  update supasaasy.schedules s
  set error_message = 'erased'
  where s.app_key = p_app_key and s.error_message ~ v_pattern;
  update supasaasy.webhook_endpoints w
  set error_message = 'erased'
  where w.app_key = p_app_key and w.error_message ~ v_pattern;
  update supasaasy.apps a
  set breaker_message = 'erased'
  where a.app_key = p_app_key and a.breaker_message ~ v_pattern;
  update supasaasy.alerts l
  set message = 'erased'
  where l.app_key = p_app_key and l.message ~ v_pattern;
  return v_erased;
end;
$$;

comment on function supasaasy.erase_rows(text, text, text[]) is
  'Erases records of one collection, under its exclusive lock; returns how many rows held them.';
