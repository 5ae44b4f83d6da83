import { runInNewContext } from "node:vm";
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { decodeValue, encodeValue, LiveValue, readValue, valueEntry } from "../../src/functions/value-codec.ts";
import type { StoreEntry } from "../../src/http.ts";

const times = {
  requestedAtMs: 1,
  receivedAtMs: 2,
  freshnessLifetimeSeconds: 60,
  staleWhileRevalidateSeconds: 0,
  staleIfErrorSeconds: 0,
};

/** What a store that keeps bytes gives back. */
function throughBytes(value: unknown): unknown {
  const { meta, body } = valueEntry(encodeValue(value), times, "source", [], "");
  return readValue({ meta, body }, "source")?.value;
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

  it("keeps what shares nothing: views side by side, Buffers of one pool, parameters of a URL that is not there", () => {
    const bytes = new Uint8Array([1, 2, 3, 4]);
    const twice = Buffer.from("b");
    const value = {
      views: [bytes.subarray(0, 2), bytes.subarray(2)],
      buffers: [Buffer.from("a"), twice, twice],
      query: new URL("http://a/?b=1").searchParams,
      url: new URL("http://a/?b=1"),
    };
    expect(throughBytes(value)).toStrictEqual(value);
  });

  it("keeps a BigInt of thousands of digits", () => {
    expect(throughBytes(2n ** 60_000n)).toBe(2n ** 60_000n);
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

  const begun = /a/g;
  begun.exec("aa");
  class Decimal {
    readonly digits = "1";
    static get [Symbol.toStringTag](): string {
      return "Date";
    }
  }

  const pair = new Uint8Array(2);
  const text = Buffer.from("abc");
  const url = new URL("http://a/?b=1");
  /** Newer than the library that the compiler knows. */
  const resizable = (): ArrayBuffer =>
    new (ArrayBuffer as new (length: number, options: object) => ArrayBuffer)(2, { maxByteLength: 4 });

  const nameless = (Base: new () => object): object => new (class extends Base {})();

  it.each<[string, unknown, string, string]>([
    ["a class in a list", { users: [new User()] }, ".users[0]", "an instance of User, which would come back without"],
    ["a class in a Map", new Map([["a b", new User()]]), '.get("a b")', "an instance of User"],
    ["a class in a Set", { all: new Set([new User()]) }, ".all.values()", "an instance of User"],
    ["a class for a key", new Map([[new User(), 1]]), ".keys()", "an instance of User"],
    ["a class that poses as another", { at: new Decimal() }, ".at", "an instance of Decimal"],
    ["a subclass", { at: new (class Zoned extends Date {})(0) }, ".at", "an instance of Zoned"],
    ["a class without a name", { at: nameless(User) }, ".at", "an instance of a class without a name"],
    ["an Error", { failure: new RangeError("a") }, ".failure", "an instance of RangeError"],
    ["a function", { call: () => 1 }, ".call", "the function call"],
    ["a promise", { later: Promise.resolve(1) }, ".later", "a promise"],
    ["a symbol", { sign: Symbol("a") }, ".sign", "a symbol"],
    ["a property that is hidden", Object.defineProperty({}, "id", { value: 1 }), "", "with a property id"],
    ["a symbol for a key", { a: { [Symbol("tenant")]: 1 } }, ".a", "with a property Symbol(tenant)"],
    ["a Date with a property", { at: Object.assign(new Date(), { zone: 1 }) }, ".at", "Date with a property zone"],
    ["a Set with a symbol", Object.assign(new Set(), { [Symbol("a")]: 1 }), "", "Set with a property Symbol(a)"],
    ["a Buffer with a property", Object.assign(Buffer.from("a"), { name: "a" }), "", "Buffer with a property name"],
    ["a list with a hidden property", Object.defineProperty([1], "raw", { value: 1 }), "", "Array with a property raw"],
    ["a URL with a property", Object.assign(new URL("http://a/"), { tenant: 1 }), "", "URL with a property tenant"],
    ["a RegExp that has begun", { pattern: begun }, ".pattern", "a RegExp in the middle of its matches"],
    [
      "a getter",
      {
        a: {
          get now(): number {
            return 1;
          },
        },
      },
      ".a",
      "whose property now is an accessor",
    ],
    [
      "a getter in a list",
      Object.defineProperty([1], 0, { get: () => 1, enumerable: true, configurable: true }),
      "",
      "property 0 is an accessor",
    ],
    [
      "a property that is read-only",
      [Object.defineProperty({}, "id", { value: 1, enumerable: true })],
      "[0]",
      "whose property id is read-only",
    ],
    ["a frozen object", { a: Object.freeze({ b: 1 }) }, ".a", "an object that is frozen"],
    ["a frozen list", { a: Object.freeze([1]) }, ".a", "an instance of Array that is frozen"],
    ["a sealed object", { a: Object.seal({ b: 1 }) }, ".a", "an object that is sealed"],
    [
      "an object that cannot be extended",
      { a: Object.preventExtensions({ b: 1 }) },
      ".a",
      "an object that is not extensible",
    ],
    [
      "a Date that cannot be extended",
      { at: Object.preventExtensions(new Date(0)) },
      ".at",
      "an instance of Date that is",
    ],
    ["bytes that can be resized", { bytes: resizable() }, ".bytes", "an instance of ArrayBuffer that can be resized"],
    ["a view on them", { view: new Uint8Array(resizable()) }, ".view", "an instance of Uint8Array that can be resized"],
    [
      "shared memory",
      { view: new Uint8Array(new SharedArrayBuffer(2)) },
      ".view",
      "an instance of Uint8Array on shared memory",
    ],
    ["two views on the same bytes", { all: pair, part: pair.subarray(1) }, ".part", "binary data on the same bytes"],
    ["two Buffers on the same bytes", [text, text.subarray(1)], "[1]", "binary data on the same bytes"],
    ["a view and its buffer", { pair, bytes: pair.buffer }, ".bytes", "binary data on the same bytes"],
    ["a URL and its parameters", { query: url.searchParams, url }, ".query", "the searchParams of a URL beside it"],
    ["a BigInt of a million bits", { size: 1n << 1_000_000n }, ".size", "a BigInt of more than 65,536 bits"],
    ["a boxed one", { size: Object(-1n << 1_000_000n) as object }, ".size", "a BigInt of more than 65,536 bits"],
    ["what is nested too deep", deep, "", "nested too deep"],
    ["a key __proto__", { a: Object.fromEntries([["__proto__", 1]]) }, ".a", "a property __proto__"],
  ])("names path and class: %s", (_, value, path, what) => {
    expect(() => encodeValue(value)).toThrow(
      expect.objectContaining({
        code: "ERR_UNKEEPABLE_RESULT",
        path,
        message: expect.stringContaining(what) as string,
      }) as Error,
    );
  });

  it("does not run into a cycle on the way to the part", () => {
    const cyclic: Record<string, unknown> = { user: new User() };
    cyclic["self"] = cyclic;
    expect(() => encodeValue({ cyclic })).toThrow("the result at .cyclic.user is an instance of User");
  });
});

describe("reading from a store", () => {
  const good = valueEntry(encodeValue({ a: 1 }), times, "source", [], "");
  const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

  it("reads what it wrote", () => {
    expect(readValue(good, "source")).toMatchObject({ value: { a: 1 }, ...times });
  });

  it.each<[string, StoreEntry]>([
    ["another kind", { ...good, meta: { ...good.meta, kind: "response" } }],
    ["no meta", { meta: {}, body: good.body }],
    ["null for meta", { meta: null as never, body: good.body }],
    ["a lifetime of text", { ...good, meta: { ...good.meta, freshnessLifetimeSeconds: "60" } }],
    ["a lifetime without end", { ...good, meta: { ...good.meta, freshnessLifetimeSeconds: Number.POSITIVE_INFINITY } }],
    ["a negative time", { ...good, meta: { ...good.meta, receivedAtMs: -1 } }],
    ["NaN for a time", { ...good, meta: { ...good.meta, staleIfErrorSeconds: Number.NaN } }],
    ["what something else made", { ...good, meta: { ...good.meta, madeBy: "another source" } }],
    ["what does not say what made it", { ...good, meta: { ...good.meta, madeBy: undefined } }],
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
    expect(readValue(stored, "source")).toBeUndefined();
    expect(({} as { polluted?: unknown }).polluted).toBeUndefined();
  });

  it("survives any bytes and any meta", () => {
    fc.assert(
      fc.property(fc.uint8Array(), fc.dictionary(fc.string(), fc.anything()), (body, meta) => {
        expect(() => readValue({ meta: { ...good.meta, ...meta }, body }, "source")).not.toThrow();
      }),
    );
  });

  it("does not take somebody else's object for a live value", () => {
    expect(readValue({ ...good, live: { value: "not mine" } }, "source")?.value).toStrictEqual({ a: 1 });
  });

  it("keeps a primitive at hand, and nothing that can be changed or is large", () => {
    expect(valueEntry(encodeValue(7), times, "source", [], "").live?.value).toBeInstanceOf(LiveValue);
    expect(valueEntry(encodeValue(2n ** 1000n), times, "source", [], "").live?.value).toBeInstanceOf(LiveValue);
    for (const large of ["x".repeat(300), 2n ** 5000n]) {
      expect(valueEntry(encodeValue(large), times, "source", [], "").live).toBeUndefined();
    }
    expect(good.live).toBeUndefined();
  });
});
