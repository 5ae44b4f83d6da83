import { describe, expect, it } from "vitest";
import { wrapFunction } from "../../src/functions/wrap.ts";
import { memoryStore } from "../../src/stores/memory/index.ts";
import type { CacheStore, StoreEntry } from "../../src/http.ts";
import { harness, settled } from "./harness.ts";

type Trouble = () => never | Promise<never>;

const TROUBLES: readonly { readonly kind: string; readonly trouble: Trouble }[] = [
  {
    kind: "throws",
    trouble: () => {
      throw new Error("gone");
    },
  },
  { kind: "rejects", trouble: () => Promise.reject(new Error("gone")) },
  { kind: "rejects with a text", trouble: () => Promise.reject("gone") },
];

describe.each(TROUBLES)("a store that $kind", ({ trouble }) => {
  it("on reading counts as one that has nothing", async () => {
    const { context, events } = harness({ store: (now) => ({ ...memoryStore({ now }), get: trouble }) });
    let runs = 0;
    const find = wrapFunction(context, "find", () => ++runs);
    expect(await find()).toBe(1);
    await settled();
    expect(await find()).toBe(2);
    expect(events[0]).toMatchObject({
      type: "store-failed",
      operation: "get",
      key: "test find()",
      error: { message: "gone" },
    });
  });

  it("on writing keeps nothing, and does not harm the call", async () => {
    const { context, trace } = harness({ store: (now) => ({ ...memoryStore({ now }), put: trouble }) });
    let runs = 0;
    const find = wrapFunction(context, "find", () => ++runs);
    expect(await find()).toBe(1);
    await settled();
    expect(await find()).toBe(2);
    await settled();
    expect(trace()).toEqual(["store-failed", "store-failed"]);
  });
});

describe("a store with something else under the key", () => {
  it.each<[string, StoreEntry]>([
    ["nothing readable", { meta: {}, body: new Uint8Array([1, 2, 3]) }],
    ["a response", { meta: { kind: "response", status: 200 }, body: new Uint8Array() }],
    ["no object", null as never],
  ])("counts as one that has nothing: %s", async (_, entry) => {
    const kept = memoryStore();
    const store: CacheStore = { ...kept, get: () => entry };
    const { context } = harness({ store: () => store });
    const find = wrapFunction(context, "find", () => "made");
    expect(await find()).toBe("made");
  });
});

describe("a store that is slow to write", () => {
  it("makes no caller wait, nor run the function again", async () => {
    const store: CacheStore = { ...memoryStore(), put: () => new Promise(() => {}) };
    const { context } = harness({ store: () => store });
    let runs = 0;
    const find = wrapFunction(context, "find", () => ({ run: ++runs }));
    const first = await find();
    first.run = 7;
    expect(await find()).toEqual({ run: 1 });
  });
});

it("a store that keeps nothing at the moment is told as such", async () => {
  const { context, trace } = harness({ store: (now) => ({ ...memoryStore({ now }), isAvailable: () => false }) });
  await wrapFunction(context, "find", () => 1)();
  expect(trace()).toEqual(["not-stored: store-unavailable"]);
});

describe("a result that the store does not keep", () => {
  it.each([
    { what: "a long text", result: "x".repeat(100_000) },
    { what: "a large BigInt", result: 2n ** 60_000n },
  ])("is not reported as stored: $what", async ({ result }) => {
    const { context, trace } = harness({ store: (now) => memoryStore({ now, maxBytes: 10_000 }) });
    const find = wrapFunction(context, "find", () => result);
    await find();
    await find();
    expect(trace()).toEqual(["not-stored: store-failed", "not-stored: store-failed"]);
  });
});
