-- A later version of a connector may no longer have a resource that an app names.
begin;
set local search_path = extensions, public;
select plan(4);

select tests.have_app();
select tests.sync_listing('stripe_customer', tests.customers(1, 3));
alter table supasaasy.apps disable trigger check_app;
update supasaasy.apps set config = config || '{"sync_resources": ["coupon"]}';

select throws_ok(
  $$ select supasaasy.sync('stripe_main', 'full') $$,
  '22023', 'connector "stripe" has no resource "coupon"',
  'it is said when a sync is asked for'
);
select throws_ok(
  $$ select supasaasy.prune('stripe_main') $$,
  '22023', 'connector "stripe" has no resource "coupon"',
  'and when what is not synced is to be deleted'
);
select is((select count(*)::integer from supasaasy.entities), 3, 'nothing was deleted');
select is((select count(*)::integer from supasaasy.status), 0, 'the views of all apps go on');

select * from finish();
rollback;
