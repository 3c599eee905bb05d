/** Owns ids: they look like Stripe's, carry the account where Stripe's do, and are in no order. */

import type { Prng } from '../_shared/prng.ts';

/** What has an id. */
export type IdKind =
  | 'customer'
  | 'product'
  | 'price'
  | 'subscription'
  | 'subscription_item'
  | 'event'
  | 'test_clock'
  | 'invoice'
  | 'payment_method';

const SHORT: Partial<Record<IdKind, string>> = {
  customer: 'cus',
  product: 'prod',
  subscription_item: 'si',
};
const LONG: Partial<Record<IdKind, string>> = {
  price: 'price',
  subscription: 'sub',
  event: 'evt',
  test_clock: 'clock',
  invoice: 'in',
  payment_method: 'pm',
};

/** Makes ids for one account out of one stream of chance. */
export const createIds = (prng: Prng, accountId: string): (kind: IdKind) => string => {
  const tail = accountId.replace(/^acct_/, '').slice(-10);
  return (kind) =>
    SHORT[kind] !== undefined
      ? `${SHORT[kind]}_${prng.token(14)}`
      : `${LONG[kind]}_1${prng.token(5)}${tail}${prng.token(8)}`;
};
