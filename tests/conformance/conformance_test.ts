// Every connector of the registry through the conformance suite.

import type { Sql } from 'postgres';
import { connectors } from '../../connectors/registry.ts';
import { install, remove } from './engine.ts';
import type { Fixture } from './fixture.ts';
import { conformance } from './suite.ts';

let installed: Promise<Sql> | undefined;
const sql = () => installed ??= install();
const only = Deno.env.get('CONNECTOR');

for (const name of Object.keys(connectors)) {
  if (only && only !== name) continue;
  const module = await import(`../../connectors/${name}/conformance.ts`);
  conformance(name, module.fixture as Fixture, sql);
}

Deno.test({
  name: 'the schema of the suite is removed',
  sanitizeOps: false,
  sanitizeResources: false,
  async fn() {
    const connection = await sql();
    await remove(connection);
    await connection.end();
  },
});
