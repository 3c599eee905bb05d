// Owns adding this engine to an existing Supabase project, and upgrading it there: migrations that the
// project lacks, one folder that is ours alone (supabase/supasaasy), and entries of config.toml.
//
//   deno run -A supabase/add_to.ts ../app
//
// What is theirs stays as it is: config.toml is changed as text, and read back to prove that nothing but
// our entries differs.

import { parse } from 'smol-toml';
import { isDeepStrictEqual } from 'node:util';
import { SCHEMA } from '../functions/_shared/schema.ts';

const MARK = ['# >>> supasaasy (make add-to keeps what is between these lines)', '# <<< supasaasy'];
const FOLDER = 'supabase/supasaasy';

type Toml = Record<string, unknown>;

/** What was added or changed, and what is left for the user to do. */
export interface Added {
  changed: string[];
  todo: string[];
}

/**
 * Adds the build in `source` (a folder URL) to the project in `target`, or upgrades it there. Twice
 * changes nothing. Nothing is written unless everything can be.
 * @throws Error that names what is in the way: no project, a function or migration of the same name, a
 *   config.toml that cannot be changed safely
 */
export async function addTo(source: URL, target: URL): Promise<Added> {
  const configUrl = new URL('supabase/config.toml', target);
  const config = await Deno.readTextFile(configUrl).catch(() => {
    throw new Error(`${target.pathname} is no Supabase project: it has no supabase/config.toml`);
  });
  const names = await functionNames(source);
  await refuseCollisions(target, parse(config), names);
  const files = new Map<string, string>([
    ...await migrations(source, target),
    ...await ownFolder(source),
  ]);
  const { text, todo } = configure(config, names);
  files.set('supabase/config.toml', text);

  const changed: string[] = [];
  for (const path of await filesBelow(new URL(`${FOLDER}/`, target))) {
    if (files.has(`${FOLDER}/${path}`)) continue;
    await Deno.remove(new URL(`${FOLDER}/${path}`, target));
    changed.push(`removed ${FOLDER}/${path}`);
  }
  for (const [path, content] of files) {
    const url = new URL(path, target);
    const before = await Deno.readTextFile(url).catch(() => undefined);
    if (before === content) continue;
    await Deno.mkdir(new URL('./', url), { recursive: true });
    await Deno.writeTextFile(url, content);
    changed.push(`${before === undefined ? 'added' : 'changed'} ${path}`);
  }
  return { changed, todo };
}

/** The functions of a build: every folder of functions/ that has an index.ts. */
async function functionNames(source: URL): Promise<string[]> {
  const names: string[] = [];
  for await (const entry of Deno.readDir(new URL('functions/', source))) {
    if (entry.isDirectory && !entry.name.startsWith('_')) names.push(entry.name);
  }
  return names.sort();
}

async function refuseCollisions(target: URL, config: Toml, names: string[]): Promise<void> {
  const theirs = (config.functions ?? {}) as Record<string, Toml | undefined>;
  for (const name of names) {
    const entrypoint = theirs[name]?.entrypoint;
    const isOurs = theirs[name] === undefined ||
      (typeof entrypoint === 'string' && entrypoint.startsWith('./supasaasy/'));
    const folder = await Deno.stat(new URL(`supabase/functions/${name}`, target)).catch(() =>
      undefined
    );
    if (!isOurs || folder) {
      throw new Error(
        `the project has a function "${name}" of its own, and so do we: rename yours, and what calls it`,
      );
    }
  }
}

/** Ours that the project lacks. One that it has is never changed: it may have been applied. */
async function migrations(source: URL, target: URL): Promise<[string, string][]> {
  const found: [string, string][] = [];
  for (const name of await filesBelow(new URL('supabase/migrations/', source))) {
    const path = `supabase/migrations/${name}`;
    const ours = await Deno.readTextFile(new URL(path, source));
    const theirs = await Deno.readTextFile(new URL(path, target)).catch(() => undefined);
    if (theirs !== undefined && theirs !== ours) {
      throw new Error(
        `${path} is of another build, and was perhaps applied already: take the release that it is ` +
          `of and later ones, or remove the file and the schema ${SCHEMA}`,
      );
    }
    found.push([path, ours]);
  }
  return found;
}

/** The functions with what they import, under our own folder. */
async function ownFolder(source: URL): Promise<[string, string][]> {
  const files: [string, string][] = [];
  for (const folder of ['functions', 'connectors']) {
    for (const path of await filesBelow(new URL(`${folder}/`, source))) {
      if (!path.endsWith('.ts') || path.endsWith('_test.ts')) continue;
      if (folder === 'connectors' && /(^_|\/(conformance|fake)\.ts$|^new\.ts$)/.test(path)) {
        continue;
      }
      const url = new URL(`${folder}/${path}`, source);
      files.push([`${FOLDER}/${folder}/${path}`, await Deno.readTextFile(url)]);
    }
  }
  const { imports } = JSON.parse(await Deno.readTextFile(new URL('deno.json', source)));
  const used = Object.entries(imports as Record<string, string>).filter(([name]) =>
    files.some(([, text]) => text.includes(`from '${name}'`))
  );
  files.push([
    `${FOLDER}/deno.json`,
    `${JSON.stringify({ imports: Object.fromEntries(used) }, null, 2)}\n`,
  ]);
  for (const [from, to] of [['functions/.env.example', '.env.example'], ['seed.sql', 'seed.sql']]) {
    files.push([`${FOLDER}/${to}`, await Deno.readTextFile(new URL(`supabase/${from}`, source))]);
  }
  return files;
}

async function filesBelow(folder: URL, prefix = ''): Promise<string[]> {
  const paths: string[] = [];
  try {
    for await (const entry of Deno.readDir(new URL(prefix, folder))) {
      const path = `${prefix}${entry.name}`;
      if (entry.isDirectory) paths.push(...await filesBelow(folder, `${path}/`));
      else paths.push(path);
    }
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  return paths.sort();
}

/** Their config.toml with our entries. */
function configure(text: string, names: string[]): { text: string; todo: string[] } {
  const before = parse(withoutBlock(text));
  const todo = [
    `supabase secrets set STRIPE_API_KEY=... ADMIN_API_KEY=... (see ${FOLDER}/.env.example)`,
    `hosted: expose the schema ${SCHEMA} (Settings, API), and select ${SCHEMA}.set_setting(` +
    `'functions_url', 'https://<project>.supabase.co/functions/v1');`,
  ];
  let changed = withoutBlock(text);
  changed = appendTo(changed, ['api'], 'schemas', SCHEMA, ['public', 'graphql_public']);
  changed = appendTo(changed, ['db', 'seed'], 'sql_paths', './supasaasy/seed.sql', ['./seed.sql']);
  const policy = tableOf(before, ['edge_runtime'])?.policy;
  if (policy === undefined) {
    changed = insertKey(changed, ['edge_runtime'], 'policy = "per_worker"');
  } else if (policy !== 'per_worker') {
    todo.push(
      `config.toml: [edge_runtime] policy is "${policy}", which cuts off what a function does after ` +
        'its answer; for a local stack make it "per_worker"',
    );
  }
  const entries = names.map((name) =>
    `[functions.${name}]\nenabled = true\nverify_jwt = false\n` +
    `entrypoint = "./supasaasy/functions/${name}/index.ts"\nimport_map = "./supasaasy/deno.json"\n`
  );
  changed = `${changed.trimEnd()}\n\n${MARK[0]}\n${entries.join('\n')}${MARK[1]}\n`;
  prove(before, parse(changed), names, policy === undefined);
  return { text: changed, todo };
}

function withoutBlock(text: string): string {
  const from = text.indexOf(MARK[0]!);
  if (from < 0) return text;
  const to = text.indexOf(MARK[1]!, from);
  if (to < 0) throw new Error(`config.toml has "${MARK[0]}" without "${MARK[1]}": put it back`);
  return `${text.slice(0, from).trimEnd()}\n${text.slice(to + MARK[1]!.length)}`;
}

function tableOf(config: Toml, path: string[]): Toml | undefined {
  return path.reduce<Toml | undefined>((at, key) => at?.[key] as Toml | undefined, config);
}

/** The lines of a table: from after its header to before the next. */
function span(text: string, path: string[]): { from: number; to: number } | undefined {
  const header = new RegExp(`^\\s*\\[\\s*${path.join('\\s*\\.\\s*')}\\s*\\][^\\n]*\\n?`, 'm');
  const found = header.exec(text);
  if (!found) return undefined;
  const from = found.index + found[0].length;
  const next = /^\s*\[(?!\s*["'])/m.exec(text.slice(from));
  return { from, to: next ? from + next.index : text.length };
}

function insertKey(text: string, path: string[], line: string): string {
  const table = span(text, path);
  if (!table) return `${text.trimEnd()}\n\n[${path.join('.')}]\n${line}\n`;
  return `${text.slice(0, table.from)}${line}\n${text.slice(table.from)}`;
}

function appendTo(
  text: string,
  path: string[],
  key: string,
  value: string,
  whenAbsent: string[],
): string {
  const present = tableOf(parse(text), path)?.[key] as string[] | undefined;
  if (present?.includes(value)) return text;
  if (present === undefined) {
    return insertKey(text, path, `${key} = ${JSON.stringify([...whenAbsent, value])}`);
  }
  const table = span(text, path);
  const array = table &&
    new RegExp(`(^\\s*${key}\\s*=\\s*\\[)([^\\]]*)\\]`, 'm').exec(text.slice(table.from, table.to));
  if (!table || !array) throw new Error(byHand(path, key, value));
  const at = table.from + array.index;
  const items = (array[2] ?? '').replace(
    /,?(\s*)$/,
    (_, space: string) => `${present.length ? ', ' : ''}${JSON.stringify(value)}${space}`,
  );
  return text.slice(0, at) + `${array[1]}${items}]` + text.slice(at + array[0].length);
}

function byHand(path: string[], key: string, value: string): string {
  return `config.toml cannot be changed safely: add "${value}" to ${key} in [${
    path.join('.')
  }] by hand, ` +
    'and run this again';
}

/** Nothing but our entries may differ. */
function prove(before: Toml, after: Toml, names: string[], addedPolicy: boolean): void {
  const rest = structuredClone(after);
  const functions = rest.functions as Toml;
  for (const name of names) delete functions[name];
  if (Object.keys(functions).length === 0 && before.functions === undefined) delete rest.functions;
  for (
    const [path, key, value] of [
      [['api'], 'schemas', SCHEMA],
      [['db', 'seed'], 'sql_paths', './supasaasy/seed.sql'],
    ] as [string[], string, string][]
  ) {
    const theirs = tableOf(before, path);
    const table = tableOf(rest, path)!;
    if (theirs?.[key] === undefined) delete table[key];
    else if (!(theirs[key] as string[]).includes(value)) {
      table[key] = (table[key] as string[]).filter((item) => item !== value);
    }
  }
  if (addedPolicy) delete tableOf(rest, ['edge_runtime'])!.policy;
  for (const path of [['api'], ['db', 'seed'], ['db'], ['edge_runtime']]) {
    const parent = tableOf(rest, path.slice(0, -1));
    const name = path.at(-1)!;
    const table = parent?.[name] as Toml | undefined;
    if (table && Object.keys(table).length === 0 && tableOf(before, path) === undefined) {
      delete parent![name];
    }
  }
  if (!isDeepStrictEqual(JSON.parse(JSON.stringify(rest)), JSON.parse(JSON.stringify(before)))) {
    throw new Error(byHand(['api'], 'schemas', SCHEMA));
  }
}

if (import.meta.main) {
  try {
    const [project] = Deno.args;
    if (!project) throw new Error('name a project: make add-to PROJECT=../app');
    const target = new URL(`${project.replace(/\/$/, '')}/`, `file://${Deno.cwd()}/`);
    const { changed, todo } = await addTo(new URL('../', import.meta.url), target);
    console.log(changed.length ? changed.join('\n') : 'the project has this build already');
    console.log(`\nto do:\n${todo.map((line) => `  - ${line}`).join('\n')}`);
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    Deno.exit(1);
  }
}
