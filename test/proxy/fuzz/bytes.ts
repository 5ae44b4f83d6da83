/** Changes to the bytes of a head, and texts that parsers stumble over. */

import * as fc from "fast-check";
import type { Arbitrary } from "fast-check";

/** Bytes and words that mean something to somebody. */
const SEEDS = [
  "\r\n", "\n", "\r", "\r\n\r\n", "\r\n ", "\0", "\t", " ", ":", ": ", ",", ";", "=", '"', "\\", "%", "%00", "#", "/", "..",
  "\x7f", "\x80", "\xff", "\xc3\xa9", "0", "-1", "99999999999999999999", "chunked", "Transfer-Encoding: chunked\r\n",
  "Content-Length: 5\r\n", "Content-Length: 0\r\n", "Host: b\r\n", "no-store", "private", "HTTP/1.0", "HTTP/1.1", "HTTP/2.0",
  "Connection: close\r\n", "Connection: upgrade\r\nUpgrade: websocket\r\n", "Expect: 100-continue\r\n", "GET / HTTP/1.1\r\n\r\n",
] as const; // prettier-ignore

export interface ByteChange {
  /** Where, as a part of the whole. */
  readonly place: number;
  readonly kind: "replace" | "insert" | "remove" | "double" | "cut";
  readonly text: string;
  readonly length: number;
}

const byte = fc.integer({ min: 0, max: 255 }).map((code) => String.fromCharCode(code));

export const byteChanges: Arbitrary<readonly ByteChange[]> = fc.array(
  fc.record({
    place: fc.integer({ min: 0, max: 9_999 }).map((part) => part / 10_000),
    kind: fc.constantFrom("replace", "insert", "insert", "remove", "double", "cut"),
    text: fc.oneof(byte, fc.constantFrom(...SEEDS)),
    length: fc.integer({ min: 1, max: 12 }),
  }),
  { minLength: 1, maxLength: 3 },
);

export function changed(text: string, changes: readonly ByteChange[]): string {
  let result = text;
  for (const { place, kind, text: inserted, length } of changes) {
    const at = Math.floor(place * result.length);
    const before = result.slice(0, at);
    const after = result.slice(at);
    switch (kind) {
      case "replace":
        result = before + inserted + after.slice(inserted.length);
        break;
      case "insert":
        result = before + inserted + after;
        break;
      case "remove":
        result = before + after.slice(length);
        break;
      case "double":
        result = before + after.slice(0, length) + after;
        break;
      case "cut":
        result = before;
        break;
    }
  }
  return result;
}

/** Field values that every parser takes: visible ASCII, tabs and bytes above 0x7F. */
export const plainText: Arbitrary<string> = fc
  .array(fc.constantFrom(...'abz019 \t",;=*/\\-+.:()[]{}%\x80\xe9\xff'.split("")), { maxLength: 24 })
  .map((characters) => characters.join("").trim());

/** A list of `members`, joined in the ways lists are written, well and badly. */
export function listOf(members: Arbitrary<string>): Arbitrary<string> {
  return fc
    .tuple(
      fc.array(members, { minLength: 1, maxLength: 4 }),
      fc.constantFrom(", ", ",", " , ", ",,", ",\t", "; ", " ", ", ,"),
      fc.integer({ min: 0, max: 3 }),
    )
    .map(([texts, separator, style]) => {
      const list = texts.join(separator);
      if (style === 0) return list.toUpperCase();
      return style === 1 ? `,${list},` : list;
    });
}
