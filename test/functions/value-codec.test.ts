import { runInNewContext } from "node:vm";
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { decodeValue, encodeValue, LiveValue, readValue, valueEntry } from "../../src/functions/value-codec.ts";
import type { StoreEntry } from "../../src/types.ts";

const times = {
  requestedAtMs: 1,
  receivedAtMs: 2,
  freshnessLifetimeSeconds: 60,
  staleWhileRevalidateSeconds: 0,
  staleIfErrorSeconds: 0,
};

/** What a store that keeps bytes gives back. */
function throughBytes(value: unknown): unknown {
  const { meta, body } = valueEntry(encodeValue(value), times, [], "");
  return readValue({ meta, body })?.value;
}

describe("values that come back as they were", () => {
  it.each([
    ["undefined", undefined],
    ["null", null],
    ["a text that looks like null", "null"],
    ["-0", -0],
    ["NaN", Number.NaN],
    ["a BigInt", 12_345_678_901_234_567_890n],
    ["a long text", "ä\ud800\u0000".repeat(500)],
    ["a Date", new Date(0)],
    ["a Map", new Map([["a", new Set([1n])]])],
    ["a URL", new URL("https://example.com/?a=1")],
    ["a RegExp", /a\/b/gi],
    ["an object without a prototype", Object.assign(Object.create(null) as object, { a: 1 })],
    ["a Float64Array", new Float64Array([0.5, -0])],
    ["a Buffer", { image: Buffer.from("abc") }],
    ["a DataView", new DataView(new ArrayBuffer(3))],
    ["nested plain data", { list: [{ constructor: 1, toString: undefined }], at: new Date(1) }],
  ])("%s", (_, value) => {
    expect(throughBytes(value)).toStrictEqual(value);
    expect(decodeValue(encodeValue(value))).toStrictEqual(value);
  });

  it("any value that JSON can carry, and more", () => {
    const anything = fc.anything({
      withBigInt: true,
      withDate: true,
      withMap: true,
      withSet: true,
      withTypedArray: true,
    });
    fc.assert(
      fc.property(anything, (value) => {
        fc.pre(!JSON.stringify(keysOf(value)).includes("__proto__"));
        expect(throughBytes(value)).toStrictEqual(value);
      }),
    );
  });

  it("keeps cycles and shared references", () => {
    const cyclic: { self?: unknown; twice: unknown[] } = { twice: [] };
    cyclic.self = cyclic;
    cyclic.twice.push(cyclic.twice);
    const copy = throughBytes(cyclic) as typeof cyclic;
    expect(copy.self).toBe(copy);
    expect(copy.twice[0]).toBe(copy.twice);
  });

  it("keeps only the bytes in view, not the buffer behind them", () => {
    const secret = new TextEncoder().encode("secret-password");
    const { text } = encodeValue({ part: secret.subarray(0, 3), pooled: Buffer.from("abc") });
    expect(throughBytes({ part: secret.subarray(0, 3) })).toStrictEqual({ part: new Uint8Array([115, 101, 99]) });
    expect(text.length).toBeLessThan(150);
  });

  it("takes plain values of another realm", () => {
    const foreign: unknown = runInNewContext("({ list: [1], at: new Date(0), map: new Map([[1, 2]]) })");
    expect(throughBytes(foreign)).toStrictEqual({ list: [1], at: new Date(0), map: new Map([[1, 2]]) });
  });

  function keysOf(value: unknown): unknown {
    if (typeof value !== "object" || value === null) return [];
    const members = value instanceof Map ? [...value].flat() : value instanceof Set ? [...value] : Object.values(value);
    return [...Object.keys(value), ...members.map(keysOf)];
  }
});

describe("values that would not come back", () => {
  class User {
    readonly id = 7;
  }
  class Names extends Array<string> {}
  class Registry extends Map<string, number> {}
  let deep: unknown = 1;
  for (let level = 0; level < 100_000; level++) deep = [deep];

  it.each([
    ["a class instance", { user: new User() }],
    ["a subclass of Array", Names.from(["a"])],
    ["a subclass of Map", new Registry()],
    ["an array with a named property", "a".match(/a/)],
    ["a Map with a property", Object.assign(new Map(), { extra: 1 })],
    ["a function", { call: () => 1 }],
    ["a symbol", Symbol("a")],
    ["an object with symbols for keys", { [Symbol("a")]: 1 }],
    ["a Promise", [Promise.resolve(1)]],
    ["an Error", new Error("a")],
    ["a key __proto__", Object.fromEntries([["__proto__", 1]])],
    ["what is nested too deep", deep],
  ])("%s", (_, value) => {
    expect(() => encodeValue(value)).toThrow(Error);
  });

  it("says which part it is", () => {
    expect(() => encodeValue({ users: [new User()] })).toThrow(expect.objectContaining({ path: ".users[0]" }) as Error);
  });
});

describe("reading from a store", () => {
  const good = valueEntry(encodeValue({ a: 1 }), times, [], "");
  const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

  it("reads what it wrote", () => {
    expect(readValue(good)).toMatchObject({ value: { a: 1 }, ...times });
  });

  it.each<[string, StoreEntry]>([
    ["another kind", { ...good, meta: { ...good.meta, kind: "response" } }],
    ["no meta", { meta: {}, body: good.body }],
    ["null for meta", { meta: null as never, body: good.body }],
    ["a lifetime of text", { ...good, meta: { ...good.meta, freshnessLifetimeSeconds: "60" } }],
    ["a lifetime without end", { ...good, meta: { ...good.meta, freshnessLifetimeSeconds: Number.POSITIVE_INFINITY } }],
    ["a negative time", { ...good, meta: { ...good.meta, receivedAtMs: -1 } }],
    ["NaN for a time", { ...good, meta: { ...good.meta, staleIfErrorSeconds: Number.NaN } }],
    ["no bytes", { ...good, body: bytes("") }],
    ["half of the bytes", { ...good, body: good.body.subarray(0, 4) }],
    ["bytes that are no UTF-8", { ...good, body: new Uint8Array([0xff, 0xfe]) }],
    ["text for bytes", { ...good, body: "[1]" as never }],
    ["JSON that is no value", { ...good, body: bytes("{}") }],
    ["a type that does not exist", { ...good, body: bytes('[["Evil",1],1]') }],
    ["a reference out of bounds", { ...good, body: bytes("[[5]]") }],
    ["a prototype to set", { ...good, body: bytes('[{"__proto__":1},{"polluted":2},true]') }],
    [
      "nesting without end",
      { ...good, body: bytes(`[${Array.from({ length: 100_000 }, (_, at) => `[${at + 1}]`).join(",")},1]`) },
    ],
  ])("counts %s as nothing", (_, entry) => {
    const { live: _live, ...stored } = entry;
    expect(readValue(stored)).toBeUndefined();
    expect(({} as { polluted?: unknown }).polluted).toBeUndefined();
  });

  it("survives any bytes and any meta", () => {
    fc.assert(
      fc.property(fc.uint8Array(), fc.dictionary(fc.string(), fc.anything()), (body, meta) => {
        expect(() => readValue({ meta: { ...good.meta, ...meta }, body })).not.toThrow();
      }),
    );
  });

  it("does not take somebody else's object for a live value", () => {
    expect(readValue({ ...good, live: { value: "not mine" } })?.value).toStrictEqual({ a: 1 });
  });

  it("keeps a primitive at hand, and nothing that can be changed or is large", () => {
    expect(valueEntry(encodeValue(7), times, [], "").live).toBeInstanceOf(LiveValue);
    expect(valueEntry(encodeValue("x".repeat(300)), times, [], "").live).toBeUndefined();
    expect(good.live).toBeUndefined();
  });
});
