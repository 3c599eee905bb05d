-- Owns the secrets that lie in Vault. A kind may have several valid at once, the newest first: a
-- provider signs with the old one for a while after a rotation.

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
language sql
stable
set search_path = ''
as $$
  select coalesce(array_agg(s.decrypted_secret order by s.name desc), '{}')
  from vault.decrypted_secrets s
  where starts_with(s.name, supasaasy.secret_name(p_app_key, p_kind));
$$;

comment on function supasaasy.vault_secrets(text, text) is
  'The secrets of an app of a kind that lie in Vault, newest first.';

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
  perform supasaasy.find_app(p_app_key);
  if p_kind is null or p_kind <> 'webhook_secret' then
    raise exception using
      errcode = '22023',
      message = format('cannot keep a secret of kind "%s"', coalesce(p_kind, 'null')),
      hint = 'Kinds: webhook_secret. An API key lies in the environment of the functions.';
  end if;
  if p_secret is null or p_secret ~ '[[:space:]]' or length(p_secret) not between 8 and 512 then
    raise exception using
      errcode = '22023',
      message = format('cannot keep a %s of "%s": it is empty, too short, or has spaces',
        p_kind, p_app_key),
      hint = 'Give the secret as the provider shows it; it is not repeated here.';
  end if;
  if p_secret = any (supasaasy.vault_secrets(p_app_key, p_kind)) then
    return;
  end if;
  perform vault.create_secret(
    p_secret,
    supasaasy.secret_name(p_app_key, p_kind) || supasaasy.uuid_v7(),
    format('SupaSaaSy: %s of %s', p_kind, p_app_key)
  );
  delete from vault.secrets s
  where s.id in (
    select o.id
    from vault.secrets o
    where starts_with(o.name, supasaasy.secret_name(p_app_key, p_kind))
    order by o.name desc
    offset 2
  );
end;
$$;

comment on function supasaasy.set_secret(text, text, text) is
  'Keeps a secret of an app in Vault; the one before it stays valid until the next.';
