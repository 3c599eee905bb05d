// Owns running what cron.job schedules: every few seconds or by a cron expression, as the user who
// scheduled it, and never a job beside itself.

import { Cron } from 'croner';
import type { Sql } from 'postgres';

interface Job {
  jobid: string;
  schedule: string;
  command: string;
  database: string;
  username: string;
}

/** When a job is due next, in milliseconds since 1970. `last` is when it last began. */
export function nextRun(schedule: string, last: number): number {
  const seconds = /^(\d+) seconds$/i.exec(schedule)?.[1];
  if (seconds !== undefined) return last + Number(seconds) * 1000;
  const next = new Cron(schedule.replace('$', 'L'), { timezone: 'UTC' }).nextRun(new Date(last));
  return next ? next.getTime() : Number.POSITIVE_INFINITY;
}

async function run(sql: Sql, job: Job): Promise<void> {
  const [detail] = await sql`
    insert into cron.job_run_details (jobid, database, username, command, status, start_time)
    values (${job.jobid}, ${job.database}, ${job.username}, ${job.command}, 'running', now())
    returning runid`;
  const session = await sql.reserve();
  let [status, message] = ['succeeded', ''];
  try {
    await session.unsafe(`set session authorization "${job.username.replaceAll('"', '""')}"`);
    const result = await session.unsafe(job.command).simple();
    message = String(result.command ?? 'OK');
  } catch (error) {
    [status, message] = ['failed', error instanceof Error ? error.message : String(error)];
  } finally {
    await session.unsafe('reset session authorization').simple().catch(() => {});
    session.release();
  }
  await sql`
    update cron.job_run_details
    set status = ${status}, return_message = ${message}, end_time = now()
    where runid = ${detail?.runid}`;
}

/** Schedules for ever; throws when the extension is dropped or the database goes away. */
export async function runCron(sql: Sql): Promise<void> {
  const lastRun = new Map<string, number>();
  const busy = new Set<string>();
  let failure: unknown;
  for (;;) {
    if (failure) throw failure;
    const jobs = await sql<Job[]>`
      select jobid, schedule, command, database, username from cron.job where active`;
    const now = Date.now();
    for (const job of jobs) {
      const last = lastRun.get(job.jobid);
      if (last === undefined) lastRun.set(job.jobid, now);
      else if (!busy.has(job.jobid) && nextRun(job.schedule, last) <= now) {
        lastRun.set(job.jobid, now);
        busy.add(job.jobid);
        run(sql, job)
          .catch((error) => failure = error)
          .finally(() => busy.delete(job.jobid));
      }
    }
    await new Promise((resolve) => setTimeout(resolve, 250));
  }
}
