-- Owns the secrets that lie in Vault. Several webhook secrets may be valid at once, the newest
-- first, since a provider signs with the old one for a while after a rotation; of an API key there
-- is one. A key in Vault goes before the variable that config.api_key_env names.

create function supasaasy.secret_name(
  p_app_key text,
  p_kind text
)
returns text
language sql
immutable
set search_path = ''
as $$
  select format('supasaasy/%s/%s/', p_app_key, p_kind);
$$;

comment on function supasaasy.secret_name(text, text) is
  'How the names of an app''s secrets of a kind begin in Vault.';

create function supasaasy.vault_secrets(
  p_app_key text,
  p_kind text
)
returns text[]
language plpgsql
stable
set search_path = ''
as $$
begin
  return (
    select coalesce(array_agg(s.decrypted_secret order by s.name desc), '{}')
    from vault.decrypted_secrets s
    where starts_with(s.name, supasaasy.secret_name(p_app_key, p_kind))
  );
end;
$$;

comment on function supasaasy.vault_secrets(text, text) is
  'The secrets of an app of a kind that lie in Vault, newest first.';

create function supasaasy.has_secret(
  p_app_key text,
  p_kind text
)
returns boolean
language sql
stable
set search_path = ''
as $$
  select exists (
    select from vault.secrets s
    where starts_with(s.name, supasaasy.secret_name(p_app_key, p_kind))
  );
$$;

comment on function supasaasy.has_secret(text, text) is
  'Whether a secret of an app of a kind lies in Vault.';

create function supasaasy.set_secret(
  p_app_key text,
  p_kind text,
  p_secret text
)
returns void
language plpgsql
volatile
set search_path = ''
as $$
begin
  perform supasaasy.living_app(p_app_key);
  if p_kind is null or p_kind not in ('api_key', 'webhook_secret') then
    raise exception using
      errcode = '22023',
      message = format('cannot keep a secret of "%s": its kind is not known', p_app_key),
      hint = 'Kinds: api_key, webhook_secret.';
  end if;
  if p_secret is null or p_secret ~ '[[:space:]]' or length(p_secret) not between 8 and 2048 then
    raise exception using
      errcode = '22023',
      message = format('cannot keep a %s of "%s": it is empty, too short, or has spaces',
        p_kind, p_app_key),
      hint = 'Give the secret as the provider shows it; it is not repeated here.';
  end if;
  if not p_secret = any (supasaasy.vault_secrets(p_app_key, p_kind)) then
    perform vault.create_secret(
      p_secret,
      supasaasy.secret_name(p_app_key, p_kind)
        || to_char(clock_timestamp() at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US'),
      format('SupaSaaSy: %s of %s', p_kind, p_app_key)
    );
    delete from vault.secrets s
    where s.id in (
      select o.id
      from vault.secrets o
      where starts_with(o.name, supasaasy.secret_name(p_app_key, p_kind))
      order by o.name desc
      offset case p_kind when 'api_key' then 1 else 2 end
    );
  end if;
  if p_kind = 'api_key' then
    perform supasaasy.close_breaker(p_app_key);
  end if;
end;
$$;

comment on function supasaasy.set_secret(text, text, text) is
  'Keeps an api_key or a webhook_secret of an app in Vault; of webhook secrets the last two are valid.';
