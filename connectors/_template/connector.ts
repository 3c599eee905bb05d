// Owns talking to Acme: one request a call, no retries because Postgres owns them, errors classified.
// FILL IN marks what is the provider's own.

import {
  type Access,
  type Connector,
  type Page,
  type PageRequest,
  ProviderError,
} from '../connector.ts';

function fillIn(what: string): never {
  throw new ProviderError('permanent', `the Acme connector does not ${what} yet`);
}

/** FILL IN: one request with the provider's SDK or fetch; `ACME_API_BASE` points it at a fake. */
function fetchOne(_access: Access, request: PageRequest): Promise<Page> {
  return fillIn(`fetch a ${request.resource}`);
}

/** Acme. */
export const acme: Connector = {
  name: 'acme',
  // FILL IN: the account that the key belongs to.
  identify: () => fillIn('know whose key it has'),
  fetchPage: fetchOne,
  // FILL IN: verify the signature over request.body, then normalise; null for what is not synced.
  readWebhook: () => fillIn('read webhooks'),
  manageWebhook: () => fillIn('manage webhooks: set them up at the provider'),
};
