begin;
set local search_path = extensions, public;
select plan(10);

select tests.have_app();
create temporary table hostile (payload jsonb);
insert into hostile
select jsonb_build_object('id', 'x' || row_number() over (), 'created', value, 'email', value,
  'status', value, 'customer', value, 'product', value, 'price', value, 'items', value,
  'active', value, 'unit_amount', value, 'quantity', value, 'metadata', value, 'amount', value,
  'current_period_end', value, 'ended_at', value, 'balance', value, 'recurring', value)
from (values
  ('null'::jsonb), ('1e400'), ('-1e400'), ('1.5'), ('99999999999999999999'), ('true'), ('"text"'), ('""'),
  ('[]'), ('[1, null]'), ('{}'), ('{"data": 5}'), ('{"data": [1, "a", null, {}]}'),
  ('{"id": 5, "product": [], "data": [{"current_period_end": "soon"}]}'), (to_jsonb(repeat('x', 10000)))
) as v (value);
insert into hostile values ('{"id": "nothing"}');

insert into supasaasy.entities
  (app_key, collection_key, external_id, api_version, raw_payload, observed_at, observed_until)
select 'stripe_main', r.collection_key, h.payload ->> 'id', 'v', h.payload, now(), now()
from hostile h, supasaasy.resources r
where not r.is_feed;

select lives_ok(
  format('select count(to_jsonb(v)) from supasaasy.%I v', v.name),
  format('every column of %s reads hostile payloads', v.name)
)
from (values ('stripe_customers'), ('stripe_products'), ('stripe_prices'), ('stripe_plans'),
  ('stripe_subscriptions'), ('stripe_subscription_items')) as v (name);

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
set local role service_role;
select lives_ok(
  $$ select count(to_jsonb(v)) from supasaasy.stripe_subscriptions v $$, 'service_role may read the views'
);
reset role;

select * from finish();
rollback;
