import type { IncomingHttpHeaders, IncomingMessage } from "node:http";
import type { Fill } from "../engine/exchange.ts";

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
 * `csrfToken` (csurf, csrf-csrf, csrf-sync, lusca).
 */
export function watchToken(request: IncomingMessage, onToken: () => void): void {
  let csrfToken = watched((request as { csrfToken?: unknown }).csrfToken, onToken);
  // Such a package may stand behind the cached route, and give the method later.
  Object.defineProperty(request, "csrfToken", {
    configurable: true,
    enumerable: csrfToken !== undefined,
    get: () => csrfToken,
    set: (value: unknown) => {
      csrfToken = watched(value, onToken);
    },
  });
}

function watched(csrfToken: unknown, onToken: () => void): unknown {
  if (typeof csrfToken !== "function") return csrfToken;
  return function (this: unknown, ...args: unknown[]): unknown {
    onToken();
    return Reflect.apply(csrfToken, this, args);
  };
}

function isObject(value: unknown): boolean {
  return typeof value === "object" && value !== null;
}
