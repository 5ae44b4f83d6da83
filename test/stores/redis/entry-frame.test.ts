import { crc32 } from "node:zlib";

import * as fc from "fast-check";
import { afterEach, describe, expect, it } from "vitest";

import { decodeEntry, encodeEntry, HEADER_BYTES, MAX_META_BYTES } from "../../../src/stores/redis/entry-frame.ts";
import type { StoreEntry } from "../../../src/http.ts";

const inherited = Object.getOwnPropertyNames(Object.prototype).toSorted();

afterEach(() => {
  expect(Object.getOwnPropertyNames(Object.prototype).toSorted()).toEqual(inherited);
});

function encoded(key: string, entry: StoreEntry): Buffer {
  const frame = encodeEntry(key, entry);
  if (frame === undefined) throw new Error("not encoded");
  return frame;
}

/** A frame with any meta text and a true checksum, as somebody who can write to Redis would make it. */
function planted(metaText: string, body = "body"): Buffer {
  const meta = Buffer.from(metaText);
  const frame = Buffer.concat([Buffer.alloc(HEADER_BYTES), meta, Buffer.from(body)]);
  frame.write("RP", 0, "latin1");
  frame.writeUInt8(1, 2);
  frame.writeUInt32BE(meta.length, 4);
  frame.writeUInt32BE(Buffer.byteLength(body), 8);
  frame.writeUInt32BE(crc32(frame.subarray(HEADER_BYTES)), 12);
  return frame;
}

const key = "prefix GET http://example.com/";
const sample: StoreEntry = {
  meta: { status: 200, fields: [["etag", '"ü"']] },
  body: Uint8Array.from({ length: 300 }, (_, index) => index),
};
const anyMeta = fc.dictionary(
  fc.string({ unit: "binary" }).filter((name) => name !== "__proto__"),
  fc.jsonValue().map((value) => JSON.parse(JSON.stringify(value).replaceAll("__proto__", "proto")) as unknown),
  { noNullPrototype: true },
);

describe("frame of an entry", () => {
  it("is laid out as documented", () => {
    const frame = encoded("p k", { meta: { a: 1 }, body: Uint8Array.of(255) });
    const meta = '{"k":"p k","m":{"a":1}}';
    expect(frame.subarray(0, 12).toString("hex")).toBe("525001000000001700000001");
    expect(frame.subarray(16).toString("latin1")).toBe(`${meta}\u00ff`);
    expect(frame.readUInt32BE(12)).toBe(crc32(frame.subarray(16)));
  });

  it("gives back any key, meta and body", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), anyMeta, fc.uint8Array({ maxLength: 2000 }), (anyKey, meta, body) => {
        const found = decodeEntry(anyKey, encoded(anyKey, { meta, body }));
        expect(found?.entry.meta).toEqual(JSON.parse(JSON.stringify(meta)));
        expect(found?.entry.body).toEqual(body);
      }),
    );
  });

  it("gives back what purges go by, and the times", () => {
    fc.assert(
      fc.property(
        fc.array(fc.string({ unit: "binary" })),
        fc.option(fc.oneof(fc.string({ unit: "binary" }), fc.array(fc.string())), { nil: undefined }),
        fc.option(fc.string(), { nil: undefined }),
        fc.maxSafeInteger(),
        (names, uri, generation, expiresAtMs) => {
          const entry = { ...sample, names, ...(uri === undefined ? {} : { uri }) };
          const times = { expiresAtMs, clockOffsetMs: -7 };
          const frame = encodeEntry(key, generation === undefined ? entry : { ...entry, generation }, { times });
          const found = decodeEntry(key, frame ?? Buffer.alloc(0));
          expect(found?.times).toEqual(times);
          expect(found?.entry.names ?? []).toEqual(names);
          expect(found?.entry.uri).toEqual(uri);
          expect(found?.entry.generation).toBe(generation);
        },
      ),
    );
  });

  it.each([7, ["/a", 7], { "0": "/a" }, null])("is not read with %j in place of the URI", (uri) => {
    const frame = encoded(key, { ...sample, uri: uri as unknown as string });
    expect(decodeEntry(key, frame)).toBeUndefined();
  });

  it("leaves the decoded form out", () => {
    expect(decodeEntry(key, encoded(key, { ...sample, live: { value: { secret: 1 } } }))).toEqual({ entry: sample });
  });

  it("is read out of the middle of a larger chunk, and does not keep the chunk", () => {
    const frame = encoded(key, sample);
    const chunk = Buffer.concat([Buffer.alloc(5000, 1), frame, Buffer.alloc(5000, 2)]);
    const found = decodeEntry(key, chunk.subarray(5000, 5000 + frame.length));
    expect(found).toEqual({ entry: sample });
    expect(found?.entry.body.buffer.byteLength).toBe(sample.body.byteLength);
  });

  it.each([
    { because: "meta is larger than the bound", meta: { text: "x".repeat(MAX_META_BYTES) } },
    { because: "meta holds a BigInt", meta: { big: 1n } },
    { because: "meta holds itself", meta: cyclic() },
  ])("is not made when $because", ({ meta }) => {
    expect(encodeEntry(key, { meta, body: sample.body })).toBeUndefined();
  });
});

function cyclic(): StoreEntry["meta"] {
  const meta: Record<string, unknown> = {};
  meta["self"] = meta;
  return meta;
}

describe("a sealed frame", () => {
  const integrityKey = new TextEncoder().encode("sixteen bytes or more");
  const otherKey = new TextEncoder().encode("sixteen bytes or less");

  function sealed(): Buffer {
    const frame = encodeEntry(key, sample, { integrityKey });
    if (frame === undefined) throw new Error("not encoded");
    return frame;
  }

  /** The same frame with a byte changed and a true checksum, as somebody without the key can make it. */
  function forged(frame: Buffer, at: number): Buffer {
    const changed = Buffer.from(frame);
    changed[at] = (changed[at] ?? 0) ^ 1;
    changed.writeUInt32BE(crc32(changed.subarray(HEADER_BYTES, changed.length - 16)), 12);
    return changed;
  }

  it("is read by who has the key and by nobody else", () => {
    expect(decodeEntry(key, sealed(), integrityKey)).toEqual({ entry: sample });
    expect(decodeEntry(key, sealed(), otherKey)).toBeUndefined();
    expect(decodeEntry(key, sealed())).toBeUndefined();
  });

  it("is demanded by who has the key", () => {
    expect(decodeEntry(key, encoded(key, sample), integrityKey)).toBeUndefined();
  });

  it("does not fit another key", () => {
    expect(decodeEntry(`${key}2`, sealed(), integrityKey)).toBeUndefined();
  });

  it("is nothing after any change, whatever its checksum says", () => {
    const frame = sealed();
    for (let at = 0; at < frame.length; at += 1) {
      // The checksum itself, which is made true again.
      if (at >= 12 && at < HEADER_BYTES) continue;
      expect(decodeEntry(key, forged(frame, at), integrityKey), `byte ${at}`).toBeUndefined();
    }
    expect(decodeEntry(key, forged(forged(frame, 20), 20), integrityKey)).toEqual({ entry: sample });
  });

  it("is nothing when it is cut, padded, or its seal is left out with the flag", () => {
    const frame = sealed();
    for (let length = 0; length < frame.length; length += 1) {
      expect(decodeEntry(key, frame.subarray(0, length), integrityKey)).toBeUndefined();
    }
    expect(decodeEntry(key, Buffer.concat([frame, Buffer.of(0)]), integrityKey)).toBeUndefined();
    const unsealed = Buffer.from(frame.subarray(0, frame.length - 16));
    unsealed.writeUInt8(0, 3);
    expect(decodeEntry(key, unsealed, integrityKey)).toBeUndefined();
    expect(decodeEntry(key, unsealed)).toEqual({ entry: sample });
  });
});

describe("bytes that are not a whole, intact frame of this key", () => {
  it("any bytes at all are nothing", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 500 }), (bytes) => {
        expect(decodeEntry(key, bytes)).toBeUndefined();
      }),
      { numRuns: 5000 },
    );
  });

  it("any bytes after a true magic and version are nothing", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 500 }), (bytes) => {
        expect(decodeEntry(key, Buffer.concat([Buffer.from([0x52, 0x50, 1, 0]), bytes]))).toBeUndefined();
      }),
      { numRuns: 5000 },
    );
  });

  it("every single flipped bit is found", () => {
    const frame = encoded(key, sample);
    for (let bit = 0; bit < frame.length * 8; bit += 1) {
      const flipped = Buffer.from(frame);
      flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      expect(decodeEntry(key, flipped)).toBeUndefined();
    }
  });

  it("every truncation and every extra byte is found", () => {
    const frame = encoded(key, sample);
    for (let length = 0; length < frame.length; length += 1) {
      expect(decodeEntry(key, frame.subarray(0, length))).toBeUndefined();
    }
    expect(decodeEntry(key, Buffer.concat([frame, Buffer.of(0)]))).toBeUndefined();
  });

  it.each([
    { because: "a newer major version is not ours to read", at: 2, hex: "02" },
    { because: "it is said to be sealed and nobody can tell", at: 3, hex: "02" },
    { because: "an unknown flag may change the meaning of the rest", at: 3, hex: "01" },
    { because: "meta is said to be 4 GiB long", at: 4, hex: "ffffffff" },
    { because: "the body is said to be 4 GiB long", at: 8, hex: "ffffffff" },
    { because: "the lengths add up only past 32 bits", at: 4, hex: "ffffffff00000100" },
  ])("is nothing when $because", ({ at, hex }) => {
    const frame = encoded(key, sample);
    frame.write(hex, at, "hex");
    expect(decodeEntry(key, frame)).toBeUndefined();
  });

  it("is nothing under another key: values can be swapped, hashes can collide", () => {
    const frame = encoded(key, sample);
    expect(decodeEntry(`${key} `, frame)).toBeUndefined();
    expect(decodeEntry(key, frame)).toBeDefined();
  });

  const quotedKey = JSON.stringify(key);
  it.each(
    [
      { meta: `{"k":${quotedKey},"m":{"__proto__":{"polluted":1}}}` },
      { meta: `{"k":${quotedKey},"m":{"\\u005f_proto__":{"polluted":1}}}` },
      { meta: `{"k":${quotedKey},"m":{"list":[{"deep":{"__proto__":null}}]}}` },
      { meta: `{"__proto__":{"k":${quotedKey},"m":{}}}` },
      { meta: `{"k":${quotedKey},"__proto__":{"m":{}}}` },
      { meta: `{"k":${quotedKey},"m":[]}` },
      { meta: `{"k":${quotedKey},"m":null}` },
      { meta: `{"k":${quotedKey},"m":"text"}` },
      { meta: `{"k":${quotedKey}}` },
      { meta: `{"k":[${quotedKey}],"m":{}}` },
      { meta: `[{"k":${quotedKey},"m":{}}]` },
      { meta: `{"k":${quotedKey},"m":{},"n":"users"}` },
      { meta: `{"k":${quotedKey},"m":{},"n":["users",7]}` },
      { meta: `{"k":${quotedKey},"m":{},"u":7}` },
      { meta: `{"k":${quotedKey},"m":{},"g":null}` },
      { meta: "null" },
      { meta: "7" },
      { meta: "" },
      { meta: `{"k":${quotedKey},"m":{}` },
      { meta: "[".repeat(60_000) },
      { meta: `{"k":${quotedKey},"m":{"text":"${"x".repeat(MAX_META_BYTES)}"}}` },
    ].map(({ meta }) => ({ meta, start: meta.slice(0, 60) })),
  )("planted meta $start is nothing", ({ meta }) => {
    expect(decodeEntry(key, planted(meta))).toBeUndefined();
  });

  it("a planted frame that is right in every way is read", () => {
    expect(decodeEntry(key, planted(`{"k":${quotedKey},"m":{"a":"__proto__"}}`))).toEqual({
      entry: { meta: { a: "__proto__" }, body: new TextEncoder().encode("body") },
    });
  });

  it("any planted meta is nothing or an object, and never throws", () => {
    fc.assert(
      fc.property(fc.json({ depthSize: "medium" }), (meta) => {
        const found = decodeEntry(key, planted(`{"k":${quotedKey},"m":${meta}}`));
        expect(typeof (found?.entry.meta ?? {})).toBe("object");
      }),
    );
  });
});
