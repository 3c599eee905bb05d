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

/** The schedules that are due once: when the scheduler starts. */
const AT_START = /^\s*@(reboot|restart)\s*$/;

/**
 * When a job is due next, in milliseconds since 1970. `last` is when it last began.
 * @throws Error for a schedule that pg_cron does not know
 */
export function nextRun(schedule: string, last: number): number {
  const seconds = /^\s*(\d+)\s*seconds?\s*$/i.exec(schedule)?.[1];
  if (seconds !== undefined) return last + Number(seconds) * 1000;
  if (AT_START.test(schedule)) return Number.POSITIVE_INFINITY;
  const expression = schedule.trim();
  const [, , day = '', , weekday = ''] = expression.split(/[ \t]+/);
  // `$` is the last day of a month. Given a day and a weekday, either will do, unless one has a star.
  const next = new Cron(expression.replace('$', 'L'), {
    timezone: 'UTC',
    mode: '5-part',
    domAndDow: day.startsWith('*') || weekday.startsWith('*'),
  }).nextRun(new Date(last));
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
  const invalid = new Set<string>();
  let failure: unknown;

  function dueAt(job: Job, last: number): number {
    try {
      return nextRun(job.schedule, last);
    } catch {
      const text = `invalid pg_cron schedule for job ${job.jobid}: ${job.schedule}`;
      if (!invalid.has(text)) console.error(text);
      invalid.add(text);
      return Number.POSITIVE_INFINITY;
    }
  }

  for (let starts = true;; starts = false) {
    if (failure) throw failure;
    const jobs = await sql<Job[]>`
      select jobid, schedule, command, database, username from cron.job where active`;
    const now = Date.now();
    for (const job of jobs) {
      const last = lastRun.get(job.jobid);
      const isDue = last === undefined
        ? starts && AT_START.test(job.schedule)
        : !busy.has(job.jobid) && dueAt(job, last) <= now;
      if (last === undefined || isDue) lastRun.set(job.jobid, now);
      if (!isDue) continue;
      busy.add(job.jobid);
      run(sql, job)
        .catch((error) => failure = error)
        .finally(() => busy.delete(job.jobid));
    }
    await new Promise((resolve) => setTimeout(resolve, 250));
  }
}
