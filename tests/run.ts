// Owns running the test suites: each as a process of its own, its TAP counted, and one line at the
// end that sums them all. A suite that ran no test has failed.
//
//   deno run -A tests/run.ts [pgtap] [unit] [stack] [e2e]

import { Parser } from 'tap-parser';
import { currentInstance } from '../supabase/local/instance.ts';
import { isOwnServer, reset, up } from '../supabase/local/stack.ts';

interface Suite {
  name: string;
  /** What runs it; it prints TAP. */
  command: string[];
}

const deno = Deno.execPath();
const test = (...args: string[]) => [deno, 'test', '-A', '--reporter=tap', ...args];

const suites: Suite[] = [
  { name: 'pgtap', command: [deno, 'run', '-A', 'tests/pgtap/run.ts'] },
  { name: 'schema', command: [deno, 'run', '-A', 'tests/pgtap/run.ts', '--schema', 'crm'] },
  { name: 'unit', command: test('connectors', 'functions', 'tests/fakes') },
  { name: 'stack', command: test('supabase') },
  { name: 'conformance', command: test('tests/conformance') },
  { name: 'property', command: test('tests/property') },
  { name: 'e2e', command: test('tests/e2e', '--ignore=tests/e2e/chaos_test.ts') },
  { name: 'chaos', command: test('tests/e2e/chaos_test.ts') },
];

async function run(suite: Suite): Promise<{ passed: number; failed: number }> {
  console.log(`\n== ${suite.name}`);
  const [program = deno, ...args] = suite.command;
  const notes = await Deno.makeTempFile();
  const child = new Deno.Command(program, {
    args,
    env: { SUPASAASY_TEST_NOTES: notes },
    stdout: 'piped',
    stderr: 'inherit',
  }).spawn();
  const parser = new Parser({ strict: false });
  const result = { passed: 0, failed: 0 };
  parser.on('assert', (assertion) => {
    if (assertion.ok) result.passed += 1;
    else result.failed += 1;
    console.log(`${assertion.ok ? '  ok ' : 'FAILED'} ${assertion.name}`);
    if (!assertion.ok && assertion.diag) console.log(JSON.stringify(assertion.diag, null, 2));
  });
  parser.on('comment', (comment) => console.log(`     ${comment.trimEnd()}`));
  const lines = child.stdout.pipeThrough(new TextDecoderStream());
  for await (const chunk of lines) parser.write(chunk);
  const end = new Promise<void>((resolve) => parser.on('complete', () => resolve()));
  parser.end();
  await end;
  const { code } = await child.status;
  await Deno.stdout.write(await Deno.readFile(notes));
  await Deno.remove(notes);
  if (result.passed + result.failed === 0 || (code !== 0 && result.failed === 0)) {
    console.log(`FAILED ${suite.name} ended with exit code ${code}`);
    result.failed += 1;
  }
  return result;
}

const wanted = Deno.args.length ? Deno.args : suites.map((suite) => suite.name);
const unknown = wanted.filter((name) => !suites.some((suite) => suite.name === name));
if (unknown.length) {
  console.error(
    `no suite "${unknown.join('", "')}"; suites: ${suites.map((suite) => suite.name).join(', ')}`,
  );
  Deno.exit(2);
}
if (wanted.some((name) => name !== 'unit')) {
  // The tests are of the migration as it is now: the test stack's own server starts empty.
  const instance = currentInstance(Deno.env.get('SUPASAASY_STACK') ?? 'test');
  const env = await up(instance);
  if (await isOwnServer(env, instance)) await reset(instance);
}
const total = { passed: 0, failed: 0 };
for (const suite of suites.filter((suite) => wanted.includes(suite.name))) {
  const result = await run(suite);
  console.log(`   ${suite.name}: ${result.passed} passed, ${result.failed} failed`);
  total.passed += result.passed;
  total.failed += result.failed;
}
console.log(`\n${total.passed} passed, ${total.failed} failed`);
Deno.exit(total.failed === 0 ? 0 : 1);
