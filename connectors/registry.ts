// Owns the list of connectors in this build: one line each.

import type { Connector } from './connector.ts';
import { intercom } from './intercom/connector.ts';
import { stripe } from './stripe/connector.ts';

/** Every connector by its name. */
export const connectors: Readonly<Record<string, Connector>> = { intercom, stripe };
