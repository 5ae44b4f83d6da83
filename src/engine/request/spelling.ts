import { normaliseQuery } from "../../rfc9111/cache-key.ts";

/*
 * One spelling for the URIs that reach the same handler, for purges only: keys stay as they were sent. It is made when a
 * response is stored and when a purge names it.
 *
 * Routers differ in what they ignore (Express: letter case and a closing slash; Hono and node:http: neither), and a purge
 * cannot know the router. So all of it is ignored for each: a purge may reach more than was meant, which is a miss, and
 * never less.
 */

/** `scheme://host:port` in lower case, without the default port and a closing dot of the host; a name in Punycode. */
export function originSpelling(origin: string): string {
  if (!URL.canParse(origin)) return origin.toLowerCase();
  const { protocol, hostname, port } = new URL(origin);
  const host = hostname.endsWith(".") ? hostname.slice(0, -1) : hostname;
  return `${protocol}//${host}${port === "" ? "" : `:${port}`}`;
}

/**
 * A path in lower case, without closing slashes, with no character encoded that need not be. Where servers of files tidy
 * up (`//`, `.` and `..` segments) the tidy path is the second one.
 *
 * @example pathSpellings("/Caf%c3%a9/%7Eann/") // ["/caf%c3%a9/~ann"]
 */
export function pathSpellings(path: string): readonly [string, ...string[]] {
  const plain = withoutClosingSlashes(recoded(path, KEPT_IN_PATH).toLowerCase());
  if (!plain.includes("//") && !plain.includes("/.")) return [plain];
  const tidy = tidied(plain);
  return tidy === plain ? [plain] : [plain, tidy];
}

/** As `pathSpellings`, with a query in the spelling of `querySpelling`. */
export function targetSpellings(target: string): readonly string[] {
  const mark = target.indexOf("?");
  if (mark === -1) return pathSpellings(target);
  const query = querySpelling(target.slice(mark + 1));
  return pathSpellings(target.slice(0, mark)).map((path) => (query === "" ? path : `${path}?${query}`));
}

/** A query in order, `+` as `%20`, with no character encoded that need not be. */
export function querySpelling(query: string): string {
  return recoded(normaliseQuery(query, "all"), KEPT_IN_QUERY).replaceAll("+", "%20");
}

/** Characters that mean something else when they are not encoded. */
const KEPT_IN_PATH: ReadonlySet<string> = new Set(["/", "?", "#", "%"]);
const KEPT_IN_QUERY: ReadonlySet<string> = new Set(["&", "=", "+", ";", "#", "%"]);

function recoded(text: string, kept: ReadonlySet<string>): string {
  if (/^[\x21-\x24\x26-\x7e]*$/.test(text)) return text;
  return text
    .replace(/\p{Surrogate}/gu, "\ufffd")
    .replace(/%[\da-f]{2}|[^\x21-\x7e]+/gi, (part) => (part.startsWith("%") ? octet(part, kept) : encoded(part)));
}

function octet(triplet: string, kept: ReadonlySet<string>): string {
  const code = Number.parseInt(triplet.slice(1), 16);
  const character = String.fromCharCode(code);
  return code > 0x20 && code < 0x7f && !kept.has(character) ? character : triplet.toUpperCase();
}

function encoded(text: string): string {
  return encodeURIComponent(text);
}

function withoutClosingSlashes(path: string): string {
  let end = path.length;
  while (end > 1 && path.charCodeAt(end - 1) === SLASH) end -= 1;
  return path.slice(0, end);
}

const SLASH = 0x2f;

function tidied(path: string): string {
  const segments: string[] = [];
  for (const segment of path.split("/")) {
    if (segment === "..") segments.pop();
    else if (segment !== "" && segment !== ".") segments.push(segment);
  }
  return `/${segments.join("/")}`;
}
