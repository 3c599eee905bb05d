-- Owns Intercom as SQL sees it: the connector, its resources, and the views and indexes that a user
-- expects. Searches lag behind what they search, so their pages are as old as a minute.

insert into supasaasy.connectors (
  connector, display_name, api_version, max_concurrency, rate_live, rate_sandbox, rate_endpoint,
  event_lag, config_keys
)
values (
  'intercom', 'Intercom', '2.14', 8, 166, 166, 166, '5 minutes',
  '{"region": ["us", "eu", "au"], "api_version": ["2.14", "2.15", "2.16", "2.17"]}'
);

-- 1312156800 is August 2011: Intercom is no older.
insert into supasaasy.resources (
  collection_key, connector, resource, position, endpoint, page_size, created_field, oldest_created,
  filters_created, filters_updated, cursor_is_used_up, read_lag, archived_when
)
values
  ('intercom_admin', 'intercom', 'admin', 1, 'admins', 100, 'created_at', 0,
    false, false, false, '0', null),
  ('intercom_team', 'intercom', 'team', 2, 'teams', 100, 'created_at', 0,
    false, false, false, '0', null),
  ('intercom_tag', 'intercom', 'tag', 3, 'tags', 100, 'created_at', 0,
    false, false, false, '0', null),
  -- No filter by change, and one scroll at a time, whose pages can be had once.
  ('intercom_company', 'intercom', 'company', 4, 'companies', 100, 'created_at', 0,
    false, false, true, '0', null),
  ('intercom_contact', 'intercom', 'contact', 5, 'contacts', 150, 'created_at', 0,
    false, true, false, '1 minute', '$.archived == true'),
  ('intercom_conversation', 'intercom', 'conversation', 6, 'conversations', 150, 'created_at',
    1312156800, true, true, false, '1 minute', '$.state == "closed"');

-- From version 2.16 on those that were deleted are listed, too.
update supasaasy.resources
set listings = '[{}, {"deleted": "true"}]'
where collection_key = 'intercom_conversation';

-- One answer holds the newest 500 parts of a conversation, and no part can be asked for by itself.
insert into supasaasy.resources (
  collection_key, connector, resource, position, endpoint, listings, created_field,
  parent_collection_key, children_count_path, is_fetched_alone
)
values
  ('intercom_conversation_part', 'intercom', 'conversation_part', 7, 'conversations', '[]',
    'created_at', 'intercom_conversation', '{statistics,count_conversation_parts}', false);

create index intercom_contact_email_idx
on supasaasy.entities (left(raw_payload ->> 'email', 255))
where collection_key = 'intercom_contact';

create index intercom_contact_external_idx
on supasaasy.entities (left(raw_payload ->> 'external_id', 255))
where collection_key = 'intercom_contact';

create index intercom_company_company_idx
on supasaasy.entities (left(raw_payload ->> 'company_id', 255))
where collection_key = 'intercom_company';

create index intercom_conversation_state_idx
on supasaasy.entities (left(raw_payload ->> 'state', 255))
where collection_key = 'intercom_conversation';

create index intercom_conversation_contact_idx
on supasaasy.entities (left(raw_payload #>> '{contacts,contacts,0,id}', 255))
where collection_key = 'intercom_conversation';

-- Times are unix seconds in the API, and ISO texts in some payloads.
create function supasaasy.intercom_time(p_value jsonb)
returns timestamptz
language plpgsql
immutable
parallel safe
set search_path = ''
as $$
begin
  if jsonb_typeof(p_value) = 'string'
    and p_value #>> '{}' ~ '^\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d([.]\d{1,6})?(Z|[+-]\d\d:?\d\d)$'
  then
    return (p_value #>> '{}')::timestamptz;
  end if;
  return supasaasy.unix_time(p_value);
exception
  when invalid_datetime_format or datetime_field_overflow or invalid_time_zone_displacement_value then
    return null;
end;
$$;

comment on function supasaasy.intercom_time(jsonb) is
  'Unix seconds or an ISO time as a time; null for anything else.';

-- A contact that was merged into another lives on in it, at most ten merges away.
create function supasaasy.intercom_survivor(
  p_app_key text,
  p_contact_id text
)
returns text
language sql
stable
set search_path = ''
as $$
  with recursive chain (external_id, step) as (
    select p_contact_id, 0
    union all
    select t.merged_into, c.step + 1
    from chain c
    join supasaasy.tombstones t
      on t.app_key = p_app_key
      and t.collection_key = 'intercom_contact'
      and t.external_id = c.external_id
      and t.merged_into is not null
    where c.step < 10
  )
  select c.external_id from chain c order by c.step desc limit 1;
$$;

comment on function supasaasy.intercom_survivor(text, text) is
  'The contact that a contact was merged into, or itself.';

create view supasaasy.intercom_contacts
with (security_invoker = true)
as
select
  e.app_key,
  e.external_id,
  e.raw_payload ->> 'role' as role,
  e.raw_payload ->> 'email' as email,
  e.raw_payload ->> 'phone' as phone,
  e.raw_payload ->> 'name' as name,
  e.raw_payload ->> 'external_id' as user_id,
  e.raw_payload ->> 'owner_id' as owner_id,
  e.raw_payload #>> '{location,country}' as country,
  e.raw_payload #>> '{location,region}' as region,
  e.raw_payload #>> '{location,city}' as city,
  e.raw_payload ->> 'browser' as browser,
  e.raw_payload ->> 'os' as os,
  e.raw_payload ->> 'language_override' as language,
  supasaasy.truth(e.raw_payload -> 'has_hard_bounced') as has_hard_bounced,
  supasaasy.truth(e.raw_payload -> 'marked_email_as_spam') as marked_email_as_spam,
  supasaasy.truth(e.raw_payload -> 'unsubscribed_from_emails') as unsubscribed_from_emails,
  supasaasy.intercom_time(e.raw_payload -> 'created_at') as contact_created_at,
  supasaasy.intercom_time(e.raw_payload -> 'updated_at') as contact_updated_at,
  supasaasy.intercom_time(e.raw_payload -> 'signed_up_at') as signed_up_at,
  supasaasy.intercom_time(e.raw_payload -> 'last_seen_at') as last_seen_at,
  supasaasy.intercom_time(e.raw_payload -> 'last_replied_at') as last_replied_at,
  supasaasy.intercom_time(e.raw_payload -> 'last_contacted_at') as last_contacted_at,
  e.raw_payload -> 'custom_attributes' as custom_attributes,
  e.raw_payload #> '{tags,data}' as tags,
  e.raw_payload #> '{companies,data}' as companies,
  e.raw_payload,
  e.archived_at,
  e.created_at,
  e.updated_at
from supasaasy.entities e
where e.collection_key = 'intercom_contact';

comment on view supasaasy.intercom_contacts is
  'Intercom users and leads. Lists inside a contact hold ten entries at most.';

create view supasaasy.intercom_merged_contacts
with (security_invoker = true)
as
select
  t.app_key,
  t.external_id,
  supasaasy.intercom_survivor(t.app_key, t.external_id) as merged_into,
  t.deleted_at as merged_at
from supasaasy.tombstones t
where t.collection_key = 'intercom_contact' and t.merged_into is not null;

comment on view supasaasy.intercom_merged_contacts is
  'Intercom contacts that were merged into another, and into which.';

create view supasaasy.intercom_companies
with (security_invoker = true)
as
select
  e.app_key,
  e.external_id,
  e.raw_payload ->> 'company_id' as company_id,
  e.raw_payload ->> 'name' as name,
  e.raw_payload ->> 'website' as website,
  e.raw_payload ->> 'industry' as industry,
  supasaasy.whole_number(e.raw_payload -> 'size') as size,
  e.raw_payload #>> '{plan,name}' as plan_name,
  case when jsonb_typeof(e.raw_payload -> 'monthly_spend') = 'number'
    then (e.raw_payload ->> 'monthly_spend')::numeric end as monthly_spend,
  supasaasy.whole_number(e.raw_payload -> 'session_count') as session_count,
  supasaasy.whole_number(e.raw_payload -> 'user_count') as user_count,
  supasaasy.intercom_time(e.raw_payload -> 'created_at') as company_created_at,
  supasaasy.intercom_time(e.raw_payload -> 'updated_at') as company_updated_at,
  supasaasy.intercom_time(e.raw_payload -> 'remote_created_at') as remote_created_at,
  supasaasy.intercom_time(e.raw_payload -> 'last_request_at') as last_request_at,
  e.raw_payload -> 'custom_attributes' as custom_attributes,
  e.raw_payload,
  e.archived_at,
  e.created_at,
  e.updated_at
from supasaasy.entities e
where e.collection_key = 'intercom_company';

comment on view supasaasy.intercom_companies is
  'Intercom companies.';

create view supasaasy.intercom_conversations
with (security_invoker = true)
as
select
  e.app_key,
  e.external_id,
  case when e.external_id ~ '^\d{1,18}$' then e.external_id::bigint end as conversation_id,
  e.raw_payload ->> 'title' as title,
  e.raw_payload ->> 'state' as state,
  supasaasy.truth(e.raw_payload -> 'open') as open,
  supasaasy.truth(e.raw_payload -> 'read') as read,
  e.raw_payload ->> 'priority' as priority,
  supasaasy.intercom_survivor(
    e.app_key, e.raw_payload #>> '{contacts,contacts,0,id}'
  ) as contact_id,
  supasaasy.whole_number(e.raw_payload -> 'admin_assignee_id') as admin_assignee_id,
  e.raw_payload ->> 'team_assignee_id' as team_assignee_id,
  e.raw_payload #>> '{source,type}' as source_type,
  e.raw_payload #>> '{source,subject}' as subject,
  e.raw_payload #>> '{source,body}' as body,
  e.raw_payload #>> '{source,author,type}' as author_type,
  e.raw_payload #>> '{source,author,id}' as author_id,
  supasaasy.whole_number(e.raw_payload #> '{conversation_rating,rating}') as rating,
  e.raw_payload #>> '{conversation_rating,remark}' as rating_remark,
  supasaasy.whole_number(e.raw_payload #> '{statistics,count_conversation_parts}') as parts,
  supasaasy.whole_number(e.raw_payload #> '{statistics,count_reopens}') as reopens,
  supasaasy.whole_number(e.raw_payload #> '{statistics,count_assignments}') as assignments,
  supasaasy.whole_number(e.raw_payload #> '{statistics,time_to_admin_reply}') as seconds_to_admin_reply,
  supasaasy.whole_number(e.raw_payload #> '{statistics,time_to_first_close}') as seconds_to_first_close,
  supasaasy.intercom_time(e.raw_payload #> '{statistics,first_admin_reply_at}') as first_admin_reply_at,
  supasaasy.intercom_time(e.raw_payload #> '{statistics,last_close_at}') as last_close_at,
  supasaasy.intercom_time(e.raw_payload -> 'waiting_since') as waiting_since,
  supasaasy.intercom_time(e.raw_payload -> 'snoozed_until') as snoozed_until,
  supasaasy.intercom_time(e.raw_payload -> 'created_at') as conversation_created_at,
  supasaasy.intercom_time(e.raw_payload -> 'updated_at') as conversation_updated_at,
  e.raw_payload #> '{tags,tags}' as tags,
  e.raw_payload -> 'custom_attributes' as custom_attributes,
  e.raw_payload,
  e.archived_at,
  e.created_at,
  e.updated_at
from supasaasy.entities e
where e.collection_key = 'intercom_conversation';

comment on view supasaasy.intercom_conversations is
  'Intercom conversations; contact_id follows merges. archived_at is since when one is closed.';

create view supasaasy.intercom_conversation_parts
with (security_invoker = true)
as
select
  e.app_key,
  e.external_id,
  case when e.external_id ~ '^\d{1,18}$' then e.external_id::bigint end as part_id,
  e.parent_external_id as conversation_id,
  e.raw_payload ->> 'part_type' as part_type,
  e.raw_payload ->> 'body' as body,
  e.raw_payload #>> '{author,type}' as author_type,
  e.raw_payload #>> '{author,id}' as author_id,
  e.raw_payload #>> '{author,name}' as author_name,
  e.raw_payload #>> '{author,email}' as author_email,
  supasaasy.truth(e.raw_payload -> 'redacted') as redacted,
  supasaasy.intercom_time(e.raw_payload -> 'created_at') as part_created_at,
  supasaasy.intercom_time(e.raw_payload -> 'updated_at') as part_updated_at,
  e.raw_payload,
  e.archived_at,
  e.created_at,
  e.updated_at
from supasaasy.entities e
where e.collection_key = 'intercom_conversation_part';

comment on view supasaasy.intercom_conversation_parts is
  'The parts of Intercom conversations: of a long one the newest 500, and those seen before.';

create view supasaasy.intercom_admins
with (security_invoker = true)
as
select
  e.app_key,
  e.external_id,
  case when e.external_id ~ '^\d{1,18}$' then e.external_id::bigint end as admin_id,
  e.raw_payload ->> 'name' as name,
  e.raw_payload ->> 'email' as email,
  e.raw_payload ->> 'job_title' as job_title,
  supasaasy.truth(e.raw_payload -> 'away_mode_enabled') as away_mode_enabled,
  supasaasy.truth(e.raw_payload -> 'has_inbox_seat') as has_inbox_seat,
  e.raw_payload -> 'team_ids' as team_ids,
  e.raw_payload,
  e.archived_at,
  e.created_at,
  e.updated_at
from supasaasy.entities e
where e.collection_key = 'intercom_admin';

comment on view supasaasy.intercom_admins is
  'The teammates of Intercom workspaces.';

create view supasaasy.intercom_teams
with (security_invoker = true)
as
select
  e.app_key,
  e.external_id,
  e.raw_payload ->> 'name' as name,
  e.raw_payload -> 'admin_ids' as admin_ids,
  e.raw_payload,
  e.archived_at,
  e.created_at,
  e.updated_at
from supasaasy.entities e
where e.collection_key = 'intercom_team';

comment on view supasaasy.intercom_teams is
  'The teams of Intercom workspaces.';

create view supasaasy.intercom_tags
with (security_invoker = true)
as
select
  e.app_key,
  e.external_id,
  e.raw_payload ->> 'name' as name,
  e.raw_payload,
  e.archived_at,
  e.created_at,
  e.updated_at
from supasaasy.entities e
where e.collection_key = 'intercom_tag';

comment on view supasaasy.intercom_tags is
  'The tags of Intercom workspaces.';
