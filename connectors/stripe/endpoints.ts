// Owns the webhook endpoint that an app has in its Stripe account. Ours are marked by metadata, so
// that others are never touched.

import type Stripe from 'stripe';
import type { ManagedEndpoint, WantedEndpoint } from '../connector.ts';

const MARK = 'supasaasy_app';

/** Makes the endpoint what is wanted. Throws what the SDK throws. */
export async function manageEndpoint(
  sdk: Stripe,
  apiVersion: string,
  wanted: WantedEndpoint,
): Promise<ManagedEndpoint> {
  const all = await sdk.webhookEndpoints.list({ limit: 100 });
  const own = all.data.filter((endpoint) => endpoint.metadata[MARK] === wanted.appKey);
  // The version of an endpoint is for ever, and its secret is shown once.
  const usable = own.find((endpoint) =>
    endpoint.id === wanted.endpointId && wanted.secretIsKnown && endpoint.url === wanted.url &&
    endpoint.api_version === apiVersion
  );
  const orphans = own.filter((endpoint) => endpoint !== usable);
  const removed = orphans.length > 0 ? `; removed ${orphans.length} of its own` : '';

  if (usable === undefined) {
    const made = await sdk.webhookEndpoints.create({
      url: wanted.url,
      enabled_events: wanted.types as Stripe.WebhookEndpointCreateParams.EnabledEvent[],
      api_version: apiVersion as Stripe.WebhookEndpointCreateParams.ApiVersion,
      description: `SupaSaaSy: ${wanted.appKey}`,
      metadata: { [MARK]: wanted.appKey },
    });
    await removeAll(sdk, orphans);
    return { endpointId: made.id, secret: made.secret ?? null, did: `created${removed}` };
  }

  const events = [...usable.enabled_events].sort().join();
  const isWanted = usable.status === 'enabled' && events === [...wanted.types].sort().join();
  if (!isWanted) {
    await sdk.webhookEndpoints.update(usable.id, {
      disabled: false,
      enabled_events: wanted.types as Stripe.WebhookEndpointUpdateParams.EnabledEvent[],
    });
  }
  await removeAll(sdk, orphans);
  return {
    endpointId: usable.id,
    secret: null,
    did: `${isWanted ? 'kept' : 'repaired'}${removed}`,
  };
}

async function removeAll(sdk: Stripe, endpoints: { id: string }[]): Promise<void> {
  for (const endpoint of endpoints) await sdk.webhookEndpoints.del(endpoint.id);
}
