import assert from 'node:assert/strict';
import { get, getJson, NOON, readAll, search, where, withFake } from './testing.ts';

const noon = NOON / 1000;

Deno.test('conversations are listed without their parts, the latest changed first', async () => {
  await withFake({}, async (fake) => {
    const rows = await readAll(fake, 'conversations', undefined, 20);
    assert.deepEqual(
      new Map(rows.map((row) => [row.id, row])),
      fake.state.snapshot('conversation'),
    );
    assert.ok(rows.every((row) => !('conversation_parts' in row)));
    const times = rows.map((row) => row.updated_at);
    assert.deepEqual(times, times.toSorted((a, b) => b - a));
    assert.equal((await get(fake, '/conversations?per_page=151')).status, 400);
    const { body } = await getJson(fake, '/conversations');
    assert.deepEqual([body.type, body.pages.per_page], ['conversation.list', 20]);
  });
});

Deno.test('conversations are searched by the second; >= is refused', async () => {
  await withFake({ data: { conversations: 0 } }, async (fake) => {
    const contact = fake.state.ids('contact')[0] as string;
    const [early, exact, late] = [-1, 0, 1].map((offset) =>
      fake.ops.createConversation({ contact }, { updated_at: noon + offset }).id
    );
    const found = async (query: unknown) =>
      (await readAll(fake, 'conversations', { query })).map((row) => row.id);
    assert.deepEqual(await found(where('updated_at', '>', noon)), [late]);
    assert.deepEqual(await found(where('updated_at', '<', noon)), [early]);
    assert.deepEqual(await found(where('updated_at', '=', noon)), [exact]);
    assert.deepEqual(await found(where('updated_at', 'IN', [noon, noon + 1])), [late, exact]);
    assert.deepEqual(await found(where('updated_at', '!=', noon)), [late, early]);
    // How an engine says >=.
    const since = {
      operator: 'OR',
      value: [where('updated_at', '>', noon), where('updated_at', '=', noon)],
    };
    assert.deepEqual(await found(since), [late, exact]);
    const refused = await search(fake, 'conversations', {
      query: where('updated_at', '>=', noon),
    });
    assert.equal(refused.status, 400);
    assert.deepEqual(await found(where('contact_ids', '=', contact)), [late, exact, early]);
  });
  await withFake({ inclusiveConversationDates: true }, async (fake) => {
    const contact = fake.state.ids('contact')[0] as string;
    const { id } = fake.ops.createConversation({ contact });
    const query = where('updated_at', '>', noon);
    const rows = await readAll(fake, 'conversations', { query });
    assert.deepEqual(rows.map((row) => row.id), [id]);
  });
});

Deno.test('a bulk update shares one second over many pages, and cursors get through it', async () => {
  await withFake({ data: { conversations: 400 } }, async (fake) => {
    const ids = fake.state.ids('conversation').slice(0, 350);
    const at = fake.ops.bulkUpdateConversations(ids, { priority: 'priority' });
    assert.equal(at, noon);
    for (const order of ['ascending', 'descending']) {
      const rows = await readAll(fake, 'conversations', {
        query: where('updated_at', '>', at - 1),
        sort: { field: 'updated_at', order },
      }, 100);
      assert.deepEqual(rows.map((row) => row.id).sort(), ids.toSorted());
      assert.ok(rows.every((row) => row.updated_at === at && row.priority === 'priority'));
    }
  });
});

Deno.test('a conversation shows its newest 500 parts and says how many there are', async () => {
  await withFake({ data: { bigConversation: { parts: 620 } } }, async (fake) => {
    const big = (await readAll(fake, 'conversations'))
      .find((row) => row.statistics.count_conversation_parts === 620);
    const { body } = await getJson(fake, `/conversations/${big.id}`);
    const { conversation_parts: parts, total_count } = body.conversation_parts;
    assert.deepEqual([parts.length, total_count], [500, 620]);
    assert.deepEqual(parts, fake.state.partsOf(big.id).slice(-500));
    const shown = fake.state.count('conversation_part');
    assert.equal(fake.state.snapshot('conversation_part').size, shown);
    assert.equal(fake.state.snapshot('conversation_part', { all: true }).size, shown + 120);
  });
});

Deno.test('display_as=plaintext takes the HTML away', async () => {
  await withFake({}, async (fake) => {
    const id = fake.state.ids('conversation')[0] as string;
    fake.ops.reply(id, { body: '<p>One <b>two</b></p><p>three</p>' });
    const html = (await getJson(fake, `/conversations/${id}`)).body;
    const text = (await getJson(fake, `/conversations/${id}?display_as=plaintext`)).body;
    assert.match(html.source.body, /^<p>/);
    assert.doesNotMatch(text.source.body, /</);
    assert.equal(text.conversation_parts.conversation_parts.at(-1).body, 'One two\nthree');
  });
});

Deno.test('replies, closing and redaction leave parts, counts and a new updated_at', async () => {
  let clock = NOON;
  await withFake({ now: () => clock }, async (fake) => {
    const contact = fake.state.ids('contact')[0] as string;
    const admin = fake.state.ids('admin')[1] as string;
    const { id } = fake.ops.createConversation({ contact, body: '<p>Help</p>' });
    clock += 5000;
    fake.ops.reply(id);
    fake.ops.reply(id, { by: { admin }, type: 'note', body: '<p>secret</p>' });
    fake.ops.assignConversation(id, admin);
    fake.ops.closeConversation(id, admin);
    const { body } = await getJson(fake, `/conversations/${id}`);
    const parts = body.conversation_parts.conversation_parts;
    assert.deepEqual(
      parts.map((part: { part_type: string }) => part.part_type),
      ['comment', 'note', 'assignment', 'close'],
    );
    assert.deepEqual([parts[0].author.id, parts[1].author.id], [contact, admin]);
    assert.equal(body.statistics.count_conversation_parts, 4);
    assert.deepEqual([body.updated_at, body.state, body.open], [noon + 5, 'closed', false]);
    assert.equal(body.admin_assignee_id, Number(admin));
    clock += 5000;
    fake.ops.redactPart(id, parts[1].id);
    const redacted = (await getJson(fake, `/conversations/${id}`)).body;
    assert.equal(redacted.updated_at, noon + 10);
    assert.equal(redacted.conversation_parts.conversation_parts[1].redacted, true);
    fake.ops.deleteConversation(id);
    assert.equal((await get(fake, `/conversations/${id}`)).status, 404);
    assert.ok(![...fake.state.ids('conversation_part')].includes(parts[0].id));
  });
});
