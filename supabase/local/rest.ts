// Owns PostgREST's RPC protocol: the role by the key, the schema by a header, arguments by name, one
// transaction a call, and its error bodies and statuses.

import { timingSafeEqual } from 'node:crypto';
import { jwtVerify } from 'jose';
import postgres from 'postgres';
import { authenticatorUrl, root, type StackEnv } from './instance.ts';

interface Caller {
  role: string;
  claims: string;
}

interface Signature {
  arguments: { name: string; type: string; required: boolean }[];
  returns: 'void' | 'scalar' | 'row' | 'rows';
}

/** An answer that is an error, as PostgREST words it. */
function failure(
  status: number,
  code: string,
  message: string,
  details: string | null = null,
  hint: string | null = null,
): Response {
  return Response.json({ code, message, details, hint }, { status });
}

const text = new TextEncoder();

function isSame(given: string, known: string): boolean {
  const [a, b] = [text.encode(given), text.encode(known)];
  return a.length === b.length && timingSafeEqual(a, b);
}

/** Who calls: one of the four keys, or a user's JWT that they signed. */
async function authenticate(request: Request, env: StackEnv): Promise<Caller | undefined> {
  const bearer = request.headers.get('authorization')?.replace(/^Bearer /i, '');
  const key = bearer ?? request.headers.get('apikey') ?? '';
  const known: [string, string][] = [
    [env.SUPABASE_SERVICE_ROLE_KEY, 'service_role'],
    [env.SUPABASE_SECRET_KEY, 'service_role'],
    [env.SUPABASE_ANON_KEY, 'anon'],
    [env.SUPABASE_PUBLISHABLE_KEY, 'anon'],
  ];
  for (const [candidate, role] of known) {
    if (isSame(key, candidate)) return { role, claims: JSON.stringify({ role }) };
  }
  try {
    const { payload } = await jwtVerify(key, text.encode(env.SUPABASE_JWT_SECRET), {
      algorithms: ['HS256'],
    });
    const role = payload.role;
    if (role === 'anon' || role === 'authenticated' || role === 'service_role') {
      return { role, claims: JSON.stringify(payload) };
    }
  } catch {
    // Not a JWT of this stack.
  }
  return undefined;
}

/** The schemas that [api].schemas of config.toml exposes; the first is the default. */
async function exposedSchemas(): Promise<string[]> {
  const config = await Deno.readTextFile(new URL('supabase/config.toml', root));
  const list = /^schemas = \[(.*)\]$/m.exec(config)?.[1] ?? '"public"';
  return [...list.matchAll(/"([^"]+)"/g)].map((match) => match[1] ?? '');
}

const quote = (name: string) => `"${name.replaceAll('"', '""')}"`;

/** PostgREST's status of an SQLSTATE. Source: its documentation of errors. */
export function statusOf(code: string, role: string): number {
  const raised = /^PT(\d{3})$/.exec(code);
  if (raised) return Number(raised[1]);
  if (code === '42501') return role === 'anon' ? 401 : 403;
  if (code === '42883' || code === '42P01') return 404;
  if (code === '23503' || code === '23505') return 409;
  if (code === '25006') return 405;
  if (code === '21000' || code === '22023' || code === 'P0001') return 400;
  if (/^(09|0L|0P|28)/.test(code)) return 403;
  if (/^(08|53)/.test(code)) return 503;
  if (code === '54000' || /^(25|2D|38|39|3B|40|54|55|57|58|F0|HV|XX)/.test(code)) return 500;
  return 400;
}

/** Serves /rest/v1/ for a stack. */
export async function createRest(
  env: StackEnv,
): Promise<(request: Request, url: URL) => Promise<Response>> {
  const schemas = await exposedSchemas();
  const sql = postgres(authenticatorUrl(env), {
    max: 10,
    connect_timeout: 5,
    idle_timeout: 60,
    onnotice: () => {},
    connection: { application_name: 'supasaasy-rest' },
  });

  return async (request, url) => {
    const caller = await authenticate(request, env);
    if (!caller) return failure(401, 'PGRST301', 'the key is not one of this stack');
    const name = /^\/rest\/v1\/rpc\/([^/]+)$/.exec(url.pathname)?.[1];
    if (name === undefined) {
      return url.pathname === '/rest/v1/'
        ? new Response('ok')
        : failure(404, 'PGRST125', 'Invalid path specified in request URL');
    }
    const isGet = request.method === 'GET';
    if (!isGet && request.method !== 'POST') {
      return failure(405, 'PGRST101', `Only GET and POST are served, not ${request.method}`);
    }
    const schema = request.headers.get(isGet ? 'accept-profile' : 'content-profile') ?? schemas[0]!;
    if (!schemas.includes(schema)) {
      return failure(
        406,
        'PGRST106',
        `Invalid schema: ${schema}`,
        null,
        `Only the following schemas are exposed: ${schemas.join(', ')}`,
      );
    }
    const body = isGet
      ? JSON.stringify(Object.fromEntries(url.searchParams))
      : await request.text();
    let given: string[];
    try {
      const parsed: unknown = JSON.parse(body || '{}');
      if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed)) throw new Error();
      given = Object.keys(parsed);
    } catch {
      return failure(400, 'PGRST102', 'Empty or invalid json');
    }

    try {
      const signature = await findSignature(sql, schema, decodeURIComponent(name), given);
      if (!signature) {
        const list = given.length ? `(${given.join(', ')})` : ' without parameters';
        return failure(
          404,
          'PGRST202',
          `Could not find the function ${schema}.${name}${list} in the schema cache`,
          `Searched for the function ${schema}.${name}${list}, but no matches were found.`,
        );
      }
      const result = await call(
        sql,
        caller,
        schema,
        decodeURIComponent(name),
        signature,
        given,
        body,
      );
      if (signature.returns === 'void') return new Response(null, { status: 204 });
      return new Response(result, {
        headers: { 'content-type': 'application/json; charset=utf-8' },
      });
    } catch (error) {
      if (error instanceof postgres.PostgresError) {
        return failure(
          statusOf(error.code, caller.role),
          error.code,
          error.message,
          error.detail ?? null,
          error.hint ?? null,
        );
      }
      const message = error instanceof Error ? error.message : String(error);
      return failure(503, 'PGRST001', `Database connection error: ${message}`);
    }
  };
}

/** Which function of the name takes the arguments given; asked anew each time, as DDL may come. */
async function findSignature(
  sql: postgres.Sql,
  schema: string,
  name: string,
  given: string[],
): Promise<Signature | undefined> {
  const signatures = await loadSignatures(sql, schema, name);
  return signatures.find((signature) =>
    given.every((name) => signature.arguments.some((argument) => argument.name === name)) &&
    signature.arguments.every((argument) => !argument.required || given.includes(argument.name))
  );
}

async function loadSignatures(
  sql: postgres.Sql,
  schema: string,
  name: string,
): Promise<Signature[]> {
  const rows = await sql`
    select
      p.proretset as is_set,
      t.typname,
      t.typtype = 'c' or p.proargmodes && '{t,o,b}'::"char"[] as is_row,
      coalesce(p.proargnames, '{}') as names,
      p.pronargs - p.pronargdefaults as required,
      array(
        select format_type(a.type, null)
        from unnest(p.proargtypes::oid[]) with ordinality as a (type, position)
        order by a.position
      ) as types
    from pg_catalog.pg_proc p
    join pg_catalog.pg_namespace n on n.oid = p.pronamespace
    join pg_catalog.pg_type t on t.oid = p.prorettype
    where n.nspname = ${schema} and p.proname = ${name} and p.prokind = 'f'`;
  return rows.map((row) => ({
    arguments: (row.types as string[]).map((type, index) => ({
      name: row.names[index] ?? '',
      type,
      required: index < row.required,
    })),
    returns: row.is_set ? 'rows' : row.typname === 'void' ? 'void' : row.is_row ? 'row' : 'scalar',
  }));
}

/** One transaction: who calls, then the call. Gives the JSON text of the result. */
async function call(
  sql: postgres.Sql,
  caller: Caller,
  schema: string,
  name: string,
  signature: Signature,
  given: string[],
  body: string,
): Promise<string> {
  const used = signature.arguments.filter((argument) => given.includes(argument.name));
  const columns = used.map((argument) => `${quote(argument.name)} ${argument.type}`).join(', ');
  const list = used.map((argument) => `${quote(argument.name)} := a.${quote(argument.name)}`);
  const from = used.length
    ? `json_to_record($1::text::json) as a(${columns})`
    : '(select $1::text) a';
  const target = `${quote(schema)}.${quote(name)}(${list.join(', ')})`;
  const query = {
    void: `select null::text as result from ${from}, lateral ${target} r`,
    scalar: `select coalesce(to_json(${target})::text, 'null') as result from ${from}`,
    row: `select row_to_json(r)::text as result from ${from}, lateral ${target} r`,
    rows: `select coalesce(json_agg(r), '[]')::text as result from ${from}, lateral ${target} r`,
  }[signature.returns];
  return await sql.begin(async (transaction) => {
    await transaction`
      select set_config('role', ${caller.role}, true),
        set_config('request.jwt.claims', ${caller.claims}, true)`;
    const [row] = await transaction.unsafe(query, [body || '{}'], { prepare: true });
    return String(row?.result);
  }) as string;
}
