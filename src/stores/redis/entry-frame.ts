/**
 * The bytes of an entry in a remote store.
 *
 *     0   2  magic "RP"
 *     2   1  major version of this layout, 1
 *     3   1  flags: 2 is sealed; a reader refuses a flag it does not know
 *     4   4  length of the head, big endian
 *     8   4  length of body
 *    12   4  CRC-32 of head and body
 *    16      head: UTF-8 JSON { "k": key, "m": meta, … }, see below
 *            body
 *           16  if sealed: the first half of HMAC-SHA-256 of all before it
 *
 * The head may also have `n`, the names, `u`, the URI or a list of them, `g`, the generation, and in milliseconds `x`,
 * when it expires on the clock of the store's server, `o`, how far that clock was ahead of the writer's, and `c`, a random
 * name of the writer's.
 *
 * Bytes from a store are not trusted. Each length is compared with the bytes that are there before anything
 * is read or allocated, and the key is compared because two values can have been swapped or a hash can collide.
 */

import { createHmac, timingSafeEqual } from "node:crypto";
import { crc32 } from "node:zlib";

import type { StoreEntry, StoreMeta } from "../../http.ts";
import { compactBytes } from "../entry-keys.ts";

const MAGIC = 0x5250;
const MAJOR = 1;
const SEALED = 2;
const SEAL_BYTES = 16;
/** Bytes before the head. */
export const HEADER_BYTES = 16;
/** Largest head that is written or read. */
export const MAX_META_BYTES: number = 64 * 1024;
const MAX_BODY_BYTES = 0xffff_ffff;

/** The times in a frame. */
interface FrameTimes {
  /** When it expires, on the clock of the store's server. */
  readonly expiresAtMs: number;
  /** How far that clock was ahead of the writer's. */
  readonly clockOffsetMs: number;
  /** Name of the writer's clock. */
  readonly clock?: string | undefined;
}

export interface EncodeOptions {
  readonly times?: FrameTimes | undefined;
  /** Seals the frame: only a process with the key can make one. */
  readonly integrityKey?: Uint8Array | undefined;
}

export interface DecodedEntry {
  readonly entry: StoreEntry;
  readonly times?: FrameTimes;
}

/**
 * The frame of `entry`, or undefined when it cannot be kept: the head is too large or no JSON. Its decoded form is not part of it.
 *
 * Meta with a property named `__proto__`, or nested deeper than 64, is written and then refused by every reader.
 */
export function encodeEntry(key: string, entry: StoreEntry, options: EncodeOptions = {}): Buffer | undefined {
  const { times, integrityKey } = options;
  const { meta, names, uri, generation } = entry;
  const headText = jsonText({
    k: key,
    m: meta,
    n: names?.length === 0 ? undefined : names,
    u: uri,
    g: generation,
    x: times && Math.round(times.expiresAtMs),
    o: times && Math.round(times.clockOffsetMs),
    c: times?.clock,
  });
  if (headText === undefined) return undefined;
  const headBytes = Buffer.byteLength(headText);
  const bodyBytes = entry.body.byteLength;
  if (headBytes > MAX_META_BYTES || bodyBytes > MAX_BODY_BYTES) return undefined;

  const sealAt = HEADER_BYTES + headBytes + bodyBytes;
  const frame = Buffer.allocUnsafe(sealAt + (integrityKey === undefined ? 0 : SEAL_BYTES));
  frame.writeUInt16BE(MAGIC, 0);
  frame.writeUInt8(MAJOR, 2);
  frame.writeUInt8(integrityKey === undefined ? 0 : SEALED, 3);
  frame.writeUInt32BE(headBytes, 4);
  frame.writeUInt32BE(bodyBytes, 8);
  frame.write(headText, HEADER_BYTES, "utf8");
  frame.set(entry.body, HEADER_BYTES + headBytes);
  frame.writeUInt32BE(crc32(frame.subarray(HEADER_BYTES, sealAt)), 12);
  if (integrityKey !== undefined) frame.set(seal(integrityKey, frame.subarray(0, sealAt)), sealAt);
  return frame;
}

/**
 * The entry in `bytes` if they are a whole, intact frame of this version that was written under `key`; with an integrity
 * key, if they are sealed with it, and without one, if they are not sealed. Never throws.
 */
export function decodeEntry(key: string, bytes: Uint8Array, integrityKey?: Uint8Array): DecodedEntry | undefined {
  const frame = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (frame.length < HEADER_BYTES) return undefined;
  if (frame.readUInt16BE(0) !== MAGIC) return undefined;
  if (frame.readUInt8(2) !== MAJOR) return undefined;
  if (frame.readUInt8(3) !== (integrityKey === undefined ? 0 : SEALED)) return undefined;
  const headBytes = frame.readUInt32BE(4);
  const bodyBytes = frame.readUInt32BE(8);
  const sealAt = HEADER_BYTES + headBytes + bodyBytes;
  const length = sealAt + (integrityKey === undefined ? 0 : SEAL_BYTES);
  if (headBytes > MAX_META_BYTES || frame.length !== length) return undefined;
  if (crc32(frame.subarray(HEADER_BYTES, sealAt)) !== frame.readUInt32BE(12)) return undefined;
  if (integrityKey !== undefined && !isSealed(integrityKey, frame, sealAt)) return undefined;

  const head = parsedObject(frame.toString("utf8", HEADER_BYTES, HEADER_BYTES + headBytes));
  if (head === undefined || head["k"] !== key || !isObject(head["m"])) return undefined;
  if (isDeeperThan(MAX_DEPTH, head)) return undefined;
  const named = purgeProperties(head);
  if (named === undefined) return undefined;
  // The reply of a client can be a slice of a large network chunk.
  const body = new Uint8Array(bytes.buffer, bytes.byteOffset + HEADER_BYTES + headBytes, bodyBytes);
  const entry = { meta: head["m"], body: compactBytes(body), ...named };
  const { x: expiresAtMs, o: clockOffsetMs, c: clock } = head;
  if (!Number.isFinite(expiresAtMs) || !Number.isFinite(clockOffsetMs)) return { entry };
  const times = { expiresAtMs: Number(expiresAtMs), clockOffsetMs: Number(clockOffsetMs) };
  return { entry, times: typeof clock === "string" ? { ...times, clock } : times };
}

function seal(integrityKey: Uint8Array, bytes: Uint8Array): Buffer {
  return createHmac("sha256", integrityKey).update(bytes).digest().subarray(0, SEAL_BYTES);
}

function isSealed(integrityKey: Uint8Array, frame: Buffer, sealAt: number): boolean {
  return timingSafeEqual(seal(integrityKey, frame.subarray(0, sealAt)), frame.subarray(sealAt));
}

/** What the entry can be purged by; undefined when it is malformed, because the entry could then not be purged. */
function purgeProperties(head: StoreMeta): Pick<StoreEntry, "names" | "uri" | "generation"> | undefined {
  const { n: names, u: uri, g: generation } = head;
  if (uri !== undefined && typeof uri !== "string" && !areTexts(uri)) return undefined;
  if (generation !== undefined && typeof generation !== "string") return undefined;
  if (names !== undefined && !areTexts(names)) return undefined;
  return {
    ...(names === undefined ? {} : { names }),
    ...(uri === undefined ? {} : { uri }),
    ...(generation === undefined ? {} : { generation }),
  };
}

function areTexts(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every((each) => typeof each === "string");
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

/** Plain or escaped, in a name or in a value. Other texts skip the slower, checked parse. */
const MAY_HOLD_PROTO = /__proto__|\\u005f/i;

/** `JSON.parse` makes `__proto__` an ordinary property, and the next `Object.assign` makes it a prototype. */
function refuseProto(name: string, value: unknown): unknown {
  if (name === "__proto__") throw new SyntaxError("a property named __proto__");
  return value;
}

/** Deeper values could overflow the stack of code that walks them recursively. */
const MAX_DEPTH = 64;

function isDeeperThan(depth: number, value: unknown): boolean {
  if (typeof value !== "object" || value === null) return false;
  return depth === 0 || Object.values(value).some((each) => isDeeperThan(depth - 1, each));
}

function isObject(value: unknown): value is StoreMeta {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
