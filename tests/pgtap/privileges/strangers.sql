begin;
set local search_path = extensions, public;
select plan(6);

create function pg_temp.readable_by(p_role text)
returns setof text
language sql
as $$
  select c.relname::text
  from pg_class c
  where c.relnamespace = 'supasaasy'::regnamespace
    and c.relkind in ('r', 'v', 'S')
    and case c.relkind
      when 'S' then has_sequence_privilege(p_role, c.oid, 'usage, select, update')
      else has_table_privilege(p_role, c.oid, 'select, insert, update, delete, truncate')
    end;
$$;

-- The same question, asked by trying: each statement must be refused.
create function pg_temp.allowed_to(p_role text)
returns setof text
language plpgsql
as $$
declare
  v_object record;
begin
  for v_object in
    select format('select 1 from %s limit 1', c.oid::regclass) as statement
    from pg_class c
    where c.relnamespace = 'supasaasy'::regnamespace and c.relkind in ('r', 'v')
    union all
    select format('select %I.%I(%s)', 'supasaasy', p.proname, (
      select string_agg(format('null::%s', format_type(t, null)), ', ')
      from unnest(p.proargtypes::oid[]) as t
    ))
    from pg_proc p
    where p.pronamespace = 'supasaasy'::regnamespace and p.prorettype <> 'trigger'::regtype
  loop
    begin
      execute format('set local role %I', p_role);
      execute v_object.statement;
      return next v_object.statement;
    exception
      when insufficient_privilege then
        null;
    end;
    reset role;
  end loop;
end;
$$;

select is_empty($$ select pg_temp.readable_by('anon') $$, 'anon holds no grant on any relation');
select is_empty(
  $$ select pg_temp.readable_by('authenticated') $$,
  'authenticated holds no grant on any relation'
);
select is_empty(
  $$ select pg_temp.allowed_to('anon') $$,
  'as anon, every table, view and function is refused'
);
select is_empty(
  $$ select pg_temp.allowed_to('authenticated') $$,
  'as authenticated, every table, view and function is refused'
);
select ok(
  not has_schema_privilege('anon', 'supasaasy', 'usage'),
  'anon may not even use the schema'
);
select ok(
  not has_schema_privilege('authenticated', 'supasaasy', 'usage'),
  'authenticated may not even use the schema'
);

select * from finish();
rollback;
