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

function isObject(value: unknown): boolean {
  return typeof value === "object" && value !== null;
}
