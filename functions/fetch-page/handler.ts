// Owns one invocation: begin a task's page, fetch it from the provider, hand the rows to Postgres,
// and start the next invocation. It holds no state and decides nothing that Postgres can decide.

import { z } from 'zod';
import { type Connector, type PageRequest, ProviderError } from '../../connectors/connector.ts';
import { answer, readBody } from '../_shared/http.ts';
import { repairEvents, repairRows } from '../_shared/repair.ts';
import { type Rpc, RpcError } from '../_shared/rpc.ts';
import { SCHEMA } from '../_shared/schema.ts';
import { begunSchema, endedSchema, type Order, type Start, startSchema } from '../_shared/work.ts';

/** Everything that reaches outside, so that a test can stand in for it. */
export interface Deps {
  rpc: Rpc;
  connectors: Readonly<Record<string, Connector>>;
  env(name: string): string | undefined;
  /** Starts another invocation; false when that was refused. */
  relay(start: Start): Promise<boolean>;
  /** Keeps the function alive after its answer. */
  waitUntil(work: Promise<unknown>): void;
  sleep(ms: number): Promise<void>;
  log(message: string): void;
}

const MAX_BODY = 1024;
const MAX_CONCURRENT = 100;
let concurrent = 0;

/** Answers 202 at once and works on after that: pg_net waits for its slowest request. */
export async function handle(request: Request, deps: Deps): Promise<Response> {
  if (request.method !== 'POST') return answer(405, 'use POST');
  const text = await readBody(request, MAX_BODY);
  if (text === undefined) return answer(413, `the body is longer than ${MAX_BODY} bytes`);
  let body: unknown;
  try {
    body = JSON.parse(text);
  } catch {
    return answer(400, 'the body is not JSON');
  }
  const start = startSchema.safeParse(body);
  if (!start.success) return answer(400, z.prettifyError(start.error));
  if (concurrent >= MAX_CONCURRENT) return answer(503, 'too many pages at once');
  concurrent += 1;
  deps.waitUntil(
    runPage(start.data, deps)
      .catch((error) => deps.log(`task ${start.data.task_id}: ${describe(error)}`))
      .finally(() => concurrent -= 1),
  );
  return answer(202, 'started');
}

/** One page, from its start token to the next one. */
export async function runPage(start: Start, deps: Deps): Promise<void> {
  const begun = begunSchema.parse(
    await deps.rpc('begin_page', { p_task_id: start.task_id, p_start_token: start.token }),
  );
  if (begun.status === 'refused') return;
  if (begun.status === 'ping') return await pong(start.token, begun.env, deps);
  const next = begun.status === 'later' ? begun.next : await work(start.task_id, begun, deps);
  if (next && !(await deps.relay(next))) {
    await deps.rpc('release_task', { p_task_id: next.task_id, p_start_token: next.token });
  }
}

/** Answers doctor(): which variables are missing, and which connectors are deployed. */
async function pong(token: string, names: string[], deps: Deps): Promise<void> {
  await deps.rpc('pong', {
    p_token: token,
    p_missing_env: names.filter((name) => !deps.env(name)),
    p_connectors: Object.keys(deps.connectors),
  });
}

/** The app's key, out of Vault or of the environment. Throws ProviderError. */
function apiKeyOf(order: Order, deps: Deps): string {
  if (order.api_key !== null) return order.api_key;
  const name = order.api_key_env;
  const apiKey = name === null ? undefined : deps.env(name);
  if (apiKey) return apiKey;
  const secret = `select ${SCHEMA}.set_secret('${order.app_key}', 'api_key', '...')`;
  throw new ProviderError(
    'auth',
    name === null
      ? `missing API key: ${secret}`
      : `missing API key: the environment variable ${name} of the edge functions is not set ` +
        `(supabase secrets set ${name}=..., or ${secret})`,
  );
}

async function work(taskId: number, order: Order, deps: Deps): Promise<Start | null> {
  const token = { p_task_id: taskId, p_work_token: order.work_token };
  try {
    const connector = deps.connectors[order.connector];
    if (!connector) {
      throw new ProviderError(
        'permanent',
        `the functions know no connector "${order.connector}": deploy them again`,
      );
    }
    const apiKey = apiKeyOf(order, deps);
    const access = {
      apiKey,
      apiVersion: order.api_version,
      config: order.config,
      env: deps.env,
    };
    await deps.sleep(order.wait_ms);

    const fingerprint = await hash(`${order.app_key}:${apiKey}`);
    if (fingerprint !== order.key_fingerprint) {
      const account = await scrubbed(apiKey, () => connector.identify(access));
      return await end(deps, 'pin_account', {
        ...token,
        p_key_fingerprint: fingerprint,
        p_account_id: account.accountId,
        p_livemode: account.livemode,
      });
    }

    const wanted = order.webhook;
    if (wanted) {
      const endpoint = await scrubbed(apiKey, () =>
        connector.manageWebhook(access, {
          appKey: order.app_key,
          url: wanted.url,
          types: wanted.types,
          endpointId: wanted.endpoint_id,
          secretIsKnown: wanted.secret_is_known,
        }));
      return await end(deps, 'complete_webhook', {
        ...token,
        p_endpoint_id: endpoint.endpointId,
        p_secret: endpoint.secret,
        p_did: endpoint.did,
      });
    }

    const page = await scrubbed(apiKey, () => connector.fetchPage(access, pageRequest(order)));
    const { rows, repaired } = repairRows(page.rows);
    return await end(deps, 'complete_page', {
      ...token,
      p_rows: rows,
      p_next_cursor: page.nextCursor,
      p_missing: page.missing,
      p_repaired: repaired,
      p_events: page.events ? repairEvents(page.events) : null,
      p_provider_time: page.providerTime?.toISOString() ?? null,
      p_is_partial: page.isPartial ?? false,
      p_merged: page.merged ?? null,
      p_rate: page.rate ?? null,
    });
  } catch (error) {
    return await end(deps, 'fail_page', { ...token, ...failure(error) });
  }
}

/** How an error is reported to `fail_page`. */
function failure(error: unknown): Record<string, unknown> {
  if (error instanceof ProviderError) {
    return {
      p_class: error.errorClass,
      p_message: error.message,
      p_retry_after: error.detail.retryAfter ?? null,
      p_reason: error.detail.reason ?? null,
    };
  }
  // 22023: Postgres looked at the rows and refused them.
  const refused = error instanceof RpcError && error.code === '22023';
  return { p_class: refused ? 'malformed' : 'transient', p_message: describe(error) };
}

/** Ends a page by an RPC that may be repeated: with the same token it answers the same. */
async function end(deps: Deps, rpc: string, args: Record<string, unknown>): Promise<Start | null> {
  for (let attempt = 1;; attempt += 1) {
    try {
      const ended = endedSchema.parse(await deps.rpc(rpc, args));
      return ended.status === 'ok' ? ended.next : null;
    } catch (error) {
      if (!(error instanceof RpcError && error.isPassing) || attempt === 3) throw error;
      await deps.sleep(attempt * 300);
    }
  }
}

function pageRequest(order: Order): PageRequest {
  return {
    operation: order.operation === 'webhook' ? 'list' : order.operation,
    resource: order.resource,
    externalId: order.external_id,
    parentId: order.parent_id,
    params: order.params,
    createdGte: order.created_gte,
    createdLt: order.created_lt,
    updatedGte: order.updated_gte,
    cursor: order.cursor,
    pageSize: order.page_size,
  };
}

/** Keeps the key out of every message, whatever the provider or a library put into it. */
async function scrubbed<T>(secret: string, run: () => Promise<T>): Promise<T> {
  try {
    return await run();
  } catch (error) {
    const known = error instanceof ProviderError
      ? error
      : new ProviderError('transient', describe(error));
    throw new ProviderError(
      known.errorClass,
      known.message.replaceAll(secret, '[redacted]'),
      known.detail,
    );
  }
}

async function hash(text: string): Promise<string> {
  const digest = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(text));
  return Array.from(
    new Uint8Array(digest).subarray(0, 16),
    (byte) => byte.toString(16).padStart(2, '0'),
  ).join('');
}

function describe(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
