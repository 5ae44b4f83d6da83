/** a million damaged frames are decoded without a throw, and none of them into something else. */

import { crc32 } from "node:zlib";

import { describe, expect, it } from "vitest";

import { liveEntry, liveResponse, responseEntry } from "../../src/engine/lookup/stored-entry.ts";
import { decodeEntry, encodeEntry, HEADER_BYTES } from "../../src/stores/redis/entry-frame.ts";
import type { StoredResponse } from "../../src/http.ts";

const AS_THEY_ARE = 450_000;
const MENDED = 450_000;
const SEALED = 100_000;
/** A minute for what takes eight seconds on two idle cores. */
const TIMEOUT_MS = 60_000;
const KEY = "api GET http://api.test /users/7 lang=en";
const URI = "http://api.test/users/7?lang=en";
const INTEGRITY_KEY = Buffer.from("a secret of 16 bytes or more");

const response: StoredResponse = {
  status: 200,
  fields: { "content-type": "application/json", etag: '"v1"', link: ["</a>; rel=next", "</b>; rel=prev"] },
  body: Buffer.from("number 7 is Ada"),
  varyFields: [["accept-language", "en"]],
  requestedAtMs: 1_700_000_000_000,
  receivedAtMs: 1_700_000_000_050,
  correctedInitialAgeSeconds: 0,
  freshnessLifetimeSeconds: 3600,
  lifetimeFrom: "route",
  staleWhileRevalidateSeconds: 60,
  staleIfErrorSeconds: 0,
  mayServeStale: true,
  requiresRevalidation: false,
  hasOriginValidator: false,
  names: ["#user:7"],
  generation: "abc123:1700000000000-0",
};
const original = encoded(undefined);
const sealed = encoded(INTEGRITY_KEY);

function encoded(integrityKey: Buffer | undefined): Buffer {
  const times = { expiresAtMs: 1_700_003_600_000, clockOffsetMs: 3 };
  const frame = encodeEntry(KEY, responseEntry(liveResponse(response), URI), { times, integrityKey });
  if (frame === undefined) throw new Error("not encoded");
  return frame;
}

/** A repeatable source of numbers below `bound` (xorshift32). */
function numbers(seed: number): (bound: number) => number {
  let state = seed;
  return (bound) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % bound;
  };
}

/** What JSON is made of, and what readers stumble over. */
const TOKENS = ["{", "}", "[", "]", '"', ",", ":", "\\", "\\u0000", "null", "-1", "1e999", "0.5", "true", "\r\n", "\0"];
const WORDS = ["__proto__", "constructor", "toString", "length", "k", "m", "n", "u", "g", "x", "o", "fields", "status"];

type Mutation = (frame: Buffer, next: (bound: number) => number) => Buffer;

const mutations: readonly Mutation[] = [
  (frame, next) => {
    const at = next(frame.length);
    frame[at] = (frame[at] ?? 0) ^ (1 << next(8));
    return frame;
  },
  (frame, next) => {
    frame[next(frame.length)] = next(256);
    return frame;
  },
  (frame, next) => frame.subarray(0, next(frame.length)),
  (frame, next) => Buffer.concat([frame, Buffer.alloc(1 + next(64), next(256))]),
  (frame, next) => {
    const from = next(frame.length);
    return Buffer.concat([frame.subarray(0, from), frame.subarray(from + 1 + next(32))]);
  },
  (frame, next) => {
    const [from, to] = [next(frame.length), next(frame.length)];
    frame.copy(frame, to, from, from + next(64));
    return frame;
  },
  (frame, next) => {
    if (frame.length >= HEADER_BYTES)
      frame.writeUInt32BE([0, 1, 0x7fff_ffff, 0xffff_ffff][next(4)] ?? 0, 4 + 4 * next(2));
    return frame;
  },
  (frame, next) => spliced(frame, next, TOKENS),
  (frame, next) => spliced(frame, next, WORDS),
];

function spliced(frame: Buffer, next: (bound: number) => number, texts: readonly string[]): Buffer {
  const at = HEADER_BYTES + next(Math.max(1, frame.length - HEADER_BYTES));
  const text = texts[next(texts.length)] ?? "";
  return Buffer.concat([frame.subarray(0, at), Buffer.from(text), frame.subarray(at + text.length * next(2))]);
}

/** Lengths and checksum made true again, so that what lies behind them is reached. */
function mended(frame: Buffer): Buffer {
  if (frame.length < HEADER_BYTES) return frame;
  const headEnd = frame.lastIndexOf("}") + 1;
  const middle = headEnd > HEADER_BYTES ? headEnd : frame.length;
  frame.write("RP");
  frame.writeUInt8(1, 2);
  frame.writeUInt8(0, 3);
  frame.writeUInt32BE(middle - HEADER_BYTES, 4);
  frame.writeUInt32BE(frame.length - middle, 8);
  frame.writeUInt32BE(crc32(frame.subarray(HEADER_BYTES)), 12);
  return frame;
}

function mutated(source: Buffer, next: (bound: number) => number): Buffer {
  let frame: Buffer = Buffer.from(source);
  for (let count = 1 + next(3); count > 0 && frame.length > 0; count -= 1) {
    frame = Buffer.from(mutations[next(mutations.length)]?.(frame, next) ?? frame);
  }
  return frame;
}

describe(`${AS_THEY_ARE + MENDED + SEALED} mutated frames`, { timeout: TIMEOUT_MS }, () => {
  it("as they are: nothing but the original is read", () => {
    const next = numbers(20_261_123);
    let read = 0;
    for (let count = 0; count < AS_THEY_ARE; count += 1) {
      const frame = mutated(original, next);
      if (decodeEntry(KEY, frame) === undefined) continue;
      read += 1;
      expect(frame.equals(original)).toBe(true);
    }
    // Two mutations can undo each other; much more would mean that nothing was changed.
    expect(read).toBeLessThan(AS_THEY_ARE / 50);
  });

  it("with lengths and checksum made right: what is read is safe to send, or nothing", () => {
    const before = Object.getOwnPropertyNames(Object.prototype);
    const next = numbers(1);
    let read = 0;
    for (let count = 0; count < MENDED; count += 1) {
      const found = decodeEntry(KEY, mended(mutated(original, next)));
      const live = found === undefined ? undefined : liveEntry(found.entry);
      if (live?.kind !== "response") continue;
      read += 1;
      const { status, fields, freshnessLifetimeSeconds } = live.stored;
      const texts = Object.entries(fields).flat(2).map(String);
      const isSafe = status >= 200 && status <= 599 && !texts.some((text) => /[\0\r\n]/.test(text));
      if (!isSafe || !Number.isInteger(freshnessLifetimeSeconds)) expect.fail(JSON.stringify(live.stored));
    }
    // The rest was refused by what comes after the checksum.
    expect(read).toBeGreaterThan(MENDED / 60);
    expect(read).toBeLessThan((2 * MENDED) / 3);
    expect(Object.getOwnPropertyNames(Object.prototype)).toEqual(before);
  });

  it("sealed ones: nothing but the original is read, however they are mended", () => {
    const next = numbers(7);
    for (let count = 0; count < SEALED; count += 1) {
      const frame = mutated(sealed, next);
      if (next(2) === 0 && frame.length > HEADER_BYTES + 16) {
        frame.writeUInt32BE(crc32(frame.subarray(HEADER_BYTES, frame.length - 16)), 12);
      }
      if (decodeEntry(KEY, frame, INTEGRITY_KEY) !== undefined) expect(frame.equals(sealed)).toBe(true);
    }
  });
});
