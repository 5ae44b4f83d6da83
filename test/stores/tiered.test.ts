/** Two tiers in one process: what is in memory, what is copied there, and what a hit costs. */

import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { setTimeout as pause } from "node:timers/promises";

import { createClient } from "redis";
import { afterAll, beforeAll, describe, expect, inject, it } from "vitest";

import { memoryStore } from "../../src/stores/memory/index.ts";
import { redisStore } from "../../src/stores/redis/index.ts";
import { tiered } from "../../src/stores/tiered.ts";
import { storeContract } from "../../src/testing.ts";
import type { CacheStore, PurgeLog, StoreEntry } from "../../src/http.ts";
import { eachTest } from "../redis/each-test.ts";
import { opened, ownPrefix, textEntry, textOf, until, untilCaching } from "../redis/store.ts";
import { aProcess, copied, fresh, twoProcesses } from "./tiers.ts";

const url = inject("redisUrl");
const { cleanups, server } = eachTest();

const client = createClient({ url });
beforeAll(() => client.connect());
afterAll(() => client.close());

storeContract({
  describe,
  it,
  name: "memory over Redis: contract",
  // A client that is connected, because the suite cannot see that only the memory answers yet.
  createStore: () => tiered(memoryStore(), redisStore({ client })),
});

let nowMs = 1_764_000_000_000;
storeContract({
  describe,
  it,
  name: "memory over memory: contract",
  createStore: () => tiered(memoryStore({ now: () => nowMs }), memoryStore({ now: () => nowMs })),
  advance: (ms) => {
    nowMs += ms;
  },
});

describe("a hit in memory", () => {
  it("answers at once, with what was put", async () => {
    const { prefix, here } = await twoProcesses({ maxStalenessMs: 60_000 });
    const entry = { ...fresh(here.store, prefix, "a"), live: { value: { decoded: true } } };
    await here.store.put(`${prefix} a`, entry, 60_000);
    expect(here.store.get(`${prefix} a`)).toBe(entry);
  });

  it("answers at once with what was copied when it was first found, and with the form its reader decoded", async () => {
    const { prefix, here, there } = await twoProcesses({ maxStalenessMs: 60_000 });
    await there.store.put(`${prefix} a`, fresh(there.store, prefix, "a"), 60_000);
    const live = { decoded: true };
    const found = await here.store.get(`${prefix} a`);
    if (found?.live === undefined) throw new Error("Not found.");
    found.live.value = live;
    await copied();
    const hit = here.store.get(`${prefix} a`);
    expect(hit).toMatchObject({ body: new TextEncoder().encode("a"), meta: {} });
    expect((hit as StoreEntry).live?.value).toBe(live);
    // How long Redis keeps it was true when it was found.
    expect(hit).not.toHaveProperty("retainMs");
  });

  it("costs Redis nothing but one look at the purge log now and then", async () => {
    const redis = await server();
    const admin = createClient({ url: redis.adminUrl });
    await admin.connect();
    cleanups.push(() => admin.destroy());
    const { store } = await aProcess("p", { maxStalenessMs: 400 }, redis.url);
    await store.put("p a", fresh(store, "p", "a"), 60_000);

    await admin.sendCommand(["CONFIG", "RESETSTAT"]);
    const endAtMs = performance.now() + 1000;
    let hits = 0;
    while (performance.now() < endAtMs) {
      for (let number = 0; number < 100; number += 1) {
        if (textOf(await store.get("p a")) === "a") hits += 1;
      }
      await pause(1);
    }
    const calls = commandCalls(await admin.info("commandstats"));
    expect(hits).toBeGreaterThan(1000);
    expect(calls.get("mget") ?? 0).toBe(0);
    // One each 200 ms from the first half on; the script and what it calls are counted apart.
    expect(calls.get("evalsha") ?? 0).toBeGreaterThanOrEqual(1);
    expect(calls.get("evalsha") ?? 0).toBeLessThanOrEqual(6);
  });

  it("is the object that was put, as in memoryStore(); another process has one of its own", async () => {
    const { prefix, here, there } = await twoProcesses({ maxStalenessMs: 60_000 });
    await there.store.put(`${prefix} a`, fresh(there.store, prefix, "abc", { list: [1] }), 60_000);
    const first = await here.store.get(`${prefix} a`);
    if (first === undefined) throw new Error("Not found.");
    first.body.fill(0);
    (first.meta["list"] as number[]).push(2);
    const other = await there.store.get(`${prefix} a`);
    expect(textOf(other)).toBe("abc");
    expect(other?.meta).toEqual({ list: [1] });
  });

  it("is not past what is left of its retention when it is copied", async () => {
    const { prefix, here, there } = await twoProcesses({ maxStalenessMs: 60_000 });
    await there.store.put(`${prefix} a`, fresh(there.store, prefix, "a"), 500);
    const putAtMs = performance.now();
    await pause(250);
    expect(textOf(await here.store.get(`${prefix} a`))).toBe("a");
    await copied();
    expect(here.upper.entryCount).toBe(1);
    while (performance.now() - putAtMs < 520) await pause(10);
    expect(here.upper.get(`${prefix} a`)).toBeUndefined();
    expect(await here.store.get(`${prefix} a`)).toBeUndefined();
  });
});

describe("the proof of a hit", () => {
  /** A lower store whose purge log was read when the test says so. */
  function paced(maxStalenessMs: number) {
    const lower = memoryStore();
    let verifiedAtMs = performance.now();
    const asked: ((verified: boolean) => void)[] = [];
    const purges: PurgeLog = {
      generation: (prefix) => lower.purges.generation(prefix),
      judge: (prefix, key, entry) => lower.purges.judge(prefix, key, entry),
      purge: (prefix, targets, options) => lower.purges.purge(prefix, targets, options),
      verifiedAtMs: () => verifiedAtMs,
      verify: () => new Promise((resolve) => asked.push(resolve)),
    };
    const store = tiered(memoryStore(), { ...lower, purges }, { maxStalenessMs, maxUnverifiedMs: 60_000 });
    void store.put("p a", { ...textEntry("a"), generation: lower.purges.generation("p") }, 60_000);
    return {
      store,
      asked,
      provenAgoMs: (ms: number) => {
        verifiedAtMs = performance.now() - ms;
      },
    };
  }

  it("is not looked for in the first half of maxStalenessMs", () => {
    const { store, asked, provenAgoMs } = paced(10_000);
    provenAgoMs(4000);
    expect(textOf(store.get("p a") as StoreEntry)).toBe("a");
    expect(asked).toHaveLength(0);
  });

  it("is looked for in the background in the second half, once", async () => {
    const { store, asked, provenAgoMs } = paced(10_000);
    provenAgoMs(6000);
    for (let hit = 0; hit < 3; hit += 1) expect(textOf(store.get("p a") as StoreEntry)).toBe("a");
    expect(asked).toHaveLength(1);
    asked[0]?.(true);
    await copied();
    void store.get("p a");
    expect(asked).toHaveLength(2);
  });

  it("is waited for after that, and a reading that began too early is not enough", async () => {
    const { store, asked, provenAgoMs } = paced(10_000);
    provenAgoMs(20_000);
    const hits = [store.get("p a"), store.get("p a")];
    expect(asked).toHaveLength(1);
    // It was sent eleven seconds ago.
    provenAgoMs(11_000);
    asked[0]?.(true);
    await copied();
    expect(asked).toHaveLength(2);
    provenAgoMs(0);
    asked[1]?.(true);
    for (const hit of hits) expect(textOf(await hit)).toBe("a");
    expect(asked).toHaveLength(2);
  });

  it("that fails lets the hit go on, as one without a proof", async () => {
    const { store, asked, provenAgoMs } = paced(10_000);
    provenAgoMs(20_000);
    const hit = store.get("p a");
    asked[0]?.(false);
    expect(textOf(await hit)).toBe("a");
    expect(asked).toHaveLength(1);
  });
});

describe("what is kept in memory", () => {
  it.each([
    { bytes: 1000, kept: true },
    { bytes: 1001, kept: false },
  ])("a body of $bytes bytes with maxMemoryBodyBytes: 1000: $kept", async ({ bytes, kept }) => {
    const { prefix, here, there } = await twoProcesses({ maxMemoryBodyBytes: 1000, maxStalenessMs: 60_000 });
    await here.store.put(`${prefix} a`, fresh(here.store, prefix, "x".repeat(bytes)), 60_000);
    expect(here.store.get(`${prefix} a`) instanceof Promise).toBe(!kept);
    expect((await here.store.get(`${prefix} a`))?.body.byteLength).toBe(bytes);
    await there.store.get(`${prefix} a`);
    await copied();
    expect(there.upper.entryCount).toBe(kept ? 1 : 0);
  });

  it("is not the small body a large one has replaced", async () => {
    const { prefix, here } = await twoProcesses({ maxMemoryBodyBytes: 1000, maxStalenessMs: 60_000 });
    await here.store.put(`${prefix} a`, fresh(here.store, prefix, "small"), 60_000);
    await here.store.put(`${prefix} a`, fresh(here.store, prefix, "x".repeat(2000)), 60_000);
    expect((await here.store.get(`${prefix} a`))?.body.byteLength).toBe(2000);
  });

  it("is not an entry that was deleted or replaced while it was being looked up", async () => {
    const { prefix, here, there } = await twoProcesses({ maxStalenessMs: 60_000 });
    await there.store.put(`${prefix} deleted`, fresh(there.store, prefix, "old"), 60_000);
    await there.store.put(`${prefix} replaced`, fresh(there.store, prefix, "old"), 60_000);
    const lookUps = [here.store.get(`${prefix} deleted`), here.store.get(`${prefix} replaced`)];
    const done = [
      here.store.delete(`${prefix} deleted`),
      here.store.put(`${prefix} replaced`, fresh(here.store, prefix, "new"), 60_000),
    ];
    // Sent before the other two, so the answers are the old ones.
    for (const found of lookUps) expect(textOf(await found)).toBe("old");
    await copied();
    expect(here.upper.get(`${prefix} deleted`)).toBeUndefined();
    expect(textOf(here.store.get(`${prefix} replaced`) as StoreEntry)).toBe("new");
    for (const each of done) await each;
    expect(await here.store.get(`${prefix} deleted`)).toBeUndefined();
  });

  it("does not pin the network chunks it came in: 1,000 small entries", async () => {
    const { prefix, here, there } = await twoProcesses({ maxMemoryBodyBytes: 1000, maxStalenessMs: 60_000 });
    await there.store.put(`${prefix} neighbour`, fresh(there.store, prefix, "x".repeat(48 * 1024)), 60_000);
    for (let number = 0; number < 1000; number += 1) {
      await there.store.put(`${prefix} ${number}`, fresh(there.store, prefix, `${number}`.repeat(50)), 60_000);
    }
    const before = await bufferBytes();
    for (let number = 0; number < 1000; number += 1) {
      // A large reply in the same chunk: a slice of it would keep 48 KiB alive, 47 MiB in all.
      await Promise.all([here.store.get(`${prefix} ${number}`), here.store.get(`${prefix} neighbour`)]);
    }
    await copied();
    expect(here.upper.entryCount).toBe(1000);
    expect((await bufferBytes()) - before).toBeLessThan(4 * 1024 * 1024);
  });

  it("counts toward the bound of the memory store with its decoded form", async () => {
    const { prefix, here, there } = await twoProcesses({ maxStalenessMs: 60_000 });
    await there.store.put(`${prefix} a`, fresh(there.store, prefix, "a"), 60_000);
    const found = await here.store.get(`${prefix} a`);
    if (found?.live === undefined) throw new Error("Not found.");
    found.live.value = { decoded: "x".repeat(10_000) };
    await copied();
    expect(here.upper.sizeBytes).toBeGreaterThan(10_000);
  });

  it("survives neither delete() nor close()", async () => {
    const { prefix, here } = await twoProcesses({ maxStalenessMs: 60_000 });
    await here.store.put(`${prefix} a`, fresh(here.store, prefix, "a"), 60_000);
    await here.store.put(`${prefix} b`, fresh(here.store, prefix, "b"), 60_000);
    await here.store.delete(`${prefix} a`);
    expect(await here.store.get(`${prefix} a`)).toBeUndefined();
    expect(here.upper.entryCount).toBe(1);
    await here.store.close?.();
    expect(here.upper.entryCount).toBe(0);
  });
});

describe("tiered(upper, lower, options)", () => {
  it("refuses a first store that does not answer at once", () => {
    expect(() => tiered(redisStore({ url }), redisStore({ url }))).toThrow(
      'tiered(upper, lower): expected an upper store that keeps objects and answers at once, such as memoryStore(), got "redis".',
    );
    const slow = memoryStore();
    const asynchronous: CacheStore = {
      name: "slow",
      get: async (key) => slow.get(key),
      put: async (key, entry, retainMs) => slow.put(key, entry, retainMs),
      delete: async (key) => slow.delete(key),
    };
    expect(() => tiered(asynchronous, redisStore({ url }))).toThrow(/got "slow"\.\nThe store in memory comes first/);
    expect(() => tiered(undefined as never, redisStore({ url }))).toThrow(/upper store .* got undefined/);
  });

  it("refuses a second store without a purge log", () => {
    const { purges: _, ...unlogged } = memoryStore();
    expect(() => tiered(memoryStore(), unlogged)).toThrow(
      'tiered(upper, lower): expected a lower store that keeps a purge log for all processes, such as redisStore(), got "memory".',
    );
    expect(() => tiered(memoryStore(), undefined as never)).toThrow(/lower store .* got undefined/);
  });

  it("leaves nothing of its own in the first store", () => {
    const upper = memoryStore();
    tiered(upper, redisStore({ url }));
    expect(upper.entryCount).toBe(0);
  });

  it("refuses an option that does not exist", () => {
    expect(() => tiered(memoryStore(), redisStore({ url }), { maxStaleness: 100 } as object)).toThrow(
      expect.objectContaining({ code: "ERR_UNKNOWN_OPTION", message: expect.stringContaining("maxStalenessMs") }),
    );
  });

  it.each([
    { option: "maxStalenessMs", values: [-1, 1.5, 60_001, Number.NaN, "250"] },
    { option: "maxUnverifiedMs", values: [-1, 0.1, 86_400_001, Number.POSITIVE_INFINITY] },
    { option: "maxMemoryBodyBytes", values: [-1, 0.5, 2 ** 40] },
  ])("refuses a wrong $option", ({ option, values }) => {
    for (const value of values) {
      expect(() => tiered(memoryStore(), redisStore({ url }), { [option]: value })).toThrow(
        `tiered(upper, lower, { ${option} }): expected a whole number from 0 to `,
      );
    }
    expect(() => tiered(memoryStore(), redisStore({ url }), { [option]: 0 })).not.toThrow();
  });

  it("has the leases and the purge log of the second store, and is available while either is", async () => {
    const lower = redisStore({ url });
    const store = tiered(memoryStore(), lower);
    expect(store.purges).toBe(lower.purges);
    expect(store.leases).toBeDefined();
    expect(store.isAvailable?.()).toBe(true);
    expect(tiered(memoryStore(), memoryStore()).leases).toBeUndefined();
    cleanups.push(() => store.close?.());
    const events = opened(store);
    await untilCaching(store, ownPrefix());
    await until(() => events.some(({ type }) => type === "connected"));
  });
});

function commandCalls(info: string): ReadonlyMap<string, number> {
  return new Map([...info.matchAll(/cmdstat_(\w+):calls=(\d+)/g)].map(([, name = "", calls]) => [name, Number(calls)]));
}

setFlagsFromString("--expose-gc");
const collectGarbage = runInNewContext("gc") as () => void;

async function bufferBytes(): Promise<number> {
  // Buffers are freed after the collection that finds them unused.
  for (let round = 0; round < 4; round += 1) {
    collectGarbage();
    await pause(20);
  }
  return process.memoryUsage().arrayBuffers;
}
