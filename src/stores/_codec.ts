/**
 * The bytes of an entry in a remote store.
 *
 *     0   2  magic "RP"
 *     2   1  major version of this layout, 1
 *     3   1  flags, 0: a reader refuses a flag it does not know
 *     4   4  length of meta, big endian
 *     8   4  length of body
 *    12   4  CRC-32 of meta and body
 *    16      meta: UTF-8 JSON { "k": key, "m": meta }
 *            body
 *
 * What a store returns is an input like any other. Each length is compared with the bytes that are there before anything
 * is read or allocated, and the key is compared because two values can have been swapped or a hash can collide.
 */

import { crc32 } from "node:zlib";

import type { StoreEntry, StoreMeta } from "../types.ts";
import { compactBytes } from "./store.ts";

const MAGIC = 0x5250;
const MAJOR = 1;
const NO_FLAGS = 0;
/** Bytes before meta. */
export const HEADER_BYTES = 16;
/** Largest meta that is written or read. */
export const MAX_META_BYTES: number = 64 * 1024;
const MAX_BODY_BYTES = 0xffff_ffff;

/**
 * The frame of `entry`, or undefined when it cannot be kept: meta is too large or no JSON. `live` is not part of it.
 *
 * Meta with a property named `__proto__` is written and then refused by every reader.
 */
export function encodeEntry(key: string, entry: StoreEntry): Buffer | undefined {
  const metaText = jsonText({ k: key, m: entry.meta });
  if (metaText === undefined) return undefined;
  const metaBytes = Buffer.byteLength(metaText);
  const bodyBytes = entry.body.byteLength;
  if (metaBytes > MAX_META_BYTES || bodyBytes > MAX_BODY_BYTES) return undefined;

  const frame = Buffer.allocUnsafe(HEADER_BYTES + metaBytes + bodyBytes);
  frame.writeUInt16BE(MAGIC, 0);
  frame.writeUInt8(MAJOR, 2);
  frame.writeUInt8(NO_FLAGS, 3);
  frame.writeUInt32BE(metaBytes, 4);
  frame.writeUInt32BE(bodyBytes, 8);
  frame.write(metaText, HEADER_BYTES, "utf8");
  frame.set(entry.body, HEADER_BYTES + metaBytes);
  frame.writeUInt32BE(crc32(frame.subarray(HEADER_BYTES)), 12);
  return frame;
}

/** The entry in `bytes` if they are a whole, intact frame of this version that was written under `key`. Never throws. */
export function decodeEntry(key: string, bytes: Uint8Array): StoreEntry | undefined {
  const frame = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (frame.length < HEADER_BYTES) return undefined;
  if (frame.readUInt16BE(0) !== MAGIC) return undefined;
  if (frame.readUInt8(2) !== MAJOR) return undefined;
  if (frame.readUInt8(3) !== NO_FLAGS) return undefined;
  const metaBytes = frame.readUInt32BE(4);
  const bodyBytes = frame.readUInt32BE(8);
  if (metaBytes > MAX_META_BYTES || frame.length !== HEADER_BYTES + metaBytes + bodyBytes) return undefined;
  if (crc32(frame.subarray(HEADER_BYTES)) !== frame.readUInt32BE(12)) return undefined;

  const head = parsedObject(frame.toString("utf8", HEADER_BYTES, HEADER_BYTES + metaBytes));
  if (head === undefined || head["k"] !== key || !isObject(head["m"])) return undefined;
  // The reply of a client can be a slice of a large network chunk.
  const body = new Uint8Array(bytes.buffer, bytes.byteOffset + HEADER_BYTES + metaBytes, bodyBytes);
  return { meta: head["m"], body: compactBytes(body) };
}

function jsonText(value: unknown): string | undefined {
  try {
    return JSON.stringify(value);
  } catch {
    return undefined;
  }
}

function parsedObject(text: string): StoreMeta | undefined {
  try {
    const value: unknown = MAY_HOLD_PROTO.test(text) ? JSON.parse(text, refuseProto) : JSON.parse(text);
    return isObject(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

/** Plain or escaped, in a name or in a value: only then is the slower, checked parse needed. */
const MAY_HOLD_PROTO = /__proto__|\\u005f/i;

/** `JSON.parse` makes `__proto__` an ordinary property, and the next `Object.assign` makes it a prototype. */
function refuseProto(name: string, value: unknown): unknown {
  if (name === "__proto__") throw new SyntaxError("a property named __proto__");
  return value;
}

function isObject(value: unknown): value is StoreMeta {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
