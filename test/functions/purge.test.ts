import { describe, expect, it } from "vitest";
import { wrapFunction } from "../../src/functions/wrap.ts";
import type { CacheStore } from "../../src/types.ts";
import { memoryStore } from "../../src/stores/memory.ts";
import { gate, harness, remoteStore, settled, type Gate } from "./harness.ts";

const STORES = [
  { kind: "a store that answers at once", store: undefined },
  { kind: "a store that answers later", store: remoteStore },
];

describe.each(STORES)("purge of one call over $kind", ({ store }) => {
  const cache = (): ReturnType<typeof harness> => harness(store === undefined ? {} : { store });

  it("deletes this call's result and no other", async () => {
    const { context } = cache();
    let runs = 0;
    const rates = wrapFunction(context, "rates", (currency: string) => `${currency} ${++runs}`);
    await rates("EUR");
    await rates("USD");
    await settled();
    await rates.purge("EUR");
    expect(await rates("EUR")).toBe("EUR 3");
    expect(await rates("USD")).toBe("USD 2");
  });

  it("beats a run that began before it, and nobody who comes after joins that run", async () => {
    const { context, trace } = cache();
    const gates: Gate<string>[] = [];
    const rates = wrapFunction(context, "rates", () => {
      const run = gate<string>();
      gates.push(run);
      return run.promise;
    });
    const before = rates();
    await settled();
    await rates.purge();
    const after = rates();
    await settled();
    gates[0]!.open("old");
    expect(await before).toBe("old");
    const joining = rates();
    await settled();
    expect(gates).toHaveLength(2);
    gates[1]!.open("new");
    expect(await Promise.all([after, joining])).toEqual(["new", "new"]);
    await settled();
    expect(await rates()).toBe("new");
    expect(trace()).toEqual(["not-stored: purged", "stored", "found"]);
  });

  it("beats a renewal in the background that began before it", async () => {
    const { context, advance } = cache();
    const renewal = gate<string>();
    const results = ["first", renewal.promise, "third"];
    const rates = wrapFunction(context, "rates", () => results.shift()!, { expire: 10, staleWhileRevalidate: 60 });
    await rates();
    await settled();
    advance(20);
    expect(await rates()).toBe("first");
    await settled();
    await rates.purge();
    renewal.open("old");
    await settled();
    expect(await rates()).toBe("third");
  });

  it("right after the call beats a write that has not arrived", async () => {
    const { context } = cache();
    let runs = 0;
    const rates = wrapFunction(context, "rates", () => ++runs);
    await rates();
    await rates.purge();
    expect(await rates()).toBe(2);
  });
});

describe("purge and a write that overtakes it", () => {
  it("does not see it meanwhile, and deletes again once the write is there", async () => {
    const { promise: released, open: release } = gate<void>();
    const slowWrites = (now: () => number): CacheStore => {
      const inner = memoryStore({ now });
      return { ...inner, put: (...args) => released.then(() => inner.put(...args)) };
    };
    const { context } = harness({ store: slowWrites });
    let runs = 0;
    const rates = wrapFunction(context, "rates", () => ++runs);
    await rates();
    const purged = rates.purge();
    expect(await rates()).toBe(2);
    release();
    await purged;
    expect(await rates()).toBe(3);
  });
});

describe("purge of a store that fails", () => {
  const failing = (now: () => number): CacheStore => ({
    ...memoryStore({ now }),
    delete: () => Promise.reject(new Error("gone")),
  });

  it("rejects, and reports", async () => {
    const { context, events } = harness({ store: failing });
    const rates = wrapFunction(context, "rates", () => 1);
    await expect(rates.purge()).rejects.toThrow("gone");
    expect(events).toEqual([
      {
        type: "store-failed",
        operation: "delete",
        key: "test rates()",
        error: expect.objectContaining({ message: "gone" }),
      },
    ]);
  });

  it("does not end the process when nobody awaits it", async () => {
    const { context, trace } = harness({ store: failing });
    const rates = wrapFunction(context, "rates", () => 1);
    const unhandled: unknown[] = [];
    const listener = (error: unknown): void => void unhandled.push(error);
    process.on("unhandledRejection", listener);
    void rates.purge();
    await settled();
    process.off("unhandledRejection", listener);
    expect(unhandled).toEqual([]);
    expect(trace()).toEqual(["store-failed"]);
  });
});
