// Owns what the edge runtime offers beyond Deno.

interface EdgeRuntime {
  waitUntil(promise: Promise<unknown>): void;
}

/** Keeps the worker alive until a promise has settled; plain Deno lives on by itself. */
export function waitUntil(promise: Promise<unknown>): void {
  (globalThis as { EdgeRuntime?: EdgeRuntime }).EdgeRuntime?.waitUntil(promise);
}
