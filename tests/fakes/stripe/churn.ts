/** Owns random change: a seeded mix of operations, as a busy account does them. */

import type { Prng } from '../_shared/prng.ts';
import type { Subscription } from './objects.ts';
import type { Ops } from './ops.ts';
import type { CollectionName, Store } from './state.ts';

const CHURN: readonly (readonly [string, number])[] = [
  ['customer_created', 14],
  ['customer_updated', 24],
  ['customer_deleted', 5],
  ['subscription_created', 12],
  ['subscription_updated', 14],
  ['subscription_canceled', 8],
  ['item_added', 7],
  ['item_updated', 6],
  ['item_removed', 4],
  ['product_updated', 4],
  ['price_updated', 2],
];

/** Does a number of random changes and returns how many of each kind it did. */
export type Churn = (count: number) => Record<string, number>;

/** Random change on one account, the same for the same seed and history. */
export const createChurn = (store: Store, ops: Ops, prng: Prng): Churn => {
  const anyId = (name: CollectionName): string | null => {
    const { rows } = store.collections[name];
    return rows.length === 0 ? null : prng.pick(rows).id;
  };
  const anyRunning = (): Subscription | null => {
    for (let tries = 0; tries < 20; tries++) {
      const found = store.get<Subscription>('subscription', anyId('subscription') ?? '');
      if (found !== null && found.status !== 'canceled' && found.status !== 'incomplete_expired') {
        return found;
      }
    }
    return null;
  };
  const anyRecurring = (): string | null => anyId('plan');

  type Move = () => boolean;
  const moves: Record<string, Move> = {
    customer_created: () => {
      const mark = prng.token(6);
      ops.create('customer', {
        name: `Customer ${mark}`,
        email: `${mark.toLowerCase()}@new.example`,
      });
      return true;
    },
    customer_updated: () => {
      const id = anyId('customer');
      if (id === null) return false;
      ops.update('customer', id, {
        metadata: { touched: prng.token(6) },
        balance: prng.int(0, 9999),
      });
      return true;
    },
    customer_deleted: () => {
      const id = anyId('customer');
      if (id === null) return false;
      ops.delete('customer', id);
      return true;
    },
    subscription_created: () => {
      const customer = anyId('customer');
      const price = anyRecurring();
      if (customer === null || price === null) return false;
      ops.create('subscription', { customer, items: [{ price, quantity: prng.int(1, 9) }] });
      return true;
    },
    subscription_updated: () => {
      const target = anyRunning();
      if (target === null) return false;
      ops.update('subscription', target.id, { metadata: { touched: prng.token(6) } });
      return true;
    },
    subscription_canceled: () => {
      const target = anyRunning();
      if (target === null) return false;
      ops.cancel(target.id, { atPeriodEnd: prng.chance(0.5) });
      return true;
    },
    item_added: () => {
      const target = anyRunning();
      const price = anyRecurring();
      if (target === null || price === null) return false;
      ops.addItem(target.id, { price, quantity: prng.int(1, 5) });
      return true;
    },
    item_updated: () => {
      const item = anyRunning()?.items.data[0];
      if (item === undefined) return false;
      ops.updateItem(item.id, { quantity: item.quantity + 1 });
      return true;
    },
    item_removed: () => {
      const items = anyRunning()?.items.data ?? [];
      const last = items.at(-1);
      if (last === undefined || items.length < 2) return false;
      ops.removeItem(last.id);
      return true;
    },
    product_updated: () => {
      const id = anyId('product');
      if (id === null) return false;
      ops.update('product', id, { description: `Revised ${prng.token(6)}` });
      return true;
    },
    price_updated: () => {
      const id = anyId('price');
      if (id === null) return false;
      ops.update('price', id, { nickname: `Price ${prng.token(4)}` });
      return true;
    },
  };
  return (count) => {
    const done: Record<string, number> = {};
    for (let i = 0; i < count; i++) {
      const name = prng.weighted(CHURN);
      if (moves[name]?.() === true) done[name] = (done[name] ?? 0) + 1;
    }
    return done;
  };
};
