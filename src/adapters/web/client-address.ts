/** The client's address for a copy of its request: servers know that of the requests they made themselves. */

import { property } from "./property.ts";

/**
 * What a server handed to a handler beside `request`, as a copy of the request may be given it: with the address, which is
 * read now. On Bun it is the server, or an object with it; on Deno an object with the address.
 */
export function withAddress(beside: unknown, request: Request): unknown {
  try {
    return readAddress(beside, request);
  } catch {
    // Deno throws once the client is gone.
    return beside;
  }
}

function readAddress(beside: unknown, request: Request): unknown {
  if (isBunServer(beside)) return serverFor(beside, request);
  const server = property(beside, "server");
  if (isBunServer(server)) return { ...(beside as object), server: serverFor(server, request) };
  const remoteAddr = property(beside, "remoteAddr");
  if (typeof remoteAddr !== "object" || remoteAddr === null) return beside;
  // What Deno gives has its properties on its prototype, and forgets them with the request.
  return { ...(beside as object), completed: property(beside, "completed"), remoteAddr: { ...remoteAddr } };
}

interface BunServer {
  requestIP(request: Request): unknown;
}

function isBunServer(value: unknown): value is BunServer {
  return typeof property(value, "requestIP") === "function";
}

/** The server, which knows the address of `request` for requests that it did not make. */
function serverFor(server: BunServer, request: Request): BunServer {
  const address = server.requestIP(request);
  return new Proxy(server, {
    get(target, name) {
      if (name === "requestIP") return (asked: Request) => target.requestIP(asked) ?? address;
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === "function" ? (value as (...args: unknown[]) => unknown).bind(target) : value;
    },
  });
}
