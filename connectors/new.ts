// Owns making a new connector: a copy of _template under its name, and its line in the registry.
//
//   deno run -A connectors/new.ts acme

const here = new URL('./', import.meta.url);

/** Makes connectors/<name> in the tree that this file is of. Throws for a bad or taken name. */
export async function create(name: string, connectors: URL = here): Promise<string[]> {
  if (!/^[a-z][a-z0-9]{1,30}$/.test(name)) {
    throw new Error(
      `"${name}" is no name for a connector: use lower-case letters and digits, such as acme`,
    );
  }
  const folder = new URL(`${name}/`, connectors);
  if (await Deno.stat(folder).catch(() => undefined)) {
    throw new Error(`connectors/${name} is there already`);
  }
  const title = name[0]?.toUpperCase() + name.slice(1);
  const rename = (text: string) =>
    text.replaceAll('acme', name).replaceAll('Acme', title).replaceAll('ACME', name.toUpperCase());
  await Deno.mkdir(folder);
  const made: string[] = [];
  for await (const entry of Deno.readDir(new URL('_template/', connectors))) {
    const text = await Deno.readTextFile(new URL(`_template/${entry.name}`, connectors));
    await Deno.writeTextFile(new URL(entry.name, folder), rename(text));
    made.push(`connectors/${name}/${entry.name}`);
  }
  await register(name, new URL('registry.ts', connectors));
  return [...made.sort(), 'connectors/registry.ts'];
}

/** One import and one name, in order. */
async function register(name: string, registry: URL): Promise<void> {
  const text = await Deno.readTextFile(registry);
  const names = [...text.matchAll(/^import \{ (\w+) \} from '\.\/\w+\/connector\.ts';$/gm)]
    .map((match) => match[1]!);
  const all = [...names, name].sort();
  const imports = all.map((each) => `import { ${each} } from './${each}/connector.ts';\n`).join('');
  const rest = text
    .replace(/^import \{ \w+ \} from '\.\/\w+\/connector\.ts';\n/gm, '')
    .replace(/(import type [^\n]*\n)/, `$1${imports}`)
    .replace(/= \{[^}]*\};/, `= { ${all.join(', ')} };`);
  await Deno.writeTextFile(registry, rest);
}

if (import.meta.main) {
  try {
    const [name = ''] = Deno.args;
    const made = await create(name);
    console.log(made.map((path) => `  ${path}`).join('\n'));
    console.log(`
Next: fill in what is marked FILL IN, then
  make build                          the migration, with your connector.sql
  make test-conformance CONNECTOR=${name}   red to green`);
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    Deno.exit(1);
  }
}
