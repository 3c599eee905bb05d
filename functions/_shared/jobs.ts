// Owns what Postgres says of a job, in the form that the HTTP API gives on.

import { z } from 'zod';

/** The one row of `job_status`. */
export const jobSchema = z.tuple([z.object({
  job_id: z.number(),
  app_key: z.string(),
  mode: z.string(),
  resource_types: z.array(z.string()),
  status: z.string(),
  progress_percentage: z.number(),
  total_tasks: z.number(),
  completed_tasks: z.number(),
  failed_tasks: z.number(),
  processed_entities: z.number(),
  created_at: z.string(),
  started_at: z.string().nullable(),
  completed_at: z.string().nullable(),
  error_message: z.string().nullable(),
})]);

/** What `job_progress` says of each resource, as far as it is given on. */
export const progressSchema = z.array(z.object({
  resource: z.string(),
  inserted: z.number(),
  updated: z.number(),
  unchanged: z.number(),
  deleted: z.number(),
}));

/** What `job_tasks` says of each task. */
export const tasksSchema = z.array(z.looseObject({ task_id: z.number(), state: z.string() }));
