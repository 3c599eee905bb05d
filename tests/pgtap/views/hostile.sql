begin;
set local search_path = extensions, public;
select plan(19);

select tests.have_app();

-- Every view of a connector, and every key that it reads, by its definition.
create temporary table connector_views as
select c.oid, c.relname as name, pg_get_viewdef(c.oid) as definition
from pg_class c
join supasaasy.connectors k on starts_with(c.relname, k.connector || '_')
where c.relnamespace = 'supasaasy'::regnamespace and c.relkind = 'v';
create temporary table keys as
select distinct k.key
from connector_views v
cross join lateral regexp_matches(v.definition, $re$'\{?([a-z0-9_,]+)\}?'::text$re$, 'g') as m
cross join lateral regexp_split_to_table(m[1], ',') as k (key);

create temporary table hostile (payload jsonb);
insert into hostile
select jsonb_build_object('id', 'x' || row_number() over ()) || n.payload
from (values
  ('null'::jsonb), ('1e400'), ('-1e400'), ('1.5'), ('99999999999999999999'), ('true'), ('"text"'), ('""'),
  ('"2026-02-31T25:61:61Z"'), ('[]'), ('[1, null]'), ('{}'), ('{"data": 5}'), ('{"data": [1, "a", null, {}]}'),
  ('{"id": 5, "product": [], "data": [{"current_period_end": "soon"}]}'), (to_jsonb(repeat('x', 10000)))
) as v (value)
cross join lateral (
  select (select jsonb_object_agg(k.key, v.value) - 'id' from keys k) as payload
  union all
  select (
    select jsonb_object_agg(o.key, i.inner_object) - 'id'
    from keys o
    cross join (select jsonb_object_agg(k.key, v.value) as inner_object from keys k) i
  )
  where length(v.value::text) < 100
) n;
insert into hostile values ('{"id": "nothing"}'), ('{"id": "99999999999999999999"}');

insert into supasaasy.entities
  (app_key, collection_key, external_id, api_version, raw_payload, observed_at, observed_until)
select 'stripe_main', r.collection_key, h.payload ->> 'id', 'v', h.payload, now(), now()
from hostile h, supasaasy.resources r
where not r.is_feed;

select is(
  (select array_agg(distinct k.connector || ': ' || (v.name is not null)) from supasaasy.connectors k
   left join connector_views v on starts_with(v.name, k.connector || '_')
   where v.name is null),
  null, 'every connector has views'
);
select lives_ok(
  format('select count(to_jsonb(v)) from supasaasy.%I v', v.name),
  format('every column of %s reads hostile payloads', v.name)
)
from connector_views v;

select tests.observe('stripe_subscription', jsonb_build_array(tests.subscription('sub_1', '{}',
  '{"items": {"has_more": false, "data": [
     {"id": "a", "current_period_start": 100, "current_period_end": 900},
     {"id": "b", "current_period_start": 200, "current_period_end": 300}]}}')), now(), now());
select results_eq(
  $$ select current_period_start, current_period_end from supasaasy.stripe_subscriptions
     where external_id = 'sub_1' $$,
  $$ values (to_timestamp(200), to_timestamp(300)) $$,
  'a subscription''s period is that of the item that renews next'
);
select is(
  (select current_period_end from supasaasy.stripe_subscription_items where external_id = 'a'),
  to_timestamp(900), 'an item''s is its own'
);
select is(
  (select pg_typeof(unit_amount)::text from supasaasy.stripe_prices limit 1), 'bigint', 'money is bigint'
);
grant select on connector_views to service_role;
set local role service_role;
do $$
declare
  v_name text;
begin
  for v_name in select name from pg_temp.connector_views loop
    execute format('select count(to_jsonb(v)) from supasaasy.%I v', v_name);
  end loop;
end;
$$;
reset role;
select pass('service_role may read the views');

select * from finish();
rollback;
