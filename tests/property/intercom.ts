// Owns a simulated Intercom in simulated time: contacts that are found by search when they change, and by
// nothing when they are deleted or merged; conversations whose parts come with each of them; notifications
// that only name what changed; a search that lags behind.

import { type Order, type Page, type ProviderEvent, type Simulation, SKEW } from './simulation.ts';

const EPOCH = Date.UTC(2026, 0, 1) / 1000;
/** How far a search may be behind what it searches. */
const SEARCH_LAG = 50;
/** One answer holds the newest of a conversation's parts, at most so many. */
const MAX_PARTS = 4;

interface Part {
  id: string;
  body: string;
}

interface Thing {
  id: string;
  kind: 'contact' | 'conversation';
  created_at: number;
  updated_at: number;
  name: string;
  parts: Part[];
}

interface Change {
  t: number;
  id: string;
  kind: Thing['kind'];
  value: Thing | null;
  mergedInto?: string;
  event: ProviderEvent;
}

/** Plays the provider's side of a whole history of `end` seconds. */
export function simulateIntercom(r: () => number, end: number): Simulation {
  const between = (a: number, b: number) => a + r() * (b - a);
  const pick = <T>(from: T[]): T => from[Math.floor(r() * from.length)]!;
  const ahead = between(-SKEW, SKEW) * 0.99;
  const lag = between(0, SEARCH_LAG);
  const changes: Change[] = [];
  const now = new Map<string, Thing>();
  let serial = 0;

  const record = (
    t: number,
    kind: Thing['kind'],
    id: string,
    value: Thing | null,
    into?: string,
  ) => {
    changes.push({
      t,
      id,
      kind,
      value,
      ...(into !== undefined && { mergedInto: into }),
      event: {
        id: `notif_${serial++}`,
        created: Math.floor(EPOCH + t + ahead),
        api_version: null,
        account: null,
        livemode: true,
        resource: kind,
        external_id: id,
        object: null,
        deleted: value === null && into === undefined,
      },
    });
    if (value === null) now.delete(id);
    else now.set(id, value);
  };

  for (let t = 0; t < end; t += r() < 0.75 ? between(0, 0.7) : between(0, 60)) {
    const second = Math.floor(EPOCH + t + ahead);
    const things = [...now.values()];
    if (things.length < 3 || (things.length < 8 && r() < 0.15)) {
      const kind = r() < 0.5 ? 'contact' : 'conversation';
      const id = `${kind === 'contact' ? 'c' : 'v'}${String(serial).padStart(4, '0')}`;
      const parts = kind === 'contact' ? [] : [{ id: `p${serial}_0`, body: 'first' }];
      record(t, kind, id, { id, kind, created_at: second, updated_at: second, name: 'v0', parts });
      continue;
    }
    const old = pick(things);
    const what = r();
    const others = things.filter((thing) => thing.kind === 'contact' && thing !== old);
    if (what < 0.08) record(t, old.kind, old.id, null);
    else if (what < 0.14 && old.kind === 'contact' && others.length > 0) {
      record(t, old.kind, old.id, null, pick(others).id);
    } else if (old.kind === 'contact') {
      record(t, old.kind, old.id, { ...old, updated_at: second, name: `v${Math.floor(r() * 3)}` });
    } else {
      const parts = [...old.parts];
      if (what < 0.6 && parts.length < 7) {
        parts.push({ id: `p${serial}_${parts.length}`, body: 'more' });
      } else parts[parts.length - 1] = { ...parts.at(-1)!, body: `v${Math.floor(r() * 3)}` };
      record(t, old.kind, old.id, { ...old, updated_at: second, name: old.name, parts });
    }
  }

  const aliveAt = (t: number) => {
    const found = new Map<string, Thing>();
    for (const change of changes) {
      if (change.t > t) break;
      if (change.value) found.set(change.id, change.value);
      else found.delete(change.id);
    }
    return found;
  };

  function list(order: Order, t: number): Page {
    if (order.params.deleted) return { rows: [], cursor: null, missing: [], events: null };
    const bySearch = order.resource === 'conversation' || order.updated_gte !== null;
    const rows = [...aliveAt(bySearch ? t - r() * lag : t).values()]
      .filter((thing) => thing.kind === order.resource)
      .filter((thing) => order.updated_gte === null || thing.updated_at >= order.updated_gte)
      .filter((thing) => order.created_gte === null || thing.created_at >= order.created_gte)
      .filter((thing) => order.created_lt === null || thing.created_at < order.created_lt)
      .sort((a, b) =>
        order.updated_gte === null
          ? b.created_at - a.created_at || (a.id < b.id ? 1 : -1)
          : a.updated_at - b.updated_at || (a.id < b.id ? -1 : 1)
      );
    // A cursor is a place, so that what moved meanwhile is met again, or at the end.
    const place = (thing: Thing) =>
      order.updated_gte === null ? [-thing.created_at, ''] : [thing.updated_at, thing.id];
    const [at, id] = order.cursor === null ? [] : JSON.parse(order.cursor) as [number, string];
    const rest = rows.filter((thing) => {
      if (at === undefined) return true;
      const [mine] = place(thing);
      return Number(mine) > at ||
        (mine === at && (order.updated_gte === null ? thing.id < id! : thing.id > id!));
    });
    const page = rest.slice(0, order.page_size);
    const last = page.at(-1);
    const more = rest.length > page.length && last !== undefined;
    return {
      rows: page.map(shown),
      cursor: more ? JSON.stringify([place(last)[0], last.id]) : null,
      missing: [],
      events: null,
    };
  }

  return {
    connector: 'intercom',
    resources: ['contact', 'conversation'],
    changes,
    answer(order, t) {
      const none = { cursor: null, missing: [], events: null };
      if (order.operation === 'get') {
        const id = order.external_id!;
        const thing = aliveAt(t).get(id);
        if (thing) return { rows: [shown(thing)], ...none };
        const into = changes.findLast((change) => change.id === id && change.t <= t)?.mergedInto;
        return {
          rows: [],
          ...none,
          missing: [id],
          ...(into !== undefined && { merged: { [id]: into } }),
        };
      }
      if (order.parent_id !== null) {
        const parts = aliveAt(t).get(order.parent_id)?.parts;
        if (parts === undefined) return { rows: [], ...none, partial: true };
        return { rows: parts.slice(-MAX_PARTS), ...none, partial: parts.length > MAX_PARTS };
      }
      return list(order, t);
    },
    truth() {
      const things = [...aliveAt(end).values()];
      const of = (kind: Thing['kind']) =>
        new Map<string, unknown>(
          things.filter((thing) => thing.kind === kind).map((thing) => [thing.id, shown(thing)]),
        );
      const parts = things.flatMap((thing) => thing.parts.slice(-MAX_PARTS));
      return new Map([
        ['intercom_contact', of('contact')],
        ['intercom_conversation', of('conversation')],
        ['intercom_conversation_part', new Map(parts.map((part) => [part.id, part]))],
      ]);
    },
    /** Parts that an answer leaves out now, and that were seen before, stay. */
    mayStay: (collection, id) =>
      collection === 'intercom_conversation_part' &&
      [...aliveAt(end).values()].some((thing) => thing.parts.some((part) => part.id === id)),
  };
}

/** An object as the API's lists show it: with the number of its parts, not with them. */
function shown(thing: Thing): Record<string, unknown> {
  const { kind, parts, ...rest } = thing;
  return kind === 'contact'
    ? { ...rest, type: kind }
    : { ...rest, type: kind, statistics: { count_conversation_parts: parts.length } };
}
