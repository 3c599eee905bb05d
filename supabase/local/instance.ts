// Owns what a stack instance is: its name, its folder, its ports and its env file. The developer's
// instance is `dev`; the demo and the tests have their own, so that they never touch its data.

import { randomBytes } from 'node:crypto';
import { SignJWT } from 'jose';
import { z } from 'zod';

/** The repository's folder, as a file URL ending in a slash. */
export const root = new URL('../../', import.meta.url);

/** Ports of an instance: one base, fixed offsets. */
export interface Ports {
  gateway: number;
  postgres: number;
  functions: number;
}

/** A named stack: everything it owns lies in `dir`. */
export interface Instance {
  name: string;
  /** Absolute path of `.local/<name>`. */
  dir: string;
  ports: Ports;
}

const envSchema = z.object({
  SUPASAASY_DATABASE_URL: z.string(),
  SUPABASE_URL: z.string(),
  SUPABASE_SERVICE_ROLE_KEY: z.string(),
  SUPABASE_ANON_KEY: z.string(),
  SUPABASE_SECRET_KEY: z.string(),
  SUPABASE_PUBLISHABLE_KEY: z.string(),
  SUPABASE_JWT_SECRET: z.string(),
  ADMIN_API_KEY: z.string(),
  SUPASAASY_STACK_ID: z.string(),
  SUPASAASY_SUPERUSER_PASSWORD: z.string(),
  /** Of the role postgres on the instance's own server, also while another one is in use. */
  SUPASAASY_POSTGRES_PASSWORD: z.string().default(''),
  SUPASAASY_AUTHENTICATOR_PASSWORD: z.string(),
});

/** What `.local/<name>/env` says, a line each. Keys and passwords are made once and kept. */
export type StackEnv = z.infer<typeof envSchema>;

/** Below the ports that systems lend to outgoing connections, which would be in the way at times. */
const bases: Record<string, number> = { dev: 24420, demo: 24440, 'demo-live': 24450, test: 24460 };

/**
 * The instance that SUPASAASY_STACK names (`dev` by default), at the base port SUPASAASY_PORT.
 * @throws Error when the name is malformed, or has no base port
 */
export function currentInstance(
  name = Deno.env.get('SUPASAASY_STACK') ?? 'dev',
  port = Deno.env.get('SUPASAASY_PORT'),
): Instance {
  if (!/^[a-z][a-z0-9-]{0,30}$/.test(name)) {
    throw new Error(`SUPASAASY_STACK "${name}" is no name: use lower-case letters and digits`);
  }
  const base = port === undefined ? bases[name] : Number(port);
  if (base === undefined) {
    throw new Error(`the stack "${name}" has no port: set SUPASAASY_PORT to the first of ten`);
  }
  if (!Number.isInteger(base) || base < 1024 || base > 65520) {
    throw new Error(`SUPASAASY_PORT "${port}" is no port: give a number from 1024 to 65520`);
  }
  return {
    name,
    dir: new URL(`.local/${name}`, root).pathname,
    ports: { gateway: base + 1, postgres: base + 2, functions: base + 3 },
  };
}

/** The env of an instance that was started before, or nothing. */
export async function readEnv(instance: Instance): Promise<StackEnv | undefined> {
  const text = await Deno.readTextFile(`${instance.dir}/env`).catch(() => undefined);
  if (text === undefined) return undefined;
  const lines = text.split('\n').filter((line) => line.includes('='));
  return envSchema.parse(
    Object.fromEntries(
      lines.map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]),
    ),
  );
}

/**
 * What the env file is to say, with the keys of the one before.
 * @param databaseUrl the server to use; the instance's own by default
 */
export async function makeEnv(
  instance: Instance,
  old: StackEnv | undefined,
  databaseUrl?: string,
): Promise<StackEnv> {
  const token = (length = 24) => randomBytes(length).toString('base64url');
  const secret = old?.SUPABASE_JWT_SECRET ?? token(32);
  const password = old?.SUPASAASY_POSTGRES_PASSWORD || token();
  const own = `postgresql://postgres:${password}@127.0.0.1:${instance.ports.postgres}/postgres`;
  // Its password tells the own server even where the ports have changed.
  const isOther = databaseUrl && new URL(databaseUrl).password !== password;
  return {
    SUPASAASY_DATABASE_URL: isOther ? databaseUrl : own,
    SUPABASE_URL: gatewayUrl(instance),
    SUPABASE_SERVICE_ROLE_KEY: old?.SUPABASE_SERVICE_ROLE_KEY ?? await jwt('service_role', secret),
    SUPABASE_ANON_KEY: old?.SUPABASE_ANON_KEY ?? await jwt('anon', secret),
    SUPABASE_SECRET_KEY: old?.SUPABASE_SECRET_KEY ?? `sb_secret_${token()}`,
    SUPABASE_PUBLISHABLE_KEY: old?.SUPABASE_PUBLISHABLE_KEY ?? `sb_publishable_${token()}`,
    SUPABASE_JWT_SECRET: secret,
    ADMIN_API_KEY: old?.ADMIN_API_KEY ?? token(32),
    SUPASAASY_STACK_ID: old?.SUPASAASY_STACK_ID ?? token(12),
    SUPASAASY_SUPERUSER_PASSWORD: old?.SUPASAASY_SUPERUSER_PASSWORD ?? token(),
    SUPASAASY_POSTGRES_PASSWORD: password,
    SUPASAASY_AUTHENTICATOR_PASSWORD: old?.SUPASAASY_AUTHENTICATOR_PASSWORD ?? token(),
  };
}

/** Writes the env file, which only its owner reads. */
export async function writeEnv(instance: Instance, env: StackEnv): Promise<void> {
  const text = Object.entries(env).map(([name, value]) => `${name}=${value}\n`).join('');
  await Deno.mkdir(instance.dir, { recursive: true });
  await Deno.writeTextFile(`${instance.dir}/env`, text, { mode: 0o600 });
  if (instance.name === 'dev') {
    await Deno.writeTextFile(new URL('.local/env', root), text, { mode: 0o600 });
  }
}

/** Where the gateway of an instance is. */
export function gatewayUrl(instance: Instance): string {
  return `http://127.0.0.1:${instance.ports.gateway}`;
}

/** Whether a database URL is of the server that the instance itself runs. */
export function isOwnUrl(env: StackEnv, instance: Instance): boolean {
  const url = new URL(env.SUPASAASY_DATABASE_URL);
  return url.hostname === '127.0.0.1' && url.port === String(instance.ports.postgres);
}

/** A superuser's URL for the server that the instance itself runs. */
export function superuserUrl(env: StackEnv, instance: Instance): string {
  return `postgresql://supabase_admin:${env.SUPASAASY_SUPERUSER_PASSWORD}` +
    `@127.0.0.1:${instance.ports.postgres}/postgres`;
}

/** PostgREST's login role, on any server that has the roles of a Supabase database. */
export function authenticatorUrl(env: StackEnv): string {
  const url = new URL(env.SUPASAASY_DATABASE_URL);
  url.username = 'authenticator';
  url.password = env.SUPASAASY_AUTHENTICATOR_PASSWORD;
  return url.href;
}

async function jwt(role: string, secret: string): Promise<string> {
  return await new SignJWT({ role })
    .setProtectedHeader({ alg: 'HS256', typ: 'JWT' })
    .setIssuer('supasaasy-local')
    .setIssuedAt()
    .setExpirationTime('10y')
    .sign(new TextEncoder().encode(secret));
}
