-- Runs after `supabase db reset`. Under Docker the database reaches the edge functions through the
-- gateway of its own network; a stack without Docker says by itself where they are.
select supasaasy.set_setting('functions_url', 'http://kong:8000/functions/v1')
where nullif(current_setting('supasaasy.functions_url', true), '') is null;
