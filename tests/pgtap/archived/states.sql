begin;
set local search_path = extensions, public;
select plan(9);

select tests.have_app();
create function pg_temp.see(p_collection_key text, p_row jsonb, p_time timestamptz)
returns timestamptz
language plpgsql
as $$
begin
  perform tests.stop_clock_at(p_time);
  perform tests.observe(p_collection_key, jsonb_build_array(p_row), p_time - interval '1 s', p_time);
  return (select archived_at from supasaasy.entities where external_id = p_row ->> 'id');
end;
$$;

select is(pg_temp.see('stripe_product', '{"id": "p", "active": true}', '2026-01-01'), null,
  'an active product is not archived');
select is(pg_temp.see('stripe_product', '{"id": "p", "active": false}', '2026-01-02'), '2026-01-02',
  'an inactive one is, since it was first seen so');
select is(pg_temp.see('stripe_product', '{"id": "p", "active": false, "name": "x"}', '2026-01-03'),
  '2026-01-02', 'and stays so since then, whatever else changes');
select is(pg_temp.see('stripe_product', '{"id": "p", "active": true}', '2026-01-04'), null,
  'until it is active again');
select is(pg_temp.see('stripe_price', '{"id": "r", "active": false}', '2026-01-05'), '2026-01-05',
  'prices are alike');
select is(
  pg_temp.see('stripe_subscription',
    '{"id": "s", "status": "active", "cancel_at_period_end": true, "canceled_at": 1700000000}',
    '2026-01-06'), null,
  'a subscription whose cancellation is merely requested lives on'
);
select is(
  pg_temp.see('stripe_subscription',
    '{"id": "s", "status": "canceled", "canceled_at": 1700000000, "ended_at": 1710000000}',
    '2026-01-07'), to_timestamp(1710000000),
  'a canceled one is archived at its end'
);
select is(
  pg_temp.see('stripe_subscription', '{"id": "t", "status": "incomplete_expired"}', '2026-01-08'),
  '2026-01-08', 'so is one that expired, without an end as of now'
);
select is(
  pg_temp.see('stripe_subscription', '{"id": "t", "status": "incomplete_expired", "x": 1}', '2026-01-09'),
  '2026-01-08', 'and that does not drift'
);

select * from finish();
rollback;
