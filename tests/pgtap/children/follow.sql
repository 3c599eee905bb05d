begin;
set local search_path = extensions, public;
select plan(16);

select tests.have_app();
select tests.stop_clock_at('2026-01-01 12:00:00+00');
create function pg_temp.see(p_subscription jsonb, p_minute integer)
returns text
language sql
as $$
  select tests.observe('stripe_subscription', jsonb_build_array(p_subscription),
    '2026-01-01 11:00:00+00'::timestamptz + p_minute * interval '1 minute',
    '2026-01-01 11:00:01+00'::timestamptz + p_minute * interval '1 minute');
$$;

select is(
  pg_temp.see(tests.subscription('sub_1', '{si_1,si_2}'), 1),
  '3 inserted, 0 updated, 0 unchanged, 0 deleted', 'items come with their subscription'
);
select results_eq(
  $$ select external_id, subscription_id from supasaasy.stripe_subscription_items order by 1 $$,
  $$ values ('si_1', 'sub_1'), ('si_2', 'sub_1') $$,
  'and belong to it'
);
select pg_temp.see(tests.subscription('sub_1', '{si_2,si_3}', '{"status": "past_due"}'), 2);
select is(tests.ids('stripe_subscription_item'), 'si_2 si_3', 'its set replaces the one before');
select is(tests.buried('stripe_subscription_item'), 'si_1', 'what was removed has a tombstone');
select pg_temp.see(tests.subscription('sub_1', '{si_1}', '{"status": "trialing"}'), 1);
select is(
  tests.ids('stripe_subscription_item'), 'si_2 si_3', 'an older subscription brings back nothing'
);

select pg_temp.see(tests.subscription('sub_1', '{si_2}', '{"status": "active"}', true), 3);
select is(tests.ids('stripe_subscription_item'), 'si_2 si_3', 'a truncated list deletes nothing');
select is(
  tests.open_tasks('stripe_subscription_item'), 'children:sub_1', 'and is listed in full'
);
update supasaasy.sync_tasks set state = 'done', finished_at = now() where true;
select pg_temp.see(tests.subscription('sub_1', '{si_2}', '{"status": "active"}', true), 4);
select is(
  tests.open_tasks('stripe_subscription_item'), 'children:sub_1',
  'even when the subscription did not change'
);

select tests.move_clock('1 hour');
update supasaasy.sync_tasks set created_at = supasaasy.clock() where true;
select tests.bring_page('stripe_subscription_item',
  jsonb_build_array(tests.item('si_2', 'sub_1'), tests.item('si_4', 'sub_1')), null, 'sub_1');
select is(
  tests.ids('stripe_subscription_item'), 'si_2 si_3 si_4', 'its listing adds the rest, deletes nothing'
);
select is(
  tests.open_tasks('stripe_subscription_item'), 'revalidate:si_3', 'and what it omits is fetched'
);

update supasaasy.sync_tasks set run_after = supasaasy.clock() where state = 'waiting';
select tests.move_clock('1 minute');
select tests.bring_page('stripe_subscription_item',
  jsonb_build_array(tests.item('si_3', 'sub_1', '{"quantity": 9}')), null, 'si_3');
select is(
  (select parent_external_id from supasaasy.entities where external_id = 'si_3'), 'sub_1',
  'an item that was fetched alone still belongs to its subscription'
);

select is(
  tests.observe('stripe_subscription', '[]', '2026-01-01 14:00:00+00', '2026-01-01 14:00:01+00',
    'fetch', '{sub_1}'),
  '0 inserted, 0 updated, 0 unchanged, 4 deleted', 'deleting a subscription deletes its items'
);
select is(
  tests.buried('stripe_subscription_item'), 'si_1 si_2 si_3 si_4', 'each with a tombstone'
);

select throws_ok(
  $$ select pg_temp.see(tests.subscription('sub_2', '{}',
       '{"items": {"data": [{"id": 7}], "has_more": false}}'), 5) $$,
  '22023', 'cannot store row 1 of a page of "stripe_subscription_item": its id is 7',
  'a malformed item is named'
);

update supasaasy.apps set config = config || '{"sync_resources": ["subscription"]}';
select pg_temp.see(tests.subscription('sub_3', '{si_9}'), 90);
select is(
  (select count(*)::integer from supasaasy.stripe_subscription_items), 0,
  'an app that leaves the items out has none'
);
update supasaasy.apps set config = config - 'sync_resources';
select pg_temp.see(tests.subscription('sub_3', '{si_9}'), 91);
select is(
  tests.ids('stripe_subscription_item'), 'si_9',
  'and gets them from unchanged subscriptions when it no longer does'
);

select * from finish();
rollback;
