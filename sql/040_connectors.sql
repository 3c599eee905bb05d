-- Owns what the engine knows of providers: a row a connector and a row a resource, written by each
-- connector's own connector.sql. Everything that a page's rows mean (id, creation time, archived,
-- deleted, children) is declared here, so that SQL decides it and functions only carry pages.

create table supasaasy.connectors (
  connector text primary key,
  display_name text not null,
  api_version text not null,
  config_keys jsonb not null default '{}',
  max_concurrency integer not null default 8,
  rate_live numeric not null,
  rate_sandbox numeric not null,
  rate_endpoint numeric not null,
  event_lag interval not null default '0',
  event_retention interval,
  event_types_per_request integer not null default 20,
  constraint config_keys_are_lists_of_values check (jsonb_typeof(config_keys) = 'object'),
  constraint connector_is_a_name check (connector ~ '^[a-z][a-z0-9]{0,30}$'),
  constraint max_concurrency_is_positive check (max_concurrency > 0),
  constraint rates_are_positive check (least(rate_live, rate_sandbox, rate_endpoint) > 0)
);

comment on table supasaasy.connectors is
  'The providers that this build can sync, their API version and their rate limits per second.';

comment on column supasaasy.connectors.config_keys is
  'The keys of apps.config that are the connector''s own, each with the values that are valid.';
comment on column supasaasy.connectors.event_lag is
  'How late an event, or a change, may show up in what an incremental sync reads.';
comment on column supasaasy.connectors.event_retention is
  'How long the provider lists an event; null if it lists none.';

create table supasaasy.resources (
  collection_key text primary key,
  connector text not null references supasaasy.connectors on delete cascade,
  resource text not null,
  position integer not null,
  endpoint text not null,
  page_size integer not null default 100,
  listings jsonb not null default '[{}]',
  filters_created boolean not null default false,
  filters_updated boolean not null default false,
  cursor_is_used_up boolean not null default false,
  is_fetched_alone boolean not null default true,
  oldest_created bigint not null default 0,
  read_lag interval not null default '0',
  created_field text not null default 'created',
  archived_when jsonpath,
  archived_at_field text,
  deleted_when jsonpath,
  parent_collection_key text references supasaasy.resources,
  parent_field text,
  children_path text[],
  truncated_path text[],
  children_count_path text[],
  volatile_paths text[] not null default '{}',
  event_types text[] not null default '{}',
  is_feed boolean not null default false,
  unique (connector, resource),
  constraint collection_is_named_after_its_connector
    check (collection_key = connector || '_' || resource),
  constraint page_size_is_positive check (page_size > 0),
  constraint listings_are_parameter_sets check (jsonb_typeof(listings) = 'array'),
  constraint children_have_a_parent
    check (parent_collection_key is not null
      or num_nonnulls(parent_field, children_path, children_count_path) = 0),
  constraint only_children_are_not_fetched_alone
    check (is_fetched_alone or parent_collection_key is not null)
);

comment on table supasaasy.resources is
  'The collections of each connector, and what the fields of their objects mean.';
comment on column supasaasy.resources.listings is
  'Parameter sets that together list the resource; none for one that is listed by its parent only.';
comment on column supasaasy.resources.endpoint is
  'The name under which the provider limits requests for this resource.';
comment on column supasaasy.resources.filters_created is
  'Whether a listing can be limited to a range of creation seconds, and so be sliced.';
comment on column supasaasy.resources.filters_updated is
  'Whether a listing can be limited to what changed since a time; deletions do not show in it.';
comment on column supasaasy.resources.cursor_is_used_up is
  'Whether a cursor serves once: a listing whose page was lost begins anew.';
comment on column supasaasy.resources.is_fetched_alone is
  'Whether an object can be fetched by its id; if not, its parent''s children are listed instead.';
comment on column supasaasy.resources.oldest_created is
  'No object is older than this second: where halving a range begins, never a filter.';
comment on column supasaasy.resources.read_lag is
  'How far behind a listing may be, as the provider documents it.';
comment on column supasaasy.resources.parent_field is
  'The field of a child that holds its parent''s id.';
comment on column supasaasy.resources.children_path is
  'Where a parent''s payload holds this resource''s objects; null if they are listed for each parent.';
comment on column supasaasy.resources.children_count_path is
  'Where a parent''s payload says how many they are, for those that are listed for each parent.';
comment on column supasaasy.resources.truncated_path is
  'Where a parent''s payload says that it holds only some of them.';

comment on column supasaasy.resources.event_types is
  'The events that tell of every change of the resource; none if there are no such events.';
comment on column supasaasy.resources.is_feed is
  'The provider''s list of events: it is read by incremental syncs, and holds no objects.';

create unique index resources_feed_idx on supasaasy.resources (connector) where is_feed;
create index resources_parent_idx on supasaasy.resources (parent_collection_key);

-- What is wrong with a list of resource names: an unknown one, or a child without its parent.
create function supasaasy.resource_problems(
  p_connector text,
  p_names text[],
  p_with_parents boolean default true
)
returns table (
  message text,
  hint text
)
language sql
stable
set search_path = ''
as $$
  (
    select
      format('connector "%s" has no resource "%s"', p_connector, coalesce(n.name, 'null')),
      format('Resources: %s.', (
        select string_agg(r.resource, ', ' order by r.position)
        from supasaasy.resources r
        where r.connector = p_connector and not r.is_feed
      ))
    from unnest(p_names) with ordinality as n (name, position)
    where not exists (
      select from supasaasy.resources r
      where r.connector = p_connector
        and not r.is_feed
        and n.name in (r.resource, r.collection_key)
    )
    order by n.position
  )
  union all
  (
    select
      format('resource "%s" is synced as a part of "%s", which is not named',
        r.resource, p.resource),
      format('Name "%s" as well.', p.resource)
    from supasaasy.resources r
    join supasaasy.resources p on p.collection_key = r.parent_collection_key
    where p_with_parents
      and r.connector = p_connector
      and p_names && array[r.resource, r.collection_key]
      and not (p_names && array[p.resource, p.collection_key])
    order by r.position
  );
$$;

comment on function supasaasy.resource_problems(text, text[], boolean) is
  'What is wrong with a list of a connector''s resources: a row a problem, none if all is well.';

create function supasaasy.resolve_resources(
  p_connector text,
  p_names text[],
  p_with_parents boolean default true
)
returns text[]
language plpgsql
stable
set search_path = ''
as $$
declare
  v_problem record;
begin
  select p.* into v_problem
  from supasaasy.resource_problems(p_connector, p_names, p_with_parents) p
  limit 1;
  if found then
    raise exception using
      errcode = '22023', message = v_problem.message, hint = v_problem.hint;
  end if;
  return array(
    select r.collection_key
    from supasaasy.resources r
    where r.connector = p_connector
      and not r.is_feed
      and (p_names is null or p_names && array[r.resource, r.collection_key])
    order by r.position
  );
end;
$$;

comment on function supasaasy.resolve_resources(text, text[], boolean) is
  'Collection keys of resources named as customer or stripe_customer (null: all), parents first.';
