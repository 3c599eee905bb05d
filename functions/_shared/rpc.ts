// Owns calling Postgres: the RPCs of the schema, through supabase-js as service_role.

import { createClient } from '@supabase/supabase-js';
import { z } from 'zod';
import { SCHEMA } from './schema.ts';

/** Calls a function of the schema with named arguments. Throws RpcError. */
export type Rpc = (name: string, args: Record<string, unknown>) => Promise<unknown>;

/**
 * A call that Postgres refused or that did not reach it. `code` is the SQLSTATE, or a PostgREST
 * code; it is empty when no answer came at all.
 */
export class RpcError extends Error {
  constructor(readonly code: string, message: string) {
    super(message);
    this.name = 'RpcError';
  }

  /** Whether the same call may succeed when it is made again. */
  get isPassing(): boolean {
    return /^($|08|40|53|55|57|PGRST0)/.test(this.code);
  }
}

const secretKeysSchema = z.record(z.string(), z.string());

/** The key that acts as service_role: one of the new secret keys, or the legacy JWT. */
export function serviceKey(env: (name: string) => string | undefined): string {
  const dictionary = env('SUPABASE_SECRET_KEYS');
  if (dictionary) {
    const keys = secretKeysSchema.parse(JSON.parse(dictionary));
    const key = keys.default ?? Object.values(keys)[0];
    if (key) return key;
  }
  const legacy = env('SUPABASE_SERVICE_ROLE_KEY');
  if (!legacy) {
    throw new Error('neither SUPABASE_SECRET_KEYS nor SUPABASE_SERVICE_ROLE_KEY is set');
  }
  return legacy;
}

/** RPCs over supabase-js; the URL and the keys are those that the platform gives to functions. */
export function createRpc(env: (name: string) => string | undefined): Rpc {
  const url = env('SUPABASE_URL');
  if (!url) throw new Error('SUPABASE_URL is not set');
  const client = createClient(url, serviceKey(env), {
    auth: { persistSession: false, autoRefreshToken: false },
    db: { schema: SCHEMA },
  });
  return async (name, args) => {
    const { data, error } = await client.rpc(name, args);
    if (error) throw new RpcError(error.code ?? '', error.message);
    return data;
  };
}
