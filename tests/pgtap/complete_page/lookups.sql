-- A collection grows by millions of rows between two runs of analyze, and plans are kept: what a page
-- reads must not grow with it. The first pages are brought while the tables are empty.
begin;
set local search_path = extensions, public;
select plan(6);

create function pg_temp.page(p_number integer, p_fields jsonb default '{}')
returns jsonb
language sql
as $$
  select jsonb_agg(tests.subscription(
    'sub_' || lpad(i::text, 6, '0'), array['si_' || i, 'si_' || i || '_b'], p_fields
  ))
  from generate_series(p_number * 50 + 1, p_number * 50 + 50) as i;
$$;

create function pg_temp.rows_read_by(p_statement text)
returns bigint
language sql
as $$
  select tests.rows_read_by(p_statement, array['entities', 'tombstones']);
$$;

select tests.have_app();
select supasaasy.sync('stripe_main', 'full', array['subscription', 'subscription_item']);
select tests.bring_page('stripe_subscription', pg_temp.page(n), 'more')
from generate_series(0, 38) as n;
select is((select count(*)::integer from supasaasy.entities), 39 * 150, 'an account is being filled');

select cmp_ok(
  pg_temp.rows_read_by(
    $$ select tests.bring_page('stripe_subscription', pg_temp.page(39), 'more') $$
  ), '<=', 300::bigint, 'new rows are not compared with all the others'
);
select ok(
  pg_temp.rows_read_by(
    $$ select tests.bring_page('stripe_subscription', pg_temp.page(20), 'more') $$
  ) between 50 and 600, 'known rows are looked up'
);
select ok(
  pg_temp.rows_read_by(
    $$ select tests.bring_page('stripe_subscription', pg_temp.page(20, '{"status": "paused"}')) $$
  ) between 150 and 900, 'so are changed ones, with their items'
);
select ok(
  pg_temp.rows_read_by($$ select supasaasy.delete_rows(
    'stripe_main', 'stripe_subscription', array['sub_000007'],
    supasaasy.clock() + '1 minute', supasaasy.clock() + '1 minute', 'event'
  ) $$) between 3 and 30, 'and what is deleted'
);
select supasaasy.cancel(max(id)) from supasaasy.sync_jobs;
select supasaasy.sync('stripe_main', 'verify', array['subscription']);
select ok(
  pg_temp.rows_read_by(
    $$ select tests.bring_page('stripe_subscription', pg_temp.page(30), 'more') $$
  ) between 50 and 300, 'and what is verified'
);

select * from finish();
rollback;
