// Owns what the conformance suite needs to know of a connector: how its fake provider is started, changed and
// asked what a mirror of it must hold. Each connector brings one, as connectors/<name>/conformance.ts.

import type { Connector } from '../../connectors/connector.ts';
import type { Faults } from '../fakes/_shared/faults.ts';

/** A connector with the provider that it is tried against. */
export interface Fixture {
  connector: Connector;
  /** The secret that the provider signs its webhooks with. */
  webhookSecret: string;
  /** Starts the provider, without any object or with some of every resource. */
  start(world: 'empty' | 'small'): Promise<Provider>;
}

/** A provider that runs: real HTTP, with state. */
export interface Provider {
  /** The environment of the functions: where the provider is. */
  env: Record<string, string>;
  apiKey: string;
  faults: Faults;
  /** The path under which a resource is listed, for faults; nothing for one that is not. */
  pathOf(resource: string): string | undefined;
  /** What a mirror of a resource holds, by id. */
  snapshot(resource: string): Map<string, unknown>;
  /** Changes an object, as a user of the provider would; gives its id. */
  update(resource: string): string;
  /** Deletes an object; gives its id. Nothing for a resource whose objects are never deleted. */
  remove(resource: string): string | undefined;
  /** Archives an object, for resources that declare archived_when; gives its id. */
  archive?(resource: string): string | undefined;
  /** Which resource webhooks are tried with. */
  webhookResource: string;
  /** The body of the last webhook about that resource. */
  lastWebhook(): string;
  /** A webhook that is about nothing the connector syncs. */
  unknownWebhook(): string;
  /** The headers that sign a body. */
  sign(body: string, secret: string): Promise<Record<string, string>>;
  stop(): Promise<void>;
}
