begin;
set local search_path = extensions, public;
select plan(5);

select tests.have_app();
select tests.stop_clock_at('2026-01-01 12:00:00+00');
create function pg_temp.answer_at(p_provider_time timestamptz)
returns interval
language plpgsql
as $$
declare
  v_id bigint;
begin
  perform supasaasy.sync('stripe_main', 'full', array['customer']);
  v_id := tests.task('stripe_customer');
  perform supasaasy.complete_page(
    p_task_id := v_id, p_work_token := tests.begin(v_id), p_rows := '[]',
    p_provider_time := p_provider_time);
  return supasaasy.clock_skew('stripe_main');
end;
$$;

select is(supasaasy.clock_skew('stripe_main'), '2 seconds', 'two clocks are taken to differ by two seconds');
select is(pg_temp.answer_at('2026-01-01 11:59:59+00'), '2 seconds',
  'an answer in the second of its request proves no more');
select is(pg_temp.answer_at('2026-01-01 12:00:07+00'), '8 seconds',
  'a provider''s clock that is ahead widens it');
select is(pg_temp.answer_at('2026-01-01 11:59:49+00'), '11 seconds', 'so does one that is behind');
select is(pg_temp.answer_at('2026-01-01 12:00:00+00'), '11 seconds', 'and it never narrows by itself');

select * from finish();
rollback;
