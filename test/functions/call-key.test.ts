import { isDeepStrictEqual } from "node:util";
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { FunctionOptions } from "../../src/functions/contract.ts";
import { wrapFunction } from "../../src/functions/wrap.ts";
import { harness, type HarnessOptions } from "./harness.ts";

class Session {
  readonly connection = Symbol("open");
}
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

describe("ignored arguments", () => {
  it("leaves out instances of the cache's classes and of their subclasses", () => {
    const cache = { ignoreArgTypes: [Session] };
    expect(keyOf([7, new Session()], {}, cache)).toBe("test Users.getUser(7)");
    expect(keyOf([new AdminSession(), 7], {}, cache)).toBe("test Users.getUser(7)");
  });

  it("leaves out the function's own classes as well", () => {
    const options = { ignoreArgTypes: [Date] };
    expect(keyOf([7, new Session(), new Date()], options, { ignoreArgTypes: [Session] })).toBe("test Users.getUser(7)");
  });

  it("leaves out positions", () => {
    expect(keyOf(["a", new Session(), "c"], { ignoreArgs: [1] })).toBe('test Users.getUser("a","c")');
  });

  it("leaves out what a function says", () => {
    const options = { ignoreArgs: (value: unknown, index: number) => index > 0 && value instanceof Session };
    expect(keyOf(["a", new Session()], options)).toBe('test Users.getUser("a")');
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
