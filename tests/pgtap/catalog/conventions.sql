begin;
set local search_path = extensions, public;
select plan(14);

create temporary view functions as
select p.oid::regprocedure::text as name, p.*
from pg_proc p
where p.pronamespace = 'supasaasy'::regnamespace;

create temporary view relations as
select c.relname as name, c.*
from pg_class c
where c.relnamespace = 'supasaasy'::regnamespace;

select is_empty(
  $$ select name from functions where not 'search_path=""' = any (coalesce(proconfig, '{}')) $$,
  'every function has an empty search_path'
);
select is_empty(
  $$ select name from functions
     where 'enable_seqscan=off' = any (proconfig) and not 'jit=off' = any (proconfig) $$,
  'whoever makes a plan look dear does not have it compiled'
);
select is_empty(
  $$ select name from functions f
     cross join lateral aclexplode(coalesce(f.proacl, acldefault('f', f.proowner))) a
     where a.grantee = 0 $$,
  'no function is executable by public'
);
select is_empty(
  $$ select name from functions
     where has_function_privilege('anon', oid, 'execute')
       or has_function_privilege('authenticated', oid, 'execute') $$,
  'no function is executable by anon or authenticated'
);
select is_empty(
  $$ select name from functions where obj_description(oid, 'pg_proc') is null $$,
  'every function has a comment'
);
select is_empty(
  $$ select name from relations where relkind in ('r', 'v') and obj_description(oid, 'pg_class') is null $$,
  'every table and view has a comment'
);
select is_empty(
  $$ select name from relations where relkind in ('r', 'p') and not relrowsecurity $$,
  'row level security is on for every table'
);
select is_empty(
  $$ select name from relations
     where relkind = 'v' and not 'security_invoker=true' = any (coalesce(reloptions, '{}')) $$,
  'every view is security_invoker'
);
select isnt_empty(
  $$ select name from relations where relkind = 'v' $$,
  'there are views to check'
);
select is_empty(
  $$ select f.name
     from functions f
     cross join lateral regexp_split_to_table(
       regexp_replace(f.prosrc, '''[^'']*''', '''''', 'g'), ';'
     ) as s (statement)
     where s.statement ~* '(^|[^a-z_])(update\s+supasaasy\.|delete\s+from\s+supasaasy\.)'
       and s.statement !~* '\mwhere\M' $$,
  'no function has an UPDATE or DELETE without WHERE'
);
select bag_eq(
  $$ select proname::text from functions where prosecdef $$,
  array[
    'sync', 'cancel', 'retry', 'job_status', 'begin_page', 'pin_account', 'complete_page',
    'fail_page', 'release_task', 'refetch', 'confirm_sweep', 'webhook_app',
    'manage_webhook', 'complete_webhook', 'receive_event',
    'report_webhook_error', 'log_webhook', 'pong', 'start_work', 'admit_request', 'job_progress',
    'job_tasks'
  ],
  'only what service_role may call is security definer'
);
select bag_eq(
  $$ select proname::text from functions
     where provolatile <> 'i' and has_function_privilege('service_role', oid, 'execute')
       and not exists (
         select from supasaasy.connectors c where starts_with(proname, c.connector || '_')
       ) $$,
  array[
    'sync', 'cancel', 'retry', 'job_status', 'begin_page', 'pin_account', 'complete_page',
    'fail_page', 'release_task', 'refetch', 'confirm_sweep', 'webhook_app',
    'manage_webhook', 'complete_webhook', 'receive_event',
    'report_webhook_error', 'log_webhook', 'pong', 'start_work', 'admit_request', 'job_progress',
    'job_tasks'
  ],
  'service_role may execute these, and functions that read nothing'
);
select is_empty(
  $$ select r.name, a.attname
     from pg_constraint k
     join relations r on r.oid = k.conrelid
     join pg_attribute a on a.attrelid = k.conrelid and a.attnum = k.conkey[1]
     where k.contype = 'f'
       and not exists (
         select from pg_index i where i.indrelid = k.conrelid and i.indkey[0] = k.conkey[1]
       ) $$,
  'every foreign key has an index that starts with it'
);
select is_empty(
  $$ select f.name from functions f
     where f.prosrc ~* 'when\s+others' and f.proname <> 'tick_step' $$,
  'no function but a step of the tick, which keeps it for doctor(), swallows every error'
);

select * from finish();
rollback;
