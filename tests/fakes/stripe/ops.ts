/**
 * Owns change: what creating, updating, cancelling and deleting do to the objects of one account,
 * and which events they leave behind. The HTTP endpoints and the tests both come through here.
 */

import { errors } from './errors.ts';
import { periodAt } from './generate.ts';
import {
  buildCustomer,
  buildPlan,
  buildProduct,
  buildRecurring,
  buildSubscription,
  buildSubscriptionItem,
  type Price,
  type StripeObject,
  type Subscription,
  type SubscriptionItem,
} from './objects.ts';
import { createOpsKit, type Fields, mergeMetadata, type OpsContext } from './ops_kit.ts';
import { createPriceOps } from './price_ops.ts';
import type { CollectionName } from './state.ts';

/**
 * The operations. Fields are typed JSON values as the API renders them. Unknown ids, missing
 * fields and refused changes throw an ApiError, as the API would answer.
 */
export interface Ops {
  /**
   * Creates an object and its events. `fields.id` and `fields.created` may be given. A recurring
   * price creates its plan, a plan its price. A subscription takes `customer` and `items:
   * [{price, quantity?, metadata?}]`.
   */
  create(name: CollectionName, fields: Fields): StripeObject;
  /** Sets top-level fields; metadata is merged, and '' or null removes a key. */
  update(name: CollectionName, id: string, fields: Fields): StripeObject;
  /**
   * Deletes. A customer's subscriptions are cancelled first, a product's prices deleted first, and
   * a price goes with its plan. A subscription is cancelled, as the API does.
   */
  delete(name: CollectionName, id: string): void;
  /** Cancels at once, or at the end of the period. */
  cancel(
    id: string,
    options?: { atPeriodEnd?: boolean; comment?: string | null; feedback?: string | null },
  ): Subscription;
  addItem(
    subscription: string,
    item: { price: string; quantity?: number; metadata?: Fields },
  ): SubscriptionItem;
  updateItem(
    id: string,
    fields: { price?: string; quantity?: number; metadata?: Fields | '' },
  ): SubscriptionItem;
  removeItem(id: string): void;
  /** Removes an object without a trace: no event, no deleted answer, just 404 from now on. */
  vanish(name: CollectionName, id: string): void;
  /** Puts raw JSON text under an id, without an event. It need not be a valid object. */
  putRaw(name: CollectionName, row: { id: string; created: number; text: string }): void;
}

/** The operations on one account. */
export const createOps = (context: OpsContext): Ops => {
  const kit = createOpsKit(context);
  const { store, events, newId, seconds, shown, emit, need, needText, save, baseOf, insert } = kit;
  const { createPrice, createPlan, updatePrice, deletePrice } = createPriceOps(
    kit,
    (fields) => create('product', fields),
  );
  const priceOf = (fields: Fields): Price => {
    const id = typeof fields['price'] === 'string' ? fields['price'] : fields['plan'];
    if (typeof id !== 'string') throw errors.missingParam('price');
    const price = need<Price>('price', id, 'price');
    if (price.recurring === null) {
      throw errors.invalid(
        'The price specified is set to `type=one_time` but this field only accepts prices with `type=recurring`.',
        'items[0][price]',
      );
    }
    return price;
  };
  const itemOf = (subscription: string, fields: Fields, at: number): SubscriptionItem => {
    const price = priceOf(fields);
    const period = periodAt(at, at, price.recurring ?? buildRecurring());
    return buildSubscriptionItem({ id: newId('subscription_item'), created: at }, {
      subscription,
      price,
      quantity: typeof fields['quantity'] === 'number' ? fields['quantity'] : 1,
      current_period_start: period.start,
      current_period_end: period.end,
      metadata: mergeMetadata({}, fields['metadata'] ?? {}),
    });
  };

  const createSubscription = (fields: Fields): Subscription => {
    const customer = need('customer', needText(fields, 'customer'), 'customer');
    const wanted = fields['items'];
    if (!Array.isArray(wanted) || wanted.length === 0) throw errors.missingParam('items');
    const base = baseOf(fields, 'subscription');
    const items = wanted.map((item) => itemOf(base.id, item as Fields, base.created));
    const first = items[0]?.price;
    const { items: _, trial_period_days: days, trial_end: end, ...rest } = fields;
    const trialEnd = typeof days === 'number'
      ? base.created + days * 86400
      : typeof end === 'string' && end !== 'now'
      ? Number(end)
      : typeof end === 'number'
      ? end
      : null;
    const subscription = buildSubscription(base, {
      status: trialEnd === null ? 'active' : 'trialing',
      trial_start: trialEnd === null ? null : base.created,
      trial_end: trialEnd,
      latest_invoice: newId('invoice'),
      test_clock: customer['test_clock'] ?? null,
      ...rest,
      metadata: mergeMetadata({}, fields['metadata'] ?? {}),
      customer: customer.id,
      currency: typeof fields['currency'] === 'string'
        ? fields['currency']
        : first?.currency ?? 'usd',
    }, items);
    delete subscription['payment_behavior'];
    delete subscription['proration_behavior'];
    if (fields['billing_cycle_anchor'] === 'now') {
      subscription['billing_cycle_anchor'] = base.created;
    }
    insert('subscription', withCancellation(subscription, fields));
    emit('subscription', 'created', base.id);
    return need<Subscription>('subscription', base.id);
  };

  /** `cancel_at_period_end` decides over `cancel_at`, `canceled_at` and the reason. */
  const withCancellation = (subscription: Subscription, fields: Fields): Subscription => {
    if (fields['cancel_at_period_end'] === undefined) return subscription;
    const ends = fields['cancel_at_period_end'] === true;
    return {
      ...subscription,
      cancel_at_period_end: ends,
      cancel_at: ends
        ? Math.max(...subscription.items.data.map((item) => item.current_period_end))
        : null,
      canceled_at: ends ? subscription.canceled_at ?? seconds() : null,
      cancellation_details: {
        comment: null,
        feedback: null,
        reason: ends ? 'cancellation_requested' : null,
      },
    };
  };

  const changeItem = (item: SubscriptionItem, fields: Fields): SubscriptionItem => {
    const next = { ...item };
    if (fields['price'] !== undefined || fields['plan'] !== undefined) {
      next.price = priceOf(fields);
      next.plan = buildPlan(next.price);
    }
    if (typeof fields['quantity'] === 'number') next.quantity = fields['quantity'];
    if (fields['metadata'] !== undefined) {
      next['metadata'] = mergeMetadata(item['metadata'], fields['metadata']);
    }
    return next;
  };

  const updateSubscription = (id: string, fields: Fields): Subscription => {
    const old = need<Subscription>('subscription', id);
    const { items, metadata, payment_behavior: _p, proration_behavior: _q, trial_end, ...rest } =
      fields;
    let next: Subscription = { ...old, ...rest };
    if (metadata !== undefined) next['metadata'] = mergeMetadata(old['metadata'], metadata);
    if (trial_end === 'now') {
      next['trial_end'] = seconds();
      next.status = 'active';
    } else if (trial_end !== undefined) {
      next['trial_end'] = trial_end === null ? null : Number(trial_end);
      if (trial_end !== null && old.status === 'active') next.status = 'trialing';
    }
    if (rest['billing_cycle_anchor'] === 'now') next['billing_cycle_anchor'] = seconds();
    else if (rest['billing_cycle_anchor'] === 'unchanged') {
      next['billing_cycle_anchor'] = old['billing_cycle_anchor'];
    }
    if (Array.isArray(items)) {
      let data = old.items.data;
      for (const change of items as Fields[]) {
        const itemId = change['id'];
        if (typeof itemId !== 'string') {
          data = [...data, itemOf(id, change, seconds())];
          continue;
        }
        const item = data.find((candidate) => candidate.id === itemId);
        if (item === undefined) throw errors.missing('subscription_item', itemId, 'items[0][id]');
        data = change['deleted'] === true
          ? data.filter((candidate) => candidate !== item)
          : data.map((candidate) => candidate === item ? changeItem(item, change) : candidate);
      }
      next.items = { ...old.items, data };
    }
    if (next['cancel_at_period_end'] !== old['cancel_at_period_end']) {
      next = withCancellation(next, fields);
    }
    const verbs: string[] = [];
    if (next.status === 'paused' && old.status !== 'paused') verbs.push('paused');
    if (next.status !== 'paused' && old.status === 'paused') verbs.push('resumed');
    save('subscription', id, next, verbs);
    return need<Subscription>('subscription', id);
  };

  const create = (name: CollectionName, given: Fields): StripeObject => {
    const { expand: _, ...fields } = given;
    if (name === 'price') return createPrice(fields);
    if (name === 'plan') return createPlan(fields);
    if (name === 'subscription') return createSubscription(fields);
    const base = baseOf(fields, name);
    const metadata = mergeMetadata({}, fields['metadata'] ?? {});
    if (name === 'product') needText(fields, 'name');
    const object = name === 'customer'
      ? buildCustomer(base, { ...fields, metadata })
      : buildProduct(base, { ...fields, metadata });
    insert(name, object);
    emit(name, 'created', object.id);
    return object;
  };

  const update = (name: CollectionName, id: string, given: Fields): StripeObject => {
    const { expand: _, ...fields } = given;
    if (name === 'subscription') return updateSubscription(id, fields);
    if (name === 'price' || name === 'plan') {
      need(name, id);
      const { trial_period_days: days, ...rest } = fields;
      const recurring = need<Price>('price', id).recurring;
      updatePrice(id, {
        ...rest,
        ...(days === undefined ? {} : { recurring: { ...recurring, trial_period_days: days } }),
      });
      return need(name, id);
    }
    const old = need(name, id);
    const next: StripeObject = { ...old, ...fields };
    if (fields['metadata'] !== undefined) {
      next['metadata'] = mergeMetadata(old['metadata'], fields['metadata']);
    }
    if (name === 'product' && JSON.stringify(next) !== JSON.stringify(old)) {
      next['updated'] = seconds();
    }
    save(name, id, next);
    return need(name, id);
  };

  const cancelNow = (
    id: string,
    details: { comment?: string | null; feedback?: string | null } = {},
  ): Subscription => {
    const old = need<Subscription>('subscription', id);
    if (old.status === 'canceled' || old.status === 'incomplete_expired') {
      throw errors.missing('subscription', id);
    }
    const at = seconds();
    store.put('subscription', {
      ...old,
      status: old.status === 'incomplete' ? 'incomplete_expired' : 'canceled',
      canceled_at: old.canceled_at ?? at,
      ended_at: at,
      cancellation_details: {
        comment: details.comment ?? null,
        feedback: details.feedback ?? null,
        reason: 'cancellation_requested',
      },
    });
    emit('subscription', 'deleted', id);
    return need<Subscription>('subscription', id);
  };

  const remove = (name: CollectionName, id: string): void => {
    const old = need(name, id);
    if (name === 'subscription') {
      cancelNow(id);
      return;
    }
    if (name === 'price' || name === 'plan') {
      deletePrice(id);
      return;
    }
    if (name === 'customer') {
      const running = store.subscriptionsOf(id).filter((row) =>
        row.facets.status !== 'canceled' &&
        row.facets.status !== 'incomplete_expired'
      );
      for (const row of running) cancelNow(row.id);
    } else {
      for (const row of store.collections.price.rows.filter((row) => row.facets.product === id)) {
        deletePrice(row.id);
      }
    }
    const text = shown(name, old.id);
    store.remove(name, id);
    events.record({ type: `${name}.deleted`, object: text });
  };

  const needItem = (id: string): { parent: Subscription; item: SubscriptionItem } => {
    const parent = store.get<Subscription>('subscription', store.parentOfItem(id) ?? '');
    const item = parent?.items.data.find((candidate) => candidate.id === id);
    if (parent === null || item === undefined) throw errors.missing('subscription_item', id);
    return { parent, item };
  };

  const ops: Ops = {
    create,
    update,
    delete: remove,
    cancel(id, { atPeriodEnd = false, ...details } = {}) {
      if (atPeriodEnd) return updateSubscription(id, { cancel_at_period_end: true });
      return cancelNow(id, details);
    },
    addItem(subscription, fields) {
      const parent = need<Subscription>('subscription', subscription, 'subscription');
      const item = itemOf(subscription, fields, seconds());
      save('subscription', subscription, {
        ...parent,
        items: { ...parent.items, data: [...parent.items.data, item] },
      });
      return item;
    },
    updateItem(id, fields) {
      const { parent, item } = needItem(id);
      const next = changeItem(item, fields);
      const data = parent.items.data.map((entry) => entry === item ? next : entry);
      save('subscription', parent.id, { ...parent, items: { ...parent.items, data } });
      return next;
    },
    removeItem(id) {
      const { parent, item } = needItem(id);
      if (parent.items.data.length === 1) {
        throw errors.invalid(
          'A subscription must have at least one active plan. To cancel a subscription, please use the cancel API endpoint.',
        );
      }
      const data = parent.items.data.filter((entry) => entry !== item);
      save('subscription', parent.id, { ...parent, items: { ...parent.items, data } });
    },
    vanish(name, id) {
      need(name, id);
      store.remove(name, id);
      store.collections[name].gone.delete(id);
    },
    putRaw: (name, row) => store.putText(name, row),
  };
  return ops;
};
