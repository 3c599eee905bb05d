begin;
set local search_path = extensions, public;
select plan(26);

create function pg_temp.next(p_cron text, p_after text, p_expected text, p_description text)
returns text
language sql
as $$
  select is(
    supasaasy.cron_next(p_cron, (p_after || ' UTC')::timestamptz),
    (p_expected || ' UTC')::timestamptz,
    format('%s: %s', p_cron, p_description)
  );
$$;

select pg_temp.next('* * * * *', '2026-01-01 00:00:30', '2026-01-01 00:01', 'the next minute');
select pg_temp.next('* * * * *', '2026-01-01 00:00', '2026-01-01 00:01', 'never the same');
select pg_temp.next('*/15 * * * *', '2026-01-01 00:16', '2026-01-01 00:30', 'steps');
select pg_temp.next('5,50 * * * *', '2026-01-01 00:06', '2026-01-01 00:50', 'lists');
select pg_temp.next('0 9-17 * * *', '2026-01-01 17:00', '2026-01-02 09:00', 'ranges');
select pg_temp.next('0 8-18/4 * * *', '2026-01-01 12:30', '2026-01-01 16:00', 'ranges with steps');
select pg_temp.next('0 0 1 * *', '2026-01-01 00:00', '2026-02-01 00:00', 'a day of the month');
select pg_temp.next('0 0 $ * *', '2024-02-01 00:00', '2024-02-29 00:00', 'the last day of the month');
select pg_temp.next('0 0 29 2 *', '2026-01-01 00:00', '2028-02-29 00:00', 'a leap day');
select pg_temp.next('0 3 * * sun', '2026-11-21 00:00', '2026-11-22 03:00', 'a weekday by name');
select pg_temp.next('0 3 * * 7', '2026-11-21 00:00', '2026-11-22 03:00', 'Sunday is 0 and 7');
select pg_temp.next('0 3 * * MON-FRI', '2026-11-20 04:00', '2026-11-23 03:00', 'weekdays, any case');
select pg_temp.next('0 0 13 * 5', '2026-11-21 00:00', '2026-11-27 00:00', 'day or weekday, if both are given');
select pg_temp.next('0 0 1 jan *', '2026-11-21 00:00', '2027-01-01 00:00', 'a month by name');
select pg_temp.next('@hourly', '2026-01-01 00:00', '2026-01-01 01:00', 'a name for all five');
select pg_temp.next('30 seconds', '2026-01-01 00:00:05', '2026-01-01 00:00:35', 'seconds');

select is(supasaasy.cron_next(c, now()), null, format('"%s" is refused', c))
from unnest(array[
  '', 'daily', '* * * *', '* * * * * *', '60 * * * *', '* 24 * * *', '* * 0 * *', '*/0 * * * *', '5-1 * * * *',
  '0 0 31 2 *'
]) as c;

select * from finish();
rollback;
