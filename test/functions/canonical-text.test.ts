import { isDeepStrictEqual } from "node:util";
import { createContext, runInContext } from "node:vm";
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { canonicalText } from "../../src/functions/canonical-text.ts";

class Money {
  readonly #cents: number;
  constructor(cents: number) {
    this.#cents = cents;
  }
  toJSON(): unknown {
    return { cents: this.#cents };
  }
}

class Sku {
  readonly #text: string;
  constructor(text: string) {
    this.#text = text;
  }
  toString(): string {
    return this.#text;
  }
}

class Session {
  readonly id = 7;
}

/** Stands in for Temporal, which the oldest Node lacks. */
class PlainDate {
  toJSON(): string {
    return "2026-01-01";
  }
}

describe("canonical text of a value", () => {
  it.each([
    { value: "a", text: '"a"' },
    { value: 'quote " and \\ and \u0000', text: '"quote \\" and \\\\ and \\u0000"' },
    { value: "\ud800", text: '"\\ud800"' },
    { value: 7, text: "7" },
    { value: 1e21, text: "1e+21" },
    { value: -0, text: "-0" },
    { value: Number.NaN, text: "NaN" },
    { value: Number.NEGATIVE_INFINITY, text: "-Infinity" },
    { value: 7n, text: "7n" },
    { value: null, text: "null" },
    { value: "null", text: '"null"' },
    { value: undefined, text: "undefined" },
    { value: true, text: "true" },
    { value: new Date(Date.UTC(2026, 0, 1)), text: "Date(2026-01-01T00:00:00.000Z)" },
    {
      value: new Map<unknown, unknown>([
        ["b", 1],
        ["a", [2]],
      ]),
      text: 'Map{"b"=>1,"a"=>[2]}',
    },
    { value: new Set([2, 1]), text: "Set{2,1}" },
    { value: new URL("https://example.com/a?b#c"), text: 'URL("https://example.com/a?b#c")' },
    { value: new URLSearchParams("b=1&a=2"), text: 'URLSearchParams("b=1&a=2")' },
    { value: /a"\/b/gi, text: 'RegExp("/a\\"\\\\/b/gi")' },
    { value: new Uint8Array([1, 2, 255]), text: 'Uint8Array("AQL/")' },
    { value: Buffer.from([1, 2, 255]), text: 'Buffer("AQL/")' },
    { value: new Uint8Array([9, 1, 2, 255, 9]).subarray(1, 4), text: 'Uint8Array("AQL/")' },
    { value: new Uint8Array([1, 2, 255]).buffer, text: 'ArrayBuffer("AQL/")' },
    { value: new DataView(new ArrayBuffer(3)), text: 'DataView("AAAA")' },
    { value: [1, "1", [null]], text: '[1,"1",[null]]' },
    { value: { b: 1, a: { d: 2, c: undefined } }, text: '{"a":{"c":undefined,"d":2},"b":1}' },
    { value: Object.assign(Object.create(null) as object, { a: 1 }), text: '{"a":1}' },
    { value: new Money(250), text: 'Money({"cents":250})' },
    { value: new Sku("a,b"), text: 'Sku("a,b")' },
    { value: new PlainDate(), text: 'PlainDate("2026-01-01")' },
    { value: { toJSON: () => 1 }, text: "Object(1)" },
    { value: Object(7) as object, text: 'Number("7")' },
  ])("$text", ({ value, text }) => {
    expect(canonicalText(value)).toBe(text);
  });

  it("tells holes from undefined", () => {
    // oxlint-disable-next-line no-sparse-arrays
    expect(canonicalText([1, , 2])).not.toBe(canonicalText([1, undefined, 2]));
  });

  it("tells a missing property from one that is undefined", () => {
    expect(canonicalText({})).not.toBe(canonicalText({ a: undefined }));
  });

  it.each(["__proto__", "constructor", "toString", "hasOwnProperty"])("takes %s for a key like any other", (name) => {
    const one = Object.fromEntries([[name, 1]]);
    expect(canonicalText(one)).toBe(`{${JSON.stringify(name)}:1}`);
    expect(canonicalText(one)).not.toBe(canonicalText(Object.fromEntries([[name, 2]])));
    expect(canonicalText(one)).not.toBe(canonicalText({}));
  });

  it("is the same for values of another realm", () => {
    const foreign: unknown = runInContext(
      `({ a: [new Date(0), new Map([[1, new Set([2])]])], b: Object.create(null) })`,
      createContext({}),
    );
    expect(canonicalText(foreign)).toBe('{"a":[Date(1970-01-01T00:00:00.000Z),Map{1=>Set{2}}],"b":{}}');
  });

  it("keeps instances apart from the plain values their texts look like", () => {
    const texts = [new Sku("7"), "7", 7, { toJSON: () => "7" }, ["7"], new Money(7), { cents: 7 }].map((value) =>
      canonicalText(value),
    );
    expect(new Set(texts).size).toBe(texts.length);
  });

  it("writes a value that stands in two places twice", () => {
    const shared = { a: 1 };
    expect(canonicalText([shared, shared])).toBe('[{"a":1},{"a":1}]');
  });
});

describe("values without a canonical text", () => {
  class Tagged extends Array<number> {}
  class Anonymous {
    toJSON = (): number => 1;
  }
  Object.defineProperty(Anonymous, "name", { value: "" });
  const cyclic: Record<string, unknown> = {};
  cyclic["self"] = { cyclic };
  const cyclicMap = new Map<unknown, unknown>();
  cyclicMap.set("a", [cyclicMap]);
  const named = Object.assign([1], { extra: 2 });
  const ownText = { toJSON: (): unknown => ownText };

  it.each([
    { what: "a symbol", value: Symbol("a") },
    { what: "a boxed symbol", value: Object(Symbol("a")) as object },
    { what: "a function", value: () => 1 },
    { what: "a class", value: Session },
    { what: "a Promise", value: Promise.resolve(1) },
    { what: "a WeakMap", value: new WeakMap() },
    { what: "a class instance", value: new Session() },
    { what: "an Error, whose text leaves out its fields", value: new Error("a") },
    { what: "a subclass of Array, whose text is not injective", value: Tagged.from([1]) },
    { what: "an array with a named property", value: named },
    { what: "an object with a symbol for a key", value: { [Symbol("a")]: 1 } },
    { what: "an instance of a class without a name", value: new Anonymous() },
    { what: "a generator", value: [1][Symbol.iterator]() },
    { what: "a BigInt of a million bits", value: 1n << 1_000_000n },
    { what: "a negative one", value: -(1n << 1_000_000n) },
    { what: "a boxed one", value: Object(1n << 1_000_000n) as object },
    { what: "an invalid Date", value: new Date(Number.NaN) },
  ])("refuses $what", ({ value }) => {
    expect(() => canonicalText(value)).toThrow(expect.objectContaining({ code: "ERR_UNSTABLE_ARGUMENT" }) as Error);
    expect(() => canonicalText({ deep: [value] })).toThrow(TypeError);
  });

  it.each([
    { what: "an object", value: cyclic, path: ".self.cyclic" },
    { what: "a Map", value: cyclicMap, path: '.get("a")[0]' },
    { what: "a toJSON()", value: ownText, path: ".toJSON()" },
  ])("refuses a cycle through $what", ({ value, path }) => {
    expect(() => canonicalText(value)).toThrow(`the value at ${path} is a reference back to a value that contains it`);
  });

  it("says where, what and how to cure it", () => {
    const message =
      "cached({ key }): the value at .list[1].session is a Session without a stable text form. " +
      "Use plain values, or give Session a toJSON() method.";
    expect(() => canonicalText({ list: [0, { session: new Session() }] }, "cached({ key })")).toThrow(message);
  });

  it("keeps what a toJSON() threw as the cause", () => {
    const cause = new Error("not loaded");
    const value = {
      toJSON(): never {
        throw cause;
      },
    };
    expect(() => canonicalText(value)).toThrow(
      expect.objectContaining({ code: "ERR_UNSTABLE_ARGUMENT", cause }) as Error,
    );
  });

  it.each([
    { depth: 100, nest: (inner: unknown) => [inner] },
    { depth: 100, nest: (inner: unknown) => ({ inner }) },
    { depth: 100, nest: (inner: unknown) => new Map([[inner, 1]]) },
  ])("takes 100 levels, refuses 101 and 10,000", ({ depth, nest }) => {
    const nested = (levels: number): unknown => {
      let value: unknown = 1;
      for (let level = 0; level < levels; level++) value = nest(value);
      return value;
    };
    expect(canonicalText(nested(depth))).toContain("1");
    expect(() => canonicalText(nested(depth + 1))).toThrow("nested deeper than 100 levels");
    expect(() => canonicalText(nested(10_000))).toThrow("nested deeper than 100 levels");
  });

  it.each([
    { what: "shared references that double at each level", value: () => doubled(60) },
    { what: "a long text", value: () => "x".repeat(2_000_000) },
    { what: "a long binary value", value: () => new Uint8Array(2_000_000) },
    // oxlint-disable-next-line unicorn/no-new-array
    { what: "an array of a billion holes", value: () => new Array(1_000_000_000) },
  ])("refuses $what", ({ value }) => {
    expect(() => canonicalText(value())).toThrow("longer than 1048576 characters");
  });

  function doubled(levels: number): unknown {
    let value: unknown = 1;
    for (let level = 0; level < levels; level++) value = [value, value];
    return value;
  }
});

describe("instances of subclasses of built-in classes", () => {
  const ViewOfBytes = DataView as new (bytes: ArrayBuffer) => DataView;
  const subclasses: Readonly<Record<string, (extra: string) => object>> = {
    Number: (extra) => Object.assign(new (class Money extends Number {})(5), { extra }),
    String: (extra) => Object.assign(new (class Label extends String {})("a"), { extra }),
    Boolean: (extra) => Object.assign(new (class Flag extends Boolean {})(true), { extra }),
    Date: (extra) => Object.assign(new (class Zoned extends Date {})(0), { extra }),
    URL: (extra) => Object.assign(new (class Link extends URL {})("http://a/"), { extra }),
    URLSearchParams: (extra) => Object.assign(new (class Query extends URLSearchParams {})("a=1"), { extra }),
    RegExp: (extra) => Object.assign(new (class Rule extends RegExp {})("a"), { extra }),
    Map: (extra) => Object.assign(new (class Registry extends Map {})(), { extra }),
    Set: (extra) => Object.assign(new (class Group extends Set {})(), { extra }),
    Array: (extra) => Object.assign(new (class List extends Array {})(), { extra }),
    Error: (extra) => Object.assign(new (class Failure extends Error {})("a"), { extra }),
    ArrayBuffer: (extra) => Object.assign(new (class Block extends ArrayBuffer {})(1), { extra }),
    Uint8Array: (extra) => Object.assign(new (class Bytes extends Uint8Array {})(1), { extra }),
    Buffer: (extra) => Object.setPrototypeOf(Object.assign(Buffer.from("a"), { extra }), SubBuffer.prototype) as object,
    BigInt64Array: (extra) => Object.assign(new (class Longs extends BigInt64Array {})(1), { extra }),
    DataView: (extra) => Object.assign(new (class View extends ViewOfBytes {})(new ArrayBuffer(1)), { extra }),
    Promise: (extra) => Object.assign(new (class Task extends Promise<void> {})(() => {}), { extra }),
  };
  class SubBuffer extends Uint8Array {
    static {
      Object.setPrototypeOf(SubBuffer.prototype, Buffer.prototype as object);
    }
  }
  const refused = (value: unknown): void => {
    expect(() => canonicalText(value)).toThrow(expect.objectContaining({ code: "ERR_UNSTABLE_ARGUMENT" }) as Error);
  };

  it.each(Object.keys(subclasses))("are refused, because the text of %s does not show what they hold", (name) => {
    refused(subclasses[name]?.("x"));
    refused({ deep: [subclasses[name]?.("x")] });
  });

  it.each(Object.keys(subclasses).filter((name) => name !== "Promise"))(
    "are taken by their own toJSON() or toString(): %s",
    (name) => {
      const [one, two] = ["one", "two"].map((extra) => subclasses[name]?.(extra) as object & { extra: string });
      for (const value of [one, two]) {
        Object.defineProperty(Object.getPrototypeOf(value) as object, "toString", {
          configurable: true,
          value(this: { extra: string }): string {
            return this.extra;
          },
        });
      }
      expect(canonicalText(one)).toMatch(/^\w+\("one"\)$/);
      expect(canonicalText(two)).toMatch(/^\w+\("two"\)$/);
      for (const value of [one, two]) {
        Object.defineProperty(Object.getPrototypeOf(value) as object, "toJSON", {
          configurable: true,
          value(this: { extra: string }): unknown {
            return [this.extra];
          },
        });
      }
      expect(canonicalText(one)).toMatch(/^\w+\(\["one"\]\)$/);
      expect(canonicalText(one)).not.toBe(canonicalText(two));
    },
  );

  it("are refused without fields of their own too: what they hold may be private", () => {
    class Secret extends Date {
      readonly #zone: string;
      constructor(zone: string) {
        super(0);
        this.#zone = zone;
      }
      zone(): string {
        return this.#zone;
      }
    }
    refused(new Secret("UTC"));
  });
});

describe("instances of built-in classes with properties of their own", () => {
  it.each<[string, () => object]>([
    ["Date", () => new Date(0)],
    ["Map", () => new Map()],
    ["Set", () => new Set()],
    ["RegExp", () => /a/],
    ["URL", () => new URL("http://a/")],
    ["URLSearchParams", () => new URLSearchParams()],
    ["Number", () => Object(1) as object],
    ["String", () => Object("a") as object],
    ["Boolean", () => Object(true) as object],
    ["BigInt", () => Object(1n) as object],
    ["Array", () => [1]],
    ["ArrayBuffer", () => new ArrayBuffer(1)],
    ["Uint8Array", () => new Uint8Array(1)],
    ["Buffer", () => Buffer.from("a")],
    ["DataView", () => new DataView(new ArrayBuffer(1))],
  ])("are refused, or taken by their own toJSON(): %s", (className, make) => {
    for (const extra of ["zone", Symbol("zone")]) {
      const hidden = Object.defineProperty(make(), extra, { value: 1, enumerable: false });
      for (const value of [Object.assign(make(), { [extra]: 1 }), hidden]) {
        expect(() => canonicalText(value)).toThrow(`${className} with a property ${String(extra)}`);
      }
    }
    const said = Object.assign(make(), { zone: 1, toJSON: () => ["said"] });
    expect(canonicalText(said)).toBe(`${className}(["said"])`);
    expect(() => canonicalText(make())).not.toThrow();
  });

  it("tells regular expressions apart by where they go on", () => {
    const begun = /a/g;
    begun.exec("aa");
    expect(canonicalText(begun)).toBe('RegExp("/a/g",1)');
    expect(canonicalText(/a/g)).toBe('RegExp("/a/g")');
  });

  it("are known in another realm", () => {
    const foreign = (code: string): unknown => runInContext(code, createContext({}));
    expect(canonicalText(foreign("[new Uint8Array([1]), /a/g, new Number(1)]"))).toBe(
      '[Uint8Array("AQ=="),RegExp("/a/g"),Number("1")]',
    );
    const refusedForeign = [
      "new (class Zoned extends Date {})(0)",
      "new (class Date2 extends Date { static name = 'Date' })(0)",
      "Object.assign(new Date(0), { zone: 1 })",
    ];
    for (const code of refusedForeign) expect(() => canonicalText(foreign(code))).toThrow(TypeError);
  });
});

describe("instances that inherit their toJSON() or toString()", () => {
  class Point {
    readonly x: number;
    constructor(x: number) {
      this.x = x;
    }
    toJSON(): unknown {
      return { x: this.x };
    }
  }
  class Id {
    readonly value: string;
    constructor(value: string) {
      this.value = value;
    }
    toString(): string {
      return this.value;
    }
  }
  class Depth extends Point {
    readonly y: number;
    constructor(x: number, y: number) {
      super(x);
      this.y = y;
    }
  }
  class Hidden extends Point {
    readonly #y: number;
    constructor(x: number, y: number) {
      super(x);
      this.#y = y;
    }
    sum(): number {
      return this.x + this.#y;
    }
  }
  class Labelled extends Id {
    label = "a";
  }

  it.each([
    { what: "a field", value: new Depth(1, 2), className: "Depth", method: "toJSON()" },
    { what: "a private field", value: new Hidden(1, 2), className: "Hidden", method: "toJSON()" },
    { what: "a field beside a text", value: new Labelled("7"), className: "Labelled", method: "toString()" },
  ])("are refused where it does not show $what", ({ value, className, method }) => {
    expect(() => canonicalText({ value })).toThrow(
      `the value at .value is a ${className} with a ${method} that it inherits and that does not show all it holds. ` +
        `Use plain values, or give ${className} a toJSON() method.`,
    );
  });

  it("are taken where it shows all they hold", () => {
    class Named extends Point {
      name(): string {
        return `at ${this.x}`;
      }
    }
    class UserId extends Id {
      isAdmin(): boolean {
        return this.value === "admin";
      }
    }
    class OrderId extends UserId {}
    class Price extends Money {}
    expect(canonicalText([new Named(1), new UserId("7"), new OrderId("7"), new Price(250)])).toBe(
      '[Named({"x":1}),UserId("7"),OrderId("7"),Price({"cents":250})]',
    );
  });
});

describe("what a text of the enumerable properties would not show", () => {
  it("is refused", () => {
    const secret = Object.defineProperty({}, "secret", { value: 1 });
    expect(() => canonicalText(secret)).toThrow("the value is an object with a property secret that is not enumerable");
    function argumentsOf(): object {
      return arguments;
    }
    expect(() => canonicalText(argumentsOf())).toThrow("the value is an arguments object; pass [...arguments]");
  });
});

describe("a class of the program that is named like a built-in one", () => {
  it.each(["URL", "Number", "Date", "Object", "Buffer"])("is refused: %s", (name) => {
    class Own {
      toString(): string {
        return "http://a/";
      }
    }
    Object.defineProperty(Own, "name", { value: name });
    expect(() => canonicalText(new Own())).toThrow(`an instance of a class of the program that is named ${name}`);
  });
});

describe("injectivity", () => {
  // Few and awkward parts, so that two random values are often nearly the same.
  const text = fc
    .array(
      fc.constantFrom("", ",", '"', "\\", "a", "7", "null", "undefined", "[", "]", "{", "}", ":", "=>", "\u0000", "("),
      {
        maxLength: 3,
      },
    )
    .map((parts) => parts.join(""));
  const key = fc.oneof(text, fc.constantFrom("__proto__", "constructor", "toJSON", "a"));
  const { value } = fc.letrec<{ value: unknown }>((tie) => ({
    value: fc.oneof(
      { depthSize: "small", withCrossShrink: true },
      text,
      fc.constantFrom(null, undefined, true, false, Number.NaN, Number.POSITIVE_INFINITY, 0, 7, 0.5, 7n, 0n),
      fc.integer({ min: 0, max: 3 }).map((ms) => new Date(ms)),
      fc.uint8Array({ maxLength: 2 }),
      fc.array(tie("value"), { maxLength: 3 }),
      fc.array(fc.tuple(key, tie("value")), { maxLength: 3 }).map((entries) => Object.fromEntries(entries)),
      fc.array(fc.tuple(text, tie("value")), { maxLength: 3 }).map((entries) => new Map(entries)),
      fc.array(text, { maxLength: 3 }).map((members) => new Set(members)),
    ),
  }));

  it("gives different values different texts, and equal values equal ones", () => {
    fc.assert(
      fc.property(value, value, (a, b) => {
        expect(canonicalText(a) === canonicalText(b)).toBe(isDeepStrictEqual(a, b));
      }),
      { numRuns: 5_000 },
    );
  });

  it("gives no pair of distinct values of a large sample the same text", () => {
    const byText = new Map<string, unknown>();
    for (const sample of fc.sample(value, 5_000)) {
      const known = byText.get(canonicalText(sample));
      if (known !== undefined) expect(isDeepStrictEqual(known, sample)).toBe(true);
      byText.set(canonicalText(sample), sample);
    }
    expect(byText.size).toBeGreaterThan(500);
  });

  it("depends on the order of members and entries, which a program can see, and not on that of keys", () => {
    fc.assert(
      fc.property(fc.uniqueArray(fc.tuple(key, value), { selector: ([name]) => name, maxLength: 5 }), (entries) => {
        const reversed = entries.toReversed();
        expect(canonicalText(Object.fromEntries(reversed))).toBe(canonicalText(Object.fromEntries(entries)));
        const isOne = entries.length < 2;
        expect(canonicalText(new Map(reversed)) === canonicalText(new Map(entries))).toBe(isOne);
        const names = entries.map(([name]) => name);
        expect(canonicalText(new Set(names.toReversed())) === canonicalText(new Set(names))).toBe(isOne);
      }),
    );
  });
});
