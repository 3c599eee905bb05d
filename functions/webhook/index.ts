// Wires webhook: POST webhook/{app_key}, from a provider.

import { connectors } from '../../connectors/registry.ts';
import { createRpc } from '../_shared/rpc.ts';
import { waitUntil } from '../_shared/runtime.ts';
import { handle } from './handler.ts';

const env = (name: string) => Deno.env.get(name);
const rpc = createRpc(env);

Deno.serve((request) =>
  handle(request, {
    rpc,
    connectors,
    env,
    waitUntil,
    now: () => performance.now(),
    log: (message) => console.error(message),
  })
);
