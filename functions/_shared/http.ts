// Owns what the functions' HTTP surfaces share: answers, and bodies read up to a limit.

/** A JSON answer with a message. */
export function answer(status: number, message: string): Response {
  return Response.json({ message }, { status });
}

/**
 * The body's text, or nothing when it is longer than `limit` bytes: it is cut off while it is read,
 * whatever Content-Length says.
 */
export async function readBody(request: Request, limit: number): Promise<string | undefined> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of request.body ?? []) {
    length += chunk.length;
    if (length > limit) return undefined;
    chunks.push(chunk);
  }
  const bytes = new Uint8Array(length);
  let at = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, at);
    at += chunk.length;
  }
  return new TextDecoder().decode(bytes);
}
