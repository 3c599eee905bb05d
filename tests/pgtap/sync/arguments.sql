begin;
set local search_path = extensions, public;
select plan(7);

select throws_ok(
  $$ select supasaasy.sync('stripe_main') $$,
  'P0002', 'there is no app "stripe_main"',
  'an app that does not exist is named'
);
select tests.have_app();
select throws_ok(
  $$ select supasaasy.sync('stripe_man') $$,
  'P0002', 'there is no app "stripe_man"',
  'a misspelt app is named'
);
select throws_ok(
  $$ select supasaasy.sync('stripe_main', 'everything') $$,
  '22023', 'cannot sync "stripe_main" in mode "everything"',
  'an unknown mode is named'
);
select throws_ok(
  $$ select supasaasy.sync('stripe_main', 'full', array['unicorn']) $$,
  '22023', 'connector "stripe" has no resource "unicorn"',
  'an unknown resource is named'
);
select throws_ok(
  $$ select supasaasy.sync('stripe_main', 'full', '{}') $$,
  '22023', 'cannot sync "stripe_main": the list of resources is empty',
  'an empty list is not taken for all'
);
update supasaasy.apps set enabled = false where app_key = 'stripe_main';
select throws_ok(
  $$ select supasaasy.sync('stripe_main') $$,
  '55000', 'cannot sync "stripe_main": the app is disabled',
  'a disabled app is not synced'
);
select is(
  (select count(*)::integer from supasaasy.sync_jobs), 0,
  'nothing was queued by any of these'
);

select * from finish();
rollback;
