import assert from 'node:assert/strict';
import { repairRows } from './repair.ts';

Deno.test('rows without refused code points stay the same objects', () => {
  const rows = [{ id: 'a', name: 'Zoë 🎈 \\u0000 as text' }];
  const result = repairRows(rows);
  assert.equal(result.rows[0], rows[0]);
  assert.deepEqual(result.repaired, []);
});

Deno.test('U+0000 and lone surrogates are replaced at any depth, and the row is named', () => {
  const result = repairRows([
    { id: 'a', tags: ['x\u0000y'], nested: { '\ud800key': 'lone \udc00' } },
    { id: 'b' },
  ]);
  assert.deepEqual(result.rows[0], {
    id: 'a',
    tags: ['x\ufffdy'],
    nested: { '\ufffdkey': 'lone \ufffd' },
  });
  assert.deepEqual(result.repaired, ['a']);
});
