import type { IncomingMessage } from "node:http";
import type { ShownRequest } from "./shown-request.ts";

/**
 * Lets a session that is read on demand (`cookie-session`) be read from the cookies that the client sent, and tells that the
 * handler has read it. From a request without these cookies it would begin a new session, in place of the client's own.
 *
 * @param shown the request, whose cookies are hidden from the handler
 */
export function watchLazySession(request: IncomingMessage, shown: ShownRequest, onRead: () => void): void {
  const property = Object.getOwnPropertyDescriptor(request, "session");
  // It is called on the request.
  // oxlint-disable-next-line typescript/unbound-method
  const read = property?.get;
  if (read === undefined || property?.configurable !== true) return;
  Object.defineProperty(request, "session", {
    ...property,
    get(this: unknown): unknown {
      onRead();
      return shown.asSent(() => Reflect.apply(read, request, []) as unknown);
    },
  });
}
