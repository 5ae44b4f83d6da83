import type { IncomingMessage } from "node:http";

/** Methods that stand in place of `csrfToken` and tell when it is called. */
const watchers = new WeakSet<object>();

/**
 * Tells when the handler asks for the CSRF token of its client: packages that make such tokens give requests a method
 * `csrfToken` (csurf, csrf-csrf, csrf-sync, lusca). One that cannot be watched counts as called.
 */
export function watchToken(request: IncomingMessage, onToken: () => void): void {
  if (!("csrfToken" in request)) return;
  const property = Object.getOwnPropertyDescriptor(request, "csrfToken");
  const csrfToken: unknown = property?.value;
  if (typeof csrfToken !== "function" || property?.writable !== true) return onToken();
  const watcher = function (this: unknown, ...args: unknown[]): unknown {
    onToken();
    return Reflect.apply(csrfToken, this, args);
  };
  watchers.add(watcher);
  (request as { csrfToken?: unknown }).csrfToken = watcher;
}

/** True for a request whose `csrfToken` was put there behind the cached route: nothing tells whether it is called. */
export function hasUnwatchedToken(request: IncomingMessage): boolean {
  if (!("csrfToken" in request)) return false;
  const csrfToken: unknown = Object.getOwnPropertyDescriptor(request, "csrfToken")?.value;
  return typeof csrfToken !== "function" || !watchers.has(csrfToken);
}
