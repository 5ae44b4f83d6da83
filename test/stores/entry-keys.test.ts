import { describe, expect, it } from "vitest";

import { compactBytes, isRetention, prefixReader, splitKey } from "../../src/stores/entry-keys.ts";

describe("a key", () => {
  it.each([
    { key: "p GET /a", prefix: "p", name: "GET /a" },
    { key: "p ", prefix: "p", name: "" },
    { key: "p", prefix: "p", name: "" },
    { key: " x", prefix: "", name: "x" },
  ])("$key is the prefix '$prefix' and the name '$name'", ({ key, prefix, name }) => {
    expect(splitKey(key)).toEqual({ prefix, name });
  });

  it("has its own prefix, whichever key was read before", () => {
    const prefixOf = prefixReader();
    const keys = ["p a", "p b", "pq a", "p a", "p", "pq", " a", "p a"];
    expect(keys.map(prefixOf)).toEqual(keys.map((key) => splitKey(key).prefix));
  });
});

describe("a retention", () => {
  it.each([
    { ms: 1, is: true },
    { ms: 0.5, is: true },
    { ms: 0, is: false },
    { ms: -1, is: false },
    { ms: Number.NaN, is: false },
    { ms: Number.POSITIVE_INFINITY, is: false },
  ])("of $ms ms: $is", ({ ms, is }) => {
    expect(isRetention(ms)).toBe(is);
  });
});

describe("bytes that are kept", () => {
  it("are copied when they are a small slice of a larger buffer", () => {
    const slice = new Uint8Array(1000).fill(7).subarray(10, 20);
    const compact = compactBytes(slice);
    expect(compact).toEqual(slice);
    expect(compact.buffer.byteLength).toBe(10);
  });

  it("are the same object when they fill at least two thirds of their buffer", () => {
    const bytes = new Uint8Array(300).subarray(0, 200);
    expect(compactBytes(bytes)).toBe(bytes);
  });
});
