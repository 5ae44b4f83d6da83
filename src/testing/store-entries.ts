/** Entries of the store contract, and how they are compared. */

import { deepStrictEqual, strictEqual } from "node:assert/strict";

import type { StoreEntry } from "../http.ts";

export const LONG_RETENTION_MS = 60_000;

/** Fails unless `found` has the meta and the bytes of `expected`. */
export function same(found: StoreEntry | undefined, expected: StoreEntry): void {
  if (found === undefined) throw new Error("The store found nothing where an entry was put.");
  deepStrictEqual(found.meta, expected.meta);
  strictEqual(found.body.byteLength, expected.body.byteLength, "length of the body");
  strictEqual(Buffer.compare(found.body, expected.body), 0, "the bytes of the body differ");
}

export function bytes(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}
