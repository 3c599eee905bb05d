/** Owns keys: which account a request belongs to, and what a restricted key may do. */

import { errors } from './errors.ts';

/** What permissions are given for. Prices fall under plans, items under subscriptions. */
export type Resource =
  | 'account'
  | 'customer'
  | 'product'
  | 'plan'
  | 'subscription'
  | 'event'
  | 'webhook_endpoint';

/** A key. Without `permissions` it may do everything. */
export interface ApiKey {
  key: string;
  permissions?: Partial<Record<Resource, 'read' | 'write'>>;
  /** An expired key answers 401 `api_key_expired`. */
  expired?: boolean;
}

const PERMISSIONS: Record<Resource, string> = {
  account: 'rak_accounts_kyc_basic',
  customer: 'rak_customer',
  product: 'rak_product',
  plan: 'rak_plan',
  subscription: 'rak_subscription',
  event: 'rak_event',
  webhook_endpoint: 'rak_webhook',
};

/** The key out of an Authorization header, by Bearer or as the user of Basic; null if none. */
export const readKey = (authorization: string | undefined): string | null => {
  const [scheme, value] = (authorization ?? '').split(/\s+/, 2);
  if (value === undefined || value === '') return null;
  if (scheme?.toLowerCase() === 'bearer') return value;
  if (scheme?.toLowerCase() !== 'basic') return null;
  try {
    return atob(value).split(':')[0] || null;
  } catch {
    return null;
  }
};

/** Whether the prefix of a key (sk_live_, rk_test_, ...) means live mode; throws for another. */
export const isLiveKey = (key: string): boolean => {
  const mode = /^(?:sk|rk)_(test|live)_/.exec(key)?.[1];
  if (mode === undefined) {
    throw new Error(
      `key '****${key.slice(-4)}' must begin with sk_test_, rk_test_, sk_live_ or rk_live_`,
    );
  }
  return mode === 'live';
};

/** Throws Stripe's 401 for an expired key and 403 for one without the permission. */
export const requirePermission = (
  key: ApiKey,
  account: string,
  resource: Resource,
  method: string,
): void => {
  if (key.expired === true) throw errors.expiredKey(key.key);
  if (key.permissions === undefined) return;
  const granted = key.permissions[resource];
  const writes = method !== 'GET';
  if (granted === 'write' || (granted === 'read' && !writes)) return;
  const needed = `${PERMISSIONS[resource]}_${writes ? 'write' : 'read'}`;
  throw errors.noPermission(key.key, account, needed);
};
