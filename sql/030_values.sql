-- Owns reading values out of payloads. A payload is whatever a provider sent, so none of these
-- ever raises: a value of another type, or out of range, is null.

create function supasaasy.unix_time(p_value jsonb)
returns timestamptz
language plpgsql
immutable
parallel safe
set search_path = ''
as $$
begin
  return case
    when jsonb_typeof(p_value) = 'number'
      and p_value::numeric between -62135596800 and 253402300799
    then to_timestamp(p_value::numeric::double precision)
  end;
end;
$$;

comment on function supasaasy.unix_time(jsonb) is
  'Unix seconds as a time; null for anything else.';

create function supasaasy.whole_number(p_value jsonb)
returns bigint
language plpgsql
immutable
parallel safe
set search_path = ''
as $$
begin
  return case
    when jsonb_typeof(p_value) = 'number'
      and p_value::numeric between -9223372036854775808 and 9223372036854775807
      and p_value::numeric = trunc(p_value::numeric)
    then p_value::numeric::bigint
  end;
end;
$$;

comment on function supasaasy.whole_number(jsonb) is
  'A whole number that fits bigint; null for anything else.';

create function supasaasy.truth(p_value jsonb)
returns boolean
language plpgsql
immutable
parallel safe
set search_path = ''
as $$
begin
  return case when jsonb_typeof(p_value) = 'boolean' then p_value::boolean end;
end;
$$;

comment on function supasaasy.truth(jsonb) is
  'true or false; null for anything else.';

-- Signed and expiring URLs change at every read. What a connector names as volatile is left out
-- when two payloads are compared, and kept when one is stored.
create function supasaasy.comparable(
  p_payload jsonb,
  p_volatile_paths text[]
)
returns jsonb
language plpgsql
immutable
parallel safe
set search_path = ''
as $$
declare
  v_path text;
begin
  foreach v_path in array p_volatile_paths loop
    p_payload := p_payload #- string_to_array(v_path, '.');
  end loop;
  return p_payload;
end;
$$;

comment on function supasaasy.comparable(jsonb, text[]) is
  'A payload without its volatile paths (dotted), for comparison.';
