/** What Node refuses is refused alike, by Node itself, and before anything has changed. */

import { IncomingMessage, ServerResponse } from "node:http";
import type { OutgoingHttpHeader, OutgoingHttpHeaders } from "node:http";
import { Socket } from "node:net";

/** What `write` and `end` take. */
export type Chunk = string | Uint8Array;

type Headers = OutgoingHttpHeaders | OutgoingHttpHeader[];

let idleRequest: IncomingMessage | undefined;

/** A response on no connection, on which a call can be tried. */
function scratch(request?: IncomingMessage): ServerResponse {
  if (request === undefined && idleRequest === undefined) {
    idleRequest = new IncomingMessage(new Socket());
    idleRequest.httpVersionMajor = 1;
    idleRequest.httpVersionMinor = 1;
  }
  return new ServerResponse((request ?? idleRequest) as IncomingMessage);
}

/** @throws what `write` or `end` throws for this chunk */
export function refuseChunk(method: "write" | "end", chunk: unknown, encoding: string | undefined): void {
  if (typeof chunk === "string" && encoding !== undefined && !Buffer.isEncoding(encoding)) {
    // Node finds out when the connection is written to, and then throws this.
    Buffer.from(chunk, encoding as BufferEncoding);
  }
  const isText = typeof chunk === "string" && (encoding === undefined || Buffer.isEncoding(encoding));
  if (isText || (chunk instanceof Uint8Array && (encoding === undefined || Buffer.isEncoding(encoding)))) return;
  const response = scratch();
  response.on("error", () => {});
  response[method](chunk, encoding as BufferEncoding);
}

/** Bytes of bodies whose length Node is to hold the handler to. */
const written = new WeakMap<ServerResponse, number>();

/**
 * Counts the chunk, where the handler has set `strictContentLength`.
 *
 * @throws what `write` or `end` throws when the body has another length than the head says
 */
export function refuseLength(
  method: "write" | "end",
  response: ServerResponse,
  hasHead: boolean,
  chunk: Chunk | undefined,
  encoding: BufferEncoding | undefined,
): void {
  if (!response.strictContentLength) return;
  const bytes = typeof chunk === "string" ? Buffer.byteLength(chunk, encoding) : (chunk?.byteLength ?? 0);
  const total = (written.get(response) ?? 0) + bytes;
  const declared = declaredLength(response);
  // Node looks at the first chunk before it makes a head that `writeHead` has not given.
  const isWrong = method === "end" ? total !== declared : hasHead && total > (declared ?? Infinity);
  if (declared !== undefined && isWrong) {
    const tried = scratch();
    tried.strictContentLength = true;
    tried.writeHead(200, { "Content-Length": declared });
    tried[method](new Uint8Array(total));
  }
  written.set(response, total);
}

function declaredLength(response: ServerResponse): number | undefined {
  const { statusCode, req } = response;
  if (statusCode === 204 || statusCode === 304 || req.method === "HEAD") return undefined;
  const declared = response.getHeader("content-length");
  return declared === undefined || response.hasHeader("transfer-encoding") ? undefined : Number(declared);
}

/** @throws what `writeHead` throws for these arguments, on this response as it is */
export function refuseHead(
  response: ServerResponse,
  hasHead: boolean,
  status: number,
  reason: string | Headers | undefined,
  headers: Headers | undefined,
): void {
  const tried = scratch(response.req);
  if (hasHead) tried.writeHead(200);
  for (const [name, value] of Object.entries(response.getHeaders())) {
    if (value !== undefined && !hasHead) tried.setHeader(name, value);
  }
  tried.statusMessage = response.statusMessage;
  if (typeof reason === "string") tried.writeHead(status, reason, headers);
  else tried.writeHead(status, (reason ?? headers) as Headers);
}

/** @throws what Node throws for the status and the reason phrase that were set on a response */
export function refuseOwnHead(response: ServerResponse): void {
  const { statusCode, statusMessage } = response;
  const isStatus = Number.isInteger(statusCode) && statusCode >= 100 && statusCode <= 999;
  if (!isStatus || !/^[\t\x20-\x7e\x80-\xff]*$/.test(statusMessage))
    refuseHead(response, false, statusCode, undefined, undefined);
}

const BLOCKED = ["setHeader", "appendHeader", "removeHeader", "setHeaders"] as const;

/** Makes the setters of headers throw as they do once the head is sent. Gives what ends it. */
export function blockHeaders(response: ServerResponse): () => void {
  const sent = scratch();
  sent.writeHead(200);
  const own = new Map<string, unknown>();
  for (const name of BLOCKED) {
    if (typeof response[name] !== "function") continue;
    if (Object.hasOwn(response, name)) own.set(name, response[name]);
    const refuse = (...args: unknown[]): unknown => Reflect.apply(sent[name], sent, args);
    Object.defineProperty(response, name, { value: refuse, configurable: true, writable: true });
  }
  return () => {
    for (const name of BLOCKED) {
      Reflect.deleteProperty(response, name);
      if (own.has(name))
        Object.defineProperty(response, name, { value: own.get(name), configurable: true, writable: true });
    }
  };
}
