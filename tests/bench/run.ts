// Owns `make bench`: runs the parts one after another, prints their tables and writes results.md.
//
//   deno run -A tests/bench/run.ts              ONLY=ingest,claims for some of them

import { close, describeServer } from './stack.ts';
import { type Figure, type Part, table } from './table.ts';
import { ingest } from './ingest.ts';
import { overhead } from './overhead.ts';
import { resource } from './resource.ts';
import { claims } from './claims.ts';
import { flooding } from './flood.ts';
import { webhooks } from './webhooks.ts';
import { growth } from './growth.ts';
import { views } from './views.ts';
import { cost } from './cost.ts';
import { idle } from './idle.ts';

const parts: Part[] = [
  ingest,
  overhead,
  resource,
  claims,
  flooding,
  webhooks,
  growth,
  views,
  cost,
  idle,
];

const wanted = Deno.env.get('ONLY')?.split(',') ?? parts.map((part) => part.name);
const unknown = wanted.filter((name) => !parts.some((part) => part.name === name));
if (unknown.length) {
  console.error(
    `no part "${unknown.join('", "')}"; parts: ${parts.map((part) => part.name).join(', ')}`,
  );
  Deno.exit(2);
}

const began = Date.now();
const sections: string[] = [];
const figures: Figure[] = [];
let failed = false;
let server = '';
try {
  server = await describeServer();
  for (const part of parts.filter((part) => wanted.includes(part.name))) {
    const start = Date.now();
    let text: string;
    try {
      const found = await part.run();
      figures.push(...found);
      text = table(found);
    } catch (error) {
      failed = true;
      text = `FAILED: ${error instanceof Error ? error.stack : error}`;
    }
    const seconds = Math.round((Date.now() - start) / 1000);
    sections.push(`## ${part.name}\n\n${part.about}\n\n${text}\n`);
    console.log(`\n== ${part.name} (${seconds} s)\n${text}`);
  }
} finally {
  await close();
}

const judged = figures.filter((figure) => figure.met !== undefined);
const met = judged.filter((figure) => figure.met).length;
const minutes = ((Date.now() - began) / 60_000).toFixed(1);
const sum = `${met} of ${judged.length} targets met, in ${minutes} minutes`;
console.log(`\n${sum}`);

const head = `# What it costs

Medians, with the least and the most of the repetitions in brackets. Each figure stands beside what the
same run measured of the plain way to do it: the machine is shared, so the ratios count.

- ${server}
- ${new Date().toISOString().slice(0, 10)}, \`make bench\`${
  wanted.length < parts.length ? ` with ONLY=${wanted.join(',')}` : ''
}: ${sum}
`;
if (!failed && wanted.length === parts.length) {
  await Deno.writeTextFile(new URL('results.md', import.meta.url), [head, ...sections].join('\n'));
}
Deno.exitCode = failed ? 1 : 0;
