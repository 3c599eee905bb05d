// The README: every block of SQL in it runs, in its order, and it names all that a user can see or set.

import assert from 'node:assert/strict';
import { scenario } from './harness.ts';

const readme = await Deno.readTextFile(new URL('../../README.md', import.meta.url));
const blocks = [...readme.matchAll(/^```sql\n(.*?)^```$/gms)].map((match) => match[1] ?? '');

scenario('every SQL block of the README runs, in order', {}, async ({ sql, env, fake }) => {
  await sql`delete from supasaasy.apps`;
  await sql`alter table supasaasy.sync_jobs alter column id restart`;
  const results = new Map<string, unknown[]>();
  for (const block of blocks) {
    const [url] = await sql`select supasaasy.setting('functions_url') as url`;
    const text = block.replaceAll('sk_test_your_key', env.STRIPE_API_KEY!);
    try {
      // One by one, as psql does: a block as a whole would be one transaction.
      for (const statement of text.split(/;\s*$/m)) {
        if (statement.trim()) results.set(block, await sql.unsafe(statement).simple());
      }
    } catch (error) {
      assert.fail(`${error instanceof Error ? error.message : error}\n${block}`);
    }
    // The address of a project that does not exist.
    await sql`select supasaasy.set_setting('functions_url', ${url?.url})`;
  }
  assert.ok(blocks.length >= 20, `${blocks.length} blocks`);
  const rowsOf = (part: string) => {
    const block = blocks.find((text) => text.includes(part));
    assert.ok(block, part);
    return results.get(block) ?? [];
  };
  for (const part of ["where status = 'active'", 'join supasaasy.stripe_subscriptions', 'as mrr']) {
    assert.ok(rowsOf(part).length > 0, `there is nothing to see of: ${part}`);
  }
  assert.ok(fake.log.counts().total > 0);
});

scenario(
  'the README names every setting, column, function and table of interest',
  {},
  async ({ sql }) => {
    const names = await sql`
    select s.name as name from supasaasy.settings s
    union all
    select a.attname from pg_attribute a
    where a.attnum > 0 and not a.attisdropped and a.attname <> 'id' and a.attrelid = any (array[
      'supasaasy.apps', 'supasaasy.schedules', 'supasaasy.status', 'supasaasy.schedule_status',
      'supasaasy.webhook_logs', 'supasaasy.alerts'
    ]::regclass[])
    union all
    select c.relname from pg_class c
    where c.relnamespace = 'supasaasy'::regnamespace and c.relkind in ('r', 'v')
      and not exists (select from supasaasy.connectors k where starts_with(c.relname, k.connector || '_'))
    union all
    select p.proname from pg_proc p
    where p.pronamespace = 'supasaasy'::regnamespace and p.prosecdef
    union all
    select unnest(array['configure', 'doctor', 'why_not_synced', 'wait', 'erase', 'delete_app', 'prune',
      'set_secret', 'set_setting', 'as_of', 'tick', 'schedule_tick'])`;
    const missing = names.map((row) => row.name as string)
      .filter((name) => !new RegExp(`(?<![a-z_])${name}(?![a-z_])`).test(readme));
    assert.deepEqual(missing, []);
  },
);
