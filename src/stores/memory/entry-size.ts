/**
 * The memory that an entry takes, in bytes.
 *
 * The constants are V8's on a 64-bit machine without pointer compression, rounded up; a test compares the sum with the real heap.
 * An object's named properties are charged for the slot and not for the name: names are interned and shared by all entries.
 */

import type { StoreEntry } from "../../http.ts";

/** The record, its place in the map and the recency list, with the slack growing tables keep. */
const ENTRY_BYTES = 208;
/** A `Uint8Array` with an `ArrayBuffer` of its own and the allocator's share, without the bytes. */
const BUFFER_BYTES = 304;
const OBJECT_BYTES = 56;
const ARRAY_BYTES = 48;
const SLOT_BYTES = 8;
const NUMBER_BYTES = 16;
const STRING_BYTES = 24;
/** Deeper values than any response has are not charged. The bound also ends cycles. */
const MAX_DEPTH = 16;
/** V8 keeps one byte per character of a text, or two for all of them if one needs two. */
const NEEDS_TWO_BYTES = /[^\0-\xff]/;

/** Bytes `entry` takes under `key`. Its decoded form counts as it is at this moment; what it shares with `meta` or `body` counts once. */
export function sizeBytes(key: string, entry: StoreEntry): number {
  const seen = new Set<object>([entry.body]);
  let bytes = ENTRY_BYTES + textBytes(key) + BUFFER_BYTES + entry.body.byteLength;
  for (const part of [entry.meta, entry.names, entry.uri, entry.generation, entry.live?.value])
    bytes += valueBytes(part, seen, 0);
  return bytes;
}

function textBytes(text: string): number {
  return STRING_BYTES + (NEEDS_TWO_BYTES.test(text) ? text.length * 2 : text.length);
}

function valueBytes(value: unknown, seen: Set<object>, depth: number): number {
  if (typeof value === "string") return textBytes(value);
  if (typeof value === "number") return NUMBER_BYTES;
  if (typeof value === "bigint") return NUMBER_BYTES + Math.ceil(value.toString(16).length / 2);
  if (typeof value !== "object" || value === null || seen.has(value) || depth > MAX_DEPTH) return 0;
  seen.add(value);
  if (ArrayBuffer.isView(value)) return BUFFER_BYTES + value.byteLength;
  if (Array.isArray(value)) {
    let bytes = ARRAY_BYTES;
    for (const member of value) bytes += SLOT_BYTES + valueBytes(member, seen, depth + 1);
    return bytes;
  }
  let bytes = OBJECT_BYTES;
  for (const name of Object.keys(value)) {
    bytes += SLOT_BYTES + valueBytes((value as Record<string, unknown>)[name], seen, depth + 1);
  }
  return bytes;
}
