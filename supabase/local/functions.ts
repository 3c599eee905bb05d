// Owns running the edge functions: every functions/<name>/index.ts in one process, as the edge
// runtime does it. An index.ts only calls Deno.serve with its handler.

import { currentInstance, readEnv, root } from './instance.ts';

type Handler = (request: Request) => Response | Promise<Response>;

const instance = currentInstance();
const env = await readEnv(instance);
if (!env) throw new Error(`the stack "${instance.name}" has no env file: run make up`);

/** The lines NAME=value of supabase/functions/.env, which the CLI reads too. */
async function dotEnv(): Promise<Record<string, string>> {
  const file = new URL('supabase/functions/.env', root);
  const text = await Deno.readTextFile(file).catch(() => '');
  const lines = text.split('\n').map((line) => /^\s*([A-Z][A-Z0-9_]*)\s*=\s*(.*?)\s*$/.exec(line));
  return Object.fromEntries(
    lines.flatMap((line) => line ? [[line[1], line[2]?.replace(/^(["'])(.*)\1$/, '$2')]] : []),
  );
}

for (const [name, value] of Object.entries(await dotEnv())) {
  if (Deno.env.get(name) === undefined) Deno.env.set(name, value);
}
const platform = {
  SUPABASE_URL: env.SUPABASE_URL,
  SUPABASE_ANON_KEY: env.SUPABASE_ANON_KEY,
  SUPABASE_SERVICE_ROLE_KEY: env.SUPABASE_SERVICE_ROLE_KEY,
  SUPABASE_PUBLISHABLE_KEYS: JSON.stringify({ default: env.SUPABASE_PUBLISHABLE_KEY }),
  SUPABASE_SECRET_KEYS: JSON.stringify({ default: env.SUPABASE_SECRET_KEY }),
  ADMIN_API_KEY: env.ADMIN_API_KEY,
};
for (const [name, value] of Object.entries(platform)) Deno.env.set(name, value);

const runtime = {
  waitUntil(promise: Promise<unknown>): void {
    promise.catch((error) => console.error('a background task failed:', error));
  },
};
Object.assign(globalThis, { EdgeRuntime: runtime });

// A promise that one function lets float is no end of the others.
globalThis.addEventListener('unhandledrejection', (event) => {
  event.preventDefault();
  console.error('a promise was rejected and nobody caught it:', event.reason);
});

const handlers = new Map<string, Handler>();
const serve = Deno.serve;
for await (const entry of Deno.readDir(new URL('functions/', root))) {
  if (!entry.isDirectory || entry.name.startsWith('_')) continue;
  // deno-lint-ignore no-explicit-any -- the overloads of Deno.serve end in the handler
  (Deno as any).serve = (...args: unknown[]) => {
    handlers.set(entry.name, args.find((argument) => typeof argument === 'function') as Handler);
  };
  try {
    await import(new URL(`functions/${entry.name}/index.ts`, root).href);
  } catch (error) {
    console.error(`the function ${entry.name} does not load:`, error);
    handlers.set(
      entry.name,
      () => Response.json({ message: `the function ${entry.name} does not load` }, { status: 503 }),
    );
  }
}

serve(
  { hostname: '127.0.0.1', port: instance.ports.functions, onListen: () => {} },
  async (request) => {
    const name = new URL(request.url).pathname.split('/')[1] ?? '';
    const handler = handlers.get(name);
    if (!handler) {
      return Response.json({ code: 'NOT_FOUND', message: `no function "${name}"` }, {
        status: 404,
      });
    }
    try {
      return await handler(request);
    } catch (error) {
      console.error(`the function ${name} failed:`, error);
      return Response.json({ message: 'Internal Server Error' }, { status: 500 });
    }
  },
);
