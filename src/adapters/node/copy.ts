/** Makes a `node:http` request a second time. The copy enters at the server, and its response goes to no client. */

import { AsyncLocalStorage } from "node:async_hooks";
import { IncomingMessage, ServerResponse, type IncomingHttpHeaders } from "node:http";
import type { Socket } from "node:net";
import { Duplex } from "node:stream";
import { markRenewal, renewalNotReached, type Renewal } from "../../engine/fill/renewals.ts";
import { shareTags } from "../../engine/request/request-tags.ts";
import { asError } from "../../errors.ts";
import { FOR_LESS } from "../shared/for-less.ts";
import { connectionFacts, type ConnectionFacts } from "./connection-facts.ts";

/** Where a request goes in: the server, or the framework's own entry where there is none. */
export type Entry = (request: IncomingMessage, response: ServerResponse) => void;

interface Pair {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
}

interface Again {
  readonly connection: ConnectionFacts | undefined;
  readonly fallback?: Entry | undefined;
}

interface RequestServer {
  emit(event: "request", request: IncomingMessage, response: ServerResponse): boolean;
  listenerCount(event: "request"): number;
}

/** The async context in which this module was loaded: that of no request. */
const outsideRequests = AsyncLocalStorage.snapshot();

/**
 * Sends a copy of `original`, as the client sent it, through the whole application. The route it is for recognises it.
 *
 * @param url path and query as the client sent them
 * @param connection what was read of the client's connection while it was open
 * @param fallback used where the connection has no server, as with requests that a test injects
 */
export function sendAgain(
  { request: original, response: answered }: Pair,
  url: string,
  renewal: Renewal,
  { connection = connectionFacts(original.socket), fallback }: Again,
): void {
  const socket = new QuietSocket(original.socket, connection);
  const server = serverOf(original);
  // A test that injects requests has classes of its own, which make no copies.
  const Message = server === undefined ? IncomingMessage : classOf(original, IncomingMessage);
  const Response = server === undefined ? ServerResponse : classOf(answered, ServerResponse);
  const request = asSent(new Message(socket as unknown as Socket), original, url);
  shareTags(request, original);
  markRenewal(request, renewal);
  const response = new Response(request);
  // A response of its own with a real, if deaf, connection: back-pressure, `finish` and `close` come as always.
  response.assignSocket(socket as unknown as Socket);
  // Node's server does this for connections that it accepted.
  socket.on("drain", () => response.emit("drain"));
  Object.defineProperty(response, "writableNeedDrain", { get: () => socket.writableNeedDrain, configurable: true });
  response.once("finish", () => socket.destroy());
  response.once("close", () => {
    if (!renewal.isClaimed) renewal.fill.fail(renewalNotReached(response.statusCode));
  });
  try {
    outsideRequests(() => {
      if (server === undefined) fallback?.(request, response);
      else server.emit("request", request, response);
    });
  } catch (error) {
    renewal.fill.fail(asError(error));
  }
}

/** The server that brought a request, if one did. */
export function serverOf({ socket }: IncomingMessage): RequestServer | undefined {
  const { server } = (socket ?? {}) as { server?: Partial<RequestServer> | null };
  if (typeof server?.emit !== "function" || typeof server.listenerCount !== "function") return undefined;
  return server.listenerCount("request") > 0 ? (server as RequestServer) : undefined;
}

/** The application's own class, where its server was given one. */
function classOf<Class extends typeof IncomingMessage | typeof ServerResponse>(instance: object, base: Class): Class {
  const { constructor } = instance as { constructor?: unknown };
  if (typeof constructor !== "function") return base;
  return (constructor.prototype as unknown) instanceof base ? (constructor as Class) : base;
}

/** Makes `copy` the request as it came, without a body: only GET and HEAD are made once more. */
function asSent(copy: IncomingMessage, original: IncomingMessage, url: string): IncomingMessage {
  copy.method = original.method ?? "GET";
  copy.url = url;
  copy.httpVersion = original.httpVersion;
  copy.httpVersionMajor = original.httpVersionMajor;
  copy.httpVersionMinor = original.httpVersionMinor;
  // Middleware may have changed `headers` since.
  copy.rawHeaders = wholeRequest(original.rawHeaders ?? []);
  copy.headers = copy.rawHeaders.length === 0 ? { ...original.headers } : headersOf(copy.rawHeaders);
  copy.headersDistinct = linesOf(copy.rawHeaders);
  copy.complete = true;
  copy.push(null);
  return copy;
}

/** Raw headers without the client's conditions and range. */
function wholeRequest(raw: readonly string[]): string[] {
  return raw.filter((_, at) => !FOR_LESS.has((raw[at - (at % 2)] ?? "").toLowerCase()));
}

/** `message.headersDistinct` of these raw headers. */
function linesOf(raw: readonly string[]): Record<string, string[]> {
  const lines = Object.create(null) as Record<string, string[]>;
  for (let at = 0; at + 1 < raw.length; at += 2) {
    const name = (raw[at] ?? "").toLowerCase();
    lines[name] = [...(lines[name] ?? []), raw[at + 1] ?? ""];
  }
  return lines;
}

/** Fields of which Node keeps the first and drops the rest (`message.headers` in its documentation). */
const SINGLE: ReadonlySet<string> = new Set([
  "age",
  "authorization",
  "content-length",
  "content-type",
  "etag",
  "expires",
  "from",
  "host",
  "if-modified-since",
  "if-unmodified-since",
  "last-modified",
  "location",
  "max-forwards",
  "proxy-authorization",
  "referer",
  "retry-after",
  "server",
  "user-agent",
]);

/** `message.headers` of these raw headers. */
function headersOf(raw: readonly string[]): IncomingHttpHeaders {
  const headers: Record<string, string | string[]> = {};
  for (let at = 0; at + 1 < raw.length; at += 2) {
    const name = (raw[at] ?? "").toLowerCase();
    const value = raw[at + 1] ?? "";
    const known = Object.hasOwn(headers, name) ? headers[name] : undefined;
    if (name === "set-cookie") headers[name] = Array.isArray(known) ? [...known, value] : [value];
    else if (typeof known !== "string") headers[name] = value;
    else if (!SINGLE.has(name)) headers[name] = `${known}${name === "cookie" ? "; " : ", "}${value}`;
  }
  return headers;
}

/** Methods that tell something of the client's connection and change nothing. */
const READERS = [
  "exportKeyingMaterial",
  "getCertificate",
  "getCipher",
  "getEphemeralKeyInfo",
  "getFinished",
  "getPeerCertificate",
  "getPeerFinished",
  "getPeerX509Certificate",
  "getProtocol",
  "getSession",
  "getSharedSigalgs",
  "getTLSTicket",
  "getX509Certificate",
  "isSessionReused",
] as const;

/** Methods that would change the client's connection. Those of a plain connection are on every connection. */
const SETTERS = ["setTimeout", "setNoDelay", "setKeepAlive", "ref", "unref", "connect"] as const;
const TLS_SETTERS = [
  "disableRenegotiation",
  "enableTrace",
  "renegotiate",
  "setKeyCert",
  "setMaxSendFragment",
  "setServername",
  "setSession",
] as const;

/** A connection to no client, with all that a `net.Socket` has: it swallows what is written, and nothing comes from it. */
class QuietSocket extends Duplex {
  readonly connecting = false;
  readonly pending = false;
  readonly bytesRead = 0;
  readonly bytesWritten = 0;
  readonly bufferSize = 0;
  readonly timeout = 0;

  constructor(original: Socket | undefined, facts: ConnectionFacts) {
    super();
    // A handler that breaks its response off: the tap hears of that, and no client does.
    this.on("error", () => {});
    const source = (original ?? {}) as unknown as Record<string, unknown>;
    for (const [name, value] of Object.entries(facts)) this.#define(name, value);
    for (const name of READERS) {
      const method = source[name];
      if (typeof method === "function") this.#define(name, method.bind(original));
    }
    for (const name of SETTERS) this.#define(name, this.#nothing);
    for (const name of TLS_SETTERS) if (typeof source[name] === "function") this.#define(name, this.#nothing);
  }

  get readyState(): string {
    return this.destroyed ? "closed" : "open";
  }

  destroySoon(): void {
    if (this.writable) this.end();
    if (this.writableFinished) this.destroy();
    else this.once("finish", () => this.destroy());
  }

  resetAndDestroy(): this {
    return this.destroy();
  }

  override _read(): void {}

  override _write(_chunk: unknown, _encoding: string, done: () => void): void {
    done();
  }

  #define(name: string, value: unknown): void {
    Object.defineProperty(this, name, { value, writable: true });
  }

  readonly #nothing = (): this => this;
}
