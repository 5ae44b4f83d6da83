import { describe, expect, it } from "vitest";
import type { FunctionCacheContext } from "../../src/functions/contract.ts";
import { wrapFunction } from "../../src/functions/wrap.ts";
import { withPurgeLog } from "../../src/stores/purging/judged-store.ts";
import type { CacheStore, PurgeLog } from "../../src/http.ts";
import { memoryStore } from "../../src/stores/memory/index.ts";
import { watchUnhandled } from "../redis/unhandled.ts";
import { gate, harness, remoteStore, settled, type Gate } from "./harness.ts";

const STORES = [
  { kind: "a store that answers at once", store: undefined },
  { kind: "a store that answers later", store: remoteStore },
];

/** A function with a tag, each run of which ends when its gate is opened. */
function gatedRates(context: FunctionCacheContext) {
  const gates: Gate<string>[] = [];
  const run = (): Promise<string> => {
    const opened = gate<string>();
    gates.push(opened);
    return opened.promise;
  };
  return { gates, rates: wrapFunction(context, "rates", run, { tags: ["rates"] }) };
}

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
    const { rates, gates } = gatedRates(context);
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

describe("purge and a write that arrives after it", () => {
  it("is purged all the same", async () => {
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
    await settled();
    expect(await rates()).toBe(2);
  });
});

describe("purge by tag", () => {
  it.each([{ soft: false }, { soft: true }])(
    "beats a run that began before it for all who come after ($soft)",
    async ({ soft }) => {
      const { context } = harness();
      const { rates, gates } = gatedRates(context);
      const before = rates();
      await settled();
      await context.purges.purge("test", [{ kind: "name", text: "#rates" }], { soft });
      const after = rates();
      gates[0]!.open("old");
      expect(await before).toBe("old");
      await settled();
      gates[1]!.open("new");
      expect(await after).toBe("new");
    },
  );
});

describe("purge while a stale value may stand in", () => {
  it.each([{ soft: false }, { soft: true }])("keeps it from who comes after ($soft)", async ({ soft }) => {
    const { context, advance } = harness();
    const run = gate<string>();
    const results = [() => "old", () => run.promise, () => "new"];
    const options = { expire: 10, staleIfError: 3600, tags: ["rates"] };
    const rates = wrapFunction(context, "rates", () => results.shift()!(), options);
    await rates();
    advance(20);
    const before = rates();
    await settled();
    await context.purges.purge("test", [{ kind: "name", text: "#rates" }], { soft });
    const after = rates();
    run.fail(new Error("down"));
    expect(await before).toBe("old");
    expect(await after).toBe("new");
  });
});

describe("a soft purge", () => {
  it("is not undone by a refresh that began before it", async () => {
    const { context } = harness();
    const run = gate<string>();
    const results = [() => run.promise, () => "new"];
    const rates = wrapFunction(context, "rates", () => results.shift()!(), { tags: ["rates"] });
    const refreshed = rates.refresh();
    await settled();
    await context.purges.purge("test", [{ kind: "name", text: "#rates" }], { soft: true });
    run.open("old");
    expect(await refreshed).toBe("old");
    expect(await rates()).toBe("new");
  });
});

describe("purge by another process", () => {
  it("beats a run that began before it: who comes after shares what is asked for next", async () => {
    const elsewhere = purgedElsewhere();
    const { context } = harness({ store: () => elsewhere.store });
    const { rates, gates } = gatedRates(context);
    const before = rates();
    await settled();
    elsewhere.purge();
    const after = [rates(), rates(), rates()];
    await settled();
    gates[0]!.open("old");
    expect(await before).toBe("old");
    await settled();
    expect(gates).toHaveLength(2);
    gates[1]!.open("new");
    expect(await Promise.all(after)).toEqual(["new", "new", "new"]);
  });

  it("that did not happen costs those who wait one look-up together", async () => {
    const { store } = purgedElsewhere();
    const { context } = harness({ store: () => store });
    const run = gate<string>();
    let runs = 0;
    const rates = wrapFunction(context, "rates", () => {
      runs += 1;
      return run.promise;
    });
    const first = rates();
    await settled();
    const others = Array.from({ length: 100 }, () => rates());
    run.open("one");
    expect(await first).toBe("one");
    expect(await Promise.all(others)).toEqual(Array.from({ length: 100 }, () => "one"));
    expect(runs).toBe(1);
    expect(store.looks).toBe(2);
  });
});

interface SharedWithOthers extends CacheStore {
  looks: number;
}

/** A store that hears of the purges of another process when it is asked. */
function purgedElsewhere(): { readonly store: SharedWithOthers; readonly purge: () => void } {
  const inner = remoteStore(Date.now);
  const log = withPurgeLog(memoryStore()).purges;
  let verifiedAtMs = -1;
  let isPurged = false;
  const store: SharedWithOthers = {
    ...inner,
    looks: 0,
    purges: {
      generation: (prefix) => log.generation(prefix),
      judge: (prefix, key, entry) => log.judge(prefix, key, entry),
      purge: (prefix, targets, options) => log.purge(prefix, targets, options),
      verify: (prefix) => log.verify(prefix),
      verifiedAtMs: () => verifiedAtMs,
    },
    async get(key) {
      store.looks += 1;
      const askedAtMs = performance.now();
      const found = await inner.get(key);
      verifiedAtMs = askedAtMs;
      return isPurged ? undefined : found;
    },
  };
  return { store, purge: () => (isPurged = true) };
}

describe("refresh", () => {
  it("runs the function now and stores its result for the next caller", async () => {
    const { context } = harness();
    let runs = 0;
    const rates = wrapFunction(context, "rates", (currency: string) => `${currency} ${++runs}`);
    await rates("EUR");
    expect(await rates.refresh("EUR")).toBe("EUR 2");
    expect(await rates("EUR")).toBe("EUR 2");
  });

  it("that fails throws, and leaves the old result", async () => {
    const { context } = harness();
    const results = [
      () => "old",
      () => {
        throw new Error("down");
      },
    ];
    const rates = wrapFunction(context, "rates", () => results.shift()!());
    await rates();
    await expect(rates.refresh()).rejects.toThrow("down");
    expect(await rates()).toBe("old");
  });
});

describe("purge of a store that does not acknowledge it", () => {
  const failing = (now: () => number): CacheStore => {
    const inner = memoryStore({ now });
    const { purges } = withPurgeLog(inner);
    const refusing: PurgeLog = {
      generation: (prefix) => purges.generation(prefix),
      judge: (prefix, key, entry) => purges.judge(prefix, key, entry),
      verifiedAtMs: (prefix) => purges.verifiedAtMs(prefix),
      verify: (prefix) => purges.verify(prefix),
      purge: () => Promise.reject(new Error("gone")),
    };
    return { ...inner, purges: refusing };
  };

  it("rejects, and reports", async () => {
    const { context, events } = harness({ store: failing });
    const rates = wrapFunction(context, "rates", () => 1);
    await expect(rates.purge()).rejects.toThrow("gone");
    expect(events).toEqual([
      {
        type: "store-failed",
        operation: "purge",
        key: "test rates()",
        error: expect.objectContaining({ message: "gone" }),
      },
    ]);
  });

  it("does not end the process when nobody awaits it", async () => {
    const { context, trace } = harness({ store: failing });
    const rates = wrapFunction(context, "rates", () => 1);
    const expectNoneUnhandled = watchUnhandled();
    void rates.purge();
    await settled();
    await expectNoneUnhandled();
    expect(trace()).toEqual(["store-failed"]);
  });
});
