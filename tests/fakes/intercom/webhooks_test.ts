import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { serveWire, type WireRequest } from '../_shared/http.ts';
import { NOON, withFake } from './testing.ts';

const SECRET = 'client-secret';
const noon = NOON / 1000;

const receiver = async (status = (_request: WireRequest) => 200) => {
  const got: WireRequest[] = [];
  const wire = await serveWire(0, (request) => {
    got.push(request);
    return Promise.resolve({ status: status(request), headers: {}, body: 'ok' });
  });
  return { got, posts: () => got.filter((one) => one.method === 'POST'), ...wire };
};

const sign = (body: string, secret = SECRET) =>
  `sha1=${createHmac('sha1', secret).update(body, 'utf8').digest('hex')}`;

Deno.test('a notification is signed over its raw body, after one HEAD', async () => {
  const target = await receiver();
  await withFake({}, async (fake) => {
    fake.webhooks.setWebhookTarget(`${target.url}/hook`, SECRET);
    const contact = fake.ops.createContact({ name: 'Zoë 🙈' });
    const id = fake.webhooks.all()[0]?.id as string;
    const sent = await fake.webhooks.deliver(id, { times: 2 });
    assert.deepEqual(sent.map((one) => one.status), [200, 200]);
    assert.deepEqual(target.got.map((one) => one.method), ['HEAD', 'POST', 'POST']);
    const last = target.got[2] as WireRequest;
    assert.equal(last.headers['x-hub-signature'], sign(last.body));
    const body = JSON.parse(last.body);
    assert.deepEqual(
      [body.type, body.app_id, body.topic, body.data.type, body.delivery_attempts],
      ['notification_event', fake.account.id, 'contact.user.created', 'notification_event_data', 2],
    );
    assert.deepEqual([body.id, body.created_at], [id, noon]);
    assert.match(body.id, /^notif_/);
    assert.deepEqual(body.data.item, contact);
    await fake.webhooks.deliver(id, { signWith: 'wrong' });
    await fake.webhooks.deliver(id, { signWith: null, body: '{}' });
    const [wrong, none] = target.posts().slice(-2) as [WireRequest, WireRequest];
    assert.equal(wrong.headers['x-hub-signature'], sign(wrong.body, 'wrong'));
    assert.equal(none.headers['x-hub-signature'], undefined);
  });
  await target.stop();
});

Deno.test('a target that refuses HEAD gets nothing', async () => {
  const target = await receiver((request) => request.method === 'HEAD' ? 405 : 200);
  await withFake({}, async (fake) => {
    fake.webhooks.setWebhookTarget(target.url, SECRET, { auto: true });
    fake.ops.createContact();
    await fake.webhooks.settled();
    await assert.rejects(fake.webhooks.deliver(fake.webhooks.all()[0]?.id ?? ''), /HEAD with 405/);
    assert.equal(target.posts().length, 0);
    assert.equal(fake.webhooks.all()[0]?.delivery, 'failed');
  });
  await target.stop();
});

Deno.test('each change has its topic, and what is deleted is named by ids only', async () => {
  await withFake({}, (fake) => {
    const { ops } = fake;
    const [a, b, c, d] = fake.state.ids('contact') as [string, string, string, string];
    const admin = fake.state.ids('admin')[0] as string;
    ops.createContact({ role: 'lead' });
    ops.updateContact(a, { role: 'user', name: 'A' });
    ops.tagContact(a, fake.state.ids('tag')[0] as string);
    ops.mergeContact(b, a);
    ops.archiveContact(c);
    ops.unarchiveContact(c);
    ops.deleteContact(d);
    const company = ops.createCompany({ name: 'C' }).id;
    ops.updateCompany(company, { name: 'D' });
    ops.deleteCompany(company);
    const conversation = ops.createConversation({ contact: a }).id;
    ops.reply(conversation);
    ops.reply(conversation, { by: { admin } });
    ops.reply(conversation, { by: { admin }, type: 'note' });
    ops.snoozeConversation(conversation, noon + 60);
    ops.openConversation(conversation);
    ops.assignConversation(conversation, admin);
    ops.closeConversation(conversation);
    ops.bulkUpdateConversations([conversation], { read: true });
    ops.deleteConversation(conversation);
    ops.removeAdmin(ops.addAdmin().id);
    ops.quietly(() => ops.updateContact(a, { name: 'unheard' }));
    const log = fake.webhooks.all();
    assert.deepEqual(log.map((one) => one.topic), [
      'contact.lead.created',
      'contact.user.updated',
      'contact.user.tag.created',
      'contact.merged',
      'contact.archived',
      'contact.unarchived',
      'contact.deleted',
      'company.created',
      'company.updated',
      'company.deleted',
      'conversation.user.created',
      'conversation.user.replied',
      'conversation.admin.replied',
      'conversation.admin.noted',
      'conversation.admin.snoozed',
      'conversation.admin.opened',
      'conversation.admin.assigned',
      'conversation.admin.closed',
      'conversation.deleted',
      'admin.added_to_workspace',
      'admin.removed_from_workspace',
    ]);
    const items = log.map((one) => JSON.parse(one.item));
    assert.deepEqual([items[2].type, items[2].contact.id], ['contact_tag', a]);
    assert.deepEqual(Object.keys(items[6]), ['type', 'id', 'external_id']);
    assert.deepEqual(Object.keys(items[9]), ['type', 'id', 'company_id']);
    assert.deepEqual(items[18], { type: 'conversation', id: conversation });
    assert.equal(items[13].conversation_parts.conversation_parts.length, 1);
    return Promise.resolve();
  });
});

Deno.test('times may be ISO texts, by option or for one delivery', async () => {
  await withFake({ webhookTimestamps: 'iso' }, (fake) => {
    fake.ops.createContact();
    const id = fake.webhooks.all()[0]?.id as string;
    const iso = JSON.parse(fake.webhooks.bodyOf(id));
    assert.equal(iso.data.item.created_at, '2026-11-01T12:00:00.000+00:00');
    assert.equal(iso.created_at, noon);
    assert.equal(JSON.parse(fake.webhooks.bodyOf(id, 'unix')).data.item.created_at, noon);
    return Promise.resolve();
  });
});

Deno.test('all workspaces post to the one target, only topics subscribed to, and pings', async () => {
  const target = await receiver();
  await withFake({
    accounts: [{ id: 'one', tokens: ['t1'] }, { id: 'two', tokens: ['t2'] }],
  }, async (fake) => {
    fake.webhooks.setWebhookTarget(target.url, SECRET, {
      auto: true,
      topics: ['contact.user.created'],
    });
    for (const account of fake.accounts) {
      account.ops.createContact();
      account.ops.createCompany();
    }
    await fake.webhooks.settled();
    await fake.webhooks.ping('two');
    const bodies = target.posts().map((one) => JSON.parse(one.body));
    assert.deepEqual(
      bodies.map((body) => [body.app_id, body.topic]).toSorted(),
      [['one', 'contact.user.created'], ['two', 'contact.user.created'], ['two', 'ping']],
    );
    const ping = bodies.find((body) => body.topic === 'ping');
    assert.deepEqual([ping.id, ping.data.item.type], [null, 'ping']);
    assert.equal(target.got.filter((one) => one.method === 'HEAD').length, 1);
  });
  await target.stop();
});
