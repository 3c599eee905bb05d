// Owns configuration in code: defineConfig for supasaasy.config.ts, and the command that prints it as the
// one SQL statement that applies it.
//
//   deno run -A supabase/configure.ts supasaasy.config.ts        prints select ... configure(...)

import { z } from 'zod';
import { SCHEMA } from '../functions/_shared/schema.ts';

const envName = z.string().regex(
  /^[A-Z][A-Z0-9_]*$/,
  'name an environment variable, such as STRIPE_API_KEY: not the secret itself',
);
const mode = z.enum(['incremental', 'full', 'verify']);

const scheduleSchema = z.strictObject({
  /** Five fields in UTC, as pg_cron reads them, or `30 seconds`. */
  cron: z.string().min(1),
  mode: mode.optional(),
  /** Which resources; all that the app syncs by default. */
  resources: z.array(z.string()).min(1).optional(),
  enabled: z.boolean().optional(),
});

const appSchema = z.strictObject({
  app_key: z.string().regex(
    /^[a-z][a-z0-9_]{0,62}$/,
    'use lower-case letters, digits and underscores',
  ),
  name: z.string().optional(),
  connector: z.string().min(1),
  enabled: z.boolean().optional(),
  config: z.looseObject({
    api_key_env: envName.optional(),
    webhook_secret_env: envName.optional(),
    sync_resources: z.array(z.string()).min(1).optional(),
    /** Leave out what was created before. */
    sync_from: z.union([z.iso.date(), z.iso.datetime({ offset: true })]).nullable().optional(),
    sync_schedules: z.array(scheduleSchema).optional(),
    webhook_logging: z.union([z.boolean(), z.literal('with_body')]).optional(),
    history: z.union([z.boolean(), z.array(z.string()).min(1)]).optional(),
    max_concurrency: z.int().min(1).max(100).optional(),
  }),
});

const configSchema = z.strictObject({
  /** Settings by their names; values are texts, null is the default. */
  settings: z.record(z.string(), z.string().nullable()).optional(),
  apps: z.array(appSchema).optional(),
});

/** A whole configuration, as `configure(jsonb)` applies it. */
export type Config = z.input<typeof configSchema>;

/**
 * Checks a configuration and gives it back.
 * @throws Error with a line `path: message` for each problem
 */
export function defineConfig(config: Config): Config {
  const parsed = configSchema.safeParse(config);
  if (parsed.success) return config;
  const lines = parsed.error.issues.map((issue) => `${pathOf(issue.path)}: ${issue.message}`);
  throw new Error(`the configuration is not valid\n${lines.join('\n')}`);
}

function pathOf(path: PropertyKey[]): string {
  return path.map((key) => typeof key === 'number' ? `[${key}]` : `.${String(key)}`).join('')
    .replace(/^\./, '') || '$';
}

/** The statement that applies a configuration. Nothing in the document can end the quotation. */
export function toSql(config: Config, schema: string = SCHEMA): string {
  const document = JSON.stringify(config, null, 2).replaceAll("'", "''");
  return `select * from ${schema}.configure('${document}');`;
}

if (import.meta.main) {
  try {
    const [path] = Deno.args;
    if (path === undefined) {
      throw new Error('name a file: make configure CONFIG=supasaasy.config.ts');
    }
    const url = new URL(path, `file://${Deno.cwd()}/`);
    const module = await import(url.href).catch((error) => {
      throw new Error(`${path} cannot be read: ${error instanceof Error ? error.message : error}`);
    });
    if (module.default === undefined) {
      throw new Error(
        `${path} has no default export: export default defineConfig({ apps: [...] })`,
      );
    }
    console.log(toSql(defineConfig(module.default)));
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    Deno.exit(1);
  }
}
