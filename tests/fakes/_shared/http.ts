/**
 * Owns the wire of a fake: an HTTP server on 127.0.0.1 that can also misbehave as networks do. It
 * is built on node:http because that gives hold of the socket, which Deno.serve does not.
 */

import { Buffer } from 'node:buffer';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** A request with its body read. Header names are lower case. */
export interface WireRequest {
  method: string;
  path: string;
  query: URLSearchParams;
  /** The query as it came, without `?`. */
  rawQuery: string;
  headers: Record<string, string>;
  body: string;
}

/** How an answer travels. */
export type Delivery =
  | { how: 'whole' }
  | { how: 'never' }
  | { how: 'reset'; afterHeaders: boolean }
  | { how: 'cut'; bytes: number | null; close: boolean };

/** An answer. `delivery` is 'whole' unless a fault says otherwise. */
export interface Reply {
  status: number;
  headers: Record<string, string>;
  body: string;
  delivery?: Delivery;
}

/** A server that listens. */
export interface WireServer {
  port: number;
  url: string;
  /** Closes every connection, also those held open by a fault. */
  stop(): Promise<void>;
}

const MAX_BODY_BYTES = 5_000_000;

const readBody = async (message: IncomingMessage): Promise<string> => {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of message) {
    size += (chunk as Buffer).length;
    if (size > MAX_BODY_BYTES) throw new RangeError(`request body exceeds ${MAX_BODY_BYTES} bytes`);
    chunks.push(chunk as Buffer);
  }
  return Buffer.concat(chunks).toString('utf8');
};

const send = (response: ServerResponse, reply: Reply): void => {
  const delivery = reply.delivery ?? { how: 'whole' };
  const socket = response.socket;
  if (delivery.how === 'never') return;
  if (delivery.how === 'reset' && !delivery.afterHeaders) {
    socket?.destroy();
    return;
  }
  const whole = Buffer.from(reply.body, 'utf8');
  const kept = delivery.how === 'cut'
    ? whole.subarray(0, delivery.bytes ?? Math.floor(whole.length / 2))
    : whole;
  const closes = delivery.how === 'reset' || (delivery.how === 'cut' && delivery.close);
  response.writeHead(reply.status, {
    ...reply.headers,
    'content-length': String(closes ? whole.length : kept.length),
  });
  if (!closes) {
    response.end(kept);
    return;
  }
  response.flushHeaders();
  if (delivery.how === 'cut') response.write(kept);
  // Gives the kernel the bytes before the connection goes away.
  setTimeout(() => socket?.destroy(), 20);
};

/** Listens on `port` (0 for any free one) and answers with `handle`; an error in it is a 500. */
export const serveWire = async (
  port: number,
  handle: (request: WireRequest) => Promise<Reply>,
): Promise<WireServer> => {
  const answer = async (message: IncomingMessage, response: ServerResponse): Promise<void> => {
    try {
      const url = new URL(message.url ?? '/', 'http://127.0.0.1');
      const headers: Record<string, string> = {};
      for (const [name, value] of Object.entries(message.headers)) {
        if (value !== undefined) headers[name] = Array.isArray(value) ? value.join(', ') : value;
      }
      const reply = await handle({
        method: message.method ?? 'GET',
        path: url.pathname,
        query: url.searchParams,
        rawQuery: url.search.slice(1),
        headers,
        body: await readBody(message),
      });
      if (!response.destroyed) send(response, reply);
    } catch (error) {
      if (response.destroyed || response.headersSent) return;
      const message = error instanceof Error ? `${error.message}\n${error.stack}` : String(error);
      send(response, {
        status: 500,
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ error: { type: 'api_error', message: `fake failed: ${message}` } }),
      });
    }
  };
  const server = createServer((message, response) => void answer(message, response));
  // Longer than any client keeps an idle connection, so that reuse never races with a close.
  server.keepAliveTimeout = 120_000;
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '127.0.0.1', () => resolve());
  });
  const bound = (server.address() as AddressInfo).port;
  return {
    port: bound,
    url: `http://127.0.0.1:${bound}`,
    stop: () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
};
