begin;
set local search_path = extensions, public;
select plan(8);

select throws_ok(
  $$ select supasaasy.set_setting('leese', '1') $$,
  '22023', 'cannot read setting "leese": it does not exist', 'an unknown setting is named'
);
select throws_ok(
  $$ select supasaasy.set_setting('max_attempts', 'many') $$,
  '22023', 'cannot set "max_attempts" to "many": it is not a valid integer',
  'a value of another kind is named'
);
select throws_ok(
  $$ select supasaasy.set_setting('lease', 'soon') $$,
  '22023', 'cannot set "lease" to "soon": it is not a valid interval', 'so is a bad interval'
);
select throws_ok(
  $$ select supasaasy.set_setting('functions_url', 'localhost') $$,
  '22023', 'cannot set "functions_url" to "localhost": it is not a valid url', 'and a bad URL'
);
select is(supasaasy.set_setting('max_attempts', '3'), '3', 'a good value is taken');
select is(supasaasy.set_setting('max_attempts', null), '8', 'null means the default');
select set_config('supasaasy.functions_url', '', true);
update supasaasy.settings set value = null where name = 'functions_url';
select throws_ok(
  $$ select supasaasy.functions_url() $$,
  '55000', 'cannot start a task: the setting "functions_url" is not set',
  'without the functions'' URL nothing is started'
);
select tests.have_app();
update supasaasy.settings set value = null where name = 'functions_url';
select throws_ok(
  $$ select supasaasy.sync('stripe_main') $$,
  '55000', 'cannot start a task: the setting "functions_url" is not set',
  'sync says so before it queues anything'
);

select * from finish();
rollback;
