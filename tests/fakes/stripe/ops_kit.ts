/** Owns what every operation does: find or refuse, write, and tell the event log what changed. */

import { errors } from './errors.ts';
import { type EventLog, previousAttributes } from './events.ts';
import type { IdKind } from './ids.ts';
import type { StripeObject } from './objects.ts';
import type { CollectionName, Store } from './state.ts';

/** Fields as typed JSON values. */
export type Fields = Record<string, unknown>;

/** What the operations work on. */
export interface OpsContext {
  store: Store;
  events: EventLog;
  newId: (kind: IdKind) => string;
  livemode: boolean;
  /** Milliseconds by the fake's clock. */
  now: () => number;
}

const TYPES: Record<CollectionName, string> = {
  customer: 'customer',
  product: 'product',
  price: 'price',
  plan: 'plan',
  subscription: 'customer.subscription',
};

/** Metadata after a change: keys are merged, '' or null removes one, and all if given alone. */
export const mergeMetadata = (old: unknown, change: unknown): Fields => {
  if (change === '' || change === null) return {};
  const merged: Fields = { ...(old as Fields | null ?? {}) };
  for (const [key, value] of Object.entries(change as Fields)) {
    if (value === '' || value === null) delete merged[key];
    else merged[key] = value;
  }
  return merged;
};

/** The common part of operations on one account; see the functions inside. */
export const createOpsKit = (context: OpsContext) => {
  const { store, events, newId, livemode } = context;
  const seconds = (): number => Math.floor(context.now() / 1000);
  const shown = (name: CollectionName, id: string): string => store.viewText(name, id) ?? 'null';
  const emit = (name: CollectionName, verb: string, id: string, previous?: Fields): void => {
    events.record({
      type: `${TYPES[name]}.${verb}`,
      object: shown(name, id),
      ...(previous === undefined ? {} : { previous }),
    });
  };
  const need = <T extends StripeObject>(name: CollectionName, id: string, param = 'id'): T => {
    const object = store.get<T>(name, id);
    if (object === null) throw errors.missing(name, id, param);
    return object;
  };
  const needText = (fields: Fields, name: string): string => {
    const value = fields[name];
    if (typeof value !== 'string' || value === '') throw errors.missingParam(name);
    return value;
  };
  /**
   * Writes the object and says what changed, as far as the API shows it. An update that changes
   * nothing has no event; one of an item beyond the cap has.
   */
  const save = (
    name: CollectionName,
    id: string,
    next: StripeObject,
    verbs: string[] = [],
  ): void => {
    const old = JSON.parse(shown(name, id)) as Fields;
    const whole = JSON.stringify(store.get(name, id));
    store.put(name, next);
    if (JSON.stringify(store.get(name, id)) === whole) return;
    const previous = previousAttributes(old, JSON.parse(shown(name, id)) as Fields);
    emit(name, 'updated', id, previous);
    for (const verb of verbs) emit(name, verb, id);
  };
  const baseOf = (fields: Fields, kind: IdKind) => ({
    id: typeof fields['id'] === 'string' ? fields['id'] : newId(kind),
    created: typeof fields['created'] === 'number' ? fields['created'] : seconds(),
    livemode,
  });
  const insert = (name: CollectionName, object: StripeObject): void => {
    if (store.collections[name].byId.has(object.id)) {
      throw errors.invalid(`${name} already exists: '${object.id}'`, 'id');
    }
    store.put(name, object);
  };
  return { store, events, newId, seconds, shown, emit, need, needText, save, baseOf, insert };
};

/** What `createOpsKit` makes. */
export type OpsKit = ReturnType<typeof createOpsKit>;
