// Owns POST sync: starts a job, and, when asked, waits for it as long as the call may last.

import { z } from 'zod';
import { type AdminDeps, type Endpoint, serveAdmin } from '../_shared/admin.ts';
import { jobSchema, progressSchema } from '../_shared/jobs.ts';

const inputSchema = z.strictObject({
  app_key: z.string().min(1),
  mode: z.enum(['full', 'incremental', 'verify']).default('incremental'),
  resource_types: z.array(z.string()).min(1).optional(),
  immediate: z.boolean().default(false),
});

/** A platform cuts a request off after 150 s at least. */
const WAIT_SECONDS = 120;
const FIRST_LOOK_MS = 100;
const LONGEST_PAUSE_MS = 1000;

/** POST {app_key, mode, resource_types, immediate}. */
export function handle(request: Request, deps: AdminDeps): Promise<Response> {
  return serveAdmin(request, deps, endpoint);
}

const endpoint: Endpoint<z.infer<typeof inputSchema>> = {
  method: 'POST',
  input: inputSchema,
  async run(input, deps) {
    const begun = deps.now();
    const jobId = z.number().parse(
      await deps.rpc('sync', {
        p_app_key: input.app_key,
        p_mode: input.mode,
        p_resources: input.resource_types ?? null,
      }),
    );
    let job = await look(jobId, deps);
    if (!input.immediate) return started(job);

    const end = begun + Number(deps.env('SYNC_WAIT_SECONDS') ?? WAIT_SECONDS) * 1000;
    let pause = FIRST_LOOK_MS;
    while (job.completed_at === null && deps.now() + pause < end) {
      await deps.sleep(pause);
      pause = Math.min(pause * 1.5, LONGEST_PAUSE_MS);
      job = await look(jobId, deps);
    }
    const runs = progressSchema.parse(await deps.rpc('job_progress', { p_job_id: jobId }));
    return {
      ...started(job),
      success: job.status !== 'failed',
      counts: Object.fromEntries(
        runs.map(({ resource, inserted, updated, unchanged, deleted }) => [
          resource,
          { inserted, updated, unchanged, deleted },
        ]),
      ),
      duration_ms: deps.now() - begun,
      ...(job.error_message !== null && { error_message: job.error_message }),
    };
  },
};

async function look(jobId: number, deps: AdminDeps): Promise<z.infer<typeof jobSchema>[number]> {
  const [job] = jobSchema.parse(await deps.rpc('job_status', { p_job_id: jobId }));
  return job;
}

function started(job: z.infer<typeof jobSchema>[number]): Record<string, unknown> {
  const { job_id, app_key, mode, status, total_tasks, resource_types } = job;
  return { job_id, app_key, mode, status, total_tasks, resource_types };
}
