import { describe, expect, it } from "vitest";
import { wrapFunction } from "../../src/functions/wrap.ts";
import { gate, harness, remoteStore, settled } from "./harness.ts";

describe.each([
  { kind: "a store that answers at once", store: undefined },
  { kind: "a store that answers later", store: remoteStore },
])("a second function under a name, over $kind", ({ store }) => {
  const cache = (): ReturnType<typeof harness> => harness(store === undefined ? {} : { store });

  it("is given nothing that the first one has stored, and the first one is no longer cached", async () => {
    const { context, trace } = cache();
    let runs = 0;
    const first = wrapFunction(context, "find", () => `first ${++runs}`);
    expect(await first()).toBe("first 1");
    await settled();
    const second = wrapFunction(context, "find", () => `second ${++runs}`);
    expect(await second()).toBe("second 2");
    await settled();
    expect(await first()).toBe("first 3");
    expect(await first()).toBe("first 4");
    expect(await second()).toBe("second 2");
    expect(trace()).toEqual(["stored", "stored", "not-stored: replaced", "not-stored: replaced", "found"]);
  });

  it("is given nothing that the first one was still making", async () => {
    const { context } = cache();
    const slow = gate<string>();
    const first = wrapFunction(context, "find", () => slow.promise);
    const before = first();
    await settled();
    const second = wrapFunction(context, "find", () => "second");
    slow.open("first");
    expect(await before).toBe("first");
    await settled();
    expect(await second()).toBe("second");
  });

  it("says what is wrong where the first one is still called", async () => {
    const { context, events, warnings } = cache();
    const make = (): (() => number) => () => 1;
    const first = wrapFunction(context, "find", make());
    wrapFunction(context, "find", make());
    await first();
    expect(warnings).toEqual([
      expect.stringContaining("find: a function of this name with the same source text was wrapped later"),
    ]);
    expect(events).toEqual([
      expect.objectContaining({
        because: "replaced",
        error: expect.objectContaining({ code: "ERR_DUPLICATE_FUNCTION_NAME" }) as Error,
      }),
    ]);
  });
});
