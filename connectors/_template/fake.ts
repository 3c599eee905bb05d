// Owns an example of a fake provider: widgets behind a bearer token, listed newest first with a cursor,
// filtered by what changed since, and told of by signed webhooks. Make it as faithful as the provider's
// documentation allows: what the fake does not do wrong, nobody tests.

import { createHmac, randomBytes } from 'node:crypto';
import { createFaults, type Faults } from '../../tests/fakes/_shared/faults.ts';
import { type Reply, serveWire, type WireRequest } from '../../tests/fakes/_shared/http.ts';

/** A widget as the API shows it. Times are unix seconds. */
export interface Widget {
  id: string;
  name: string;
  archived: boolean;
  created_at: number;
  updated_at: number;
}

/** A fake Acme that runs. */
export interface FakeAcme {
  url: string;
  key: string;
  faults: Faults;
  widgets: Map<string, Widget>;
  /** Changes a widget, and notifies. */
  change(id: string, fields: Partial<Widget>): void;
  /** Deletes a widget, and notifies. */
  remove(id: string): void;
  /** The bodies of all webhooks, oldest first. */
  webhooks: string[];
  stop(): Promise<void>;
}

/** The `x-acme-signature` of a body. */
export const signAcmePayload = (body: string, secret: string): string =>
  createHmac('sha256', secret).update(body).digest('hex');

/** Starts a fake with so many widgets. */
export async function startFakeAcme(count: number): Promise<FakeAcme> {
  const key = 'acme_key_of_the_fake';
  const faults = createFaults(1);
  const widgets = new Map<string, Widget>();
  const webhooks: string[] = [];
  const now = () => Math.floor(Date.now() / 1000);
  for (let i = 0; i < count; i += 1) {
    const id = `wid_${randomBytes(6).toString('hex')}`;
    const created = now() - 86_400 + i;
    widgets.set(id, {
      id,
      name: `Widget ${i}`,
      archived: false,
      created_at: created,
      updated_at: created,
    });
  }
  const notify = (type: string, widget: Widget) =>
    webhooks.push(JSON.stringify({
      id: `evt_${randomBytes(6).toString('hex')}`,
      type,
      created: now(),
      account: 'acme_account',
      data: widget,
    }));

  const json = (status: number, body: unknown): Reply => ({
    status,
    headers: { 'content-type': 'application/json', date: new Date().toUTCString() },
    body: JSON.stringify(body),
  });

  const answer = (request: WireRequest): Reply => {
    if (request.headers.authorization !== `Bearer ${key}`) return json(401, { error: 'bad token' });
    if (request.path === '/v1/account') return json(200, { id: 'acme_account' });
    if (request.path === '/v1/widgets') {
      const limit = Number(request.query.get('limit') ?? 10);
      const since = Number(request.query.get('updated_since') ?? 0);
      const all = [...widgets.values()]
        .filter((widget) => widget.updated_at >= since)
        .sort((a, b) => b.created_at - a.created_at || (a.id < b.id ? 1 : -1));
      const after = request.query.get('cursor');
      const from = after === null ? 0 : all.findIndex((widget) => widget.id === after) + 1;
      const data = all.slice(from, from + limit);
      const next = from + limit < all.length ? data.at(-1)?.id : null;
      return json(200, { data, next });
    }
    const widget = widgets.get(request.path.replace('/v1/widgets/', ''));
    return widget ? json(200, widget) : json(404, { error: 'no such widget' });
  };

  const server = await serveWire(0, (request) => {
    const { fault } = faults.judge({ method: request.method, path: request.path, account: null });
    if (fault?.kind === 'status') {
      return Promise.resolve({
        ...json(fault.status, { error: 'a fault' }),
        headers: { 'content-type': 'application/json', ...fault.headers },
      });
    }
    if (fault?.kind === 'malformed') return Promise.resolve(json(200, fault.body ?? {}));
    const reply = answer(request);
    if (fault?.kind === 'not_json') return Promise.resolve({ ...reply, body: '<html>' });
    if (fault?.kind === 'reset') {
      return Promise.resolve({ ...reply, delivery: { how: 'reset', afterHeaders: false } });
    }
    if (fault?.kind === 'truncate') {
      return Promise.resolve({ ...reply, delivery: { how: 'cut', bytes: null, close: true } });
    }
    return Promise.resolve(reply);
  });

  const find = (id: string): Widget => {
    const widget = widgets.get(id);
    if (widget === undefined) throw new Error(`there is no widget "${id}"`);
    return widget;
  };
  return {
    url: server.url,
    key,
    faults,
    widgets,
    webhooks,
    change(id, fields) {
      const widget = { ...find(id), ...fields, updated_at: now() };
      widgets.set(id, widget);
      notify('widget.updated', widget);
    },
    remove(id) {
      const widget = find(id);
      widgets.delete(id);
      notify('widget.deleted', widget);
    },
    stop: () => server.stop(),
  };
}
