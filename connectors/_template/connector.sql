-- Owns Acme as SQL sees it: the connector, its resources, and the views and indexes that a user expects.
-- FILL IN marks what is the provider's own.

-- FILL IN: the API version, and requests a second: of a live key, of a sandbox's, of one endpoint.
insert into supasaasy.connectors (
  connector, display_name, api_version, rate_live, rate_sandbox, rate_endpoint
)
values ('acme', 'Acme', '1', 10, 10, 10);

-- FILL IN: a row a resource; supasaasy.resources says what each column means. This one can be asked for its
-- changes (filters_updated).
insert into supasaasy.resources (
  collection_key, connector, resource, position, endpoint, page_size, created_field, filters_updated
)
values ('acme_widget', 'acme', 'widget', 1, 'widgets', 100, 'created_at', true);

-- FILL IN: a view a resource, with the columns that people query.
