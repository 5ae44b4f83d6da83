/**
 * Which requests of the web family stand for one that a server of `node:http` got. An application may make others with the
 * same bindings, as by `app.request("/nav", {}, c.env)` in Hono: Node's request and response beside those belong to
 * another page.
 */

import { markRenewal, renewalOf, type Renewal } from "../../engine/fill/renewals.ts";
import { FOR_LESS } from "../shared/for-less.ts";
import { property } from "./property.ts";

/** Node's request, as far as it is looked at. */
export interface NodeIncoming {
  readonly method?: string | undefined;
  readonly url?: string | undefined;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
}

/** Node's request behind this one: given beside it (`@hono/node-server`), or on it (srvx). */
export function incomingOf(request: Request, ...beside: readonly unknown[]): NodeIncoming | undefined {
  for (const value of beside) {
    const incoming = property(value, "incoming");
    if (isIncoming(incoming)) return incoming;
  }
  const incoming = property(property(property(request, "runtime"), "node"), "req");
  return isIncoming(incoming) ? incoming : undefined;
}

function isIncoming(value: unknown): value is NodeIncoming {
  return typeof property(value, "headers") === "object";
}

/** What copies of the server's own request were made of: the handler is shown one. */
const sources = new WeakMap<Request, Request>();

/** Remembers that `copy` stands for `source`. */
export function standsFor(copy: Request, source: Request): void {
  sources.set(copy, sources.get(source) ?? source);
}

/** True for the very request that the server made of Node's, and for what the cache shows in its place. */
function isServersOwn(request: Request, incoming: NodeIncoming): boolean {
  const own = sources.get(request) ?? request;
  if (property(property(property(own, "runtime"), "node"), "req") === incoming) return true;
  // `@hono/node-server` keeps Node's request in its own under a symbol.
  const held = own as unknown as Readonly<Record<symbol, unknown>>;
  return Object.getOwnPropertySymbols(own).some((key) => held[key] === incoming);
}

/**
 * True for the server's own request, and for one that a layer put in its place: it asks for the same, if need be below the
 * path it is mounted on, with all that the client sent.
 */
export function isFromServer(request: Request, incoming: NodeIncoming): boolean {
  return isServersOwn(request, incoming) || (hasTargetOf(request, incoming) && hasFieldsOf(request, incoming));
}

/** True where Node's request has the method and path of this one, if need be below the path it is mounted on. */
export function hasTargetOf({ method, url }: Request, incoming: NodeIncoming): boolean {
  const path = url.slice(url.indexOf("/", url.indexOf("://") + 3));
  return method === incoming.method && incoming.url?.endsWith(path) === true;
}

function hasFieldsOf({ headers }: Request, incoming: NodeIncoming): boolean {
  return Object.entries(incoming.headers).every(([name, value]) => {
    // HTTP/2 has the target among its fields.
    if (value === undefined || name.startsWith(":")) return true;
    return headers.get(name) === (typeof value === "string" ? value : value.join(", "));
  });
}

/** The request for which a copy of Node's was sent in: the copy's way leads to one like it. */
interface Asked {
  readonly request: Request;
  readonly isServersOwn: boolean;
}

const askedFor = new WeakMap<Renewal, Asked>();

/** Remembers for which request a copy of Node's is sent in. */
export function expectCopy(renewal: Renewal, request: Request, incoming: NodeIncoming): void {
  askedFor.set(renewal, { request, isServersOwn: isServersOwn(request, incoming) });
}

/**
 * The object by which it is known whether a request is a copy: the request, or Node's behind it where it stands for that.
 * What the application asks for on the way of a copy is no copy: its answer would be stored as another page.
 */
export function markedOf(request: Request, incoming: NodeIncoming | undefined): object {
  if (incoming === undefined || renewalOf(request) !== undefined) return request;
  const renewal = renewalOf(incoming);
  if (renewal === undefined) return request;
  const asked = askedFor.get(renewal);
  // A route of `node:http` asked, which knows its copy by itself.
  if (asked === undefined) return isFromServer(request, incoming) ? incoming : request;
  if (isServersOwn(request, incoming)) return asked.isServersOwn ? incoming : passing(renewal);
  return !asked.isServersOwn && isLike(request, asked.request) ? incoming : request;
}

/** Marks the server's own request where the copy is for what a layer makes of it further on. */
function passing(renewal: Renewal): object {
  const mark = {};
  markRenewal(mark, { ...renewal, isClaimed: true });
  return mark;
}

/** True for two requests for the same, but for the conditions and the range, which no copy has. */
function isLike(one: Request, other: Request): boolean {
  return one.method === other.method && one.url === other.url && wholeFields(one) === wholeFields(other);
}

function wholeFields({ headers }: Request): string {
  return JSON.stringify([...headers].filter(([name]) => !FOR_LESS.has(name)));
}
