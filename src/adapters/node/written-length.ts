import type { ServerResponse } from "node:http";

/**
 * Makes a `Content-Length` that this cache has added the length of what is really written: layers in front may write another
 * body than the one they were given. To be called when the head is written.
 *
 * Node keeps the length of a body that comes whole with `end` in `_contentLength`, and declares that length where the head
 * has none. Of a body that comes in pieces it knows none.
 */
export function correctLength(response: ServerResponse, added: string): void {
  if (String(response.getHeader("content-length")) !== added) return;
  const { _contentLength: written } = response as { readonly _contentLength?: unknown };
  if (String(written) === added) return;
  const { statusCode, req } = response;
  const hasBody = req.method !== "HEAD" && statusCode !== 204 && statusCode !== 304;
  if (typeof written === "number" && hasBody) response.setHeader("content-length", written);
  else response.removeHeader("content-length");
}
