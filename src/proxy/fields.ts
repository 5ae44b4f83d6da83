/** Which fields pass from one side of the proxy to the other, as flat lists of name, value, name, value, … */

import type { IncomingHttpHeaders, IncomingMessage } from "node:http";

/** Fields that end at the next hop (RFC 9110 §7.6.1), and those that speak to a proxy only. */
const HOP_BY_HOP: ReadonlySet<string> = new Set([
  "connection",
  "keep-alive",
  "proxy-connection",
  "proxy-authenticate",
  "proxy-authorization",
  "proxy-authentication-info",
  "te",
  "transfer-encoding",
  "upgrade",
]);

/** Fields meant for every recipient: `Connection` cannot take them away (RFC 9110 §7.6.1), whatever it names. */
const END_TO_END: ReadonlySet<string> = new Set([
  "authorization",
  "cache-control",
  "cdn-cache-control",
  "content-encoding",
  "content-length",
  "content-range",
  "content-type",
  "cookie",
  "date",
  "etag",
  "expires",
  "host",
  "pragma",
  "set-cookie",
  "transfer-encoding",
  "vary",
]);

/** Where the client came from, as an earlier proxy tells it. */
const FORWARDING: ReadonlySet<string> = new Set(["forwarded", "x-real-ip"]);

/** Set by us from what we know, so never copied. */
const MANAGED_ON_REQUEST: ReadonlySet<string> = new Set([
  "host",
  "content-length",
  "expect",
  "forwarded",
  "trailer",
  "via",
  "x-forwarded-for",
  "x-forwarded-host",
  "x-forwarded-proto",
]);

/**
 * Taken from `request.headers` and not as they came: the cache takes a client's conditions away and adds those of a
 * revalidation, and a hop is counted down.
 */
const REWRITTEN: ReadonlySet<string> = new Set([
  "if-none-match",
  "if-modified-since",
  "if-range",
  "max-forwards",
  "range",
]);

/** Node shows the cache only the first line of these, so the upstream must not see another one. */
const SINGLE_LINE: ReadonlySet<string> = new Set([
  "age",
  "authorization",
  "content-type",
  "etag",
  "expires",
  "from",
  "if-unmodified-since",
  "last-modified",
  "location",
  "referer",
  "retry-after",
  "server",
  "user-agent",
]);

/** RFC 9110 §6.5.1: what a trailer must not say, because it would have to be known before the content. */
const NOT_IN_TRAILERS: ReadonlySet<string> = new Set([
  ...END_TO_END,
  ...MANAGED_ON_REQUEST,
  ...REWRITTEN,
  "age",
  "if-match",
  "if-unmodified-since",
  "location",
  "retry-after",
  "warning",
  "www-authenticate",
]);

export const NO_BYTES: Uint8Array = new Uint8Array(0);

/** Lower-case members of all lines of one field. */
export function membersOf(rawHeaders: readonly string[], field: string): string[] {
  const members: string[] = [];
  for (let at = 0; at + 1 < rawHeaders.length; at += 2) {
    if (rawHeaders[at]?.toLowerCase() !== field) continue;
    for (const member of (rawHeaders[at + 1] ?? "").split(",")) {
      const text = member.trim().toLowerCase();
      if (text !== "") members.push(text);
    }
  }
  return members;
}

/** Whether a field goes no further than this hop; `options` are the members of its `Connection`. */
function endsHere(name: string, options: readonly string[]): boolean {
  return HOP_BY_HOP.has(name) || (options.includes(name) && !END_TO_END.has(name));
}

/** `Forwarded`, `X-Real-IP` and every `X-Forwarded-…`. */
function tellsForwarding(name: string): boolean {
  return FORWARDING.has(name) || name.startsWith("x-forwarded-");
}

/**
 * Takes from `headers`, which is what the cache decides by, all that the upstream will not see. Otherwise a client could
 * make a response for one variant and have it stored for another.
 */
export function removeUnforwarded(request: IncomingMessage, trustForwarded: boolean): void {
  const { headers, rawHeaders } = request;
  const options = membersOf(rawHeaders, "connection");
  for (const name of Object.keys(headers)) {
    if (name === "transfer-encoding" || !isUnforwarded(name, options, trustForwarded)) continue;
    delete headers[name];
  }
}

function isUnforwarded(name: string, options: readonly string[], trustForwarded: boolean): boolean {
  // CGI programs are given `Proxy` as HTTP_PROXY, which many HTTP clients obey.
  if (name === "proxy" || endsHere(name, options)) return true;
  if (!trustForwarded && tellsForwarding(name)) return true;
  if (!name.includes("_")) return false;
  // WSGI and CGI make the same variable of both spellings.
  const dashed = name.replaceAll("_", "-");
  return dashed === "proxy" || tellsForwarding(dashed) || END_TO_END.has(dashed) || HOP_BY_HOP.has(dashed);
}

/** The end-to-end fields of a request, with the conditions the cache chose, without those that we set ourselves. */
export function requestFields(request: IncomingMessage): string[] {
  const { rawHeaders } = request;
  const headers: IncomingHttpHeaders = request.headers;
  const fields: string[] = [];
  const seen = new Set<string>();
  for (let at = 0; at + 1 < rawHeaders.length; at += 2) {
    const name = rawHeaders[at] ?? "";
    const lower = name.toLowerCase();
    if (REWRITTEN.has(lower) || isSetByUs(lower) || !Object.hasOwn(headers, lower)) continue;
    if (SINGLE_LINE.has(lower) && seen.has(lower)) continue;
    seen.add(lower);
    fields.push(name, rawHeaders[at + 1] ?? "");
  }
  for (const [name, value] of Object.entries(headers)) {
    if (value === undefined || seen.has(name) || isSetByUs(name)) continue;
    for (const line of typeof value === "string" ? [value] : value) fields.push(name, line);
  }
  return fields;
}

function isSetByUs(name: string): boolean {
  return MANAGED_ON_REQUEST.has(name) || HOP_BY_HOP.has(name);
}

/** What the client is to get of a response's fields: everything but what ends at this hop. */
export function responseFields(rawHeaders: readonly string[], isKept: (name: string) => boolean): string[] {
  const options = membersOf(rawHeaders, "connection");
  const fields: string[] = [];
  for (let at = 0; at + 1 < rawHeaders.length; at += 2) {
    const name = rawHeaders[at] ?? "";
    const lower = name.toLowerCase();
    if (endsHere(lower, options) || !isKept(lower)) continue;
    fields.push(name, rawHeaders[at + 1] ?? "");
  }
  return fields;
}

/** Each name once, with all its values in order: the form in which `writeHead` loses no line whatever was set before. */
export function grouped(fields: readonly string[]): (string | string[])[] {
  const groups = new Map<string, { name: string; values: string[] }>();
  for (let at = 0; at + 1 < fields.length; at += 2) {
    const name = fields[at] ?? "";
    const value = fields[at + 1] ?? "";
    const known = groups.get(name.toLowerCase());
    if (known === undefined) groups.set(name.toLowerCase(), { name, values: [value] });
    else known.values.push(value);
  }
  return [...groups.values()].flatMap(({ name, values }) => [name, values.length === 1 ? (values[0] ?? "") : values]);
}

/** Trailer fields that may be passed on, as pairs. */
export function trailerPairs(rawTrailers: readonly string[]): [string, string][] {
  const pairs: [string, string][] = [];
  for (let at = 0; at + 1 < rawTrailers.length; at += 2) {
    const name = rawTrailers[at] ?? "";
    const lower = name.toLowerCase();
    const dashed = lower.replaceAll("_", "-");
    if (NOT_IN_TRAILERS.has(dashed) || HOP_BY_HOP.has(dashed) || tellsForwarding(dashed)) continue;
    pairs.push([name, rawTrailers[at + 1] ?? ""]);
  }
  return pairs;
}
