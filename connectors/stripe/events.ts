// Owns what a Stripe event says, in the form that SQL applies.

import { z } from 'zod';
import type { ProviderEvent } from '../connector.ts';

const snapshotSchema = z.object({
  id: z.string().min(1),
  object: z.literal('event'),
  type: z.string(),
  created: z.int(),
  api_version: z.string().nullable().default(null),
  account: z.string().nullish(),
  livemode: z.boolean(),
  data: z.object({ object: z.looseObject({ id: z.string().min(1), object: z.string() }) }),
});

/** A thin event names its object, and leaves fetching it to us. */
const thinSchema = z.object({
  id: z.string().min(1),
  object: z.literal('v2.core.event'),
  type: z.string(),
  created: z.iso.datetime({ offset: true }),
  context: z.string().nullish(),
  livemode: z.boolean(),
  related_object: z.object({ id: z.string().min(1), type: z.string() }),
});

const resources = ['customer', 'product', 'price', 'plan', 'subscription'];

/**
 * A Stripe event as SQL applies it; null for one that is not about an object of a resource, such as
 * `customer.source.created`, or an upcoming invoice that has no id. Source: Stripe's event types;
 * `customer.subscription.deleted` means canceled, so the object lives on.
 */
export function normalise(value: unknown): ProviderEvent | null {
  const thin = thinSchema.safeParse(value);
  if (thin.success) {
    const { id, created, context, livemode, related_object } = thin.data;
    const resource = related_object.type;
    if (!resources.includes(resource)) return null;
    return {
      id,
      created: Math.floor(Date.parse(created) / 1000),
      api_version: null,
      account: context ?? null,
      livemode,
      resource,
      external_id: related_object.id,
      object: null,
      deleted: false,
    };
  }
  const parsed = snapshotSchema.safeParse(value);
  if (!parsed.success) return null;
  const { id, type, created, api_version, account, livemode, data } = parsed.data;
  const resource = data.object.object;
  const prefix = resource === 'subscription' ? 'customer.subscription' : resource;
  const verb = type.startsWith(`${prefix}.`) ? type.slice(prefix.length + 1) : '';
  if (!resources.includes(resource) || !/^[a-z_]+$/.test(verb)) return null;
  return {
    id,
    created,
    api_version,
    account: account ?? null,
    livemode,
    resource,
    external_id: data.object.id,
    object: data.object,
    deleted: verb === 'deleted' && resource !== 'subscription',
  };
}
