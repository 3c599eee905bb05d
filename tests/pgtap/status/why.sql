begin;
set local search_path = extensions, public;
select plan(15);

select tests.have_app('stripe_main', '{"sync_resources": ["customer", "product"]}');
select tests.stop_clock_at(clock_timestamp());
create function pg_temp.why(p_id text, p_pattern text, p_description text, p_collection text default 'customer')
returns text
language sql
as $$
  select matches(supasaasy.why_not_synced('stripe_main', p_collection, p_id), p_pattern, p_description);
$$;

select throws_ok(
  $$ select supasaasy.why_not_synced('stripe_man', 'customer', 'cus_1') $$, 'P0002', null, 'an unknown app is named'
);
select throws_ok(
  $$ select supasaasy.why_not_synced('stripe_main', 'unicorn', 'cus_1') $$, '22023', null, 'and a collection'
);
select pg_temp.why('price_1', 'leaves stripe_price out of sync_resources', 'a resource that is left out', 'price');
select pg_temp.why('cus_1', 'was never synced \(select supasaasy.sync', 'an app that was never synced');
select supasaasy.sync('stripe_main', 'full');
select pg_temp.why('cus_1', 'not here yet: job \d+ \(full\) is running', 'a job under way');
select supasaasy.fail_page(id, tests.begin(id), 'forbidden', 'rak_customer_read is missing')
from (select tests.task('stripe_customer') as id) t;
select tests.bring_page('stripe_product', '[]');
select pg_temp.why('cus_1', 'the last sync of stripe_customer failed \(rak_customer_read', 'a job that failed');
select tests.move_clock('1 minute');
select tests.sync_listing('stripe_customer', tests.customers(1, 2));
select pg_temp.why('cus_000001', 'is here as it was observed at', 'a record that is here');
select pg_temp.why('cus_9', 'the provider listed no such object by .* supasaasy.refetch', 'one that was not listed');
select tests.move_clock('1 minute');
select tests.observe('stripe_customer', '[]', supasaasy.clock(), supasaasy.clock(), 'fetch', '{cus_000002}');
select pg_temp.why('cus_000002', 'was deleted at the provider, which was seen here on', 'one that was deleted');
select supasaasy.refetch('stripe_main', 'customer', 'cus_7');
select pg_temp.why('cus_7', 'is being fetched: task \d+ is leased', 'one that is being fetched');
update supasaasy.apps set sync_from = '2026-01-01' where true;
select pg_temp.why('cus_9', 'and what was created before 2026-01-01 .* is left out', 'sync_from may be the reason');
select pg_temp.why('cus_000001', 'created before sync_from', 'or leave a record as it was');
select supasaasy.note_failure('stripe_main', 'auth', 'the key was revoked');
select pg_temp.why('cus_9', 'nothing of stripe_main works since .*the key was revoked', 'an open breaker');
update supasaasy.apps set enabled = false where true;
select pg_temp.why('cus_9', 'the app is disabled', 'a disabled app');
select throws_ok(
  $$ select supasaasy.why_not_synced('stripe_main', 'customer', '') $$, '22023', null, 'an empty id is refused'
);

select * from finish();
rollback;
