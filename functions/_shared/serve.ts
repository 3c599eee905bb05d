// Owns wiring a function of the HTTP API to the platform.

import type { AdminDeps } from './admin.ts';
import { createRpc } from './rpc.ts';

/** Serves a handler with the environment, the RPCs and the clock of the platform. */
export function serve(handle: (request: Request, deps: AdminDeps) => Promise<Response>): void {
  const env = (name: string) => Deno.env.get(name);
  const deps: AdminDeps = {
    rpc: createRpc(env),
    env,
    sleep: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
    now: () => Date.now(),
    log: (message) => console.error(message),
  };
  Deno.serve((request) => handle(request, deps));
}
