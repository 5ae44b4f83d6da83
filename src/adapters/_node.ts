import type { IncomingMessage, ServerResponse } from "node:http";
import type { TLSSocket } from "node:tls";
import type { Route } from "../cache.ts";
import type { Exchange, Fill, Reply } from "../engine/exchange.ts";
import type { CacheRequest } from "../types.ts";
import { runInBackground } from "./_background.ts";
import { contentOf } from "./_content.ts";
import { handlersFields, hideParsedCookies } from "./_handlers-fields.ts";
import { hasClientCertificate } from "./_client-certificate.ts";
import { applyFieldsAhead, writeReply } from "./_node-reply.ts";
import { ResponseTap, type CleanHead } from "./_response-tap.ts";

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
  readonly cleanHead?: CleanHead;
  /**
   * Runs the handler on another pair; errors it throws go to `fill`. Left out where the framework cannot do that.
   */
  readonly rerun?: Rerun | undefined;
}

export type Rerun = (request: IncomingMessage, response: ServerResponse, fill: Fill) => void;

/** Answers one `node:http` request through a route of the cache. */
export function respondOnNode(route: Route, call: NodeCall): void {
  const exchange = new NodeExchange(call, route.authority);
  const request = cacheRequest(call, route.authority);
  if (typeof request === "string") {
    return route.respondWithoutKey({ method: call.request.method ?? "", path: call.url }, exchange, request);
  }
  if (request.method !== "QUERY" || route.queryContentBytes === 0) return route.respond(request, exchange);
  void contentOf(call.request, route.queryContentBytes).then((content) =>
    route.respond(content === undefined ? request : { ...request, content }, exchange),
  );
}

let lastHost: string | undefined;
let lastAuthority: string | undefined;

/** What has no one reading, for a request of which that is so: it passes by. */
function cacheRequest({ request, url }: NodeCall, authority: string | undefined): CacheRequest | "host" | "target" {
  const { method, headers } = request;
  const host = headers.host;
  if (authority === undefined && host !== lastHost) {
    lastHost = host;
    lastAuthority = host !== undefined && /^[\w.:[\]-]+$/.test(host) ? host.toLowerCase() : undefined;
  }
  const known = authority ?? lastAuthority;
  if (method === undefined || url.charCodeAt(0) !== SLASH) return "target";
  if (known === undefined) return "host";
  const isSecure = (request.socket as Partial<TLSSocket>).encrypted === true;
  const seen = { method, scheme: isSecure ? "https" : "http", authority: known, path: url, fields: headers };
  return isSecure && hasClientCertificate(request.socket) ? { ...seen, clientCertificate: true } : seen;
}

const SLASH = 0x2f;

class NodeExchange implements Exchange {
  readonly #call: NodeCall;
  readonly #authority: string | undefined;
  #tap: ResponseTap | undefined;

  constructor(call: NodeCall, authority: string | undefined) {
    this.#call = call;
    this.#authority = authority;
  }

  get forwardInBackground(): ((fill: Fill) => void) | undefined {
    const { request, rerun, cleanHead } = this.#call;
    // The content of a QUERY has been read by then.
    if (rerun === undefined || request.method === "QUERY") return undefined;
    return (fill) =>
      runInBackground(request, fill, this.#authority, cleanHead, (again, shadow) => {
        this.#showTarget(again, fill.origin.path);
        rerun(again, shadow, fill);
      });
  }

  get native(): unknown {
    return this.#call.request;
  }

  get pattern(): string | undefined {
    return this.#call.pattern;
  }

  send(reply: Reply): void {
    if (this.#tap === undefined) writeReply(this.#call.response, reply);
    else this.#tap.answer(reply);
  }

  pass(fields: readonly string[]): void {
    if (fields.length > 0) applyFieldsAhead(this.#call.response, fields);
    this.#call.run(undefined);
  }

  forward(fill: Fill): void {
    const { request, response, cleanHead } = this.#call;
    request.headers = handlersFields(request.headers, fill, this.#authority);
    hideParsedCookies(request, fill);
    this.#showTarget(request, fill.origin.path);
    this.#tap = new ResponseTap(response, fill, cleanHead);
    this.#call.run(fill);
  }

  /** `request.url` may be shorter than the path: routers cut off what they have matched. */
  #showTarget(request: IncomingMessage, path: string): void {
    if (path === this.#call.url) return;
    const [own = "/"] = (request.url ?? "/").split("?", 1);
    const mark = path.indexOf("?");
    request.url = mark === -1 ? own : own + path.slice(mark);
    this.#call.rewriteTarget?.(request, path);
  }
}
