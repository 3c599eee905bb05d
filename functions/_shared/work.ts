// Owns the messages between Postgres and the functions: what the RPCs of a page answer.

import { z } from 'zod';

/** A task that may be begun once, with this token. Task 0 is a ping. */
export const startSchema = z.object({
  task_id: z.int().nonnegative(),
  token: z.uuid(),
});
export type Start = z.infer<typeof startSchema>;

const orderSchema = z.object({
  status: z.literal('begun'),
  work_token: z.uuid(),
  wait_ms: z.number().min(0).max(2000),
  app_key: z.string(),
  connector: z.string(),
  api_version: z.string(),
  config: z.record(z.string(), z.unknown()),
  /** The key, if it lies in Vault; otherwise the variable that holds it. */
  api_key: z.string().nullable(),
  api_key_env: z.string().nullable(),
  key_fingerprint: z.string().nullable(),
  resource: z.string(),
  operation: z.enum(['list', 'get', 'events', 'webhook']),
  external_id: z.string().nullable(),
  parent_id: z.string().nullable(),
  params: z.record(z.string(), z.string()),
  created_gte: z.int().nullable(),
  created_lt: z.int().nullable(),
  updated_gte: z.int().nullable(),
  cursor: z.string().nullable(),
  page_size: z.int().positive(),
  webhook: z.object({
    url: z.string(),
    types: z.array(z.string()),
    endpoint_id: z.string().nullable(),
    secret_is_known: z.boolean(),
  }).nullable(),
});
/** One page to fetch, as Postgres decided it. Times are unix seconds. */
export type Order = z.infer<typeof orderSchema>;

/** What `begin_page` answers. */
export const begunSchema = z.discriminatedUnion('status', [
  orderSchema,
  z.object({ status: z.literal('refused'), reason: z.string() }),
  z.object({ status: z.literal('later'), next: startSchema.nullable() }),
  z.object({ status: z.literal('ping'), env: z.array(z.string()) }),
]);

/** What `complete_page`, `fail_page` and `pin_account` answer. */
export const endedSchema = z.discriminatedUnion('status', [
  z.looseObject({ status: z.literal('ok'), next: startSchema.nullable() }),
  z.object({ status: z.literal('stale') }),
]);
