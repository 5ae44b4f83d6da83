/** Responses of an upstream that knows no rules. */

import * as fc from "fast-check";
import type { Arbitrary } from "fast-check";

import { byteChanges, changed, listOf, plainText, type ByteChange } from "./bytes.ts";

export interface ResponseCase {
  readonly status: string;
  readonly fields: readonly (readonly [string, string])[];
  readonly framing: "length" | "chunked" | "close" | "short" | "long" | "twice";
  readonly changes: readonly ByteChange[];
}

const seconds = fc.constantFrom("0", "60", "3600", "", "-1", "1.5", '"60"', "1e3", "0x10", "99999999999999999999", " 60", "060", "é"); // prettier-ignore
const lifetime = fc
  .tuple(fc.constantFrom("max-age", "s-maxage", "Max-Age", "max-age "), seconds)
  .map(([name, value]) => `${name}=${value}`);
const directive = fc.oneof(
  { weight: 5, arbitrary: fc.constant("max-age=60") },
  { weight: 3, arbitrary: lifetime },
  {
    weight: 6,
    arbitrary: fc.constantFrom(
      "public", "private", "no-store", "no-cache", "must-revalidate", "proxy-revalidate", "must-understand", "immutable",
      'private="set-cookie"', 'no-cache="x"', 'private="', 'private=""', "private=x", "no-store=1", "no-store=", '"no-store"',
      'x="no-store', 'x="a, no-store"', "stale-while-revalidate=60", "stale-if-error=60", "no_store", "xno-store", "PRIVATE",
      "no-store;x", "private ;x=1", "no-store =1", '\\"', 'a="\\"", no-store, "b"', "=", "", "*",
    ),
  },
  { weight: 1, arbitrary: plainText },
); // prettier-ignore
const cacheControl = listOf(directive);
const vary = listOf(
  fc.oneof(
    fc.constantFrom("*", "Accept-Encoding", "accept", "Cookie", "AUTHORIZATION", "Origin", "x-a", "", '"*"', "a b"),
    plainText,
  ),
);
const date = fc.constantFrom(
  "Thu, 01 Jan 2099 00:00:00 GMT", "Thu, 01 Jan 1970 00:00:00 GMT", "Thursday, 01-Jan-99 00:00:00 GMT", "0", "-1", "",
  "Thu Jan  1 00:00:00 2099", "Thu, 01 Jan 2099 00:00:00 UTC", "Thu, 99 Jan 2099 99:99:99 GMT", "2099-01-01T00:00:00Z",
); // prettier-ignore
const tag = listOf(fc.constantFrom('"a"', 'W/"a"', "a", '"', '""', 'W/"', '"a', "w/\"a\"", "*", '"\xff"', '"a b"')); // prettier-ignore
const number = fc.constantFrom("0", "5", "999999999", "-5", "1.5", "5, 6", "", "x", "9".repeat(400));
const range = fc.constantFrom("bytes 0-5/10", "bytes 0-5/*", "bytes */10", "bytes 5-0/10", "x", "bytes 0-99999999999999999999/1", ""); // prettier-ignore

const field: Arbitrary<readonly [string, string]> = fc.oneof(
  { weight: 8, arbitrary: valued("Cache-Control", cacheControl) },
  { weight: 3, arbitrary: valued("Vary", vary) },
  { weight: 2, arbitrary: valued("Age", number) },
  { weight: 2, arbitrary: valued("Expires", date) },
  { weight: 1, arbitrary: valued("Date", date) },
  { weight: 1, arbitrary: valued("Last-Modified", date) },
  { weight: 2, arbitrary: valued("ETag", tag) },
  { weight: 1, arbitrary: valued("CDN-Cache-Control", cacheControl) },
  { weight: 2, arbitrary: valued("Set-Cookie", fc.oneof(fc.constantFrom("", "a=b", "sid=1; HttpOnly"), plainText)) },
  { weight: 1, arbitrary: valued("Content-Range", range) },
  { weight: 1, arbitrary: valued("Content-Encoding", listOf(fc.constantFrom("gzip", "identity", "x"))) },
  { weight: 1, arbitrary: valued("Connection", listOf(fc.constantFrom("keep-alive", "x-a", "cache-control", "vary", "@"))) },
  { weight: 1, arbitrary: valued("Access-Control-Allow-Origin", fc.constantFrom("*", "https://a.example", "null")) },
  { weight: 1, arbitrary: valued("Pragma", fc.constantFrom("no-cache", "x")) },
  { weight: 1, arbitrary: valued("Location", fc.constantFrom("/x", "http://[", "//", "\xff")) },
  { weight: 1, arbitrary: valued("No-Vary-Search", fc.oneof(fc.constantFrom('params=("a")', "key-order", "params"), plainText)) },
  { weight: 1, arbitrary: valued("Cache-Groups", fc.oneof(fc.constantFrom('"a", "b"', '"a'), plainText)) },
  { weight: 1, arbitrary: valued("Cache-Status", fc.oneof(fc.constantFrom("a; hit", '"'), plainText)) },
  { weight: 1, arbitrary: valued("__proto__", plainText) },
  { weight: 1, arbitrary: fc.tuple(fc.constantFrom("X-A", "x-b", "constructor", "Via", "Warning", "Trailer"), plainText) },
); // prettier-ignore

function valued(name: string, value: Arbitrary<string>): Arbitrary<readonly [string, string]> {
  return value.map((text) => [name, text] as const);
}

const status = fc.oneof(
  { weight: 12, arbitrary: fc.constant("200 OK") },
  {
    weight: 4,
    arbitrary: fc.constantFrom(
      "200", "200 ", "200 \xff\xfe", "201 A", "203 A", "204 A", "205 A", "206 A", "299 A", "301 A", "302 A", "304 A", "307 A",
      "401 A", "404 A", "410 A", "416 A", "499 A", "500 A", "503 A", "599 A", "999 A", "100 A", "103 A", "101 A", "099 A", "20 A", "2000 A",
    ),
  },
); // prettier-ignore

export const responseCase: Arbitrary<ResponseCase> = fc.record({
  status,
  fields: fc.oneof(
    { weight: 9, arbitrary: fc.array(field, { maxLength: 5 }) },
    {
      weight: 9,
      arbitrary: fc
        .tuple(cacheControl, fc.array(field, { maxLength: 3 }))
        .map(([text, more]): (readonly [string, string])[] => [["cache-control", text], ...more]),
    },
  ),
  framing: fc.oneof(
    { weight: 30, arbitrary: fc.constant("length" as const) },
    { weight: 10, arbitrary: fc.constant("chunked" as const) },
    { weight: 3, arbitrary: fc.constantFrom("close" as const, "short" as const, "long" as const, "twice" as const) },
  ),
  changes: fc.oneof({ weight: 7, arbitrary: fc.constant([]) }, { weight: 1, arbitrary: byteChanges }),
});

/** The head of a case whose body has `bodyBytes`, without the empty line. */
export function responseHead({ status: line, fields, framing, changes }: ResponseCase, bodyBytes: number): string {
  const lines = [`HTTP/1.1 ${line}`, ...fields.map(([name, value]) => `${name}: ${value}`)];
  if (framing === "length" || framing === "twice") lines.push(`Content-Length: ${bodyBytes}`);
  if (framing === "twice") lines.push(`Content-Length: ${bodyBytes - 1}`);
  if (framing === "short") lines.push(`Content-Length: ${bodyBytes + 7}`);
  if (framing === "long") lines.push(`Content-Length: ${bodyBytes - 2}`);
  if (framing === "chunked") lines.push("Transfer-Encoding: chunked");
  return changed(`${lines.join("\r\n")}\r\n\r\n`, changes);
}

export function responseBytes(response: ResponseCase, body: string): string {
  const content = response.framing === "chunked" ? `${body.length.toString(16)}\r\n${body}\r\n0\r\n\r\n` : body;
  return responseHead(response, body.length) + content;
}

/** Whether only the end of the connection can end the response for certain. */
export function endsConnection({ status: line, framing, changes }: ResponseCase): boolean {
  return changes.length > 0 || (framing !== "length" && framing !== "chunked") || /^(?:[^2]|20[^0136])/.test(line);
}
