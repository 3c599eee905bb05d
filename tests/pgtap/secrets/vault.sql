begin;
set local search_path = extensions, public;
select plan(11);

select tests.have_app();
update supasaasy.apps set config = '{}' where true;
select throws_ok(
  $$ select supasaasy.sync('stripe_main') $$, '55000', 'cannot sync "stripe_main": it has no API key',
  'an app without a key is not synced'
);
select throws_ok(
  $$ select supasaasy.set_secret('stripe_man', 'api_key', 'sk_test_12345') $$,
  'P0002', null, 'a secret is of an app that exists'
);
select throws_ok(
  $$ select supasaasy.set_secret('stripe_main', 'password', 'sk_test_12345') $$,
  '22023', 'cannot keep a secret of "stripe_main": its kind is not known',
  'an unknown kind is refused, and not repeated: it may be the secret'
);
select throws_ok(
  $$ select supasaasy.set_secret('stripe_main', 'api_key', 'sk test') $$,
  '22023', 'cannot keep a api_key of "stripe_main": it is empty, too short, or has spaces',
  'a malformed secret is refused, and not repeated'
);
select supasaasy.set_secret('stripe_main', 'api_key', 'sk_test_old_one');
select supasaasy.set_secret('stripe_main', 'api_key', 'sk_test_new_one');
select is(
  supasaasy.vault_secrets('stripe_main', 'api_key'), array['sk_test_new_one'],
  'of an API key there is one'
);
select supasaasy.sync('stripe_main', 'full', array['customer']);
create temporary table o as
select supasaasy.begin_page(id, start_token) as o from supasaasy.sync_tasks where state = 'leased';
select is((select o ->> 'api_key' from o), 'sk_test_new_one', 'the order for one page holds it');
select is(
  (select count(*)::integer from net.http_request_queue where convert_from(body::text::bytea, 'utf8') like '%sk_test%'),
  0, 'the queue of pg_net never does'
);
select is(
  (select count(*)::integer from supasaasy.sync_tasks t where t::text like '%sk_test%'), 0,
  'nor does the task'
);
select supasaasy.set_secret('stripe_main', 'webhook_secret', 'whsec_' || i)
from unnest(array['1st', '2nd', '3rd']) as i;
select is(
  supasaasy.vault_secrets('stripe_main', 'webhook_secret'), array['whsec_3rd', 'whsec_2nd'],
  'of webhook secrets the last two are valid'
);
select is(
  (select count(*)::integer from supasaasy.apps a where a::text like '%sk_test%' or a::text like '%whsec%'), 0,
  'the app''s row holds none'
);
select is(
  (select count(*)::integer from supasaasy.status s where s::text like '%sk_test%'), 0, 'nor does status'
);

select * from finish();
rollback;
