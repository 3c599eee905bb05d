-- Owns configure: a whole configuration as one JSON document, checked as a whole, applied as a whole,
-- and reported as what it changed. What it does not name stays as it is: apps, settings, and of an app its
-- name, enabled, config (which is replaced as a whole, sync_from with it) and sync_schedules.

-- The document: {"settings": {name: value}, "apps": [{app_key, name, connector, enabled, config}]}.
-- In an app's config stand, beside the keys of apps.config, sync_from and sync_schedules.
create function supasaasy.config_problems(p_config jsonb)
returns table (
  path text,
  message text
)
language plpgsql
stable
set search_path = ''
as $$
declare
  v_app record;
  v_path text;
  v_config jsonb;
  v_schedule record;
begin
  if p_config is null or jsonb_typeof(p_config) <> 'object' then
    return query select
      '$', 'the configuration is not a JSON object (keys: apps, settings)';
    return;
  end if;
  return query
  select k.key, 'is not known (keys: apps, settings)'
  from jsonb_object_keys(p_config) as k (key)
  where k.key not in ('apps', 'settings');

  if jsonb_typeof(p_config -> 'settings') <> 'object' then
    return query select 'settings', 'is not an object of names and values';
  else
    return query
    select 'settings.' || v.key, coalesce(supasaasy.setting_problem(v.key, v.value #>> '{}'), '')
    from jsonb_each(p_config -> 'settings') as v (key, value)
    where supasaasy.setting_problem(v.key, v.value #>> '{}') is not null;
  end if;

  if jsonb_typeof(p_config -> 'apps') <> 'array' then
    return query select 'apps', 'is not an array';
    return;
  end if;
  return query
  select format('apps[%s].app_key', max(e.position) - 1),
    format('"%s" is given more than once', e.value ->> 'app_key')
  from jsonb_array_elements(p_config -> 'apps') with ordinality as e (value, position)
  where jsonb_typeof(e.value) = 'object'
  group by e.value ->> 'app_key'
  having count(*) > 1;

  for v_app in
    select e.value, format('apps[%s]', e.position - 1) as path
    from jsonb_array_elements(p_config -> 'apps') with ordinality as e (value, position)
    order by e.position
  loop
    v_path := v_app.path;
    if jsonb_typeof(v_app.value) <> 'object' then
      return query select v_path, 'is not an object';
      continue;
    end if;
    v_config := coalesce(v_app.value -> 'config', '{}');
    return query
    select format('%s.%s', v_path, k.key),
      'is not known (keys: app_key, name, connector, enabled, config)'
    from jsonb_object_keys(v_app.value) as k (key)
    where k.key not in ('app_key', 'name', 'connector', 'enabled', 'config')
    union all
    select format('%s.%s', v_path, t.key), format('is %s, not a text', t.value)
    from jsonb_each(v_app.value) as t (key, value)
    where t.key in ('app_key', 'name', 'connector') and jsonb_typeof(t.value) <> 'string'
    union all
    select v_path || '.enabled', format('is %s (valid: true, false)', v_app.value -> 'enabled')
    where jsonb_typeof(v_app.value -> 'enabled') <> 'boolean'
    union all
    select format('%s.%s', v_path, p.path),
      concat_ws(' ', p.message, '(' || p.detail || ')', '(' || rtrim(p.hint, '.') || ')')
    from supasaasy.app_problems(
      v_app.value ->> 'app_key',
      v_app.value ->> 'connector',
      case jsonb_typeof(v_config)
        when 'object' then v_config - array['sync_from', 'sync_schedules']
        else v_config
      end
    ) p
    union all
    select v_path || '.connector',
      format('app "%s" cannot change its connector from "%s"', a.app_key, a.connector)
    from supasaasy.apps a
    where a.app_key = v_app.value ->> 'app_key' and a.connector <> v_app.value ->> 'connector';
    continue when jsonb_typeof(v_config) <> 'object';

    if v_config ? 'sync_from'
      and v_config -> 'sync_from' <> 'null'
      and not coalesce(isfinite(supasaasy.read_time(v_config ->> 'sync_from')), false)
    then
      return query select
        v_path || '.config.sync_from',
        format('is %s (valid: a time such as "2026-01-01" or "2026-01-01T00:00:00Z")',
          v_config -> 'sync_from');
    end if;
    if v_config ? 'sync_schedules' and jsonb_typeof(v_config -> 'sync_schedules') <> 'array' then
      return query select
        v_path || '.config.sync_schedules',
        'is not an array of {"cron": "*/5 * * * *", "mode": "incremental"}';
      continue;
    end if;
    for v_schedule in
      select e.value, format('%s.config.sync_schedules[%s]', v_path, e.position - 1) as path
      from jsonb_array_elements(v_config -> 'sync_schedules') with ordinality as e (value, position)
    loop
      if jsonb_typeof(v_schedule.value) <> 'object' then
        return query select
          v_schedule.path, 'is not an object such as {"cron": "*/5 * * * *", "mode": "full"}';
        continue;
      end if;
      return query
      select format('%s.%s', v_schedule.path, k.key),
        'is not known (keys: cron, mode, resources, enabled)'
      from jsonb_object_keys(v_schedule.value) as k (key)
      where k.key not in ('cron', 'mode', 'resources', 'enabled')
      union all
      select v_schedule.path || '.cron',
        supasaasy.cron_problem(v_schedule.value ->> 'cron')
          || ' (valid: five fields in UTC, such as */5 * * * *)'
      where supasaasy.cron_problem(v_schedule.value ->> 'cron') is not null
      union all
      select v_schedule.path || '.mode',
        format('is "%s" (valid: incremental, full, verify)', v_schedule.value ->> 'mode')
      where v_schedule.value ->> 'mode' not in ('incremental', 'full', 'verify')
      union all
      select v_schedule.path || '.enabled',
        format('is %s (valid: true, false)', v_schedule.value -> 'enabled')
      where jsonb_typeof(v_schedule.value -> 'enabled') <> 'boolean'
      union all
      select v_schedule.path || '.resources', concat_ws(' ', r.message, '(' || rtrim(r.hint, '.') || ')')
      from supasaasy.resource_problems(
        v_app.value ->> 'connector',
        array(
          select jsonb_array_elements_text(v_schedule.value -> 'resources')
          where jsonb_typeof(v_schedule.value -> 'resources') = 'array'
        )
      ) r
      union all
      select v_schedule.path || '.resources', 'is not an array of resource names'
      where jsonb_typeof(v_schedule.value -> 'resources') <> 'array'
        or v_schedule.value -> 'resources' = '[]'
      union all
      select v_schedule.path, 'is given more than once'
      where (
        select count(*)
        from jsonb_array_elements(v_config -> 'sync_schedules') as o (value)
        where jsonb_typeof(o.value) = 'object' and o.value - 'enabled' = v_schedule.value - 'enabled'
      ) > 1;
    end loop;
  end loop;
end;
$$;

comment on function supasaasy.config_problems(jsonb) is
  'What is wrong with a configuration: the path of each problem, what it is, and what would be valid.';

create function supasaasy.read_time(p_text text)
returns timestamptz
language plpgsql
stable
set search_path = ''
as $$
begin
  return p_text::timestamptz;
exception
  when invalid_datetime_format or datetime_field_overflow or invalid_parameter_value then
    return null;
end;
$$;

comment on function supasaasy.read_time(text) is
  'A text as a time; null for one that is none.';

create function supasaasy.configure(p_config jsonb)
returns table (
  path text,
  change text,
  before text,
  after text
)
language plpgsql
volatile
set search_path = ''
as $$
declare
  v_problems text;
  v_count integer;
  v_app jsonb;
  v_config jsonb;
  v_old supasaasy.apps%rowtype;
  v_new supasaasy.apps%rowtype;
begin
  select count(*), string_agg(format('%s: %s', p.path, p.message), e'\n')
  into v_count, v_problems
  from supasaasy.config_problems(p_config) p;
  if v_count > 0 then
    raise exception using
      errcode = '22023',
      message = format(e'the configuration has %s %s, and nothing was changed\n%s',
        v_count, case v_count when 1 then 'error' else 'errors' end, v_problems);
  end if;

  return query
  select 'settings.' || v.key, 'updated', v.before, v.after
  from (
    select s.key, supasaasy.setting(s.key) as before,
      supasaasy.set_setting(s.key, s.value #>> '{}') as after
    from jsonb_each(coalesce(p_config -> 'settings', '{}')) as s (key, value)
    offset 0
  ) v
  where v.before is distinct from v.after;

  for v_app in select e.value from jsonb_array_elements(p_config -> 'apps') as e (value) loop
    select a.* into v_old from supasaasy.apps a where a.app_key = v_app ->> 'app_key';
    v_config := coalesce(
      v_app -> 'config',
      v_old.config || jsonb_strip_nulls(jsonb_build_object('sync_from', v_old.sync_from)),
      '{}'
    );
    insert into supasaasy.apps as a (app_key, name, connector, config, sync_from, enabled)
    values (
      v_app ->> 'app_key',
      coalesce(v_app ->> 'name', v_old.name, ''),
      v_app ->> 'connector',
      v_config - array['sync_from', 'sync_schedules'],
      (v_config ->> 'sync_from')::timestamptz,
      coalesce((v_app ->> 'enabled')::boolean, v_old.enabled, true)
    )
    on conflict (app_key) do update
    set name = excluded.name,
      config = excluded.config,
      sync_from = excluded.sync_from,
      enabled = excluded.enabled
    where (a.name, a.config, a.sync_from, a.enabled)
      is distinct from (excluded.name, excluded.config, excluded.sync_from, excluded.enabled);
    select a.* into strict v_new from supasaasy.apps a where a.app_key = v_app ->> 'app_key';
    if v_old.app_key is null then
      return query select 'apps.' || v_new.app_key, 'inserted', null::text, v_new.connector;
    else
      return query
      select format('apps.%s.%s', v_new.app_key, coalesce(o.key, n.key)), 'updated',
        o.value #>> '{}', n.value #>> '{}'
      from jsonb_each(
        jsonb_build_object('name', v_old.name, 'enabled', v_old.enabled, 'sync_from', v_old.sync_from)
          || (select coalesce(jsonb_object_agg('config.' || c.key, c.value), '{}')
            from jsonb_each(v_old.config) as c (key, value))
      ) as o (key, value)
      full join jsonb_each(
        jsonb_build_object('name', v_new.name, 'enabled', v_new.enabled, 'sync_from', v_new.sync_from)
          || (select coalesce(jsonb_object_agg('config.' || c.key, c.value), '{}')
            from jsonb_each(v_new.config) as c (key, value))
      ) as n (key, value) on n.key = o.key
      where o.value is distinct from n.value;
    end if;
    if v_config ? 'sync_schedules' then
      return query
      select *
      from supasaasy.configure_schedules(
        v_new.app_key, v_new.connector, v_config -> 'sync_schedules'
      );
    end if;
  end loop;
end;
$$;

comment on function supasaasy.configure(jsonb) is
  'Applies a configuration of settings, apps and schedules as a whole; returns what it changed.';

-- The schedules of an app become exactly these.
create function supasaasy.configure_schedules(
  p_app_key text,
  p_connector text,
  p_schedules jsonb
)
returns table (
  path text,
  change text,
  before text,
  after text
)
language sql
volatile
set search_path = ''
as $$
  with wanted as (
    select distinct on (1, 2, 3)
      regexp_replace(btrim(e.value ->> 'cron'), '\s+', ' ', 'g') as cron,
      coalesce(e.value ->> 'mode', 'incremental') as mode,
      case when jsonb_typeof(e.value -> 'resources') = 'array' then supasaasy.resolve_resources(
        p_connector, array(select jsonb_array_elements_text(e.value -> 'resources'))
      ) end as resources,
      coalesce((e.value ->> 'enabled')::boolean, true) as enabled
    from jsonb_array_elements(p_schedules) as e (value)
  ),
  removed as (
    delete from supasaasy.schedules s
    where s.app_key = p_app_key
      and not exists (
        select from wanted w
        where w.cron = s.cron
          and w.mode = s.mode
          and w.resources is not distinct from s.resources
      )
    returning s.cron, s.mode
  ),
  written as (
    insert into supasaasy.schedules as s (app_key, cron, mode, resources, enabled)
    select p_app_key, w.cron, w.mode, w.resources, w.enabled
    from wanted w
    on conflict (app_key, cron, mode, resources) do update
    set enabled = excluded.enabled
    where s.enabled <> excluded.enabled
    returning s.cron, s.mode, s.enabled, xmax = 0 as is_new
  )
  select format('schedules.%s', p_app_key), 'deleted', format('%s %s', r.cron, r.mode), null
  from removed r
  union all
  select
    format('schedules.%s', p_app_key),
    case when w.is_new then 'inserted' else 'updated' end,
    case when not w.is_new then format('%s %s%s', w.cron, w.mode,
      case when w.enabled then ' disabled' else '' end) end,
    format('%s %s%s', w.cron, w.mode, case when w.enabled then '' else ' disabled' end)
  from written w;
$$;

comment on function supasaasy.configure_schedules(text, text, jsonb) is
  'Makes the schedules of an app exactly what a configuration says; returns what it changed.';
