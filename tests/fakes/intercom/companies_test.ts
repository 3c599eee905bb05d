import assert from 'node:assert/strict';
import { get, getJson, NOON, withFake } from './testing.ts';

Deno.test('companies come on numbered pages that end with the limit', async () => {
  const companyLimits = { listed: 100 };
  await withFake({ companyLimits, data: { companies: 130 } }, async (fake) => {
    const first = (await getJson(fake, '/companies?per_page=50')).body;
    assert.deepEqual([first.total_count, first.pages.total_pages], [130, 3]);
    assert.equal(first.pages.next, `${fake.url}/companies?per_page=50&page=2`);
    const second = (await getJson(fake, '/companies?per_page=50&page=2')).body;
    assert.equal(
      new Set([...first.data, ...second.data].map((one: { id: string }) => one.id)).size,
      100,
    );
    const third = await getJson(fake, '/companies?per_page=50&page=3');
    assert.deepEqual([third.status, third.body.errors[0].code], [400, 'bad_request']);
    assert.equal((await get(fake, '/companies?per_page=61')).status, 400);
    const posted = await getJson(fake, '/companies/list?per_page=60&page=1', { method: 'POST' });
    assert.equal(posted.body.data.length, 60);
  });
});

Deno.test('a company without users is in no list, but is there by id', async () => {
  await withFake({ data: { companies: 2 } }, async (fake) => {
    const { id } = fake.ops.createCompany({ name: 'Nobody', user_count: 0, company_id: 'n-1' });
    assert.equal((await getJson(fake, '/companies')).body.total_count, 2);
    assert.equal((await getJson(fake, '/companies/scroll')).body.data.length, 2);
    assert.equal((await getJson(fake, `/companies/${id}`)).body.name, 'Nobody');
    assert.equal((await getJson(fake, '/companies?company_id=n-1')).body.id, id);
    fake.ops.attachCompany(fake.state.ids('contact')[0] as string, id);
    assert.equal((await getJson(fake, '/companies')).body.total_count, 3);
    fake.ops.deleteCompany(id);
    assert.equal(
      (await getJson(fake, `/companies/${id}`)).body.errors[0].code,
      'company_not_found',
    );
  });
});

Deno.test('a scroll gives each company once and ends with an empty page', async () => {
  await withFake({ data: { companies: 230 } }, async (fake) => {
    const seen: unknown[] = [];
    let param = '';
    while (true) {
      const page = await getJson(fake, `/companies/scroll?scroll_param=${param}`);
      assert.equal(page.body.pages, null);
      param = page.body.scroll_param;
      if (page.body.data.length === 0) break;
      seen.push(...page.body.data);
      assert.ok(fake.account.scroll.isOpen());
    }
    assert.deepEqual(
      new Map(seen.map((one) => [(one as { id: string }).id, one])),
      fake.state.snapshot('company'),
    );
    const after = await getJson(fake, `/companies/scroll?scroll_param=${param}`);
    assert.deepEqual([after.status, after.body.errors[0].code], [404, 'not_found']);
    assert.equal((await get(fake, '/companies/scroll')).status, 200);
  });
});

Deno.test('there is one scroll at a time, and it is gone after a minute unused', async () => {
  let clock = NOON;
  await withFake({ now: () => clock, data: { companies: 330 } }, async (fake) => {
    const { scroll_param: param } = (await getJson(fake, '/companies/scroll')).body;
    const second = await getJson(fake, '/companies/scroll');
    assert.deepEqual([second.status, second.body.errors[0].code], [400, 'scroll_exists']);
    clock += 59_000;
    assert.equal((await get(fake, `/companies/scroll?scroll_param=${param}`)).status, 200);
    // Each use counts anew, and a page that a client did not get is lost.
    clock += 59_000;
    fake.faults.add({ fault: { kind: 'truncate', close: true }, times: 1 });
    await assert.rejects(getJson(fake, `/companies/scroll?scroll_param=${param}`));
    const rest = await getJson(fake, `/companies/scroll?scroll_param=${param}`);
    assert.equal(rest.body.data.length, 30);
    clock += 60_000;
    assert.equal((await get(fake, `/companies/scroll?scroll_param=${param}`)).status, 404);
    assert.equal((await get(fake, '/companies/scroll')).status, 200);
  });
});

Deno.test('admins, tags and teams come in one call', async () => {
  await withFake({ data: { admins: 70, tags: 80, teams: 3 } }, async (fake) => {
    assert.equal((await getJson(fake, '/admins')).body.admins.length, 70);
    assert.equal((await getJson(fake, '/tags')).body.data.length, 80);
    assert.equal((await getJson(fake, '/teams')).body.teams.length, 3);
    const { id } = fake.ops.addAdmin({ name: 'New', email: 'new@team.example' });
    assert.equal((await getJson(fake, `/admins/${id}`)).body.name, 'New');
    fake.ops.removeAdmin(id);
    assert.equal((await getJson(fake, `/admins/${id}`)).status, 404);
  });
});
