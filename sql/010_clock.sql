-- Owns time: the one clock that every lease, backoff and interval is measured with, and the
-- time-ordered ids that follow it.

-- Stable, so that what is due is found by index, not by reading all that is not; so it may stand still
-- within a statement.
create function supasaasy.clock()
returns timestamptz
language plpgsql
stable
parallel safe
set search_path = ''
as $$
begin
  return coalesce(
    nullif(current_setting('supasaasy.clock', true), '')::timestamptz,
    clock_timestamp()
  );
end;
$$;

comment on function supasaasy.clock() is
  'The time now; tests move it with set supasaasy.clock.';

-- Version 7 of RFC 9562: 48 bits of milliseconds, then random bits, so that new rows land at the
-- right edge of the primary key's index.
create function supasaasy.uuid_v7()
returns uuid
language plpgsql
volatile
parallel safe
set search_path = ''
as $$
begin
  return encode(
    set_bit(
      set_bit(
        overlay(
          uuid_send(gen_random_uuid())
          placing substring(int8send((extract(epoch from clock_timestamp()) * 1000)::bigint) from 3)
          from 1 for 6
        ),
        52, 1
      ),
      53, 1
    ),
    'hex'
  )::uuid;
end;
$$;

comment on function supasaasy.uuid_v7() is
  'A new time-ordered uuid (version 7).';
