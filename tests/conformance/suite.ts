// Owns what every connector must do, tried against its fake provider and the real SQL.

import assert from 'node:assert/strict';
import type { Sql } from 'postgres';
import {
  type Access,
  InvalidSignature,
  type Page,
  ProviderError,
} from '../../connectors/connector.ts';
import { createEngine, type Engine, SCHEMA } from './engine.ts';
import type { Fixture, Provider } from './fixture.ts';

interface Resource {
  resource: string;
  collection_key: string;
  parent: string | null;
  cursor_is_used_up: boolean;
  archives: boolean;
  page_size: number;
  listings: Record<string, string>[];
}

interface World {
  engine: Engine;
  provider: Provider;
  access: Access;
  resources: Resource[];
  /** Fails unless every resource here is what the provider holds. */
  assertEqual(): Promise<void>;
}

const plain = (value: unknown) => JSON.parse(JSON.stringify(value));

async function inWorld(
  sql: Sql,
  fixture: Fixture,
  kind: 'empty' | 'small',
  config: Record<string, unknown>,
  run: (world: World) => Promise<void>,
): Promise<void> {
  const { connector } = fixture;
  const provider = await fixture.start(kind);
  const env: Record<string, string> = { ...provider.env, CONFORMANCE_KEY: provider.apiKey };
  const app = `${connector.name}_app`;
  const engine = createEngine(sql, app, connector, env);
  try {
    await sql.unsafe(
      `insert into ${SCHEMA}.apps (app_key, connector, config) values ($1, $2, $3::text::jsonb)`,
      [app, connector.name, JSON.stringify({ api_key_env: 'CONFORMANCE_KEY', ...config })],
    );
    const [row] = await sql.unsafe(`select ${SCHEMA}.app_api_version($1) as version`, [app]);
    const resources = await sql.unsafe<Resource[]>(
      `select r.resource, r.collection_key, p.resource as parent, r.cursor_is_used_up, r.page_size,
         r.archived_when is not null as archives, r.listings
       from ${SCHEMA}.resources r
       left join ${SCHEMA}.resources p on p.collection_key = r.parent_collection_key
       where r.connector = $1 and not r.is_feed order by r.position`,
      [connector.name],
    );
    await run({
      engine,
      provider,
      access: { apiKey: provider.apiKey, apiVersion: row?.version, config: {}, env: (n) => env[n] },
      resources,
      async assertEqual() {
        for (const { resource } of resources) {
          const [here, there] = [await engine.mirror(resource), provider.snapshot(resource)];
          assert.deepEqual([...here.keys()].sort(), [...there.keys()].sort(), `ids of ${resource}`);
          for (const [id, object] of there) {
            assert.deepEqual(here.get(id), plain(object), `${resource} ${id}`);
          }
        }
      },
    });
  } finally {
    for (let gone = ''; !gone.startsWith('deleted');) {
      const [row] = await sql.unsafe(`select ${SCHEMA}.delete_app($1) as text`, [app])
        .catch(() => [{ text: 'deleted' }]);
      gone = row?.text;
    }
    await provider.stop();
  }
}

async function completed(job: Promise<Record<string, unknown>>): Promise<Record<string, unknown>> {
  const row = await job;
  assert.equal(row.status, 'completed', String(row.error_message));
  return row;
}

const counts = (job: Record<string, unknown>) =>
  [job.inserted, job.updated, job.deleted].map(Number);

function list(world: World, resource: Resource, cursor: string | null, pageSize: number) {
  return world.engine && fetchPage(world, {
    resource: resource.resource,
    params: resource.listings[0] ?? {},
    cursor,
    pageSize,
  });
}

let connectorOf: Fixture['connector'];
function fetchPage(
  world: World,
  request: {
    resource: string;
    params?: Record<string, string>;
    cursor?: string | null;
    pageSize: number;
  },
): Promise<Page> {
  return connectorOf.fetchPage(world.access, {
    operation: 'list',
    externalId: null,
    parentId: null,
    params: {},
    createdGte: null,
    createdLt: null,
    updatedGte: null,
    cursor: null,
    ...request,
  });
}

/** Registers every test of the suite for one connector. `sql` connects to an installed schema. */
export function conformance(name: string, fixture: Fixture, sql: () => Promise<Sql>): void {
  const test = (
    title: string,
    run: (world: World) => Promise<void>,
    options: { kind?: 'empty' | 'small'; config?: Record<string, unknown> } = {},
  ) =>
    Deno.test({
      name: `${name}: ${title}`,
      sanitizeOps: false,
      sanitizeResources: false,
      async fn() {
        connectorOf = fixture.connector;
        await inWorld(await sql(), fixture, options.kind ?? 'small', options.config ?? {}, run);
      },
    });
  const listed = (world: World) => world.resources.filter((row) => row.listings.length > 0);

  test('every resource is paged to its end, and a second sync finds nothing new', async (world) => {
    const first = await completed(world.engine.sync('full'));
    await world.assertEqual();
    assert.ok(Number(first.inserted) > 0, 'the small world is not empty');
    for (const { resource } of world.resources) {
      assert.ok(world.provider.snapshot(resource).size > 0, `the small world has no ${resource}`);
    }
    assert.deepEqual(counts(await completed(world.engine.sync('full'))), [0, 0, 0]);
  });

  test('an empty account is complete', async (world) => {
    const job = await completed(world.engine.sync('full'));
    await world.assertEqual();
    assert.deepEqual(counts(job).slice(1), [0, 0]);
  }, { kind: 'empty' });

  test('pages of any size add up to the same', async (world) => {
    for (const resource of listed(world)) {
      if (resource.cursor_is_used_up) continue;
      const ids = async (pageSize: number) => {
        const found: string[] = [];
        let cursor: string | null = null;
        do {
          const page: Page = await list(world, resource, cursor, pageSize);
          found.push(...page.rows.map((row) => (row as { id: string }).id));
          cursor = page.nextCursor;
        } while (cursor !== null);
        return found;
      };
      const small = await ids(3);
      assert.deepEqual(small, await ids(resource.page_size), resource.resource);
      assert.equal(new Set(small).size, small.length, `${resource.resource} shows one twice`);
    }
  });

  test('a page that is asked for twice is the same page', async (world) => {
    for (const resource of listed(world)) {
      if (resource.cursor_is_used_up) continue;
      const first = await list(world, resource, null, 3);
      assert.deepEqual(plain((await list(world, resource, null, 3)).rows), plain(first.rows));
      if (first.nextCursor === null) continue;
      const second = await list(world, resource, first.nextCursor, 3);
      const again = await list(world, resource, first.nextCursor, 3);
      assert.deepEqual(plain(again.rows), plain(second.rows), resource.resource);
    }
  });

  test('a sync whose every third answer is lost resumes, and loses nothing', async (world) => {
    world.provider.faults.add({
      match: { everyNth: 3 },
      fault: { kind: 'truncate', close: true },
    });
    await completed(world.engine.sync('full'));
    world.provider.faults.clear();
    await world.assertEqual();
  });

  const classes: [string, Parameters<Provider['faults']['add']>[0]['fault'], string[]][] = [
    ['a rate limit', { kind: 'status', status: 429 }, ['rate_limited']],
    ['a refused key', { kind: 'status', status: 401 }, ['auth']],
    ['a missing permission', { kind: 'status', status: 403 }, ['forbidden']],
    ['a server error', { kind: 'status', status: 500 }, ['transient']],
    ['a cut connection', { kind: 'reset', when: 'before' }, ['transient']],
    ['a body that is not JSON', { kind: 'not_json' }, ['transient', 'malformed']],
    ['a body of another shape', { kind: 'malformed', body: { nope: 1 } }, ['malformed']],
  ];
  for (const [what, fault, expected] of classes) {
    test(`${what} is ${expected.join(' or ')}, and its message does not hold the key`, async (world) => {
      for (const resource of listed(world)) {
        world.provider.faults.add({
          match: { pathPrefix: world.provider.pathOf(resource.resource) ?? '/' },
          fault,
        });
        const error = await list(world, resource, null, 3).then(() => undefined, (error) => error);
        world.provider.faults.clear();
        assert.ok(error instanceof ProviderError, `${resource.resource}: ${error}`);
        assert.ok(expected.includes(error.errorClass), `${resource.resource}: ${error.errorClass}`);
        assert.ok(!error.message.includes(world.access.apiKey), 'the key is in the message');
      }
    });
  }

  test('after a rate limit the sync goes on, and is complete', async (world) => {
    world.provider.faults.add({
      match: { everyNth: 4 },
      fault: { kind: 'status', status: 429, headers: { 'retry-after': '1' } },
    });
    await completed(world.engine.sync('full'));
    await world.assertEqual();
  });

  test('a refused key fails the job with a message, and opens the breaker', async (world) => {
    world.provider.faults.add({ fault: { kind: 'status', status: 401 } });
    const job = await world.engine.sync('full');
    assert.equal(job.status, 'failed');
    assert.ok(String(job.error_message).length > 10);
    const [row] = await world.engine.sql.unsafe(
      `select ${SCHEMA}.breaker_state(a) as state from ${SCHEMA}.apps a where app_key = $1`,
      [world.engine.app],
    );
    assert.notEqual(row?.state, 'closed');
  });

  test('an object that is there is fetched, one that is not is missing', async (world) => {
    const { resource } = world.resources.find((row) => row.parent === null)!;
    const [id] = [...world.provider.snapshot(resource).keys()];
    const get = (externalId: string) =>
      connectorOf.fetchPage(world.access, {
        operation: 'get',
        resource,
        externalId,
        parentId: null,
        params: {},
        createdGte: null,
        createdLt: null,
        updatedGte: null,
        cursor: null,
        pageSize: 1,
      });
    assert.deepEqual(
      plain((await get(String(id))).rows),
      [plain(world.provider.snapshot(resource).get(String(id)))],
    );
    const none = `${String(id).replace(/\d/g, '9').replace(/[a-f]/g, '0')}`;
    assert.deepEqual((await get(none)).missing, [none]);
  });

  test('what changed and what was deleted is found', async (world) => {
    await completed(world.engine.sync('full'));
    for (const { resource, parent } of world.resources) {
      if (parent === null) world.provider.update(resource);
    }
    await completed(world.engine.sync('incremental'));
    await world.engine.settle();
    await world.assertEqual();
    for (const { resource } of world.resources) world.provider.remove(resource);
    await completed(world.engine.sync('full'));
    await world.engine.settle();
    await world.assertEqual();
  });

  test('what is archived is archived once, and stays so', async (world) => {
    await completed(world.engine.sync('full'));
    for (const { resource, archives } of world.resources) {
      const id = archives ? world.provider.archive?.(resource) : undefined;
      if (id === undefined) continue;
      const archivedAt = async () => {
        await completed(world.engine.sync('full', [resource]));
        const [row] = await world.engine.sql.unsafe(
          `select archived_at from ${SCHEMA}.entities
           where app_key = $1 and collection_key = $2 and external_id = $3`,
          [world.engine.app, `${fixture.connector.name}_${resource}`, id],
        );
        return row?.archived_at?.getTime();
      };
      const first = await archivedAt();
      assert.ok(first, `${resource} ${id} is not archived`);
      assert.equal(await archivedAt(), first, `${resource}: archived_at drifts`);
    }
  });

  test('sync_from leaves out what was created before', async (world) => {
    await completed(world.engine.sync('full'));
    const [row] = await world.engine.sql.unsafe(
      `select percentile_disc(0.5) within group (order by source_created_at) as middle
       from ${SCHEMA}.entities where app_key = $1 and parent_external_id is null`,
      [world.engine.app],
    );
    await world.engine.sql.unsafe(
      `update ${SCHEMA}.apps set sync_from = $2 where app_key = $1`,
      [world.engine.app, row?.middle],
    );
    await world.engine.sql.unsafe(
      `delete from ${SCHEMA}.entities where app_key = $1`,
      [world.engine.app],
    );
    await completed(world.engine.sync('full'));
    const [result] = await world.engine.sql.unsafe(
      `select count(*)::int as n, count(*) filter (where source_created_at < $2)::int as older
       from ${SCHEMA}.entities where app_key = $1 and parent_external_id is null`,
      [world.engine.app, row?.middle],
    );
    assert.ok(result?.n > 0 && result?.older === 0, JSON.stringify(result));
  });

  test('sync_resources leaves the others out', async (world) => {
    const [wanted] = world.resources.filter((row) => row.parent === null);
    await world.engine.sql.unsafe(
      `update ${SCHEMA}.apps
       set config = config || jsonb_build_object('sync_resources', jsonb_build_array($2::text))
       where app_key = $1`,
      [world.engine.app, wanted!.resource],
    );
    await completed(world.engine.sync('full'));
    for (const { resource } of world.resources) {
      const size = (await world.engine.mirror(resource)).size;
      assert.equal(size > 0, resource === wanted!.resource, resource);
    }
  });

  test('children are a set: what is gone from it is gone here', async (world) => {
    await completed(world.engine.sync('full'));
    for (const { resource, parent } of world.resources) {
      if (parent === null || world.provider.remove(resource) === undefined) continue;
      await completed(world.engine.sync('full', [parent, resource]));
      await world.engine.settle();
      const [here, there] = [
        await world.engine.mirror(resource),
        world.provider.snapshot(resource),
      ];
      assert.deepEqual([...here.keys()].sort(), [...there.keys()].sort(), resource);
    }
  });

  test('a webhook is believed only with a signature by a secret that is valid', async (world) => {
    world.provider.update(world.provider.webhookResource);
    const body = world.provider.lastWebhook();
    const read = async (
      given: { secret?: string; sent?: string; secrets?: string[]; none?: true },
    ) => {
      const headers = given.none
        ? {}
        : await world.provider.sign(body, given.secret ?? fixture.webhookSecret);
      return await connectorOf.readWebhook({
        body: given.sent ?? body,
        headers: new Headers(headers),
        secrets: given.secrets ?? [fixture.webhookSecret],
      });
    };
    assert.equal((await read({}))?.resource, world.provider.webhookResource);
    assert.ok(await read({ secrets: ['another secret', fixture.webhookSecret] }), 'a rotation');
    const altered = body.replace(/"id"/, '"id" ');
    for (
      const [what, given] of [
        ['another secret', { secret: 'another secret' }],
        ['no signature', { none: true as const }],
        ['an altered body', { sent: altered }],
      ] as const
    ) await assert.rejects(read(given), InvalidSignature, what);
    const unknown = world.provider.unknownWebhook();
    assert.equal(
      await connectorOf.readWebhook({
        body: unknown,
        headers: new Headers(await world.provider.sign(unknown, fixture.webhookSecret)),
        secrets: [fixture.webhookSecret],
      }),
      null,
      "an unknown event is nobody's",
    );
  });

  test('a webhook applies once, a deletion stays, and a late update does not bring it back', async (world) => {
    const { webhookResource } = world.provider;
    await completed(world.engine.sync('full'));
    const receive = async (body: string) => {
      const event = await connectorOf.readWebhook({
        body,
        headers: new Headers(await world.provider.sign(body, fixture.webhookSecret)),
        secrets: [fixture.webhookSecret],
      });
      assert.ok(event);
      const result = await world.engine.rpc('receive_event', {
        p_app_key: world.engine.app,
        p_event: event,
      });
      return (result as { outcome: string }).outcome;
    };
    world.provider.update(webhookResource);
    const update = world.provider.lastWebhook();
    assert.match(await receive(update), /applied|revalidating/);
    assert.equal(await receive(update), 'duplicate');
    await world.engine.settle();
    await world.assertEqual();
    const id = world.provider.remove(webhookResource);
    if (id === undefined) return;
    await receive(world.provider.lastWebhook());
    await receive(update.replace(/"(evt|notif|id)_[^"]*"/, '"$1_late_replay"'));
    await world.engine.settle();
    assert.ok(!(await world.engine.mirror(webhookResource)).has(id));
  });

  test('every resource has a view that shows its rows to service_role', async (world) => {
    await completed(world.engine.sync('full'));
    for (const { resource, collection_key } of world.resources) {
      const [view] = await world.engine.sql.unsafe(
        `select c.relname as name from pg_class c
         join pg_attribute a on a.attrelid = c.oid and a.attname = 'raw_payload'
         where c.relnamespace = $1::regnamespace and c.relkind = 'v'
           and pg_get_viewdef(c.oid) ~ format('collection_key = %L', $2::text)
         limit 1`,
        [SCHEMA, collection_key],
      );
      assert.ok(view, `there is no view of ${collection_key}`);
      const rows = await world.engine.sql.begin(async (sql) => {
        await sql`set local role service_role`;
        return await sql.unsafe(`select to_jsonb(v) as row from ${SCHEMA}.${view.name} v`);
      });
      assert.equal(rows.length, world.provider.snapshot(resource).size, view.name);
      for (const column of ['app_key', 'external_id', 'raw_payload', 'created_at', 'updated_at']) {
        assert.ok(column in rows[0]?.row, `${view.name} has no ${column}`);
      }
    }
  });
}
