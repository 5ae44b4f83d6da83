import type { IncomingHttpHeaders } from "node:http";
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
