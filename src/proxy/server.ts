/** `createProxy()`: a caching reverse proxy as a server of `node:http` or `node:https`. */

import { createServer, type IncomingMessage, type Server, type ServerOptions, type ServerResponse } from "node:http";
import { createServer as createSecureServer } from "node:https";
import type { AddressInfo, Socket } from "node:net";
import type { Duplex } from "node:stream";

import { respondOnNode } from "../adapters/node/respond.ts";
import type { NodeHandler } from "../adapters/node/index.ts";
import { createCache } from "../cache.ts";
import { acceptRequest } from "./accept.ts";
import { forward } from "./forward.ts";
import { LONGEST_TIMEOUT_MS, resolveProxyOptions, type ProxyOptions, type ProxySettings } from "./options.ts";
import { problemMessage, writeProblem, type Problem } from "./problem.ts";
import { DEFAULT_PROFILE, profileRoute } from "./profile.ts";
import { forwardUpgrade, isWebSocket, readWithoutUpgrade, responseOn } from "./upgrade.ts";
import { createUpstream, type Upstream } from "./upstream.ts";

export type { ProxyOptions } from "./options.ts";

/** Where a proxy listens. */
export interface ListenAddress {
  readonly port: number;
  /** Default: every address of the machine. */
  readonly host?: string;
}

/** A caching reverse proxy. */
export interface Proxy {
  /** The server itself, for what the options do not cover. */
  readonly server: Server;
  /** Starts to listen; rejects with the system's error when the address cannot be had. */
  listen(address: ListenAddress): Promise<AddressInfo>;
  /**
   * Stops listening and resolves when everything in flight is answered, or broken off after `shutdownTimeoutMs`.
   * Answers given meanwhile close their connection. Upgraded connections (WebSocket) have no end to wait for: they are
   * closed when the rest is done.
   */
  close(): Promise<void>;
}

/** What TRACE would tell of our own fields is nobody's business, and CONNECT is for forward proxies. */
const ALLOWED = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";
const LINGER_MS = 1_000;

/**
 * Makes a proxy in front of one server.
 *
 * @example
 * const proxy = createProxy({ upstream: "http://127.0.0.1:8000" });
 * await proxy.listen({ host: "127.0.0.1", port: 8080 });
 *
 * @throws when an option is wrong, naming option, value and cure
 */
export function createProxy(options: ProxyOptions): Proxy {
  const settings = resolveProxyOptions(options);
  const cache = options.cache ?? createCache();
  const upstream = createUpstream(settings);
  const route = cache.routeByHeaders(options.route ?? profileRoute(DEFAULT_PROFILE));
  const handler: NodeHandler = (request, response) =>
    respondOnNode(route, {
      request,
      response,
      url: request.url ?? "/",
      run: (fill) => forward(upstream, request, response, fill),
      entry: handler,
    });
  const front = new Front(settings, upstream, handler);
  let closing: Promise<void> | undefined;
  return {
    server: front.server,
    listen: (address) => front.listen(address),
    close: () => {
      closing ??= front.close().then(async () => {
        upstream.close();
        if (options.cache === undefined) await cache.close();
      });
      return closing;
    },
  };
}

interface Conversation {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
}

/** The client's side: connections, what is let in, and an orderly end. */
class Front {
  readonly server: Server;
  readonly #settings: ProxySettings;
  readonly #upstream: Upstream;
  readonly #handler: NodeHandler;
  readonly #sockets = new Set<Socket>();
  readonly #upgraded = new Set<Duplex>();
  readonly #open = new Map<Duplex, Set<Conversation>>();
  /** Connections that had their last word: what else arrives on them is not looked at. */
  readonly #refused = new WeakSet<Duplex>();
  #isClosing = false;
  #onQuiet: (() => void) | undefined;

  constructor(settings: ProxySettings, upstream: Upstream, handler: NodeHandler) {
    this.#settings = settings;
    this.#upstream = upstream;
    this.#handler = handler;
    const { tls } = settings;
    const options = serverOptions(settings);
    const server: Server = tls === undefined ? createServer(options) : createSecureServer({ ...options, ...tls });
    this.server = server;
    // Node would drop what is beyond this without a word; acceptRequest() counts.
    server.maxHeadersCount = 0;
    const { connectTimeoutMs, headTimeoutMs, idleTimeoutMs } = settings;
    server.timeout = Math.min(LONGEST_TIMEOUT_MS, connectTimeoutMs + headTimeoutMs + idleTimeoutMs);
    server.on(tls === undefined ? "connection" : "secureConnection", (socket: Socket) => this.#track(socket));
    server.on("request", (request, response) => this.#answer(request, response));
    server.on("checkContinue", (request, response) => this.#answer(request, response));
    server.on("checkExpectation", (request: IncomingMessage, response: ServerResponse) => {
      this.#enter(request, response);
      writeProblem(response, { status: 417, detail: "The only expectation met here is 100-continue.", close: true });
    });
    server.on("upgrade", (request, socket, head) => this.#upgrade(request, socket as Socket, head));
    server.on("connect", (_request, socket) => {
      this.#refuse(socket, { status: 501, detail: "This is no forward proxy: there is no CONNECT." });
    });
    server.on("clientError", (error: NodeJS.ErrnoException, socket) => this.#clientError(error, socket));
  }

  listen({ host, port }: ListenAddress): Promise<AddressInfo> {
    const { server } = this;
    return new Promise((resolve, reject) => {
      server.once("error", reject);
      server.listen({ port, ...(host === undefined ? {} : { host }) }, () => {
        server.off("error", reject);
        resolve(server.address() as AddressInfo);
      });
    });
  }

  async close(): Promise<void> {
    this.#isClosing = true;
    const closed = new Promise<void>((resolve) => {
      this.server.close(() => resolve());
    });
    for (const [socket, conversations] of this.#open) {
      for (const { response } of conversations) response.shouldKeepAlive = false;
      this.#closeWhenAnswered(socket);
    }
    for (const socket of this.#sockets) if (this.#isUnused(socket)) socket.destroy();
    const quiet = new Promise<void>((resolve) => {
      this.#onQuiet = resolve;
      this.#checkQuiet();
    });
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, this.#settings.shutdownTimeoutMs);
    });
    await Promise.race([quiet, late]);
    clearTimeout(timer);
    for (const socket of this.#upgraded) socket.destroy();
    this.server.closeAllConnections();
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }

  #track(socket: Socket): void {
    // A connection comes here twice when its Upgrade is ignored.
    if (this.#sockets.has(socket)) return;
    this.#sockets.add(socket);
    // Once read it is known for good: a revalidation in the background may outlive the connection.
    void socket.remoteAddress;
    socket.once("close", () => {
      this.#sockets.delete(socket);
      // Node tells only the response whose turn it is that the connection has gone.
      for (const { response } of this.#open.get(socket) ?? []) {
        if (response.socket === null) response.destroy().emit("close");
      }
    });
  }

  /** Nothing has arrived on it, or nothing since the last answer. */
  #isUnused(socket: Socket): boolean {
    return !this.#open.has(socket) && !this.#upgraded.has(socket) && socket.bytesRead === 0;
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    const { socket } = request;
    // The answer to a request before it closes the connection; where this one begins is anybody's guess.
    if (this.#refused.has(socket)) return;
    this.#enter(request, response);
    const problem = acceptRequest(request, this.#settings);
    if (problem !== undefined) {
      if (problem.close === true) this.#refused.add(socket);
      writeProblem(response, problem);
    } else if (!answeredHere(request, response)) this.#handler(request, response);
  }

  #enter(request: IncomingMessage, response: ServerResponse): void {
    const { socket } = request;
    const conversation = { request, response };
    const conversations = this.#open.get(socket) ?? new Set();
    this.#open.set(socket, conversations.add(conversation));
    if (this.#isClosing) response.shouldKeepAlive = false;
    response.once("close", () => {
      conversations.delete(conversation);
      if (conversations.size > 0) return;
      if (this.#open.get(socket) === conversations) this.#open.delete(socket);
      if (this.#isClosing) this.#checkQuiet();
    });
  }

  /** For a connection whose answer has begun, and so has promised to stay open. */
  #closeWhenAnswered(socket: Duplex): void {
    const conversations = [...(this.#open.get(socket) ?? [])];
    conversations.at(-1)?.response.once("finish", () => setImmediate(() => (socket as Socket).destroySoon()));
  }

  #checkQuiet(): void {
    if (this.#open.size === 0) this.#onQuiet?.();
  }

  #upgrade(request: IncomingMessage, socket: Socket, head: Buffer): void {
    const onError = (): void => void socket.destroy();
    socket.on("error", onError);
    // As above; and the answers of requests before a switch must not get into its stream.
    if (this.#refused.has(socket) || this.#open.has(socket)) {
      socket.destroySoon();
      return;
    }
    if (!isWebSocket(request)) {
      // The server has a listener of its own for a connection that it reads.
      socket.off("error", onError);
      return readWithoutUpgrade(this.server, this.#settings.tls !== undefined, request, socket, head);
    }
    const problem = this.#isClosing
      ? { status: 503, detail: "The proxy is shutting down." }
      : acceptRequest(request, this.#settings);
    if (problem !== undefined) return writeProblem(responseOn(request, socket), problem);
    this.#upgraded.add(socket);
    socket.once("close", () => this.#upgraded.delete(socket));
    forwardUpgrade(this.#upstream, request, socket, head);
  }

  /** What the parser could not read. */
  #clientError(error: NodeJS.ErrnoException, socket: Duplex): void {
    if (this.#refused.has(socket)) return;
    if (error.code === "ECONNRESET" || !socket.writable) {
      socket.destroy();
      return;
    }
    const open = [...(this.#open.get(socket) ?? [])];
    const last = open.at(-1);
    if (last === undefined) return this.#refuse(socket, problemOf(error));
    if (last.request.complete) {
      // Complete requests came before it: they are answered, then the connection ends.
      this.#refused.add(socket);
      last.response.shouldKeepAlive = false;
      return this.#closeWhenAnswered(socket);
    }
    // The body of this one is broken, so no part of it may count.
    if (open.length > 1 || last.response.headersSent) socket.destroy();
    else this.#refuse(socket, problemOf(error));
  }

  #refuse(socket: Duplex, problem: Problem): void {
    this.#refused.add(socket);
    socket.on("error", () => socket.destroy());
    socket.end(problemMessage(problem), "latin1");
    // Closing at once could take the answer away from a client that is still sending.
    setTimeout(() => socket.destroy(), LINGER_MS).unref();
  }
}

function serverOptions(settings: ProxySettings): ServerOptions {
  const { clientHeadTimeoutMs, clientRequestTimeoutMs, keepAliveTimeoutMs, maxHeadBytes } = settings;
  return {
    // Ours says more.
    requireHostHeader: false,
    maxHeaderSize: maxHeadBytes,
    headersTimeout: Math.min(clientHeadTimeoutMs, clientRequestTimeoutMs),
    requestTimeout: clientRequestTimeoutMs,
    keepAliveTimeout: keepAliveTimeoutMs,
    connectionsCheckingInterval: Math.min(5_000, Math.ceil(clientHeadTimeoutMs / 4)),
    noDelay: true,
  };
}

/** Answers the requests that go no further (RFC 9110 §7.6.2); false for all others. */
function answeredHere(request: IncomingMessage, response: ServerResponse): boolean {
  const { method, headers } = request;
  if (method === "TRACE") {
    writeProblem(response, { status: 405, detail: "There is no TRACE here.", fields: ["Allow", ALLOWED] });
    return true;
  }
  const hops = String(headers["max-forwards"]);
  if (method !== "OPTIONS" || !/^\d{1,9}$/.test(hops)) return false;
  if (Number(hops) === 0) {
    response.writeHead(204, ["Allow", ALLOWED]).end();
    return true;
  }
  headers["max-forwards"] = String(Number(hops) - 1);
  return false;
}

function problemOf({ code = "" }: NodeJS.ErrnoException): Problem {
  switch (code) {
    case "HPE_HEADER_OVERFLOW":
      return { status: 431, detail: "The head of the request is too large." };
    case "HPE_CHUNK_EXTENSIONS_OVERFLOW":
      return { status: 413, detail: "The chunk extensions are too large." };
    case "ERR_HTTP_REQUEST_TIMEOUT":
      return { status: 408, detail: "The request did not arrive in time." };
    default:
      return { status: 400, detail: "The request is not valid HTTP/1.1." };
  }
}
