import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from "node:http";
import type { TLSSocket } from "node:tls";
import type { Route } from "../cache.ts";
import type { Exchange, Fill, LastLook, Reply } from "../engine/exchange.ts";
import { reachRoute } from "../engine/renewals.ts";
import type { CacheRequest } from "../types.ts";
import { contentOf } from "./_content.ts";
import { handlersFields } from "./_handlers-fields.ts";
import { sendAgain, type Entry } from "./_node-copy.ts";
import { applyFields, writeReply } from "./_node-reply.ts";
import { ResponseTap, type Destination, type TakeFrameworkEtag } from "./_response-tap.ts";

/** What a framework on `node:http` has to tell about one request. */
export interface NodeCall {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  /** Path and query as the client sent them, where the framework rewrites `request.url`. */
  readonly url: string;
  /** Lets the handler answer; errors it throws are `fill`'s to hear of first, where there is one. */
  run(fill: Fill | undefined): void;
  /** The pattern of the route, where the framework has one. */
  readonly pattern?: string | undefined;
  /** Changes the framework's own copies of path and query, where the handler shall see another query. */
  rewriteTarget?(request: IncomingMessage, path: string): void;
  readonly takeFrameworkEtag?: TakeFrameworkEtag;
  /** Where requests come in, for those that no server has brought. */
  readonly entry: Entry;
}

/** A cached route that a request came through, and the request as it was there. */
interface Enclosing {
  readonly route: Route;
  readonly fill: Fill;
  readonly headers: IncomingHttpHeaders;
  readonly url: string;
  readonly outer: Enclosing | undefined;
}

const enclosing = new WeakMap<IncomingMessage, Enclosing>();

/** Where the response of a fill goes that is not its client's own. */
const destinations = new WeakMap<Fill, Destination>();

/** Answers one `node:http` request through a route of the cache. */
export function respondOnNode(route: Route, call: NodeCall): void {
  const reached = reachRoute(route, call.request);
  if (reached === "passes" || isUpgrade(call.request)) return call.run(undefined);
  if (reached !== undefined) return new NodeExchange(call, route, call.url).forward(reached.fill);
  const url = showAsSent(route, call);
  const request = cacheRequest(call, url, route.authority);
  if (request === undefined) return call.run(undefined);
  const exchange = new NodeExchange(call, route, url);
  if (request.method !== "QUERY" || route.queryContentBytes === 0) return route.respond(request, exchange);
  void contentOf(call.request, route.queryContentBytes).then((content) =>
    route.respond(content === undefined ? request : { ...request, content }, exchange),
  );
}

/** The connection is to speak another protocol, or to become a tunnel: nothing of that is ours. */
function isUpgrade({ method, headers }: IncomingMessage): boolean {
  return headers.upgrade !== undefined || method === "CONNECT";
}

/**
 * Path and query as the client sent them. A route behind another one of the same cache decides alone, so it sees what that
 * one had taken from the request for itself.
 */
function showAsSent(route: Route, call: NodeCall): string {
  const { request } = call;
  let sent: Enclosing | undefined;
  for (let at = enclosing.get(request); at?.route.owner === route.owner; at = at?.outer) sent = at;
  if (sent === undefined) return call.url;
  request.headers = sent.headers;
  showTarget(call, call.url, sent.url);
  return sent.url;
}

let lastHost: string | undefined;
let lastAuthority: string | undefined;

/** `undefined` for a request whose target or host has no one reading: it passes by. */
function cacheRequest({ request }: NodeCall, url: string, authority: string | undefined): CacheRequest | undefined {
  const { method, headers } = request;
  const host = headers.host;
  if (authority === undefined && host !== lastHost) {
    lastHost = host;
    lastAuthority = host !== undefined && /^[\w.:[\]-]+$/.test(host) ? host.toLowerCase() : undefined;
  }
  const known = authority ?? lastAuthority;
  if (known === undefined || method === undefined || url.charCodeAt(0) !== SLASH) return undefined;
  const scheme = (request.socket as Partial<TLSSocket>).encrypted === true ? "https" : "http";
  return { method, scheme, authority: known, path: url, fields: headers };
}

const SLASH = 0x2f;

class NodeExchange implements Exchange {
  readonly #call: NodeCall;
  readonly #route: Route;
  readonly #url: string;
  readonly #enclosing: Enclosing | undefined;
  #tap: ResponseTap | undefined;

  constructor(call: NodeCall, route: Route, url: string) {
    this.#call = call;
    this.#route = route;
    this.#url = url;
    this.#enclosing = enclosing.get(call.request);
  }

  get within(): Fill | undefined {
    return this.#enclosing?.fill;
  }

  get forwardInBackground(): ((fill: Fill) => void) | undefined {
    const { method, socket } = this.#call.request;
    // The content of a QUERY has been read by then.
    if (method === "QUERY") return undefined;
    // Once read they are known for good: the renewal may begin when the client has left.
    void socket?.remoteAddress;
    void socket?.localAddress;
    return (fill) => this.#sendAgain(fill, "nowhere");
  }

  get forwardAgain(): ((fill: Fill) => void) | undefined {
    if (this.#call.request.method === "QUERY") return undefined;
    return (fill) => this.#sendAgain(fill, this.#tap ?? "nowhere");
  }

  get native(): unknown {
    return this.#call.request;
  }

  get pattern(): string | undefined {
    return this.#call.pattern;
  }

  send(reply: Reply, lastLook?: LastLook): void | Promise<void> {
    // Without a run of the handler there is nothing that a late change could forbid.
    if (this.#tap === undefined) return writeReply(this.#call.response, reply);
    return this.#tap.answer(reply, lastLook);
  }

  pass(fields: readonly string[]): void {
    if (fields.length > 0) applyFields(this.#call.response, fields);
    this.#call.run(undefined);
  }

  forward(fill: Fill): void {
    const { request, response, takeFrameworkEtag } = this.#call;
    const { headers } = request;
    enclosing.set(request, { route: this.#route, fill, headers, url: this.#url, outer: this.#enclosing });
    request.headers = handlersFields(headers, fill, this.#route.authority);
    showTarget(this.#call, this.#url, fill.origin.path);
    this.#tap = new ResponseTap(response, fill, takeFrameworkEtag, destinations.get(fill));
    this.#call.run(fill);
  }

  #sendAgain(fill: Fill, destination: Destination): void {
    const { request, entry } = this.#call;
    destinations.set(fill, destination);
    let skips = 0;
    for (let at = this.#enclosing; at !== undefined; at = at.outer) if (at.route === this.#route) skips += 1;
    sendAgain(request, this.#url, { fill, route: this.#route, skips, isClaimed: false }, entry);
  }
}

/** `request.url` may be shorter than the path: routers cut off what they have matched. */
function showTarget(call: NodeCall, shown: string, path: string): void {
  if (path === shown) return;
  const { request } = call;
  const [own = "/"] = (request.url ?? "/").split("?", 1);
  const mark = path.indexOf("?");
  request.url = mark === -1 ? own : own + path.slice(mark);
  call.rewriteTarget?.(request, path);
}
