-- Owns Stripe as SQL sees it: the connector, its resources, and the views and indexes that a
-- Stripe user expects. Columns that are indexed are bounded (left), so that no payload can exceed
-- what an index row holds; ids, emails and states never reach the bound.

insert into supasaasy.connectors (
  connector, display_name, api_version, max_concurrency, rate_live, rate_sandbox, rate_endpoint,
  event_lag, event_retention
)
values ('stripe', 'Stripe', '2026-10-28.endive', 20, 100, 25, 25, '60 seconds', '30 days');

-- 1293840000 is the first second of 2011: no Stripe object is older.
insert into supasaasy.resources (
  collection_key, connector, resource, position, endpoint, filters_created, oldest_created,
  archived_when, deleted_when, listings
)
values
  ('stripe_customer', 'stripe', 'customer', 1, 'customers', true, 1293840000,
    null, '$.deleted == true', '[{}]'),
  ('stripe_product', 'stripe', 'product', 2, 'products', true, 1293840000,
    '$.active == false', '$.deleted == true', '[{}]'),
  -- Without active, the documentation lists active prices only; both were observed.
  ('stripe_price', 'stripe', 'price', 3, 'prices', true, 1293840000,
    '$.active == false', '$.deleted == true', '[{"active": "true"}, {"active": "false"}]'),
  ('stripe_plan', 'stripe', 'plan', 4, 'plans', true, 1293840000,
    '$.active == false', '$.deleted == true', '[{}]'),
  -- canceled_at is set when a cancellation is merely requested, so it archives nothing.
  ('stripe_subscription', 'stripe', 'subscription', 5, 'subscriptions', true, 1293840000,
    '$.status == "canceled" || $.status == "incomplete_expired"', '$.deleted == true',
    '[{"status": "all"}]');

update supasaasy.resources
set archived_at_field = 'ended_at'
where collection_key = 'stripe_subscription';

insert into supasaasy.resources (
  collection_key, connector, resource, position, endpoint, listings, deleted_when,
  parent_collection_key, parent_field, children_path, truncated_path
)
values
  ('stripe_subscription_item', 'stripe', 'subscription_item', 6, 'subscription_items', '[]',
    '$.deleted == true', 'stripe_subscription', 'subscription', '{items,data}', '{items,has_more}');

update supasaasy.resources
set event_types = case resource
  when 'subscription' then array[
    'customer.subscription.created',
    'customer.subscription.updated',
    'customer.subscription.deleted',
    'customer.subscription.paused',
    'customer.subscription.resumed',
    'customer.subscription.pending_update_applied',
    'customer.subscription.pending_update_expired',
    'customer.subscription.trial_will_end'
  ]
  else array[resource || '.created', resource || '.updated', resource || '.deleted']
end
where connector = 'stripe' and parent_collection_key is null;

insert into supasaasy.resources (
  collection_key, connector, resource, position, endpoint, filters_created, oldest_created,
  listings, is_feed
)
values ('stripe_event', 'stripe', 'event', 0, 'events', true, 1293840000, '[]', true);

create index stripe_customer_email_idx
on supasaasy.entities (left(raw_payload ->> 'email', 255))
where collection_key = 'stripe_customer';

create index stripe_customer_id_idx
on supasaasy.entities (external_id)
where collection_key = 'stripe_customer';

create index stripe_price_product_idx
on supasaasy.entities (left(raw_payload ->> 'product', 255))
where collection_key = 'stripe_price';

create index stripe_plan_product_idx
on supasaasy.entities (left(raw_payload ->> 'product', 255))
where collection_key = 'stripe_plan';

create index stripe_subscription_customer_idx
on supasaasy.entities (left(raw_payload ->> 'customer', 255))
where collection_key = 'stripe_subscription';

create index stripe_subscription_status_idx
on supasaasy.entities (left(raw_payload ->> 'status', 255))
where collection_key = 'stripe_subscription';

create index stripe_subscription_item_price_idx
on supasaasy.entities (left(raw_payload #>> '{price,id}', 255))
where collection_key = 'stripe_subscription_item';

-- The API moved the billing period from the subscription to its items. Items of one subscription
-- may differ; what a subscription's period ends with is the next renewal among them.
create function supasaasy.stripe_period(
  p_subscription jsonb,
  p_field text
)
returns timestamptz
language plpgsql
immutable
parallel safe
set search_path = ''
as $$
declare
  v_time timestamptz := supasaasy.unix_time(p_subscription -> p_field);
  v_items jsonb;
begin
  if v_time is not null then
    return v_time;
  end if;
  v_items := p_subscription #> '{items,data}';
  if jsonb_typeof(v_items) <> 'array' then
    return null;
  elsif jsonb_array_length(v_items) = 1 then
    return supasaasy.unix_time(v_items -> 0 -> p_field);
  end if;
  return (
    select supasaasy.unix_time(i.item -> p_field)
    from jsonb_array_elements(v_items) as i (item)
    order by supasaasy.unix_time(i.item -> 'current_period_end') nulls last
    limit 1
  );
end;
$$;

comment on function supasaasy.stripe_period(jsonb, text) is
  'A subscription''s current_period_start or _end: its own, or of the item that renews next.';

create view supasaasy.stripe_customers
with (security_invoker = true)
as
select
  e.app_key,
  e.external_id,
  left(e.raw_payload ->> 'email', 255) as email,
  e.raw_payload ->> 'name' as name,
  e.raw_payload ->> 'description' as description,
  e.raw_payload ->> 'phone' as phone,
  e.raw_payload -> 'address' as address,
  e.raw_payload -> 'shipping' as shipping,
  e.raw_payload ->> 'currency' as currency,
  supasaasy.whole_number(e.raw_payload -> 'balance') as balance,
  supasaasy.truth(e.raw_payload -> 'delinquent') as delinquent,
  e.raw_payload #>> '{invoice_settings,default_payment_method}' as default_payment_method_id,
  e.raw_payload ->> 'invoice_prefix' as invoice_prefix,
  e.raw_payload ->> 'tax_exempt' as tax_exempt,
  e.raw_payload -> 'preferred_locales' as preferred_locales,
  e.raw_payload -> 'metadata' as metadata,
  supasaasy.truth(e.raw_payload -> 'livemode') as livemode,
  e.source_created_at as created,
  e.raw_payload,
  e.api_version,
  e.archived_at,
  e.created_at,
  e.updated_at
from supasaasy.entities e
where e.collection_key = 'stripe_customer';

comment on view supasaasy.stripe_customers is
  'Stripe customers; external_id is the customer''s id (cus_...).';

create view supasaasy.stripe_products
with (security_invoker = true)
as
select
  e.app_key,
  e.external_id,
  e.raw_payload ->> 'name' as name,
  e.raw_payload ->> 'description' as description,
  supasaasy.truth(e.raw_payload -> 'active') as active,
  e.raw_payload ->> 'type' as type,
  e.raw_payload ->> 'default_price' as default_price_id,
  e.raw_payload -> 'images' as images,
  e.raw_payload -> 'marketing_features' as marketing_features,
  e.raw_payload ->> 'statement_descriptor' as statement_descriptor,
  e.raw_payload ->> 'tax_code' as tax_code,
  e.raw_payload ->> 'unit_label' as unit_label,
  e.raw_payload ->> 'url' as url,
  e.raw_payload -> 'metadata' as metadata,
  supasaasy.truth(e.raw_payload -> 'livemode') as livemode,
  e.source_created_at as created,
  supasaasy.unix_time(e.raw_payload -> 'updated') as updated,
  e.raw_payload,
  e.api_version,
  e.archived_at,
  e.created_at,
  e.updated_at
from supasaasy.entities e
where e.collection_key = 'stripe_product';

comment on view supasaasy.stripe_products is
  'Stripe products; archived_at says since when one is inactive.';

create view supasaasy.stripe_prices
with (security_invoker = true)
as
select
  e.app_key,
  e.external_id,
  left(e.raw_payload ->> 'product', 255) as product_id,
  supasaasy.truth(e.raw_payload -> 'active') as active,
  e.raw_payload ->> 'currency' as currency,
  supasaasy.whole_number(e.raw_payload -> 'unit_amount') as unit_amount,
  e.raw_payload ->> 'unit_amount_decimal' as unit_amount_decimal,
  e.raw_payload ->> 'billing_scheme' as billing_scheme,
  e.raw_payload ->> 'type' as type,
  e.raw_payload #>> '{recurring,interval}' as recurring_interval,
  supasaasy.whole_number(e.raw_payload #> '{recurring,interval_count}')
    as recurring_interval_count,
  e.raw_payload #>> '{recurring,usage_type}' as recurring_usage_type,
  e.raw_payload ->> 'lookup_key' as lookup_key,
  e.raw_payload ->> 'nickname' as nickname,
  e.raw_payload ->> 'tax_behavior' as tax_behavior,
  e.raw_payload ->> 'tiers_mode' as tiers_mode,
  e.raw_payload -> 'metadata' as metadata,
  supasaasy.truth(e.raw_payload -> 'livemode') as livemode,
  e.source_created_at as created,
  e.raw_payload,
  e.api_version,
  e.archived_at,
  e.created_at,
  e.updated_at
from supasaasy.entities e
where e.collection_key = 'stripe_price';

comment on view supasaasy.stripe_prices is
  'Stripe prices, active and inactive; unit_amount is in the currency''s smallest unit.';

create view supasaasy.stripe_plans
with (security_invoker = true)
as
select
  e.app_key,
  e.external_id,
  left(e.raw_payload ->> 'product', 255) as product_id,
  supasaasy.truth(e.raw_payload -> 'active') as active,
  e.raw_payload ->> 'currency' as currency,
  supasaasy.whole_number(e.raw_payload -> 'amount') as amount,
  e.raw_payload ->> 'amount_decimal' as amount_decimal,
  e.raw_payload ->> 'billing_scheme' as billing_scheme,
  e.raw_payload ->> 'interval' as interval,
  supasaasy.whole_number(e.raw_payload -> 'interval_count') as interval_count,
  e.raw_payload ->> 'usage_type' as usage_type,
  e.raw_payload ->> 'nickname' as nickname,
  supasaasy.whole_number(e.raw_payload -> 'trial_period_days') as trial_period_days,
  e.raw_payload -> 'metadata' as metadata,
  supasaasy.truth(e.raw_payload -> 'livemode') as livemode,
  e.source_created_at as created,
  e.raw_payload,
  e.api_version,
  e.archived_at,
  e.created_at,
  e.updated_at
from supasaasy.entities e
where e.collection_key = 'stripe_plan';

comment on view supasaasy.stripe_plans is
  'Stripe plans, the legacy form of recurring prices; amount is in the smallest unit.';

create view supasaasy.stripe_subscriptions
with (security_invoker = true)
as
select
  e.app_key,
  e.external_id,
  left(e.raw_payload ->> 'customer', 255) as customer_id,
  left(e.raw_payload ->> 'status', 255) as status,
  supasaasy.stripe_period(e.raw_payload, 'current_period_start') as current_period_start,
  supasaasy.stripe_period(e.raw_payload, 'current_period_end') as current_period_end,
  supasaasy.truth(e.raw_payload -> 'cancel_at_period_end') as cancel_at_period_end,
  supasaasy.unix_time(e.raw_payload -> 'cancel_at') as cancel_at,
  supasaasy.unix_time(e.raw_payload -> 'canceled_at') as canceled_at,
  supasaasy.unix_time(e.raw_payload -> 'ended_at') as ended_at,
  supasaasy.unix_time(e.raw_payload -> 'start_date') as start_date,
  supasaasy.unix_time(e.raw_payload -> 'trial_start') as trial_start,
  supasaasy.unix_time(e.raw_payload -> 'trial_end') as trial_end,
  supasaasy.unix_time(e.raw_payload -> 'billing_cycle_anchor') as billing_cycle_anchor,
  e.raw_payload ->> 'collection_method' as collection_method,
  e.raw_payload ->> 'currency' as currency,
  e.raw_payload ->> 'default_payment_method' as default_payment_method_id,
  e.raw_payload ->> 'latest_invoice' as latest_invoice_id,
  e.raw_payload ->> 'schedule' as schedule_id,
  e.raw_payload -> 'pause_collection' as pause_collection,
  e.raw_payload -> 'metadata' as metadata,
  supasaasy.truth(e.raw_payload -> 'livemode') as livemode,
  e.source_created_at as created,
  e.raw_payload,
  e.api_version,
  e.archived_at,
  e.created_at,
  e.updated_at
from supasaasy.entities e
where e.collection_key = 'stripe_subscription';

comment on view supasaasy.stripe_subscriptions is
  'Stripe subscriptions in every status; archived_at says since when one is canceled or expired.';

create view supasaasy.stripe_subscription_items
with (security_invoker = true)
as
select
  e.app_key,
  e.external_id,
  e.parent_external_id as subscription_id,
  left(e.raw_payload #>> '{price,id}', 255) as price_id,
  e.raw_payload #>> '{price,product}' as product_id,
  supasaasy.whole_number(e.raw_payload -> 'quantity') as quantity,
  supasaasy.whole_number(e.raw_payload #> '{price,unit_amount}') as unit_amount,
  e.raw_payload #>> '{price,currency}' as currency,
  e.raw_payload #>> '{price,recurring,interval}' as recurring_interval,
  supasaasy.whole_number(e.raw_payload #> '{price,recurring,interval_count}')
    as recurring_interval_count,
  supasaasy.unix_time(e.raw_payload -> 'current_period_start') as current_period_start,
  supasaasy.unix_time(e.raw_payload -> 'current_period_end') as current_period_end,
  e.raw_payload -> 'metadata' as metadata,
  e.source_created_at as created,
  e.raw_payload,
  e.api_version,
  e.archived_at,
  e.created_at,
  e.updated_at
from supasaasy.entities e
where e.collection_key = 'stripe_subscription_item';

comment on view supasaasy.stripe_subscription_items is
  'The items of Stripe subscriptions; subscription_id is the subscription''s external_id.';
