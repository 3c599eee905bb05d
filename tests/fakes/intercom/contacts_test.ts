import assert from 'node:assert/strict';
import { get, getJson, NOON, readAll, search, where, withFake } from './testing.ts';

const DAY = 86_400;
const noon = NOON / 1000;
const midnight = noon - DAY / 2;
const idsOf = (rows: { id: string }[]) => rows.map((row) => row.id).sort();

Deno.test('contacts are listed by cursor, each once, as the snapshot has them', async () => {
  await withFake({ data: { contacts: 170 } }, async (fake) => {
    const rows = await readAll(fake, 'contacts', undefined, 50);
    assert.deepEqual(new Map(rows.map((row) => [row.id, row])), fake.state.snapshot('contact'));
    const first = (await getJson(fake, '/contacts?per_page=150')).body;
    assert.deepEqual([first.total_count, first.pages.page, first.pages.total_pages], [170, 1, 2]);
    const after = encodeURIComponent(first.pages.next.starting_after);
    const last = (await getJson(fake, `/contacts?per_page=150&starting_after=${after}`)).body;
    assert.deepEqual([last.data.length, last.pages.page, last.pages.next], [20, 2, undefined]);
    for (const bad of ['per_page=151', 'per_page=0', 'starting_after=nonsense']) {
      assert.equal((await get(fake, `/contacts?${bad}`)).status, 400, bad);
    }
  });
});

Deno.test('contacts are searched by calendar day, and > begins with the next day', async () => {
  await withFake({ data: { contacts: 0, conversations: 0 } }, async (fake) => {
    const [before, early, late] = [-1, 0, DAY - 1].map((offset) =>
      fake.ops.createContact({ updated_at: midnight + offset }).id
    );
    const found = async (operator: string, value: number) =>
      idsOf(await readAll(fake, 'contacts', { query: where('updated_at', operator, value) }));
    const today = [early, late].sort();
    assert.deepEqual(await found('=', noon), today);
    assert.deepEqual(await found('>', noon), []);
    assert.deepEqual(await found('>', midnight - 1), today);
    assert.deepEqual(await found('<', noon), [before]);
    assert.deepEqual(await found('<', midnight - 1), []);
  });
});

Deno.test('the day is that of the workspace', async () => {
  const timezone = { name: 'America/New_York', utcOffsetHours: -4 };
  await withFake({ account: { timezone }, data: { contacts: 0 } }, async (fake) => {
    const late = fake.ops.createContact({ updated_at: midnight + 3600 }).id;
    const query = where('updated_at', '=', noon - DAY);
    assert.deepEqual(idsOf(await readAll(fake, 'contacts', { query })), [late]);
    assert.equal((await getJson(fake, '/me')).body.app.timezone, 'America/New_York');
  });
});

Deno.test('>= on a date of a contact is refused, unless the fake is lenient', async () => {
  const query = where('updated_at', '>=', noon);
  await withFake({}, async (fake) => {
    const refused = await search(fake, 'contacts', { query });
    assert.deepEqual([refused.status, refused.body.errors[0].code], [400, 'parameter_invalid']);
  });
  await withFake({ lenientContactDates: true, data: { contacts: 0 } }, async (fake) => {
    const { id } = fake.ops.createContact({ updated_at: midnight });
    assert.deepEqual(idsOf(await readAll(fake, 'contacts', { query })), [id]);
  });
});

Deno.test('searches combine and sort, and agree with a look at every contact', async () => {
  await withFake({ data: { contacts: 400 } }, async (fake) => {
    const all = [...fake.state.snapshot('contact').values()];
    const since = noon - 200 * DAY;
    const after = (row: Record<string, unknown>, name: string) =>
      (row[name] as number) >= Math.floor(since / DAY) * DAY + DAY;
    const recent = { operator: 'AND', value: [where('updated_at', '>', since)] };
    const sorted = await readAll(fake, 'contacts', {
      query: recent,
      sort: { field: 'updated_at', order: 'ascending' },
    }, 17);
    assert.deepEqual(idsOf(sorted), idsOf(all.filter((row) => after(row, 'updated_at'))));
    const times = sorted.map((row) => row.updated_at);
    assert.deepEqual(times, times.toSorted((a, b) => a - b));
    const either = {
      operator: 'OR',
      value: [where('role', '=', 'lead'), {
        operator: 'AND',
        value: [where('created_at', '>', since), where('location.country', 'IN', ['DE', 'US'])],
      }],
    };
    assert.deepEqual(
      idsOf(await readAll(fake, 'contacts', { query: either }, 23)),
      idsOf(all.filter((row) =>
        row['role'] === 'lead' || (after(row, 'created_at') &&
          ['DE', 'US'].includes((row['location'] as { country: string }).country))
      )),
    );
    const group = (value: unknown[]) => ({ operator: 'AND', value });
    const leaf = where('role', '=', 'user');
    for (
      const query of [
        group([group([group([leaf])])]),
        group(Array(16).fill(leaf)),
        where('nonsense', '=', 1),
        where('updated_at', '>', 'today'),
        where('role', '>', 'user'),
        undefined,
      ]
    ) assert.equal((await search(fake, 'contacts', { query })).status, 400, JSON.stringify(query));
  });
});

Deno.test('nested lists show ten and say how many there are; the rest is at their url', async () => {
  await withFake({}, async (fake) => {
    const rows = await readAll(fake, 'contacts');
    for (const name of ['tags', 'companies']) {
      const big = rows.find((row) => row[name].total_count > 10)[name];
      assert.deepEqual([big.data.length, big.total_count, big.has_more], [10, 12, true]);
      assert.equal((await getJson(fake, big.url)).body.data.length, 12);
    }
    const small = rows.find((row) => row.tags.total_count === 1).tags;
    assert.deepEqual([small.data.length, small.has_more], [1, false]);
    assert.deepEqual(Object.keys(small.data[0]).sort(), ['id', 'type', 'url']);
  });
});

Deno.test('a merged contact is gone with a link to its survivor, however often merged', async () => {
  await withFake({}, async (fake) => {
    const [a, b, c] = fake.state.ids('contact') as [string, string, string];
    const tags = fake.state.get('contact', a)?.['tags'] as { data: { id: string }[] };
    fake.ops.mergeContact(a, b);
    fake.ops.mergeContact(b, c);
    const gone = await getJson(fake, `/contacts/${a}`);
    assert.equal(gone.status, 410);
    assert.equal(gone.body.errors[0].code, 'contact_merged');
    assert.equal(gone.headers.get('link'), `</contacts/${c}>; rel="canonical"`);
    const survivor = (await getJson(fake, `/contacts/${c}`)).body;
    assert.ok(survivor.tags.total_count >= tags.data.length);
    assert.ok(![...fake.state.snapshot('contact').keys()].includes(a));
    assert.ok(!(await readAll(fake, 'contacts')).some((row) => row.id === a || row.id === b));
    for (const conversation of fake.state.snapshot('conversation').values()) {
      assert.ok(!JSON.stringify(conversation['contacts']).includes(a));
    }
  });
  for (const mergedGone of ['link_and_body', 'not_found'] as const) {
    await withFake({ mergedGone }, async (fake) => {
      const [a, b] = fake.state.ids('contact') as [string, string];
      fake.ops.mergeContact(a, b);
      const gone = await getJson(fake, `/contacts/${a}`);
      assert.equal(gone.status, mergedGone === 'not_found' ? 404 : 410);
      assert.equal(gone.body.errors[0].data?.id, mergedGone === 'not_found' ? undefined : b);
    });
  }
});

Deno.test('archived and deleted contacts are not found; an archived one may come back', async () => {
  await withFake({}, async (fake) => {
    const [a, b] = fake.state.ids('contact') as [string, string];
    fake.ops.archiveContact(a);
    fake.ops.deleteContact(b);
    for (const id of [a, b]) assert.equal((await get(fake, `/contacts/${id}`)).status, 404);
    const query = where('id', 'IN', [a, b]);
    assert.equal((await search(fake, 'contacts', { query })).body.total_count, 0);
    fake.ops.unarchiveContact(a);
    const back = await getJson(fake, `/contacts/${a}`);
    assert.deepEqual([back.status, back.body.updated_at], [200, noon]);
    assert.throws(() => fake.ops.updateContact(b, {}), /no contact/);
  });
});
