// Wires fetch-page: POST {task_id, token}, from pg_net or from the page before.

import { connectors } from '../../connectors/registry.ts';
import { createRpc } from '../_shared/rpc.ts';
import { waitUntil } from '../_shared/runtime.ts';
import { type Deps, handle } from './handler.ts';

const env = (name: string) => Deno.env.get(name);

const deps: Deps = {
  rpc: createRpc(env),
  connectors,
  env,
  waitUntil,
  async relay(start) {
    try {
      const response = await fetch(`${env('SUPABASE_URL')}/functions/v1/fetch-page`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(start),
        signal: AbortSignal.timeout(10_000),
      });
      await response.body?.cancel();
      return response.status === 202;
    } catch {
      return false;
    }
  },
  sleep: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
  log: (message) => console.error(message),
};

Deno.serve((request) => handle(request, deps));
