// Owns views: the queries of README.md on a million entities, by which indexes and how fast.

import type { Sql } from 'postgres';
import { fillTo } from './fill.ts';
import { withBench } from './stack.ts';
import { type Figure, type Part, short, spread } from './table.ts';

const ENTITIES = 1_000_000;

/** The queries under the heading Query, each with the words before it. */
async function readmeQueries(): Promise<{ name: string; query: string }[]> {
  const text = await Deno.readTextFile(new URL('../../README.md', import.meta.url));
  const section = text.split('\n## Query\n')[1]?.split('\n## ')[0] ?? '';
  return [...section.matchAll(/\n([^\n]+):\n\n```sql\n([^]*?)```/g)].map((match) => ({
    name: match[1] ?? '',
    query: (match[2] ?? '').trim().replace(/;$/, '').replace('ada@', 'person.4711@'),
  }));
}

interface Node {
  'Node Type': string;
  'Index Name'?: string;
  'Relation Name'?: string;
  'Actual Rows': number;
  'Plans'?: Node[];
}

interface Explained {
  ms: number;
  rows: number;
  indexes: string[];
  scans: boolean;
}

async function explain(sql: Sql, query: string): Promise<Explained> {
  const [row] = await sql.unsafe(`explain (analyze, timing off, format json) ${query}`);
  const [{ Plan: plan, ...times }] = row?.['QUERY PLAN'] as [
    { Plan: Node; [key: string]: unknown },
  ];
  const nodes: Node[] = [];
  const walk = (node: Node) => {
    nodes.push(node);
    node.Plans?.forEach(walk);
  };
  walk(plan);
  return {
    ms: Number(times['Execution Time']),
    rows: plan['Actual Rows'],
    indexes: [...new Set(nodes.flatMap((node) => node['Index Name'] ?? []))],
    scans: nodes.some((node) => node['Node Type'] === 'Seq Scan'),
  };
}

async function measure(sql: Sql, name: string, query: string): Promise<Figure> {
  const found: Explained[] = [];
  const spent = () => found.reduce((sum, one) => sum + one.ms, 0);
  // What takes seconds is not repeated: its noise is small.
  while (found.length < 3 && spent() < 5000) found.push(await explain(sql, query));
  await sql.unsafe(`set enable_indexscan = off; set enable_indexonlyscan = off;
    set enable_bitmapscan = off`);
  const scan = await explain(sql, query);
  await sql.unsafe('reset all');
  const last = found.at(-1);
  return {
    what: `${name} (${short(last?.rows ?? NaN)} rows)`,
    value: `${spread(found.map((one) => one.ms), 'ms')} by ${
      last?.indexes.join(', ') || 'no index'
    }`,
    baseline: `without indexes ${short(scan.ms)} ms`,
    target: 'by index',
    met: last !== undefined && last.indexes.length > 0,
  };
}

export const views: Part = {
  name: 'views',
  about: `The queries of README.md on ${short(ENTITIES)} entities (seven in ten are customers), ` +
    'executed by explain analyze: nothing is sent to a client.',
  run: () =>
    withBench({ workers: false, keepData: true }, async ({ sql, admin }) => {
      await fillTo(sql, admin, ENTITIES);
      const figures: Figure[] = [];
      for (const { name, query } of await readmeQueries()) {
        figures.push(await measure(sql, name, query));
      }
      if (figures.length < 4) throw new Error('README.md has fewer queries than it had');
      return figures;
    }),
};
