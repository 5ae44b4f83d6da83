import type { IncomingMessage, ServerResponse } from "node:http";
import type { TLSSocket } from "node:tls";
import type { Route } from "../cache.ts";
import type { Exchange, Fill, Reply } from "../engine/exchange.ts";
import type { CacheRequest } from "../types.ts";
import { runInBackground } from "./_background.ts";
import { contentOf } from "./_content.ts";
import { handlersFields } from "./_handlers-fields.ts";
import { applyFields, writeReply } from "./_node-reply.ts";
import { ResponseTap, type CleanHead } from "./_response-tap.ts";

/** What a framework on `node:http` has to tell about one request. */
export interface NodeCall {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  /** Path and query as the client sent them, where the framework rewrites `request.url`. */
  readonly url: string;
  /** Path and query as the handler is shown them, where something in front of the route rewrote them. */
  readonly shownUrl?: string | undefined;
  /** What else was put in place of what the client sent, as text for the key; `null` where no text can be made of it. */
  readonly replaced?: string | null | undefined;
  /** Lets the handler answer; errors it throws are `fill`'s to hear of first, where there is one. */
  run(fill: Fill | undefined): void;
  /** The patterns of the routes that answer, where the framework has them; asked once the response is there. */
  patterns?(): readonly string[];
  /**
   * Changes the framework's own copies of path and query, where the handler shall not see the whole query. `sent` and
   * `shown` are what `url` and `shownUrl` become; `request.url` is still as it was.
   */
  rewriteTarget?(request: IncomingMessage, sent: string, shown: string): void;
  readonly cleanHead?: CleanHead;
  /**
   * Runs the handler on another pair; errors it throws go to `fill`. Left out where the framework cannot do that.
   */
  readonly rerun?: Rerun | undefined;
}

export type Rerun = (request: IncomingMessage, response: ServerResponse, fill: Fill) => void;

/** Answers one `node:http` request through a route of the cache. */
export function respondOnNode(route: Route, call: NodeCall): void {
  const request = cacheRequest(call, route.authority);
  if (request === undefined) return call.run(undefined);
  const exchange = new NodeExchange(call, route.authority);
  if (request.method !== "QUERY" || route.queryContentBytes === 0) return route.respond(request, exchange);
  void contentOf(call.request, route.queryContentBytes).then((content) =>
    route.respond(content === undefined ? request : { ...request, content }, exchange),
  );
}

let lastHost: string | undefined;
let lastAuthority: string | undefined;

/** `undefined` for a request whose target or host has no one reading: it passes by. */
function cacheRequest(call: NodeCall, authority: string | undefined): CacheRequest | undefined {
  const { request, url, shownUrl, replaced } = call;
  const { method, headers } = request;
  const host = headers.host;
  if (authority === undefined && host !== lastHost) {
    lastHost = host;
    lastAuthority = host !== undefined && /^[\w.:[\]-]+$/.test(host) ? host.toLowerCase() : undefined;
  }
  const known = authority ?? lastAuthority;
  if (known === undefined || method === undefined || url.charCodeAt(0) !== SLASH) return undefined;
  const scheme = (request.socket as Partial<TLSSocket>).encrypted === true ? "https" : "http";
  if (shownUrl === undefined && replaced === undefined) {
    return { method, scheme, authority: known, path: url, fields: headers };
  }
  if (replaced === null) return undefined;
  const otherPaths = shownUrl === undefined ? undefined : [shownUrl];
  return { method, scheme, authority: known, path: url, otherPaths, replaced, fields: headers };
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
        this.#showTarget(again, fill);
        rerun(again, shadow, fill);
      });
  }

  get native(): unknown {
    return this.#call.request;
  }

  patterns(): readonly string[] {
    return this.#call.patterns?.() ?? [];
  }

  send(reply: Reply): void {
    if (this.#tap === undefined) writeReply(this.#call.response, reply);
    else this.#tap.answer(reply);
  }

  pass(fields: readonly string[]): void {
    if (fields.length > 0) applyFields(this.#call.response, fields);
    this.#call.run(undefined);
  }

  forward(fill: Fill): void {
    const { request, response, cleanHead } = this.#call;
    request.headers = handlersFields(request.headers, fill, this.#authority);
    this.#showTarget(request, fill);
    this.#tap = new ResponseTap(response, fill, cleanHead);
    this.#call.run(fill);
  }

  /** `request.url` may be shorter than the path: routers cut off what they have matched. */
  #showTarget(request: IncomingMessage, { origin }: Fill): void {
    const { url, shownUrl } = this.#call;
    const { path } = origin;
    const shown = origin.otherPaths?.[0] ?? path;
    if (path === url && shown === (shownUrl ?? url)) return;
    const [own = "/"] = (request.url ?? "/").split("?", 1);
    const mark = shown.indexOf("?");
    this.#call.rewriteTarget?.(request, path, shown);
    request.url = mark === -1 ? own : own + shown.slice(mark);
  }
}
