/** Owns an account's webhook endpoints, as the API manages them. The secret is shown once. */

import type { Prng } from '../_shared/prng.ts';
import { errors } from './errors.ts';
import { readParams, type Spec, type Tree } from './params.ts';

/** A webhook endpoint as the API shows it. */
export interface Endpoint {
  id: string;
  object: 'webhook_endpoint';
  api_version: string | null;
  created: number;
  description: string | null;
  enabled_events: string[];
  livemode: boolean;
  metadata: Record<string, string>;
  status: 'enabled' | 'disabled';
  url: string;
}

/** The endpoints of one account. `secrets` are what deliveries to each are signed with. */
export interface Endpoints {
  rows: Map<string, Endpoint>;
  secrets: Map<string, string>;
  list(): Endpoint[];
  get(id: string): Endpoint;
  create(query: { [key: string]: Tree }): Endpoint & { secret: string };
  update(id: string, query: { [key: string]: Tree }): Endpoint;
  remove(id: string): void;
}

const CHANGEABLE: Spec = {
  url: 'string',
  enabled_events: { list: 'string' },
  description: 'string',
  metadata: 'metadata',
  expand: { list: 'string' },
};

/** The endpoints of an account, none at first. */
export const createEndpoints = (prng: Prng, livemode: boolean, now: () => number): Endpoints => {
  const rows = new Map<string, Endpoint>();
  const secrets = new Map<string, string>();
  const get = (id: string): Endpoint => {
    const row = rows.get(id);
    if (row === undefined) throw errors.invalid(`No such webhook endpoint: '${id}'`);
    return row;
  };
  return {
    rows,
    secrets,
    list: () => [...rows.values()].reverse(),
    get,
    create(query) {
      const fields = readParams(query, {
        ...CHANGEABLE,
        api_version: 'string',
        connect: 'boolean',
      });
      if (typeof fields['url'] !== 'string') throw errors.missingParam('url');
      if (!Array.isArray(fields['enabled_events'])) throw errors.missingParam('enabled_events');
      const row: Endpoint = {
        id: `we_${prng.token(24)}`,
        object: 'webhook_endpoint',
        api_version: (fields['api_version'] as string | undefined) ?? null,
        created: Math.floor(now() / 1000),
        description: (fields['description'] as string | undefined) ?? null,
        enabled_events: fields['enabled_events'] as string[],
        livemode,
        metadata: (fields['metadata'] as Record<string, string> | undefined) ?? {},
        status: 'enabled',
        url: fields['url'],
      };
      rows.set(row.id, row);
      secrets.set(row.id, `whsec_${prng.token(32)}`);
      return { ...row, secret: secrets.get(row.id) ?? '' };
    },
    update(id, query) {
      const row = get(id);
      const { disabled, expand: _, ...fields } = readParams(query, {
        ...CHANGEABLE,
        disabled: 'boolean',
      });
      const status = disabled === undefined ? row.status : disabled ? 'disabled' : 'enabled';
      const changed = { ...row, ...fields, status } as Endpoint;
      rows.set(id, changed);
      return changed;
    },
    remove(id) {
      get(id);
      rows.delete(id);
      secrets.delete(id);
    },
  };
};
