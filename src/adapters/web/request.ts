/** Requests of the web family: as the cache reads them, and as the handler is shown them. */

import type { Fill } from "../../engine/exchange.ts";
import type { CacheRequest } from "../../http.ts";
import { showsClientCertificate } from "../node/client-certificate.ts";
import { standsFor } from "./from-server.ts";
import { property } from "./property.ts";

/** `undefined` for a request whose URL has no authority or path: it passes by. */
export function cacheRequest(
  request: Request,
  otherPaths: readonly string[] | undefined,
  authority: string | undefined,
  env: unknown,
): CacheRequest | "host" | undefined {
  const { url } = request;
  const colon = url.indexOf("://");
  const slash = url.indexOf("/", colon + 3);
  if (colon === -1 || slash === -1) return undefined;
  const host = request.headers.get("host");
  if (host !== null && authority === undefined && !isKeyedHost(host, url.slice(colon + 3, slash), request))
    return "host";
  const hash = url.indexOf("#", slash);
  const fields = Object.create(null) as Record<string, string>;
  // Entries come in lower case, and joined where a name was repeated.
  for (const [name, value] of request.headers) fields[name] = value;
  return {
    method: request.method,
    scheme: url.slice(0, colon),
    authority: authority ?? url.slice(colon + 3, slash),
    path: hash === -1 ? url.slice(slash) : url.slice(slash, hash),
    ...(otherPaths === undefined ? {} : { otherPaths }),
    ...(showsClientCertificate(request, env) ? { clientCertificate: true } : {}),
    fields,
  };
}

/**
 * True when `Host` names the host of the URL, which is the one in the key and the one that the handler is shown. The handler
 * of a QUERY is shown the client's own request, with the spelling that was sent.
 */
function isKeyedHost(host: string, authority: string, { method, url }: Request): boolean {
  if (host === authority) return true;
  if (method === "QUERY") return false;
  const defaultPort = url.startsWith("https:") ? ":443" : ":80";
  const own = host.toLowerCase();
  return own === authority || (own.endsWith(defaultPort) && own.slice(0, -defaultPort.length) === authority);
}

/**
 * What the client sent, where a server on Node tells it and it is not the path of the request's URL: an app that is mounted
 * in another one is given a URL without the path it is mounted on.
 */
export function sentPath(environment: unknown, url: string): string | undefined {
  const sent = property(property(environment, "incoming"), "url");
  if (typeof sent !== "string" || !sent.startsWith("/")) return undefined;
  const start = url.length - sent.length;
  return url.endsWith(sent) && url.indexOf("/", url.indexOf("://") + 3) === start ? undefined : sent;
}

/** True for a handshake: its connection goes on to speak another protocol, so nothing may come between. */
export function asksForAnotherProtocol({ method, headers }: Request): boolean {
  return method === "CONNECT" || headers.has("upgrade");
}

/** True where the answer may be a 304 or a part, which takes the whole body to tell. */
export function hasConditions({ headers }: Request): boolean {
  return headers.has("if-none-match") || headers.has("if-modified-since") || headers.has("range");
}

/** The request as the handler shall see it; the client's own where it is the same. */
export function handlersRequest(request: Request, { origin }: Fill, authority: string | undefined): Request {
  const { url, method } = request;
  // Nothing is taken from or added to a request that has a body to lose.
  if (method !== "GET" && method !== "HEAD") return request;
  const start = url.indexOf("://") + 3;
  const keyed = authority ?? url.slice(start, url.indexOf("/", start));
  const target = url.slice(0, start) + keyed + origin.path;
  const host = request.headers.get("host");
  // As it is in the key: other spellings of it share the response.
  const named = host === null ? null : keyed;
  const plus = Object.entries(origin.plus);
  const isSame =
    target === url && named === host && plus.length === 0 && !origin.without.some((name) => request.headers.has(name));
  if (isSame) return request;
  const headers = new Headers(request.headers);
  for (const name of origin.without) headers.delete(name);
  for (const [name, value] of plus) headers.set(name, String(value));
  if (named !== null) headers.set("host", named);
  const shown = copyOf(request, target, headers, request.signal);
  standsFor(shown, request);
  return shown;
}

/** The same request once more, for a run to which no client listens. */
export function againRequest(request: Request): Request {
  return copyOf(request, request.url, new Headers(request.headers), undefined);
}

/** Runtimes hang these on their requests: Workers `cf`; srvx `runtime`, `ip`, `waitUntil` and `context`. */
const EXTRAS = ["cf", "ip", "runtime", "waitUntil", "context"] as const;

function copyOf(request: Request, url: string, headers: Headers, signal: AbortSignal | undefined): Request {
  const { method } = request;
  const copy = new Request(url, { method, headers, ...(signal === undefined ? {} : { signal }) });
  const source = request as unknown as Record<string, unknown>;
  for (const name of [...EXTRAS, ...Object.keys(request)]) {
    if (name in copy || source[name] === undefined) continue;
    Object.defineProperty(copy, name, { value: source[name], configurable: true, enumerable: true, writable: true });
  }
  return copy;
}
