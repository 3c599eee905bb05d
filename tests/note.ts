// Owns what a test wants to say beside its result, such as what it measured: the TAP reporter shows
// no output of tests, so it goes to a file that the runner prints.

/** Keeps a line for the runner to print; without a runner it goes to the console. */
export function note(text: string): void {
  const file = Deno.env.get('SUPASAASY_TEST_NOTES');
  if (file) Deno.writeTextFileSync(file, `     # ${text}\n`, { append: true });
  else console.log(`# ${text}`);
}
