// Owns POST worker: starts what is due now, without waiting for the next tick.

import { z } from 'zod';
import { type AdminDeps, type Endpoint, serveAdmin } from '../_shared/admin.ts';

const inputSchema = z.strictObject({
  job_id: z.int().positive().optional(),
  max_tasks: z.int().min(1).max(1000).optional(),
});

/** POST {job_id?, max_tasks?}: of one job's app, or of all. */
export function handle(request: Request, deps: AdminDeps): Promise<Response> {
  return serveAdmin(request, deps, endpoint);
}

const endpoint: Endpoint<z.infer<typeof inputSchema>> = {
  method: 'POST',
  input: inputSchema,
  async run(input, deps) {
    const started = await deps.rpc('start_work', {
      p_job_id: input.job_id ?? null,
      p_max_tasks: input.max_tasks ?? null,
    });
    return { started_tasks: z.number().parse(started) };
  },
};
