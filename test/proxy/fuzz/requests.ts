/** Requests of a client that means no good. */

import * as fc from "fast-check";
import type { Arbitrary } from "fast-check";

import { byteChanges, changed, listOf, plainText } from "./bytes.ts";

export interface RequestCase {
  readonly method: string;
  /** What follows the case's own path. */
  readonly suffix: string;
  readonly fields: readonly (readonly [string, string])[];
  readonly body: string | undefined;
  readonly isChunked: boolean;
}

const method = fc.oneof(
  { weight: 8, arbitrary: fc.constant("GET") },
  { weight: 2, arbitrary: fc.constant("HEAD") },
  { weight: 2, arbitrary: fc.constantFrom("POST", "PUT", "PATCH", "DELETE", "OPTIONS", "QUERY", "PURGE", "M-SEARCH", "TRACE") },
); // prettier-ignore

const suffix = fc.oneof(
  { weight: 4, arbitrary: fc.constant("") },
  {
    weight: 3,
    arbitrary: fc.constantFrom(
      "?", "?a=1&a=2", "?%", "?a%00b", "/x.css", ";a.css", "%2fa.css", "%00.js", "//", "/../b", "/%2e%2e/", "?a&b&a", "?__proto__=1",
      "?a[]=1&a[constructor]=2", "/%ff", "/%", "\\a", "/:a", "?" + "&".repeat(300), "?" + "a".repeat(2_000),
    ),
  },
); // prettier-ignore

const seconds = fc.constantFrom("0", "5", "", "-1", "1.5", "x", "99999999999999999999", '"5"');
const directive = fc.oneof(
  fc.constantFrom("no-cache", "no-store", "only-if-cached", "max-stale", "no-transform", "x-no-cache", "=", '"', 'a="no-store'),
  fc.tuple(fc.constantFrom("max-age", "max-stale", "min-fresh", "stale-if-error"), seconds).map((pair) => pair.join("=")),
  plainText,
); // prettier-ignore
const tags = listOf(fc.constantFrom('"v"', 'W/"v"', "*", "v", '"', 'W/"', '""', '"a,b"', '"\xff"', "w/\"v\"")); // prettier-ignore
const ranges = fc.oneof(
  listOf(fc.constantFrom("0-1", "2-", "-3", "-0", "5-2", "9-9", "0-99999999999999999999", "x", "-", "1-2-3")).map((set) => `bytes=${set}`),
  fc.constantFrom("bytes=", "bytes", "items=0-1", "bytes =0-1", `bytes=${"0-0,".repeat(900)}1-1`, "bytes=0-,0-,0-"),
  plainText,
); // prettier-ignore
const date = fc.constantFrom("Thu, 01 Jan 2099 00:00:00 GMT", "Thu, 01 Jan 1970 00:00:00 GMT", "x", "", "0", "Thursday, 01-Jan-99 00:00:00 GMT"); // prettier-ignore

function valued(name: string, value: Arbitrary<string>): Arbitrary<readonly [string, string]> {
  return value.map((text) => [name, text] as const);
}

const field: Arbitrary<readonly [string, string]> = fc.oneof(
  { weight: 4, arbitrary: valued("Cache-Control", listOf(directive)) },
  { weight: 3, arbitrary: valued("Range", ranges) },
  { weight: 2, arbitrary: valued("If-None-Match", tags) },
  { weight: 2, arbitrary: valued("If-Range", fc.oneof(tags, date)) },
  { weight: 1, arbitrary: valued("If-Match", tags) },
  { weight: 2, arbitrary: valued("If-Modified-Since", date) },
  { weight: 1, arbitrary: valued("If-Unmodified-Since", date) },
  { weight: 1, arbitrary: valued("Pragma", fc.constantFrom("no-cache", "x", "")) },
  { weight: 1, arbitrary: valued("Authorization", fc.constantFrom("Basic eDp5", "Bearer a", "")) },
  { weight: 1, arbitrary: valued("Cookie", fc.oneof(fc.constantFrom("a=b", "session=1", "; ;=", ""), plainText)) },
  { weight: 2, arbitrary: valued("X-Vary", fc.oneof(fc.constantFrom("a", "b", "", "A", "a, b"), plainText)) },
  { weight: 1, arbitrary: valued("Accept-Encoding", listOf(fc.constantFrom("gzip", "br", "*", "identity;q=0", "x;q=9", ";"))) },
  {
    weight: 3,
    arbitrary: fc.tuple(
      fc.constantFrom(
        "X-HTTP-Method-Override", "X-Method-Override", "X-Original-URL", "X-Rewrite-URL", "X-Forwarded-Host", "X-Forwarded-Proto",
        "Forwarded", "X-Host", "X-Forwarded-Scheme", "X_Forwarded_Host", "Proxy", "Via", "Max-Forwards", "TE", "Trailer",
        "X-Nextjs-Data", "__proto__", "constructor", "Keep-Alive", "X-Real-IP", "Upgrade-Insecure-Requests", "Content-Encoding",
      ),
      fc.oneof(fc.constantFrom("POST", "/admin", "evil.example", "a", "0", "trailers"), plainText),
    ),
  },
  { weight: 1, arbitrary: valued("Connection", listOf(fc.constantFrom("keep-alive", "cookie", "x-vary", "host", "cache-control", "te", "@"))) },
); // prettier-ignore

/** Requests with one reading only, which keep their connection: each of them must be answered. */
export const requestCase: Arbitrary<RequestCase> = fc.record({
  method,
  suffix,
  fields: fc.array(field, { maxLength: 5 }),
  body: fc.oneof(
    { weight: 8, arbitrary: fc.constant(undefined) },
    { weight: 1, arbitrary: fc.constantFrom("", "x", "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n", "0\r\n\r\n") },
  ),
  isChunked: fc.boolean(),
});

export function requestBytes(
  { method: name, suffix: more, fields, body, isChunked }: RequestCase,
  path: string,
): string {
  const lines = [`${name} ${path}${more} HTTP/1.1`, "Host: a", ...fields.map(([field, value]) => `${field}: ${value}`)];
  if (body === undefined) return `${lines.join("\r\n")}\r\n\r\n`;
  if (!isChunked) return `${lines.join("\r\n")}\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
  const chunk = body === "" ? "" : `${body.length.toString(16)}\r\n${body}\r\n`;
  return `${lines.join("\r\n")}\r\nTransfer-Encoding: chunked\r\n\r\n${chunk}0\r\n\r\n`;
}

/** A request whose bytes were changed anywhere: it may be several requests, a part of one, or none. */
export const brokenRequest: Arbitrary<string> = fc
  .tuple(requestCase, byteChanges)
  // What was a body may become a request in its own right, so it has another name here.
  .map(([request, changes]) => changed(requestBytes(request, "/broken").replace("/smuggled", "/unframed"), changes));
