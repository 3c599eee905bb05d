// Intercom on the whole stack: listings, searches by change, parts, scrolls, merges and webhooks.

import assert from 'node:assert/strict';
import { note } from '../note.ts';
import { assertIntercomEqual, quiet, scenario, type World } from './harness.ts';

const SMALL = { contacts: 320, companies: 230, conversations: 90, bigConversation: { parts: 30 } };
const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

async function haveApps(world: World, config: Record<string, unknown> = {}): Promise<void> {
  const apps = { intercom_main: 'INTERCOM_TOKEN', intercom_eu: 'INTERCOM_OTHER_TOKEN' };
  for (const [app, token] of Object.entries(apps)) {
    await world.sql`
      insert into supasaasy.apps (app_key, connector, config)
      values (${app}, 'intercom', ${
      world.sql.json({
        api_key_env: token,
        webhook_secret_env: 'INTERCOM_CLIENT_SECRET',
        ...config,
      } as never)
    })`;
  }
}

scenario('a full sync holds all that the workspace shows; a second one finds nothing new', {
  intercom: { data: SMALL },
}, async (world) => {
  await haveApps(world);
  const { sql, sync, intercom } = world;
  const first = await sync('intercom_main', 'full');
  assert.equal(first.status, 'completed', String(first.error_message));
  await assertIntercomEqual(sql, intercom.state);
  const second = await sync('intercom_main', 'full');
  assert.deepEqual(
    [second.status, second.inserted, second.updated, second.deleted],
    ['completed', 0, 0, 0],
    String(second.error_message),
  );
});

scenario(
  'an incremental sync lists what changed, with its parts, and what is gone comes with a full one',
  {
    intercom: { data: SMALL },
  },
  async (world) => {
    await haveApps(world);
    const { sql, sync, intercom } = world;
    const { ops, state } = intercom;
    await sync('intercom_main');
    const [contact, leaver] = [...state.ids('contact')] as [string, string];
    const [talk, other] = [...state.ids('conversation')] as [string, string];
    ops.updateContact(contact, { name: 'Ada' });
    ops.reply(talk, { body: 'hello' });
    ops.bulkUpdateConversations([talk, other], { priority: 'priority' });
    const created = ops.createContact({ email: 'new@example.com' });
    intercom.log.clear();
    const job = await sync('intercom_main');
    assert.equal(job.status, 'completed', String(job.error_message));
    await assertIntercomEqual(sql, state);
    const searches = intercom.log.entries().filter((entry) => entry.path.endsWith('/search'));
    assert.ok(searches.length <= 6, `${searches.length} searches`);

    ops.deleteContact(leaver);
    await sync('intercom_main');
    const [row] = await sql`
    select count(*)::int as n from supasaasy.intercom_contacts
    where app_key = 'intercom_main' and external_id = ${leaver}`;
    assert.equal(row?.n, 1, 'a search by change shows no deletion');
    await sync('intercom_main', 'full');
    await assertIntercomEqual(sql, state);
    assert.ok(created);
  },
);

scenario(
  'from 2.16 on an incremental sync finds deleted conversations, and their parts go with them',
  {
    intercom: { data: SMALL },
  },
  async (world) => {
    await haveApps(world, { api_version: '2.16' });
    const { sql, sync, intercom } = world;
    await sync('intercom_main');
    const [first, second] = [...intercom.state.ids('conversation')] as [string, string];
    intercom.ops.deleteConversation(first);
    intercom.ops.deleteConversation(second);
    const job = await sync('intercom_main');
    assert.equal(job.status, 'completed', String(job.error_message));
    await quiet(sql);
    await assertIntercomEqual(sql, intercom.state);
  },
);

scenario('a merged contact is gone, and its conversations lead to the survivor', {
  intercom: { data: SMALL },
}, async (world) => {
  await haveApps(world);
  const { sql, sync, intercom } = world;
  await sync('intercom_main');
  const [row] = await sql`
    select contact_id, external_id from supasaasy.intercom_conversations
    where contact_id is not null limit 1`;
  const survivor = [...intercom.state.ids('contact')].find((id) => id !== row?.contact_id)!;
  intercom.ops.mergeContact(row?.contact_id, survivor);
  const job = await sync('intercom_main', 'full', ['contact']);
  assert.equal(job.status, 'completed', String(job.error_message));
  const [edge] = await sql`
    select merged_into from supasaasy.intercom_merged_contacts where external_id = ${row?.contact_id}`;
  assert.equal(edge?.merged_into, survivor);
  const [talk] = await sql`
    select contact_id from supasaasy.intercom_conversations where external_id = ${row?.external_id}`;
  assert.equal(talk?.contact_id, survivor);
});

scenario('a scroll over companies that expires, or loses a page, begins anew and loses nothing', {
  intercom: { data: { ...SMALL, companies: 350 }, companyLimits: { scrollIdle: 1 } },
}, async (world) => {
  await haveApps(world);
  const { sql, sync, start, finished, intercom, kill, up } = world;
  // Every fifth page is lost after it was had; it cannot be had again.
  intercom.faults.add({
    match: { pathPrefix: '/companies/scroll', everyNth: 5 },
    fault: { kind: 'reset', when: 'after_work' },
  });
  const job = await sync('intercom_main', 'full', ['company']);
  assert.equal(job.status, 'completed', String(job.error_message));
  intercom.faults.clear();
  intercom.faults.add({
    match: { pathPrefix: '/companies/scroll' },
    fault: { kind: 'latency', ms: 150 },
  });
  await sql`delete from supasaasy.entities where collection_key = 'intercom_company'`;
  const second = await start('intercom_main', 'full', ['company']);
  await pause(900);
  await kill('functions');
  await up();
  const ended = await finished(second);
  assert.equal(ended.status, 'completed', String(ended.error_message));
  const [row] = await sql`
    select count(*)::int as n from supasaasy.intercom_companies where app_key = 'intercom_main'`;
  assert.equal(row?.n, intercom.state.ids('company').length);
});

scenario('parts are never deleted by an answer that leaves some out', {
  intercom: {
    data: { contacts: 30, companies: 5, conversations: 3, bigConversation: { parts: 700 } },
  },
}, async (world) => {
  await haveApps(world);
  const { sql, sync, intercom } = world;
  await sync('intercom_main', 'full');
  const count = async () => {
    const [row] = await sql`
      select conversation_id, count(*)::int as n from supasaasy.intercom_conversation_parts
      group by 1 order by 2 desc limit 1`;
    return row as unknown as { conversation_id: string; n: number };
  };
  const { conversation_id, n } = await count();
  assert.equal(n, 500);
  for (let i = 0; i < 20; i += 1) intercom.ops.reply(conversation_id, { body: `more ${i}` });
  await sync('intercom_main');
  assert.equal((await count()).n, 520, 'what was seen before stays beside the newest 500');
});

scenario('webhooks are verified, routed by workspace, and what they name is fetched', {
  intercom: { data: SMALL },
}, async (world) => {
  await haveApps(world);
  const { sql, sync, env, intercom } = world;
  await sync('intercom_main');
  const url = `${env.SUPABASE_URL}/functions/v1/webhook/intercom_main`;
  intercom.webhooks.setWebhookTarget(url, env.INTERCOM_CLIENT_SECRET!, { auto: true });
  assert.equal(await intercom.webhooks.check(), 200, 'HEAD');
  const { ops, state } = intercom;
  const [contact, leaver, lead] = [...state.ids('contact')] as [string, string, string];
  const [talk] = [...state.ids('conversation')] as [string];
  const [company] = [...state.ids('company')] as [string];
  ops.updateContact(contact, { name: 'Grace' });
  ops.updateContact(lead, { name: 'Lead' });
  ops.deleteContact(leaver);
  ops.reply(talk, { body: 'by webhook' });
  ops.updateCompany(company, { name: 'Renamed' });
  await intercom.webhooks.settled();
  await pause(500);
  await quiet(sql);
  await assertIntercomEqual(sql, state);

  const last = intercom.webhooks.all().at(-1)!;
  const refused = await intercom.webhooks.deliver(last.id, { signWith: 'a wrong secret' });
  assert.equal(refused[0]?.status, 401);
  const unsigned = await intercom.webhooks.deliver(last.id, { signWith: null });
  assert.equal(unsigned[0]?.status, 401);
  const again = await intercom.webhooks.deliver(last.id);
  assert.match(again[0]?.body ?? '', /duplicate/);
  const iso = await intercom.webhooks.deliver(last.id, { timestamps: 'iso' });
  assert.equal(iso[0]?.status, 200);
  intercom.accounts[1]!.ops.createContact({ email: 'of@another.com' });
  await intercom.webhooks.settled();
  const foreign = intercom.webhooks.all().at(-1)!;
  const [answer] = await intercom.webhooks.deliver(foreign.id);
  assert.match(answer?.body ?? '', /ignored: of another account/);
  const ping = await intercom.webhooks.ping('workspace_main');
  assert.ok(ping);
});

scenario('two connectors and several apps of each at once never mix rows', {
  accounts: 2,
  intercom: { data: SMALL },
}, async (world) => {
  await haveApps(world);
  const { sql, start, finished, intercom, fake } = world;
  await sql`
    insert into supasaasy.apps (app_key, connector, config)
    values ('stripe_eu', 'stripe', '{"api_key_env": "STRIPE_OTHER_KEY"}')`;
  const apps = ['stripe_main', 'stripe_eu', 'intercom_main', 'intercom_eu'];
  const jobs = await Promise.all(apps.map((app) => start(app, 'full')));
  for (const job of jobs) {
    const ended = await finished(job);
    assert.equal(ended.status, 'completed', String(ended.error_message));
  }
  await world.assertEqual(fake);
  await assertIntercomEqual(sql, intercom.accounts[0]!.state, 'intercom_main');
  await assertIntercomEqual(sql, intercom.accounts[1]!.state, 'intercom_eu');
  const [mixed] = await sql`
    select count(*)::int as n from supasaasy.entities e
    join supasaasy.apps a using (app_key)
    where not starts_with(e.collection_key, a.connector)`;
  assert.equal(mixed?.n, 0);
});

scenario('a whole workspace: contacts, companies, conversations with all their parts', {
  intercom: {
    data: {
      contacts: 20_000,
      companies: 12_000,
      conversations: 5_000,
      bigConversation: { parts: 700 },
    },
  },
}, async (world) => {
  await haveApps(world);
  const { sql, start, intercom, env: _env } = world;
  await sql`select supasaasy.set_setting('lease', '30 seconds')`;
  const wait = async (job: number) => {
    for (;;) {
      const [row] = await sql`select * from supasaasy.job_status(${job})`;
      if (row && !['pending', 'running'].includes(row.status)) return row;
      await pause(250);
    }
  };
  const began = Date.now();
  const first = await wait(await start('intercom_main', 'full'));
  assert.equal(first.status, 'completed', String(first.error_message));
  const seconds = (Date.now() - began) / 1000;
  for (const collection of ['contact', 'company', 'conversation', 'conversation_part'] as const) {
    const [row] = await sql`
      select count(*)::int as n from supasaasy.entities
      where app_key = 'intercom_main' and collection_key = ${`intercom_${collection}`}`;
    assert.equal(row?.n, intercom.state.snapshot(collection).size, collection);
  }
  const second = await wait(await start('intercom_main', 'full'));
  assert.deepEqual(
    [second.status, second.inserted, second.updated, second.deleted],
    ['completed', '0', '0', '0'],
    String(second.error_message),
  );
  const stats = await Deno.readTextFile(`/proc/${await world.pidOf('functions')}/status`)
    .catch(() => '');
  const peak = Number(/VmHWM:\s+(\d+) kB/.exec(stats)?.[1] ?? 0) / 1024;
  note(
    `${first.processed_entities} rows of Intercom in ${
      seconds.toFixed(0)
    } s; the functions' peak memory ${peak.toFixed(0)} MiB`,
  );
  assert.ok(peak < 256, `${peak} MiB`);
});
