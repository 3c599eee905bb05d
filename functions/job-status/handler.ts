// Owns GET job-status/{id}: how far a job is, with ?include_tasks=true its tasks as well.

import { z } from 'zod';
import { type AdminDeps, type Endpoint, serveAdmin } from '../_shared/admin.ts';
import { jobSchema, tasksSchema } from '../_shared/jobs.ts';

const inputSchema = z.object({
  job_id: z.string().regex(/^[1-9][0-9]{0,17}$/, 'give the number of a job: job-status/42'),
  include_tasks: z.enum(['true', 'false']).default('false'),
});

/** GET job-status/{id}?include_tasks=true. */
export function handle(request: Request, deps: AdminDeps): Promise<Response> {
  const id = /\/job-status\/?([^/]*)\/?$/.exec(new URL(request.url).pathname)?.[1] ?? '';
  return serveAdmin(request, deps, endpoint, { job_id: id });
}

const endpoint: Endpoint<z.infer<typeof inputSchema>> = {
  method: 'GET',
  input: inputSchema,
  async run(input, deps) {
    const [job] = jobSchema.parse(await deps.rpc('job_status', { p_job_id: input.job_id }));
    const { resource_types: _, ...shown } = job;
    if (input.include_tasks === 'false') return shown;
    return {
      ...shown,
      tasks: tasksSchema.parse(await deps.rpc('job_tasks', { p_job_id: input.job_id })),
    };
  },
};
