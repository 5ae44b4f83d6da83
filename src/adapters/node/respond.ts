import type { IncomingMessage, ServerResponse } from "node:http";
import type { TLSSocket } from "node:tls";
import type { Route } from "../../cache.ts";
import type { Exchange, Fill, LastLook, Reply } from "../../engine/exchange.ts";
import { reachRoute } from "../../engine/fill/renewals.ts";
import type { CacheRequest } from "../../http.ts";

import type { NodeCall } from "./node-call.ts";
import { connectionFacts, type ConnectionFacts } from "./connection-facts.ts";
import { contentOf } from "./content.ts";
import { hasClientCertificate } from "./client-certificate.ts";
import { watchLazySession } from "./lazy-session.ts";
import { watchToken } from "./form-token.ts";
import { sendAgain, serverOf } from "./copy.ts";
import { addFieldsAtHead, writeReply } from "./reply.ts";
import { ShownRequest, showTarget, type Target } from "./shown-request.ts";
import { ResponseTap, type Destination } from "./response-tap.ts";

/** A cached route that a request came through, and what it shows of the request to its handler. */
interface Enclosing {
  readonly route: Route;
  readonly fill: Fill;
  readonly shown: ShownRequest;
  readonly target: Target;
  readonly outer: Enclosing | undefined;
}

const enclosing = new WeakMap<IncomingMessage, Enclosing>();

/** Where the response of a fill goes that is not its client's own. */
const destinations = new WeakMap<Fill, Destination>();

/** Answers one `node:http` request through a route of the cache. */
export function respondOnNode(route: Route, call: NodeCall): void {
  const reached = reachRoute(route, call.request);
  if (reached === "passes" || isUpgrade(call.request)) return call.run(undefined);
  const target = { sent: call.url, shown: call.shownUrl };
  if (reached !== undefined) return runForCopy(route, call, target, reached.fill);
  const whole = showAsSent(route, call, target);
  const exchange = new NodeExchange(call, route, whole);
  const request = cacheRequest(call, whole, route.authority);
  // What has begun in front can neither be stored as a whole nor be answered anew.
  const isBegun = call.response.headersSent && (call.request.method === "GET" || call.request.method === "HEAD");
  if (typeof request === "string" || isBegun) {
    const detail = typeof request === "string" ? request : "head-sent";
    return route.respondWithoutKey({ method: call.request.method ?? "", path: call.url }, exchange, detail);
  }
  if (request.method !== "QUERY" || route.queryContentBytes === 0) return route.respond(request, exchange);
  void contentOf(call.request, route.queryContentBytes).then((content) =>
    route.respond(content === undefined ? request : { ...request, content }, exchange),
  );
}

/** Lets the handler answer a copy of a request, for the fill that sent it. */
function runForCopy(route: Route, call: NodeCall, target: Target, fill: Fill): void {
  const request = cacheRequest(call, target, route.authority);
  const isWhole = typeof request !== "string" && !call.response.headersSent;
  const isSame = fill.reached?.(isWhole ? request : undefined, call.request) !== false;
  if (!isSame) return call.run(undefined);
  new NodeExchange(call, route, target).forward(fill);
}

/** The handler has failed: what catches its error, in front of the route, reads the request as it was sent. */
export function showFailedRequest(request: IncomingMessage, fill: Fill): void {
  let failed = enclosing.get(request);
  while (failed !== undefined && failed.fill !== fill) failed = failed.outer;
  failed?.shown.putBack();
}

/** The connection is to speak another protocol, or to become a tunnel: nothing of that is ours. */
function isUpgrade({ method, headers }: IncomingMessage): boolean {
  return headers.upgrade !== undefined || method === "CONNECT";
}

/**
 * The target with all of its query. A route behind another one of the same cache decides alone, so it sees what that one had
 * taken from the request for itself.
 */
function showAsSent(route: Route, call: NodeCall, target: Target): Target {
  const { request } = call;
  let outermost: Enclosing | undefined;
  for (let at = enclosing.get(request); at?.route.owner === route.owner; at = at?.outer) {
    at.shown.putBack();
    outermost = at;
  }
  if (outermost === undefined) return target;
  const { path, otherPaths } = outermost.fill.origin;
  const isAsShown = target.sent === path && target.shown === otherPaths?.[0];
  const whole = isAsShown ? outermost.target : { ...target, sent: outermost.target.sent };
  showTarget(call, target, whole);
  return whole;
}

let lastHost: string | undefined;
let lastAuthority: string | undefined;

/** What has no one reading, for a request of which that is so: it passes by. */
function cacheRequest(
  { request, response, replaced: replacedQuery }: NodeCall,
  { sent: url, shown: shownUrl }: Target,
  authority: string | undefined,
): CacheRequest | "host" | "target" {
  const { method, headers } = request;
  const replaced = withOuterStatus(replacedQuery, response);
  const host = headers.host;
  if (authority === undefined && host !== lastHost) {
    lastHost = host;
    lastAuthority = host !== undefined && /^[\w.:[\]-]+$/.test(host) ? host.toLowerCase() : undefined;
  }
  const known = authority ?? lastAuthority;
  if (method === undefined || url.charCodeAt(0) !== SLASH || replaced === null) return "target";
  if (known === undefined) return "host";
  const isSecure = (request.socket as Partial<TLSSocket>).encrypted === true;
  const seen = { method, scheme: isSecure ? "https" : "http", authority: known, path: url, fields: headers };
  if (isSecure && hasClientCertificate(request.socket)) Object.assign(seen, { clientCertificate: true });
  if (shownUrl === undefined && replaced === undefined) return seen;
  return { ...seen, otherPaths: shownUrl === undefined ? undefined : [shownUrl], replaced };
}

const SLASH = 0x2f;

/**
 * The text for the key with the status and reason phrase that code in front of the route has set: a handler that sets none leaves
 * with those, so its response is not that of requests without them. An unsafe request has no response to keep apart.
 */
function withOuterStatus(
  replaced: string | null | undefined,
  { statusCode, statusMessage, req }: ServerResponse,
): string | null | undefined {
  if ((statusCode === 200 && !statusMessage) || replaced === null || !READS.has(req.method)) return replaced;
  return `status ${statusCode} ${statusMessage ?? ""}\n${replaced ?? ""}`;
}

const READS: ReadonlySet<string | undefined> = new Set(["GET", "HEAD", "QUERY"]);

class NodeExchange implements Exchange {
  readonly #call: NodeCall;
  readonly #route: Route;
  readonly #target: Target;
  readonly #enclosing: Enclosing | undefined;
  #connection: ConnectionFacts | undefined;
  #tap: ResponseTap | undefined;

  constructor(call: NodeCall, route: Route, target: Target) {
    this.#call = call;
    this.#route = route;
    this.#target = target;
    this.#enclosing = enclosing.get(call.request);
  }

  get within(): Fill | undefined {
    return this.#enclosing?.fill;
  }

  get forwardInBackground(): ((fill: Fill) => void) | undefined {
    const { method, socket } = this.#call.request;
    // The content of a QUERY has been read by then.
    if (method === "QUERY" || !this.#mayComeAgain()) return undefined;
    // The client may have left when the renewal begins, and a closed connection has forgotten its addresses.
    this.#connection ??= connectionFacts(socket);
    return (fill) => this.#sendAgain(fill, "nowhere");
  }

  get forwardAgain(): ((fill: Fill) => void) | undefined {
    if (this.#call.request.method === "QUERY" || !this.#mayComeAgain()) return undefined;
    return (fill) => this.#sendAgain(fill, this.#tap ?? "nowhere");
  }

  get native(): unknown {
    return this.#call.request;
  }

  get unseenErrors(): string | undefined {
    return this.#call.unseenErrors;
  }

  patterns(): readonly string[] {
    return this.#call.patterns?.() ?? [];
  }

  send(reply: Reply, lastLook?: LastLook): void | Promise<void> {
    // Without a run of the handler there is nothing that a late change could forbid.
    if (this.#tap === undefined) return writeReply(this.#call.response, reply);
    return this.#tap.answer(reply, lastLook);
  }

  pass(fields: readonly string[]): void {
    if (fields.length > 0 && !this.#call.response.headersSent) addFieldsAtHead(this.#call.response, fields);
    this.#call.run(undefined);
  }

  forward(fill: Fill): void {
    const { request, response, takeFrameworkEtag, onLateError } = this.#call;
    if (response.headersSent) return this.#watchBegun(fill);
    const shown = new ShownRequest(this.#call, this.#target, fill, this.#route.authority);
    enclosing.set(request, { route: this.#route, fill, shown, target: this.#target, outer: this.#enclosing });
    const destination = destinations.get(fill);
    const tap = new ResponseTap(response, fill, { shown, takeFrameworkEtag, destination, onLateError });
    this.#tap = tap;
    watchToken(request, () => tap.noteShown("csrf-token"));
    if (fill.origin.without.includes("cookie")) watchLazySession(request, shown, () => tap.noteShown("session"));
    this.#call.run(fill);
  }

  /** Of a response whose head has left in front of the route only the end can be seen: what it invalidates is purged then. */
  #watchBegun(fill: Fill): void {
    const { response } = this.#call;
    response.once("close", () => {
      fill.head({ status: response.statusCode, fields: {} });
      // Its body was not seen.
      fill.abort();
    });
    this.#call.run(fill);
  }

  #mayComeAgain(): boolean {
    return this.#call.entry !== undefined || serverOf(this.#call.request) !== undefined;
  }

  #sendAgain(fill: Fill, destination: Destination): void {
    const { entry } = this.#call;
    destinations.set(fill, destination);
    let skips = 0;
    for (let at = this.#enclosing; at !== undefined; at = at.outer) if (at.route === this.#route) skips += 1;
    sendAgain(
      this.#call,
      this.#target.sent,
      { fill, route: this.#route, skips, isClaimed: false },
      {
        connection: this.#connection,
        fallback: entry,
      },
    );
  }
}
