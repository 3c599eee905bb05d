// Owns background processes: started detached, with a log and a pid file in the instance's folder,
// so that they outlive who started them and can be found again. A pid file also says when its process
// began: a pid alone may be somebody else's by now.

import { spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { createServer } from 'node:net';
import type { Instance } from './instance.ts';

/** A program to run in the background. */
export interface Program {
  name: string;
  command: string[];
  env: Record<string, string>;
  /** The unprivileged user to run as; the caller's own by default. */
  uid?: number;
}

const pidFile = (instance: Instance, name: string) => `${instance.dir}/${name}.pid`;

/** The log of a process of the instance. */
export const logFile = (instance: Instance, name: string): string => `${instance.dir}/${name}.log`;

/**
 * Starts a program in the background, in a session of its own. A shell in between ends at once, so
 * that the program is nobody's child: who started it need not wait for it when it dies.
 */
export async function start(instance: Instance, program: Program): Promise<void> {
  const log = openSync(logFile(instance, program.name), 'a');
  const shell = spawn('/bin/sh', ['-c', '"$@" >&2 & echo $!', 'sh', ...program.command], {
    detached: true,
    stdio: ['ignore', 'pipe', log],
    env: program.env,
    ...(program.uid !== undefined && { uid: program.uid, gid: program.uid }),
  });
  closeSync(log);
  let text = '';
  shell.stdout?.setEncoding('utf8').on('data', (chunk: string) => text += chunk);
  await new Promise<void>((resolve, reject) => {
    shell.once('error', reject);
    shell.once('close', () => resolve());
  });
  const pid = Number(text);
  if (!(pid > 0)) throw new Error(`could not start ${program.name}: ${program.command[0]}`);
  await Deno.writeTextFile(pidFile(instance, program.name), `${pid} ${beganAt(pid) ?? ''}`);
}

/** The pid of a process that runs, or nothing. */
export async function running(instance: Instance, name: string): Promise<number | undefined> {
  const text = await Deno.readTextFile(pidFile(instance, name)).catch(() => '');
  const [, pid, began] = /^(\d+) (.+)$/.exec(text) ?? [];
  return began !== undefined && beganAt(Number(pid)) === began ? Number(pid) : undefined;
}

/** When a living process began, in the system's own words. */
function beganAt(pid: number): string | undefined {
  return Deno.build.os === 'linux' ? beganInProc(pid) : beganInPs(pid);
}

function beganInProc(pid: number): string | undefined {
  try {
    const stat = Deno.readTextFileSync(`/proc/${pid}/stat`);
    // Fields 3 and 22 of proc(5), counted from behind the name, which may hold blanks.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    // A zombie, whose parent has not yet looked, is not alive.
    return fields[0] === 'Z' ? undefined : fields[19];
  } catch {
    return undefined;
  }
}

function beganInPs(pid: number): string | undefined {
  const { stdout } = new Deno.Command('ps', {
    args: ['-o', 'lstart=', '-p', String(pid)],
    env: { LC_ALL: 'C', TZ: 'UTC' },
    stderr: 'null',
  }).outputSync();
  return new TextDecoder().decode(stdout).trim() || undefined;
}

/** Sends a signal to a process of the instance, and waits until it is gone. */
export async function stop(
  instance: Instance,
  name: string,
  signal: Deno.Signal = 'SIGTERM',
): Promise<void> {
  const pid = await running(instance, name);
  if (pid !== undefined) {
    Deno.kill(pid, signal);
    for (let waited = 0; await running(instance, name); waited += 50) {
      if (waited === 10_000) Deno.kill(pid, 'SIGKILL');
      if (waited > 20_000) throw new Error(`${name} (pid ${pid}) does not stop`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
  await Deno.remove(pidFile(instance, name)).catch(() => {});
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = createServer();
    probe.once('error', () => resolve(false));
    probe.listen(port, '127.0.0.1', () => probe.close(() => resolve(true)));
  });
}

/**
 * Waits a moment for a port: the threads of a process that was killed may outlive its main one.
 * @throws Error that names the port, what wants it and what to do, when something listens there
 */
export async function assertFree(port: number, wants: string): Promise<void> {
  for (let tries = 0; tries < 30; tries += 1) {
    if (await isFree(port)) return;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error(
    `port ${port} is taken, and ${wants} wants it: stop what listens there, or set ` +
      `SUPASAASY_PORT to the first of ten other ports`,
  );
}

/**
 * Tries until it succeeds. The last error is thrown with the end of the process's log: after
 * `seconds`, or when the process has ended and nothing starts it again.
 */
export async function until<T>(
  instance: Instance,
  name: string,
  attempt: () => Promise<T>,
  { seconds = 30, restarts = false } = {},
): Promise<T> {
  const end = Date.now() + seconds * 1000;
  for (;;) {
    try {
      return await attempt();
    } catch (error) {
      const died = await running(instance, name) === undefined;
      if (Date.now() > end || (died && !restarts)) {
        const log = await Deno.readTextFile(logFile(instance, name)).catch(() => '');
        const tail = log.trimEnd().split('\n').slice(-15).join('\n');
        throw new Error(
          `${name} ${died ? 'ended' : 'is not ready'}: ${
            error instanceof Error ? error.message : error
          }\n${tail}`,
        );
      }
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}
