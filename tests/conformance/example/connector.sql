insert into supasaasy.connectors (
  connector, display_name, api_version, rate_live, rate_sandbox, rate_endpoint
)
values ('acme', 'Acme', '1', 10, 10, 10);

insert into supasaasy.resources (
  collection_key, connector, resource, position, endpoint, page_size, created_field, filters_updated,
  archived_when
)
values (
  'acme_widget', 'acme', 'widget', 1, 'widgets', 100, 'created_at', true, '$.archived == true'
);

create view supasaasy.acme_widgets
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
where e.collection_key = 'acme_widget';

comment on view supasaasy.acme_widgets is
  'Acme widgets.';
