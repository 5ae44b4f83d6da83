/** A `Response` of what a handler of the contract gives. */

import type { Given } from "./driver.ts";

export function responseOf(given: Given): Response {
  const headers = new Headers();
  for (const [name, value] of Object.entries(given.headers ?? {})) {
    for (const line of typeof value === "string" ? [value] : value) headers.append(name, line);
  }
  const init = { status: given.status ?? 200, headers };
  if ("json" in given) return Response.json(given.json, init);
  if ("html" in given) {
    headers.set("content-type", "text/html; charset=utf-8");
    return new Response(given.html, init);
  }
  if ("text" in given) return new Response(given.text, init);
  if ("bytes" in given) return new Response(given.bytes as ConstructorParameters<typeof Response>[0], init);
  return new Response("stream" in given ? streamOf(given.stream()) : null, init);
}

export function streamOf(source: AsyncIterable<Uint8Array>): ReadableStream<Uint8Array> {
  const pieces = source[Symbol.asyncIterator]();
  return new ReadableStream({
    async pull(controller) {
      const { done, value } = await pieces.next();
      if (done === true) controller.close();
      else controller.enqueue(value);
    },
    async cancel() {
      await pieces.return?.();
    },
  });
}
