// Owns the local gateway: /functions/v1/* goes to the functions process, /rest/v1/rpc/* speaks
// PostgREST's RPC protocol. Which schemas are served is what config.toml says.

import { currentInstance, readEnv } from './instance.ts';
import { createRest } from './rest.ts';

const instance = currentInstance();
const env = await readEnv(instance);
if (!env) throw new Error(`the stack "${instance.name}" has no env file: run make up`);
const rest = await createRest(env);
const functions = `http://127.0.0.1:${instance.ports.functions}`;

async function proxy(request: Request, url: URL): Promise<Response> {
  const path = url.pathname.slice('/functions/v1'.length);
  try {
    return await fetch(`${functions}${path}${url.search}`, {
      method: request.method,
      headers: request.headers,
      body: request.body,
      redirect: 'manual',
    });
  } catch {
    return Response.json({ message: 'the functions do not answer' }, { status: 503 });
  }
}

Deno.serve(
  { hostname: '127.0.0.1', port: instance.ports.gateway, onListen: () => {} },
  async (request) => {
    const url = new URL(request.url);
    if (url.pathname.startsWith('/functions/v1/')) return await proxy(request, url);
    if (url.pathname.startsWith('/rest/v1/')) return await rest(request, url);
    if (url.pathname === '/health') return new Response('ok');
    return Response.json({ message: 'no such path' }, { status: 404 });
  },
);
