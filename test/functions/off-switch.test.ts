import { describe, expect, it } from "vitest";
import { createCache } from "../../src/cache.ts";
import { wrapFunction } from "../../src/functions/wrap.ts";
import { harness } from "./harness.ts";

describe("a function that is not cached", () => {
  it.each([
    { expire: 0 },
    { expire: "0s" },
    { expire: { seconds: 0 } },
    { enabled: false },
    { enabled: false, expire: "5m", staleIfError: "1h" },
  ])("%o runs for each call, whatever its arguments", async (options) => {
    const { context, events } = harness();
    let runs = 0;
    const find = wrapFunction(context, "find", (_value: unknown) => ++runs, options);
    const symbol = Symbol("no stable text");
    expect(await Promise.all([find(symbol), find(symbol), find(7), find.refresh(7)])).toEqual([1, 2, 3, 4]);
    await find.purge(7);
    await find.purgeAll();
    expect(find.keyOf(7)).toBe("test find(7)");
    expect(events).toEqual([]);
  });

  it("still gives promises, and its other options are checked", async () => {
    const { context } = harness();
    const fail = wrapFunction(
      context,
      "fail",
      (): never => {
        throw new Error("at once");
      },
      { enabled: false },
    );
    await expect(fail()).rejects.toThrow("at once");
    expect(() => wrapFunction(context, "find", () => 1, { enabled: false, expire: "5 parsecs" })).toThrow(RangeError);
  });

  it("is cached with enabled: true", async () => {
    let runs = 0;
    const find = createCache().wrap("find", () => ++runs, { enabled: true });
    expect([await find(), await find()]).toEqual([1, 1]);
  });
});
