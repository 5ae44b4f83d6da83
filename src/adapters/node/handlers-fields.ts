import type { IncomingHttpHeaders, IncomingMessage } from "node:http";
import type { Fill } from "../../engine/exchange.ts";

/** Fields as the handler shall see them, in an object of their own: the cache goes on reading what the client sent. */
export function handlersFields(
  headers: IncomingHttpHeaders,
  { origin }: Fill,
  authority: string | undefined,
): IncomingHttpHeaders {
  const changed = { ...headers };
  for (const name of origin.without) delete changed[name];
  for (const [name, value] of Object.entries(origin.plus)) changed[name] = value as string;
  if (authority !== undefined) changed.host = authority;
  return changed;
}

/** `cookie-parser` in front of the cache has read the cookies that the handler is not to see. */
export function hideParsedCookies(request: IncomingMessage, { origin }: Fill): void {
  if (!origin.without.includes("cookie")) return;
  const parsed = request as { cookies?: unknown; signedCookies?: unknown };
  if (isObject(parsed.cookies)) parsed.cookies = Object.create(null);
  if (isObject(parsed.signedCookies)) parsed.signedCookies = Object.create(null);
}

/**
 * Tells when the handler asks for the CSRF token of its client: packages that make such tokens give requests a method
 * `csrfToken` (csurf, csrf-csrf, csrf-sync, lusca). One that cannot be watched counts as called.
 */
export function watchToken(request: IncomingMessage, onToken: () => void): void {
  if (!("csrfToken" in request)) return;
  const property = Object.getOwnPropertyDescriptor(request, "csrfToken");
  const csrfToken: unknown = property?.value;
  if (typeof csrfToken !== "function" || property?.writable !== true) return onToken();
  (request as { csrfToken?: unknown }).csrfToken = function (this: unknown, ...args: unknown[]): unknown {
    onToken();
    return Reflect.apply(csrfToken, this, args);
  };
}

/** True for a request that was given such a method behind the cached route: nothing tells whether it is called. */
export function hasNewToken(request: IncomingMessage, hadToken: boolean): boolean {
  return !hadToken && "csrfToken" in request;
}

function isObject(value: unknown): boolean {
  return typeof value === "object" && value !== null;
}
