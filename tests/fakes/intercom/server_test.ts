import assert from 'node:assert/strict';
import { startFakeIntercom } from './server.ts';
import { COLLECTIONS } from './state.ts';
import { get, getJson, NOON, withFake } from './testing.ts';

Deno.test('the same seed makes the same world, another seed another', async () => {
  const worlds: string[] = [];
  for (const seed of [7, 7, 8]) {
    await withFake({ seed }, (fake) => {
      fake.ops.createContact({ name: 'Zoë' });
      worlds.push(JSON.stringify([
        ...COLLECTIONS.map((name) => [...fake.state.snapshot(name)]),
        [...fake.state.snapshot('conversation_part')],
      ]));
      return Promise.resolve();
    });
  }
  assert.equal(worlds[0], worlds[1]);
  assert.notEqual(worlds[0], worlds[2]);
});

Deno.test('objects have the fields and types of the documented examples', async () => {
  const samples = JSON.parse(
    await Deno.readTextFile(new URL('./testdata/shapes.json', import.meta.url)),
  );
  const typeOf = (value: unknown): string =>
    value === null ? 'null' : Array.isArray(value) ? 'array' : typeof value;
  const compare = (path: string, sample: Record<string, string>, ours: Record<string, unknown>) => {
    assert.deepEqual(Object.keys(ours).sort(), Object.keys(sample).sort(), path);
    for (const [name, type] of Object.entries(sample)) {
      const own = typeOf(ours[name]);
      if (type === 'null' || own === 'null') continue;
      assert.equal(own, type, `${path}.${name}`);
    }
  };
  await withFake({}, async (fake) => {
    const { body: contacts } = await getJson(fake, '/contacts');
    compare('contact', samples.contact, contacts.data[0]);
    compare('list', samples.nested_list, contacts.data[0].tags);
    const { body: companies } = await getJson(fake, '/companies');
    compare('company', samples.company, companies.data[0]);
    const { body: conversations } = await getJson(fake, '/conversations');
    compare('conversation', samples.conversation, conversations.conversations[0]);
    compare('source', samples.source, conversations.conversations[0].source);
    const id = conversations.conversations[0].id;
    const { body: whole } = await getJson(fake, `/conversations/${id}`);
    compare('part', samples.conversation_part, whole.conversation_parts.conversation_parts[0]);
    const { body: admins } = await getJson(fake, '/admins');
    compare('admin', samples.admin, admins.admins[0]);
    const { body: tags } = await getJson(fake, '/tags');
    compare('tag', samples.tag, tags.data[0]);
  });
});

Deno.test('me names the workspace of the token, and each token sees its own', async () => {
  await withFake({
    data: { contacts: 3, conversations: 2 },
    accounts: [
      { id: 'ws_one', tokens: ['token_one'] },
      { id: 'ws_two', tokens: ['token_two'], region: 'EU', data: { contacts: 5 } },
    ],
  }, async (fake) => {
    const as = (token: string) => ({ headers: { authorization: `Bearer ${token}` } });
    const me = await getJson(fake, '/me', as('token_two'));
    assert.equal(me.body.type, 'admin');
    assert.equal(me.body.app.id_code, 'ws_two');
    assert.equal(me.body.app.region, 'EU');
    assert.equal((await getJson(fake, '/contacts')).body.total_count, 3);
    assert.equal((await getJson(fake, '/contacts', as('token_two'))).body.total_count, 5);
    const other = fake.accounts[1]?.state.ids('contact')[0];
    assert.equal((await get(fake, `/contacts/${other}`)).status, 404);
    assert.equal(fake.account.id, 'ws_one');
  });
});

Deno.test('errors are error lists: 401, 403, 404 and a version that does not exist', async () => {
  const tokens = ['full', { token: 'narrow', scopes: ['contact'] }, {
    token: 'old',
    revoked: true,
  }] as const;
  await withFake({ tokens }, async (fake) => {
    const ask = (path: string, token: string, more = {}) =>
      getJson(fake, path, { headers: { authorization: `Bearer ${token}`, ...more } });
    const wrong = await ask('/contacts', 'nobody');
    assert.equal(wrong.status, 401);
    assert.equal(wrong.body.type, 'error.list');
    assert.equal(typeof wrong.body.request_id, 'string');
    assert.deepEqual(wrong.body.errors, [{
      code: 'unauthorized',
      message: 'Access Token Invalid',
    }]);
    assert.equal((await ask('/contacts', 'old')).status, 401);
    assert.equal((await ask('/contacts', 'narrow')).status, 200);
    assert.equal((await ask('/companies', 'narrow')).status, 403);
    const missing = await ask('/conversations/1', 'full');
    assert.deepEqual([missing.status, missing.body.errors[0].code], [404, 'not_found']);
    assert.equal((await ask('/nothing', 'full')).status, 404);
    assert.equal((await ask('/me', 'full', { 'intercom-version': '9.9' })).status, 400);
    assert.equal((await ask('/me', 'full')).headers.get('intercom-version'), '2.14');
  });
});

Deno.test('the rate limit is said on every answer and refuses what is above it', async () => {
  await withFake({ rateLimit: { perMinute: 18, windowSeconds: 60 } }, async (fake) => {
    const first = await getJson(fake, '/tags');
    assert.equal(first.headers.get('x-ratelimit-limit'), '18');
    const reset = Number(first.headers.get('x-ratelimit-reset'));
    assert.ok(reset > NOON / 1000 && reset <= NOON / 1000 + 60);
    let refused = first;
    let sent = 1;
    // A window may end in between, but only one.
    for (; refused.status !== 429 && sent < 40; sent++) refused = await getJson(fake, '/tags');
    assert.ok(sent > 18 && sent <= 37, String(sent));
    assert.equal(refused.body.errors[0].code, 'rate_limit_exceeded');
    assert.equal(refused.headers.get('x-ratelimit-remaining'), '0');
  });
  await withFake({ rateLimit: true }, async (fake) => {
    assert.equal((await get(fake, '/tags')).headers.get('x-ratelimit-limit'), '1666');
  });
});

Deno.test('faults shape answers, and the log remembers them', async () => {
  await withFake({}, async (fake) => {
    const id = fake.state.ids('contact')[0] as string;
    fake.faults.add({ match: { pathPrefix: '/contacts' }, fault: { kind: 'status', status: 503 } });
    assert.equal((await getJson(fake, '/contacts')).body.errors[0].code, 'service_unavailable');
    fake.faults.clear();
    fake.faults.add({ fault: { kind: 'omit', ids: [id] }, times: 2 });
    const listed = await getJson(fake, '/contacts?per_page=150');
    assert.ok(!listed.body.data.some((one: { id: string }) => one.id === id));
    assert.equal(listed.body.total_count, 200);
    fake.faults.clear();
    fake.faults.add({ fault: { kind: 'inject_rows', rows: ['{"id":"<b>"}'] } });
    assert.equal((await getJson(fake, '/tags')).body.data[0].id, '<b>');
    fake.faults.clear();
    fake.faults.add({ fault: { kind: 'reset', when: 'before' } });
    await assert.rejects(get(fake, '/tags'));
    // fetch may try a connection that was reset once more.
    const entries = fake.log.entries().map((entry) => `${entry.status} ${entry.fault}`);
    assert.deepEqual([...new Set(entries)], [
      '503 status',
      '200 omit',
      '200 inject_rows',
      '0 reset',
    ]);
    assert.equal(fake.log.counts().by_endpoint['GET /contacts'], 2);
  });
});

Deno.test('a world of full size is there in seconds', async () => {
  const began = performance.now();
  const fake = await startFakeIntercom({
    data: { contacts: 20_000, companies: 12_000, conversations: 5000, partsPerConversation: 12 },
  });
  try {
    assert.ok(performance.now() - began < 10_000);
    assert.equal(fake.state.count('contact'), 20_000);
    assert.equal(fake.state.count('company'), 12_000);
    assert.ok(fake.state.count('conversation_part') > 55_000);
    const ids = [...fake.state.ids('conversation'), ...fake.state.ids('conversation_part')];
    assert.ok(ids.every((id) => /^\d+$/.test(id)) && new Set(ids).size === ids.length);
    assert.ok(ids.some((id) => Number(id) > 2 ** 31));
    assert.ok(fake.state.ids('contact').every((id) => /^[0-9a-f]{24}$/.test(id)));
  } finally {
    await fake.stop();
  }
});
