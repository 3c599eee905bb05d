// Owns receiving a provider's webhook: verified over the raw body, normalised by the connector,
// applied by one RPC, and answered 200 only after its commit. Nothing of it is kept.

import { type Connector, InvalidSignature } from '../../connectors/connector.ts';
import { z } from 'zod';
import { answer, readBody } from '../_shared/http.ts';
import { repairEvents } from '../_shared/repair.ts';
import type { Rpc } from '../_shared/rpc.ts';

/** Everything that reaches outside, so that a test can stand in for it. */
export interface Deps {
  rpc: Rpc;
  connectors: Readonly<Record<string, Connector>>;
  env(name: string): string | undefined;
  log(message: string): void;
}

/** Stripe's events are far smaller; a body of more is cut off while it is read. */
export const MAX_BODY = 1024 * 1024;

const appSchema = z.object({
  connector: z.string(),
  enabled: z.boolean(),
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
    deps.log(`webhook ${appKey}: ${error instanceof Error ? error.message : error}`);
    return answer(500, 'the event was not stored: send it again');
  }
}

async function receive(
  request: Request,
  appKey: string,
  app: NonNullable<z.infer<typeof appSchema>>,
  deps: Deps,
): Promise<Response> {
  const connector = deps.connectors[app.connector];
  const secrets = [...app.secrets, ...environmentSecrets(app.secret_env, deps)];
  if (!connector || secrets.length === 0) {
    const problem = connector
      ? 'no webhook secret: set config.webhook_secret_env and that environment variable of the ' +
        `functions, or select supasaasy.set_secret('${appKey}', 'webhook_secret', '...')`
      : `the functions know no connector "${app.connector}": deploy them again`;
    await deps.rpc('report_webhook_error', { p_app_key: appKey, p_message: problem });
    return answer(500, 'the webhook is not configured');
  }
  const body = await readBody(request, MAX_BODY);
  if (body === undefined) return answer(413, `the body is longer than ${MAX_BODY} bytes`);

  let event;
  try {
    event = await connector.readWebhook({ body, headers: request.headers, secrets });
  } catch (error) {
    if (error instanceof InvalidSignature) return answer(401, 'unauthorized');
    if (error instanceof SyntaxError) return answer(400, 'the body is not JSON');
    throw error;
  }
  if (!event) return Response.json({ outcome: 'ignored: not about a synced resource' });
  const [repaired] = repairEvents([event]);
  const result = resultSchema.parse(
    await deps.rpc('receive_event', { p_app_key: appKey, p_event: repaired }),
  );
  return Response.json(result);
}

/** A variable may hold several secrets, separated by spaces or commas, while one replaces another. */
function environmentSecrets(name: string | null, deps: Deps): string[] {
  return (name === null ? '' : deps.env(name) ?? '').split(/[\s,]+/).filter(Boolean);
}
