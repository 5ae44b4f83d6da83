import { describe, expect, it } from "vitest";
import type { FunctionOptions } from "../../src/functions/contract.ts";
import { wrapFunction } from "../../src/functions/wrap.ts";
import { harness } from "./harness.ts";

type Options = FunctionOptions<[], number>;

function wrapWith(options: unknown): () => unknown {
  return () => wrapFunction(harness().context, "find", () => 1, options as Options);
}

describe("options of a function", () => {
  it.each([
    { options: { expire: "5 parsecs" }, code: "ERR_INVALID_DURATION", message: 'wrap("find", …): expire: expected' },
    { options: { staleIfError: -1 }, code: "ERR_INVALID_DURATION", message: "staleIfError" },
    { options: { staleWhileRevalidate: 0 }, code: "ERR_INVALID_DURATION", message: "staleWhileRevalidate" },
    {
      options: { expires: "5m" },
      code: "ERR_UNKNOWN_OPTION",
      message: 'wrap("find", …): there is no option "expires"',
    },
    { options: "5m", code: "ERR_INVALID_OPTION", message: "expected an object of options" },
    { options: null, code: "ERR_INVALID_OPTION", message: "expected an object of options" },
    { options: [], code: "ERR_INVALID_OPTION", message: "expected an object of options, got an array of 0" },
    {
      options: new Map(),
      code: "ERR_INVALID_OPTION",
      message: "expected an object of options, got an instance of Map",
    },
    { options: new Date(), code: "ERR_INVALID_OPTION", message: "got an instance of Date" },
    {
      options: Promise.resolve({ expire: "5m" }),
      code: "ERR_INVALID_OPTION",
      message: 'wrap("find", …): expected an object of options, got an instance of Promise.\nAwait it first.',
    },
    { options: { expire: "0" }, code: "ERR_INVALID_DURATION", message: 'may be 0 (the number) or "0s"' },
    { options: { tags: "users" }, code: "ERR_INVALID_OPTION", message: "tags: expected an array of texts" },
    { options: { tags: [""] }, code: "ERR_INVALID_OPTION", message: "tags: expected an array of texts" },
    {
      options: { ignoreArgs: [-1] },
      code: "ERR_INVALID_OPTION",
      message: "ignoreArgs: expected an array of positions",
    },
    { options: { ignoreArgs: 1 }, code: "ERR_INVALID_OPTION", message: "ignoreArgs: expected an array of positions" },
    {
      options: { ignoreArgTypes: ["Session"] },
      code: "ERR_INVALID_OPTION",
      message: "ignoreArgTypes: expected an array of classes",
    },
    {
      options: { ignoreArgTypes: [() => 1] },
      code: "ERR_INVALID_OPTION",
      message: "ignoreArgTypes: expected an array of classes",
    },
    { options: { key: "id" }, code: "ERR_INVALID_OPTION", message: "key: expected a function" },
    { options: { when: true }, code: "ERR_INVALID_OPTION", message: "when: expected a function" },
    { options: { enabled: "no" }, code: "ERR_INVALID_OPTION", message: "enabled: expected true or false" },
    { options: { storeWhen: 1 }, code: "ERR_INVALID_OPTION", message: "storeWhen: expected a function" },
  ])("$options is refused when the function is wrapped", ({ options, code, message }) => {
    expect(wrapWith(options)).toThrow(
      expect.objectContaining({ code, message: expect.stringContaining(message) as string }) as Error,
    );
  });
});

describe("name of a function", () => {
  it.each(["rates", "Users.getUser", "users:v2", "a-b_c$1"])("may be %s", (name) => {
    expect(wrapFunction(harness().context, name, () => 1).keyOf()).toBe(`test ${name}()`);
  });

  it.each(["", "a b", "rates(", "ä", "a,b", "a\nb", undefined, 7])("may not be %j", (name) => {
    expect(() => wrapFunction(harness().context, name as string, () => 1)).toThrow(
      expect.objectContaining({ code: "ERR_INVALID_FUNCTION_NAME" }) as Error,
    );
  });

  it("is refused for the same function again", () => {
    const { context } = harness();
    const find = (): number => 1;
    wrapFunction(context, "find", find);
    expect(() => wrapFunction(context, "find", find)).toThrow(
      expect.objectContaining({ code: "ERR_DUPLICATE_FUNCTION_NAME" }) as Error,
    );
    expect(wrapFunction(harness().context, "find", find).cacheName).toBe("find");
  });

  it("is not taken by a function that was refused", () => {
    const { context } = harness();
    expect(() => wrapFunction(context, "find", () => 1, { expire: -1 })).toThrow(RangeError);
    expect(wrapFunction(context, "find", () => 1).cacheName).toBe("find");
  });
});

describe("what can be wrapped", () => {
  it.each([
    { what: "no function", fn: Promise.resolve(1), message: "got an instance of Promise" },
    {
      what: "a generator",
      fn: function* () {
        yield 1;
      },
      message: "got a generator",
    },
    {
      what: "an async generator",
      fn: async function* () {
        yield await Promise.resolve(1);
      },
      message: "got a generator",
    },
  ] as readonly { what: string; fn: unknown; message: string }[])("is not $what", ({ fn, message }) => {
    expect(() => wrapFunction(harness().context, "find", fn as () => unknown)).toThrow(
      expect.objectContaining({
        code: "ERR_INVALID_FUNCTION",
        message: expect.stringContaining(message) as string,
      }) as Error,
    );
  });
});
