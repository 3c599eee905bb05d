// Owns a simulated Stripe in simulated time: objects that change at random, an event list that lags
// and is out of order, listings that omit some live objects, a clock that is off by seconds.

import { FIRST_SYNC, type Order, type ProviderEvent, type Simulation, SKEW } from './simulation.ts';

type Item = { id: string; object: string; subscription: string; quantity: number };
type Payload = Record<string, unknown> & { id: string; object: string; created: number };

interface Change {
  /** Simulated seconds; when the provider did it. */
  t: number;
  id: string;
  resource: 'customer' | 'subscription';
  /** The object after it, items in full; null when it was deleted. */
  value: Payload | null;
  event: ProviderEvent;
  /** When the event list shows it. */
  visible: number;
}

const LAG = 55;
const ITEMS_CAP = 3;
const EPOCH = Date.UTC(2026, 0, 1) / 1000;
const STATUSES = ['active', 'past_due', 'trialing', 'canceled'];

/** Plays the provider's side of a whole history of `end` seconds. */
export function simulateStripe(r: () => number, end: number): Simulation {
  const between = (a: number, b: number) => a + r() * (b - a);
  const pick = <T>(from: T[]): T => from[Math.floor(r() * from.length)]!;
  const ahead = between(-SKEW, SKEW) * 0.99;
  const changes: Change[] = [];
  const now = new Map<string, Payload>();
  const hidden = new Set<string>();
  let serial = 0;

  const record = (
    t: number,
    resource: Change['resource'],
    value: Payload | null,
    old?: Payload,
  ) => {
    const object = shown(value ?? old!);
    const id = object.id;
    changes.push({
      t,
      id,
      resource,
      value,
      visible: t + (r() < 0.5 ? between(0, 3) : between(0, LAG)),
      event: {
        id: `evt_${serial++}`,
        created: Math.floor(EPOCH + t + ahead),
        api_version: '2026-10-28.endive',
        account: null,
        livemode: false,
        resource,
        external_id: id,
        object,
        deleted: value === null,
      },
    });
    if (value === null) now.delete(id);
    else now.set(id, value);
  };

  for (let t = 0; t < end; t += r() < 0.75 ? between(0, 0.7) : between(0, 60)) {
    const ids = [...now.keys()];
    const created = Math.floor(EPOCH + t + ahead);
    if (ids.length < 3 || (ids.length < 7 && r() < 0.15)) {
      const id = `${r() < 0.5 ? 'cus' : 'sub'}_${String(serial).padStart(4, '0')}`;
      // What no listing shows and no event tells since the first sync cannot be known.
      if (r() < 0.15 && t > FIRST_SYNC) hidden.add(id);
      if (id.startsWith('cus')) {
        record(t, 'customer', { id, object: 'customer', created, name: 'v0' });
      } else {
        const items = [newItem(id, serial)];
        record(t, 'subscription', {
          id,
          object: 'subscription',
          created,
          status: 'active',
          ended_at: null,
          items,
        });
      }
      continue;
    }
    const id = pick(ids);
    const old = now.get(id)!;
    if (id.startsWith('cus')) {
      if (r() < 0.12) record(t, 'customer', null, old);
      else record(t, 'customer', { ...old, name: `v${Math.floor(r() * 3)}` });
    } else {
      const items = [...(old.items as Item[])];
      const what = r();
      if (what < 0.3 && items.length < 6) items.push(newItem(id, serial));
      else if (what < 0.55 && items.length > 1) items.splice(Math.floor(r() * items.length), 1);
      else if (what < 0.7) {
        const at = Math.floor(r() * items.length);
        items[at] = { ...items[at]!, quantity: Math.floor(r() * 3) };
      }
      const status = what >= 0.7 ? pick(STATUSES) : old.status;
      record(t, 'subscription', {
        ...old,
        status,
        ended_at: status === 'canceled' ? old.ended_at ?? created : null,
        items,
      });
    }
  }

  const valueAt = (id: string, t: number) =>
    changes.findLast((change) => change.id === id && change.t <= t)?.value ?? undefined;
  const alive = (t: number) => {
    const found = new Map<string, Payload>();
    for (const change of changes) {
      if (change.t > t) break;
      if (change.value) found.set(change.id, change.value);
      else found.delete(change.id);
    }
    return found;
  };
  const inRange = (created: number, order: Order) =>
    (order.created_gte === null || created >= order.created_gte) &&
    (order.created_lt === null || created < order.created_lt);

  function paged<T extends { id: string }>(
    rows: T[],
    order: Order,
  ): { rows: T[]; cursor: string | null } {
    let from = 0;
    if (order.cursor !== null) {
      from = rows.findIndex((row) => row.id === order.cursor) + 1;
      if (from === 0) return { rows: [], cursor: 'gone' };
    }
    const page = rows.slice(from, from + order.page_size);
    const more = from + order.page_size < rows.length;
    return { rows: page, cursor: more ? page.at(-1)!.id : null };
  }

  return {
    connector: 'stripe',
    resources: ['customer', 'subscription'],
    changes,
    answer(order, t) {
      const none = { missing: [], events: null };
      if (order.operation === 'events') {
        const events = changes
          .filter((change) => change.visible <= t && inRange(change.event.created, order))
          .map((change) => change.event)
          .sort((a, b) => b.created - a.created || a.id.localeCompare(b.id));
        const page = paged(events, order);
        return { rows: [], missing: [], cursor: page.cursor, events: page.rows };
      }
      if (order.operation === 'get' && order.resource === 'subscription_item') {
        const id = order.external_id!;
        const item = [...alive(t).values()]
          .flatMap((value) => (value.items as Item[] | undefined) ?? [])
          .find((item) => item.id === id);
        return { rows: item ? [item] : [], cursor: null, missing: item ? [] : [id], events: null };
      }
      if (order.operation === 'get') {
        const id = order.external_id!;
        const value = valueAt(id, t);
        if (value) return { rows: [shown(value)], cursor: null, ...none };
        return r() < 0.5
          ? { rows: [], cursor: null, missing: [id], events: null }
          : { rows: [{ id, object: order.resource, deleted: true }], cursor: null, ...none };
      }
      if (order.parent_id !== null) {
        const items = (valueAt(order.parent_id, t)?.items as Item[] | undefined) ?? [];
        const page = paged(items, order);
        if (page.cursor === 'gone') return { error: 'cursor_gone' };
        return { rows: page.rows, cursor: page.cursor, ...none };
      }
      const rows = [...alive(t).values()]
        .filter((value) => value.object === order.resource && inRange(value.created, order))
        .sort((a, b) => b.created - a.created || a.id.localeCompare(b.id));
      // The cursor's object may be hidden from this listing, but it is known.
      const page = paged(
        rows.filter((row) => !hidden.has(row.id) || row.id === order.cursor),
        order,
      );
      if (page.cursor === 'gone') return { error: 'cursor_gone' };
      return { rows: page.rows.map(shown), cursor: page.cursor, ...none };
    },
    truth() {
      const values = [...alive(end).values()];
      const items = values.flatMap((value) => (value.items as Item[] | undefined) ?? []);
      const byId = <T extends { id: string }>(rows: T[], view: (row: T) => unknown) =>
        new Map<string, unknown>(rows.map((row) => [row.id, view(row)]));
      return new Map([
        ['stripe_customer', byId(values.filter((value) => value.object === 'customer'), shown)],
        [
          'stripe_subscription',
          byId(values.filter((value) => value.object === 'subscription'), shown),
        ],
        ['stripe_subscription_item', byId(items, (item) => item)],
      ]);
    },
  };

  function newItem(subscription: string, serial: number): Item {
    return {
      id: `si_${String(serial).padStart(4, '0')}_${Math.floor(r() * 1e6)}`,
      object: 'subscription_item',
      subscription,
      quantity: 1,
    };
  }
}

/** A payload as the API shows it: the items of a subscription are a list, cut off at a cap. */
function shown(value: Payload): Payload {
  if (value.object !== 'subscription') return value;
  const items = value.items as Item[];
  return {
    ...value,
    items: {
      object: 'list',
      data: items.slice(0, ITEMS_CAP),
      has_more: items.length > ITEMS_CAP,
    },
  };
}
