import { isDeepStrictEqual } from "node:util";
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { FunctionOptions } from "../../src/functions/contract.ts";
import { wrapFunction } from "../../src/functions/wrap.ts";
import { harness, type HarnessOptions } from "./harness.ts";

class Session {
  readonly connection = Symbol("open");
}
const MANY: readonly number[] = [1];
class AdminSession extends Session {}

function keyOf(
  args: readonly unknown[],
  options?: FunctionOptions<unknown[], unknown>,
  cache?: HarnessOptions,
): string {
  return wrapFunction(harness(cache).context, "Users.getUser", (...all: unknown[]) => all.length, options).keyOf(
    ...args,
  );
}

describe("key of a call", () => {
  it.each([
    { args: [], key: "test Users.getUser()", because: "no argument" },
    { args: [undefined], key: "test Users.getUser(undefined)", because: "undefined is not missing" },
    { args: [null], key: "test Users.getUser(null)", because: "null is not undefined" },
    { args: ["null"], key: 'test Users.getUser("null")', because: "a text is in quotes" },
    { args: [7], key: "test Users.getUser(7)", because: "a number is as written" },
    { args: ["7"], key: 'test Users.getUser("7")', because: "a text is not a number" },
    { args: ["a", "b"], key: 'test Users.getUser("a","b")', because: "arguments are apart" },
    { args: ["a,b"], key: 'test Users.getUser("a,b")', because: "a comma is no delimiter in a text" },
    { args: [["a", "b"]], key: 'test Users.getUser(["a","b"])', because: "a list is not its members" },
    { args: ["__proto__", "constructor"], key: 'test Users.getUser("__proto__","constructor")', because: "no look-up" },
  ])("$key: $because", ({ args, key }) => {
    expect(keyOf(args)).toBe(key);
  });

  it("is different for different argument lists", () => {
    const part = fc.constantFrom<unknown>(
      "",
      ",",
      '"',
      "a",
      "a,b",
      "null",
      null,
      undefined,
      7,
      "7",
      7n,
      "\u0000",
      "{}",
      true,
    );
    const args = fc.array(fc.oneof(part, fc.array(part, { maxLength: 2 })), { maxLength: 3 });
    fc.assert(
      fc.property(args, args, (a, b) => {
        expect(keyOf(a) === keyOf(b)).toBe(isDeepStrictEqual(a, b));
      }),
      { numRuns: 2_000 },
    );
  });
});

describe("arguments of undefined at the end", () => {
  const unit = {
    of(id: number, lang = "en"): string {
      return `${id} ${lang}`;
    },
  };
  const every = (...all: unknown[]): number => all.length;
  const key = (fn: (...args: never[]) => unknown, ...args: unknown[]): string =>
    (wrapFunction(harness().context, "find", fn).keyOf as (...all: unknown[]) => string)(...args);

  it.each<[string, (...args: never[]) => unknown]>([
    ["an optional parameter", (_id: number, _lang?: string) => 1],
    ["a default", (_id: number, _lang = "en") => 1],
    ["a default that has brackets and dots", (_id: number, _lang = ["(", ")", "...", { a: [...MANY] }]) => 1],
    ["destructuring", (_id: number, { lang }: { lang?: string } = {}) => lang],
    ["a method", (unit as { of: (...args: never[]) => unknown }).of],
    [
      "a function",
      // A comment (with brackets...
      function find(_id: number /* the id, ...or not */, _lang?: string) {
        return [...MANY, 1];
      },
    ],
    ["no parameter at all for it", async (_id: number) => 1],
  ])("count as not passed: %s", (_, fn) => {
    expect(key(fn, 1, undefined)).toBe("test find(1)");
    expect(key(fn, 1)).toBe("test find(1)");
    expect(key(fn, undefined)).toBe(key(fn));
    expect(key(fn, undefined, "de")).toBe('test find(undefined,"de")');
    expect(key(fn, 1, null)).toBe("test find(1,null)");
  });

  it.each<[string, (...args: never[]) => unknown]>([
    ["a rest parameter", (_id: number, ...rest: unknown[]) => rest.length],
    ["a rest parameter behind a default", (_id: number, _lang = ")", ...rest: unknown[]) => rest.length],
    ["a rest of a pattern", (_id: number, ...[lang]: string[]) => lang],
    [
      "arguments",
      function (_id: number) {
        return arguments.length;
      },
    ],
    ["a bound function", every.bind(undefined, 1)],
    ["a default that cannot be read", (_id: number, _pattern = /[(]/, ...rest: unknown[]) => rest.length],
  ])("count where the function can tell: %s", (_, fn) => {
    expect(key(fn, 1, undefined, undefined)).not.toBe(key(fn, 1, undefined));
  });

  it("before the rest parameter count as not passed", () => {
    const fn = (_id?: number, ...rest: unknown[]): number => rest.length;
    expect(key(fn, undefined)).toBe(key(fn));
    expect(key(fn, undefined, undefined)).not.toBe(key(fn));
  });

  it("are purged with the shorter call, and the other way round", async () => {
    const { context } = harness();
    let runs = 0;
    const find = wrapFunction(context, "find", (_id: number, _lang?: string) => ++runs);
    expect([await find(1), await find(1, undefined)]).toEqual([1, 1]);
    await find.purge(1);
    expect(await find(1, undefined)).toBe(2);
    await find.purge(1, undefined);
    expect(await find(1)).toBe(3);
  });

  it("count as not passed before an ignored argument", () => {
    const find = wrapFunction(harness().context, "find", (_id: number, _lang?: string, _db?: object) => 1, {
      ignoreArgs: [2],
    });
    expect(find.keyOf(1, undefined, new Session())).toBe(find.keyOf(1));
  });
});

describe("ignored arguments", () => {
  it("leaves out instances of the cache's classes and of their subclasses", () => {
    const cache = { ignoreArgTypes: [Session] };
    expect(keyOf([7, new Session()], {}, cache)).toBe("test Users.getUser(7)");
    expect(keyOf([7, new AdminSession(), new Session()], {}, cache)).toBe("test Users.getUser(7)");
  });

  it("leaves out the function's own classes as well", () => {
    const options = { ignoreArgTypes: [Date] };
    expect(keyOf([7, new Session(), new Date()], options, { ignoreArgTypes: [Session] })).toBe("test Users.getUser(7)");
  });

  it("leaves out positions", () => {
    expect(keyOf(["a", new Session(), "c"], { ignoreArgs: [1] })).toBe('test Users.getUser("a",_,"c")');
  });

  it("leaves out what a function says", () => {
    const options = { ignoreArgs: (value: unknown, index: number) => index > 0 && value instanceof Session };
    expect(keyOf(["a", new Session()], options)).toBe('test Users.getUser("a")');
  });

  it("keep the positions of the arguments behind them", async () => {
    const { context } = harness({ ignoreArgTypes: [Session] });
    const list = wrapFunction(context, "list", (a: unknown, b: unknown) =>
      a instanceof Session ? `b=${String(b)}` : `a=${String(a)}`,
    );
    expect([await list(new Session(), 1), await list(1, new Session())]).toEqual(["b=1", "a=1"]);
    expect(list.keyOf(new AdminSession(), 1)).toBe("test list(_,1)");
    const range = wrapFunction(context, "range", (from: unknown, to: unknown) => `${String(from)}-${String(to)}`, {
      ignoreArgs: (value) => value === null,
    });
    expect([await range(null, 5), await range(5, null)]).toEqual(["null-5", "5-null"]);
    expect(range.keyOf("_", 5)).toBe('test range("_",5)');
  });

  it("are as good as not passed at the end", () => {
    const options = { ignoreArgTypes: [Session] };
    expect(keyOf([7, new Session()], options)).toBe(keyOf([7], options));
    expect(keyOf([new Session(), new Session()], options)).toBe(keyOf([], options));
  });

  it("does not look inside arguments", () => {
    expect(() => keyOf([{ session: new Session() }], {}, { ignoreArgTypes: [Session] })).toThrow(
      "argument 1 at .session is a Session without a stable text form",
    );
  });
});

describe("a key of one's own", () => {
  it("replaces the arguments", () => {
    expect(keyOf([{ id: 7, session: new Session() }], { key: (user) => (user as { id: number }).id })).toBe(
      "test Users.getUser(7)",
    );
  });

  it("is canonical as well", () => {
    expect(keyOf([1], { key: () => ({ b: 1, a: "x" }) })).toBe('test Users.getUser({"a":"x","b":1})');
    expect(() => keyOf([1], { key: () => new Session() })).toThrow(
      "Users.getUser(…): the result of key() is a Session",
    );
  });
});

describe("an argument without a stable text", () => {
  it("is refused with function, position, class and cure", () => {
    expect(() => keyOf([7, new Session()])).toThrow(
      "Users.getUser(…): argument 2 is a Session without a stable text form. " +
        "Add Session to ignoreArgTypes, exclude it with ignoreArgs: [1], or give it a toJSON() method.",
    );
  });

  it("is refused when two classes of one name meet in one function", async () => {
    const twin = (text: string): object => {
      class Id {
        toJSON(): string {
          return text;
        }
      }
      return new Id();
    };
    const find = wrapFunction(harness().context, "find", (id: object) => JSON.stringify(id));
    expect(await find(twin("7"))).toBe('"7"');
    await expect(find(twin("7"))).rejects.toThrow(
      "argument 1 is an Id, but another class of that name is in use here as well",
    );
  });

  it("rejects the call and prints its code", async () => {
    const find = wrapFunction(harness().context, "find", (id: unknown) => id);
    const error: unknown = await find(Symbol("a")).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(TypeError);
    expect((error as Error).stack).toMatch(/^TypeError \[ERR_UNSTABLE_ARGUMENT\]: find\(…\): argument 1 is a symbol/);
  });
});
