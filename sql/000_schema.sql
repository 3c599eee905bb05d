-- Owns the schema, the extensions the engine stands on, and what is granted by default: nothing.
--
-- Functions are executable by public from the moment they are created, so 900_grants.sql revokes
-- them all at the end of the same transaction. Global default privileges would do it earlier, but
-- they would also change the functions of the project this is installed into.
--
-- How the SQL stays fast, in all files: what a page calls is PL/pgSQL, since a SQL function that is not
-- inlined is planned anew at each call; the functions that are called from outside keep generic plans
-- (plan_cache_mode) that may not read whole tables (enable_seqscan; without jit, which takes its price
-- for a slow plan and compiles); and rows are looked up one by one (lateral ... offset 0), because a table that is being filled has no statistics yet, and a plan that
-- is kept would read all of it for each page.

create extension if not exists pg_cron;
create extension if not exists pg_net with schema extensions;
create extension if not exists supabase_vault;

create schema supasaasy;

comment on schema supasaasy is
  'SaaS data kept equal to its providers by Postgres itself: apps, entities, views and sync().';

revoke all on schema supasaasy from public;
