// Owns receiving a provider's webhook: verified over the raw body, normalised by the connector,
// applied by one RPC, and answered 200 only after its commit. Nothing of it is kept, unless the app
// wants its webhooks logged.

import {
  type Connector,
  InvalidSignature,
  type ProviderEvent,
} from '../../connectors/connector.ts';
import { z } from 'zod';
import { answer, readBody } from '../_shared/http.ts';
import { repairEvents } from '../_shared/repair.ts';
import type { Rpc } from '../_shared/rpc.ts';
import { SCHEMA } from '../_shared/schema.ts';

/** Everything that reaches outside, so that a test can stand in for it. */
export interface Deps {
  rpc: Rpc;
  connectors: Readonly<Record<string, Connector>>;
  env(name: string): string | undefined;
  /** Keeps the function alive after its answer. */
  waitUntil(work: Promise<unknown>): void;
  now(): number;
  log(message: string): void;
}

/** Stripe's events are far smaller; a body of more is cut off while it is read. */
export const MAX_BODY = 1024 * 1024;

const appSchema = z.object({
  connector: z.string(),
  enabled: z.boolean(),
  logging: z.boolean(),
  secret_env: z.string().nullable(),
  secrets: z.array(z.string()),
}).nullable();

const resultSchema = z.object({ outcome: z.string() });

/** POST webhook/{app_key}. HEAD answers 200: some providers check the URL with it. */
export async function handle(request: Request, deps: Deps): Promise<Response> {
  if (request.method === 'HEAD') return new Response(null, { status: 200 });
  if (request.method !== 'POST') return answer(405, 'use POST');
  const appKey = /\/webhook\/([a-z][a-z0-9_]{0,62})\/?$/.exec(new URL(request.url).pathname)?.[1];
  if (appKey === undefined) return answer(404, 'no such webhook');
  try {
    const app = appSchema.parse(await deps.rpc('webhook_app', { p_app_key: appKey }));
    if (!app) return answer(404, 'no such webhook');
    return await receive(request, appKey, app, deps);
  } catch (error) {
    deps.log(`webhook ${appKey}: ${describe(error)}`);
    return notStored();
  }
}

type App = NonNullable<z.infer<typeof appSchema>>;

async function receive(
  request: Request,
  appKey: string,
  app: App,
  deps: Deps,
): Promise<Response> {
  const begun = deps.now();
  const connector = deps.connectors[app.connector];
  const secrets = [...app.secrets, ...environmentSecrets(app.secret_env, deps)];
  const report = (problem: string) =>
    deps.rpc('report_webhook_error', { p_app_key: appKey, p_message: problem });
  if (!connector || secrets.length === 0) {
    await report(
      connector
        ? 'no webhook secret: set config.webhook_secret_env and that environment variable of the ' +
          `functions, or select ${SCHEMA}.set_secret('${appKey}', 'webhook_secret', '...')`
        : `the functions know no connector "${app.connector}": deploy them again`,
    );
    return answer(500, 'the webhook is not configured');
  }
  const body = await readBody(request, MAX_BODY);
  if (body === undefined) return answer(413, `the body is longer than ${MAX_BODY} bytes`);

  let event;
  try {
    event = await connector.readWebhook({ body, headers: request.headers, secrets });
  } catch (error) {
    if (error instanceof SyntaxError) return answer(400, 'the body is not JSON');
    if (!(error instanceof InvalidSignature)) throw error;
    await report(
      "a request was not signed with a secret of this app: is the secret the endpoint's?",
    );
    return answer(401, 'unauthorized');
  }

  // Whoever comes this far has signed the request.
  let response: Response;
  let failed: string | null = null;
  try {
    response = await apply(event, appKey, deps);
  } catch (error) {
    failed = describe(error);
    deps.log(`webhook ${appKey}: ${failed}`);
    response = notStored();
  }
  if (app.logging) {
    const text = await response.clone().text();
    deps.waitUntil(
      deps.rpc('log_webhook', {
        p_app_key: appKey,
        p_method: request.method,
        p_path: new URL(request.url).pathname,
        p_headers: Object.fromEntries(request.headers),
        p_body: body,
        p_status: response.status,
        p_response: text,
        p_error: failed,
        p_duration_ms: Math.round(deps.now() - begun),
      }).catch((error) => deps.log(`webhook ${appKey} was not logged: ${describe(error)}`)),
    );
  }
  return response;
}

async function apply(
  event: ProviderEvent | null,
  appKey: string,
  deps: Deps,
): Promise<Response> {
  if (!event) return Response.json({ outcome: 'ignored: not about a synced resource' });
  const [repaired] = repairEvents([event]);
  const result = resultSchema.parse(
    await deps.rpc('receive_event', { p_app_key: appKey, p_event: repaired }),
  );
  return Response.json(result);
}

function notStored(): Response {
  return answer(500, 'the event was not stored: send it again');
}

function describe(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** A variable may hold several secrets, separated by spaces or commas, while one replaces another. */
function environmentSecrets(name: string | null, deps: Deps): string[] {
  return (name === null ? '' : deps.env(name) ?? '').split(/[\s,]+/).filter(Boolean);
}
