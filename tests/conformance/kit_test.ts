// A connector that is made from the template: it lints, it fails the suite until what is marked is filled in,
// it passes then, and nothing of the engine changed for it.

import assert from 'node:assert/strict';
import { create } from '../../connectors/new.ts';
import { root } from '../../supabase/local/instance.ts';

const deno = Deno.execPath();

async function run(
  cwd: URL,
  command: string,
  args: string[],
  env: Record<string, string> = {},
): Promise<{ code: number; text: string }> {
  const { code, stdout, stderr } = await new Deno.Command(command, {
    args,
    cwd,
    env: { DENO_NO_PACKAGE_JSON: '1', NO_COLOR: '1', ...env },
    stdin: 'null',
  }).output();
  return { code, text: new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr) };
}

/** The parts of this tree that a connector stands on, and the stack's folder with its running instance. */
async function copyOfTree(): Promise<URL> {
  const copy = new URL(`file://${await Deno.makeTempDir()}/`);
  for (const part of ['sql', 'connectors', 'functions', 'supabase', 'tests', 'deno.json']) {
    const { code } = await run(root, 'cp', ['-r', part, copy.pathname]);
    assert.equal(code, 0, part);
  }
  for (const part of ['node_modules', '.local']) {
    await Deno.symlink(new URL(part, root), new URL(part, copy));
  }
  return copy;
}

async function digest(tree: URL, folder: string): Promise<string> {
  const { text } = await run(tree, 'sh', ['-c', `find ${folder} -type f | sort | xargs sha256sum`]);
  return text;
}

Deno.test('a bad or taken name is refused', async () => {
  const copy = await copyOfTree();
  const connectors = new URL('connectors/', copy);
  await assert.rejects(create('Acme-1', connectors), /is no name for a connector/);
  await assert.rejects(create('stripe', connectors), /is there already/);
});

Deno.test('a scaffolded connector goes from red to green, and the engine stays as it is', async () => {
  const copy = await copyOfTree();
  const engine = async () => [await digest(copy, 'sql'), await digest(copy, 'functions')];
  const before = await engine();
  const made = await create('acme', new URL('connectors/', copy));
  assert.deepEqual(made, [
    'connectors/acme/README.md',
    'connectors/acme/conformance.ts',
    'connectors/acme/connector.sql',
    'connectors/acme/connector.ts',
    'connectors/acme/fake.ts',
    'connectors/registry.ts',
  ]);
  for (const args of [['fmt', '-q', '--check'], ['lint', '-q'], ['check', '-q']]) {
    const { code, text } = await run(copy, deno, [...args, 'connectors']);
    assert.equal(code, 0, `deno ${args[0]}: ${text}`);
  }

  const suite = () =>
    run(copy, deno, [
      'test',
      '-A',
      '--quiet',
      '--no-check',
      'tests/conformance/conformance_test.ts',
    ], {
      CONNECTOR: 'acme',
      CONFORMANCE_SCHEMA: 'conformance_kit',
    });
  const red = await suite();
  assert.notEqual(red.code, 0, 'nothing is filled in, and the suite passes');
  assert.match(red.text, /does not fetch a widget yet|does not know whose key/);

  for (const file of ['connector.ts', 'connector.sql']) {
    await Deno.copyFile(
      new URL(`tests/conformance/example/${file}`, copy),
      new URL(`connectors/acme/${file}`, copy),
    );
  }
  const green = await suite();
  assert.equal(green.code, 0, green.text);
  assert.match(green.text, /2\d passed \| 0 failed/);
  assert.deepEqual(await engine(), before, 'something under sql/ or functions/ changed');
});
