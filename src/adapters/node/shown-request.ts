import type { IncomingHttpHeaders, IncomingMessage } from "node:http";
import type { Fill } from "../../engine/exchange.ts";
import type { NodeCall } from "./node-call.ts";

/** Path and query as the client sent them and, where something rewrote them, as the handler is shown them. */
export interface Target {
  readonly sent: string;
  readonly shown: string | undefined;
}

/** Own properties of a request in which frameworks and parsers keep copies of what the handler is not shown. */
const COPIES = ["cookies", "signedCookies", "query", "originalUrl"] as const;

/** A request as one side reads it. */
interface View {
  readonly headers: IncomingHttpHeaders;
  readonly query: string;
  readonly copies: readonly unknown[];
}

/**
 * A request while its handler runs: the handler is shown only what its response may depend on, in objects of its own, because
 * the cache goes on reading what the client sent. Code in front of the cached route, such as a logger, reads the request as
 * it was sent whenever it has its say about the response.
 */
export class ShownRequest {
  readonly #request: IncomingMessage;
  readonly #fill: Fill;
  readonly #authority: string | undefined;
  readonly #sent: View;
  readonly #shown: View;
  #isPutBack = false;

  /** Shows the handler its part of the request from now on. */
  constructor(call: NodeCall, target: Target, fill: Fill, authority: string | undefined) {
    const { request } = call;
    const { origin } = fill;
    this.#request = request;
    this.#fill = fill;
    this.#authority = authority;
    this.#sent = viewOf(request, target);
    request.headers = handlersFields(this.#sent.headers, fill, authority);
    if (origin.without.includes("cookie")) hideParsedCookies(request);
    const shown: Target = { sent: origin.path, shown: origin.otherPaths?.[0] };
    showTarget(call, target, shown);
    this.#shown = viewOf(request, shown);
  }

  /** Shows the request as it was sent, from now on: the handler can no longer change the response. */
  putBack(): void {
    if (this.#isPutBack) return;
    this.#isPutBack = true;
    const changed = this.#request.headers;
    exchange(this.#request, this.#shown, this.#sent);
    if (changed !== this.#shown.headers) return;
    const { headers } = this.#sent;
    this.#request.headers = withChanges(headers, handlersFields(headers, this.#fill, this.#authority), changed);
  }

  /** Calls code in front, which reads the request as it was sent, while the handler may still be running. */
  asSent<Result>(act: () => Result): Result {
    if (this.#isPutBack) return act();
    exchange(this.#request, this.#shown, this.#sent);
    try {
      return act();
    } finally {
      exchange(this.#request, this.#sent, this.#shown);
    }
  }
}

/** Shows another target than now. `request.url` may be shorter than the path: routers cut off what they have matched. */
export function showTarget(call: NodeCall, now: Target, next: Target): void {
  if (next.sent === now.sent && next.shown === now.shown) return;
  const { request } = call;
  call.rewriteTarget?.(request, next.sent, next.shown ?? next.sent);
  request.url = withQuery(request.url, queryOf(next));
}

function viewOf(request: IncomingMessage, target: Target): View {
  return { headers: request.headers, query: queryOf(target), copies: COPIES.map((name) => ownValue(request, name)) };
}

/** Puts one view in the place of the other, but for what code behind the route has set to something else by itself. */
function exchange(request: IncomingMessage, from: View, to: View): void {
  if (request.headers === from.headers) request.headers = to.headers;
  if (from.query !== to.query && queryIn(request.url) === from.query) request.url = withQuery(request.url, to.query);
  for (const [at, name] of COPIES.entries()) {
    const { [at]: now } = from.copies;
    // Middleware may have made the property one that cannot be set.
    if (now !== to.copies[at] && ownValue(request, name) === now) Reflect.set(request, name, to.copies[at]);
  }
}

/** Express 5 makes `query` anew at each access, on the prototype. */
function ownValue(request: IncomingMessage, name: (typeof COPIES)[number]): unknown {
  return Object.hasOwn(request, name) ? (request as Partial<Record<typeof name, unknown>>)[name] : undefined;
}

function queryOf({ sent, shown }: Target): string {
  return queryIn(shown ?? sent);
}

/** The query with its `?`, empty where there is none. */
function queryIn(url = "/"): string {
  const mark = url.indexOf("?");
  return mark === -1 ? "" : url.slice(mark);
}

function withQuery(url: string | undefined, query: string): string {
  const [path = "/"] = (url ?? "/").split("?", 1);
  return path + query;
}

/** Fields as the handler shall see them. */
function handlersFields(
  headers: IncomingHttpHeaders,
  { origin }: Fill,
  authority: string | undefined,
): IncomingHttpHeaders {
  const changed = { ...headers };
  for (const name of origin.without) delete changed[name];
  for (const [name, value] of Object.entries(origin.plus)) changed[name] = value as string;
  // As it is in the key, where its letter case does not count.
  const host = authority ?? changed.host?.toLowerCase();
  if (host !== undefined) changed.host = host;
  return changed;
}

/** The fields as they were sent, with what code behind the route changed of those it was given. */
function withChanges(
  sent: IncomingHttpHeaders,
  given: IncomingHttpHeaders,
  now: IncomingHttpHeaders,
): IncomingHttpHeaders {
  const names = Object.keys({ ...given, ...now }).filter((name) => given[name] !== now[name]);
  if (names.length === 0) return sent;
  const changed = { ...sent };
  for (const name of names) {
    if (now[name] === undefined) delete changed[name];
    else changed[name] = now[name];
  }
  return changed;
}

/** `cookie-parser` in front of the cache has read the cookies that the handler is not to see. */
function hideParsedCookies(request: IncomingMessage): void {
  const parsed = request as { cookies?: unknown; signedCookies?: unknown };
  if (isObject(parsed.cookies)) parsed.cookies = Object.create(null);
  if (isObject(parsed.signedCookies)) parsed.signedCookies = Object.create(null);
}

function isObject(value: unknown): boolean {
  return typeof value === "object" && value !== null;
}
