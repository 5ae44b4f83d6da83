import type { Socket } from "node:net";

/** What applications read of a connection; copied, because the client may be gone by then. */
const PROPERTIES = [
  "remoteAddress",
  "remotePort",
  "remoteFamily",
  "localAddress",
  "localPort",
  "localFamily",
  "encrypted",
  "authorized",
  "authorizationError",
  "alpnProtocol",
  "servername",
  "server",
] as const;

/** What is known of a connection, by the name of the property or method. */
export type ConnectionFacts = Readonly<Record<string, unknown>>;

/** Reads of a connection what it forgets when it closes. */
export function connectionFacts(socket: Socket | undefined): ConnectionFacts {
  const source = (socket ?? {}) as unknown as Record<string, unknown>;
  const facts: Record<string, unknown> = {};
  for (const name of PROPERTIES) facts[name] = source[name];
  const address = typeof source["address"] === "function" ? (source["address"] as () => unknown).call(socket) : {};
  return { ...facts, address: () => address };
}
