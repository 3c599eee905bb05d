// Owns the doorway of the HTTP API: the key before anything else, then the method, the rate, the body,
// and how errors of Postgres become answers.

import { createHash, timingSafeEqual } from 'node:crypto';
import { z } from 'zod';
import { readBody } from './http.ts';
import { type Rpc, RpcError } from './rpc.ts';

/** Everything that reaches outside, so that a test can stand in for it. */
export interface AdminDeps {
  rpc: Rpc;
  env(name: string): string | undefined;
  sleep(ms: number): Promise<void>;
  now(): number;
  log(message: string): void;
}

/** What an endpoint wants: its method, and what its JSON body (or, for GET, its query) must be. */
export interface Endpoint<Input> {
  method: 'GET' | 'POST';
  input: z.ZodType<Input>;
  run(input: Input, deps: AdminDeps): Promise<Record<string, unknown>>;
}

const MAX_BODY = 64 * 1024;

/** An answer other than 200, thrown from anywhere within an endpoint. */
export class Refusal extends Error {
  constructor(
    readonly status: number,
    message: string,
    readonly headers: Record<string, string> = {},
  ) {
    super(message);
    this.name = 'Refusal';
  }
}

/**
 * Answers a request of the HTTP API: 401 without `Authorization: Bearer ADMIN_API_KEY`, 405, 429 with
 * Retry-After, 413, 400 with every problem named, 404 for an unknown app or job, 409 where its state
 * forbids it, 500 when Postgres could not be asked. Bodies are `{success, ...}`.
 */
export async function serveAdmin<Input>(
  request: Request,
  deps: AdminDeps,
  endpoint: Endpoint<Input>,
  path: Record<string, unknown> = {},
): Promise<Response> {
  try {
    authorize(request, deps);
    if (request.method !== endpoint.method) {
      throw new Refusal(405, `use ${endpoint.method}`, { allow: endpoint.method });
    }
    const wait = z.number().parse(await deps.rpc('admit_request', {}));
    if (wait > 0) {
      throw new Refusal(429, 'too many requests', { 'retry-after': String(Math.ceil(wait)) });
    }
    const given = { ...await readInput(request), ...path };
    const input = endpoint.input.safeParse(given);
    if (!input.success) throw new Refusal(400, problems(input.error));
    return Response.json({ success: true, ...await endpoint.run(input.data, deps) });
  } catch (error) {
    const { status, message, headers } = refusal(error, deps);
    return Response.json({ success: false, error: message }, { status, headers });
  }
}

/** Compares hashes, so that neither the length nor the first difference shows in the time it takes. */
function authorize(request: Request, deps: AdminDeps): void {
  const key = deps.env('ADMIN_API_KEY');
  if (!key) {
    deps.log('ADMIN_API_KEY is not set: supabase secrets set ADMIN_API_KEY=...');
    throw new Refusal(500, 'the HTTP API is not configured');
  }
  const given = /^Bearer (.+)$/i.exec(request.headers.get('authorization') ?? '')?.[1] ?? '';
  const digest = (text: string) => createHash('sha256').update(text).digest();
  if (!timingSafeEqual(digest(given), digest(key))) throw new Refusal(401, 'unauthorized');
}

async function readInput(request: Request): Promise<Record<string, unknown>> {
  if (request.method === 'GET') return Object.fromEntries(new URL(request.url).searchParams);
  const text = await readBody(request, MAX_BODY);
  if (text === undefined) throw new Refusal(413, `the body is longer than ${MAX_BODY} bytes`);
  let body: unknown;
  try {
    body = JSON.parse(text || '{}');
  } catch {
    throw new Refusal(400, 'the body is not JSON');
  }
  if (typeof body !== 'object' || body === null || Array.isArray(body)) {
    throw new Refusal(400, 'the body is not a JSON object');
  }
  return body as Record<string, unknown>;
}

function problems(error: z.ZodError): string {
  return error.issues.map((issue) =>
    issue.path.length > 0 ? `${issue.path.join('.')}: ${issue.message}` : issue.message
  ).join('; ');
}

/** Postgres says by its SQLSTATE what the caller did wrong; anything else is our fault. */
function refusal(error: unknown, deps: AdminDeps): Refusal {
  if (error instanceof Refusal) return error;
  if (error instanceof RpcError) {
    // 22P05 is a text with U+0000, or half of a character.
    const status =
      { P0002: 404, '22023': 400, '22P02': 400, '22P05': 400, '55000': 409 }[error.code];
    if (status !== undefined) return new Refusal(status, error.message);
  }
  deps.log(error instanceof Error ? error.message : String(error));
  return new Refusal(500, "the request was not carried out: try again, or see the functions' log");
}
