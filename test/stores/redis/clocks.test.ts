/** The clock given as `now` is the only wall clock of a cache and of its store. */

import { describe, expect, inject, it } from "vitest";

import { fetchCache } from "../../../src/adapters/fetch/index.ts";
import { type Cache, createCache } from "../../../src/cache.ts";
import { memoryStore } from "../../../src/stores/memory/index.ts";
import { redisStore } from "../../../src/stores/redis/index.ts";
import { fakeClock } from "../../../src/testing.ts";
import type { CacheStore, StoreEntry } from "../../../src/http.ts";
import { eachTest } from "../../redis/each-test.ts";
import { ownPrefix, textEntry } from "../../redis/store.ts";

const { cleanups } = eachTest();

function made(options: Parameters<typeof createCache>[0]): Cache {
  const cache = createCache(options);
  cleanups.push(() => cache.close());
  return cache;
}

async function statusOf(cache: Cache): Promise<string | null> {
  const stored = new Promise<void>((resolve) => void cache.events.on("stored", () => resolve()));
  const response = await fetchCache(cache)("1m", () => new Response("x"))(new Request("http://origin.test/"));
  await response.text();
  const status = response.headers.get("cache-status");
  if (status?.includes("stored") === true) await stored;
  return status;
}

describe("the clock of a cache", () => {
  it("is that of its memory, which drops what is past its retention by it", async () => {
    const [clock, store] = [fakeClock(), memoryStore()];
    made({ store, now: clock.now });
    store.put("reprise k", textEntry("a"), 60_000);
    clock.advance({ seconds: 59 });
    expect(store.get("reprise k")).toBeDefined();
    clock.advance({ seconds: 1 });
    expect(store.get("reprise k")).toBeUndefined();
  });

  it("is not that of a memory with a clock of its own", () => {
    const [clock, own] = [fakeClock(), fakeClock()];
    const store = memoryStore({ now: own.now });
    made({ store, now: clock.now });
    store.put("reprise k", textEntry("a"), 60_000);
    clock.advance({ days: 1 });
    expect(store.get("reprise k")).toBeDefined();
  });

  it("set back by years does not make memory keep anything for longer than it was put for", () => {
    const clock = fakeClock();
    const store = memoryStore({ now: clock.now });
    store.put("reprise k", textEntry("a"), 60_000);
    clock.advance({ days: -3650 });
    expect(store.get("reprise k")).toBeDefined();
    clock.advance({ seconds: 60 });
    expect(store.get("reprise k")).toBeUndefined();
  });

  it("says since when a purge made a response stale, in a store that keeps no purge log too", async () => {
    const clock = fakeClock();
    const kept = new Map<string, StoreEntry>();
    const store: CacheStore = {
      name: "mine",
      get: (key) => kept.get(key),
      put: (key, entry) => {
        kept.set(key, entry);
        return "stored";
      },
      delete: (key) => void kept.delete(key),
    };
    const cache = made({ store, now: clock.now });
    const handler = fetchCache(cache)({ expire: "1h", staleIfError: "1m" }, () => new Response("x"));
    await (await handler(new Request("http://origin.test/"))).text();
    clock.advance({ seconds: 10 });
    await cache.purge("all", { soft: true });
    clock.advance({ seconds: 5 });
    const explained = await cache
      .route({ expire: "1h", staleIfError: "1m" })
      .explain({ method: "GET", scheme: "http", authority: "origin.test", path: "/", fields: {} });
    expect(explained.found).toMatchObject({ ageSeconds: 15, ttlSeconds: -5 });
  });

  it.each([
    { hours: 1, what: "ahead" },
    { hours: -1, what: "behind" },
  ])("$what of another's: on Redis each reads the other's times by the clock of the server", async ({ hours }) => {
    const prefix = ownPrefix();
    const store = (): CacheStore => redisStore({ url: inject("redisUrl"), deadlineMs: 2000 });
    const off = made({ store: store(), prefix, now: () => Date.now() + hours * 3_600_000 });
    const right = made({ store: store(), prefix });
    await Promise.all([off.ready(), right.ready()]);
    expect(await statusOf(off)).toContain("stored");
    expect(await statusOf(right)).toMatch(/^reprise; hit; ttl=(60|59|58)$/);
    expect(await statusOf(off)).toMatch(/^reprise; hit; ttl=(60|59|58)$/);
  });

  it("moved by a test counts on Redis, where two caches share it", async () => {
    const [prefix, clock] = [ownPrefix(), fakeClock()];
    const store = (): CacheStore => redisStore({ url: inject("redisUrl"), deadlineMs: 2000 });
    const [one, two] = [store(), store()].map((each) => made({ store: each, prefix, now: clock.now }));
    await Promise.all([one!.ready(), two!.ready()]);
    expect(await statusOf(one!)).toContain("stored");
    clock.advance({ seconds: 20 });
    expect(await statusOf(two!)).toBe("reprise; hit; ttl=40");
    clock.advance({ seconds: 40 });
    expect(await statusOf(two!)).toMatch(/fwd=(stale|uri-miss)/);
  });

  it.each([
    { back: "two seconds", seconds: 2, status: "reprise; hit; ttl=60" },
    { back: "three seconds", seconds: 3, status: "reprise; fwd=stale; fwd-status=200; stored" },
    { back: "a year", seconds: 365 * 86_400, status: "reprise; fwd=stale; fwd-status=200; stored" },
  ])("set back by $back: $status", async ({ seconds, status }) => {
    const clock = fakeClock();
    const cache = made({ now: clock.now });
    let runs = 0;
    const run = cache.wrap("run", () => ++runs, { expire: "1m", staleWhileRevalidate: "1h" });
    await statusOf(cache);
    await run();
    clock.advance({ seconds: -seconds });
    expect(await statusOf(cache)).toBe(status);
    expect(await run()).toBe(seconds === 2 ? 1 : 2);
    expect(await statusOf(cache)).toBe("reprise; hit; ttl=60");
  });

  it("set back ends what was remembered as not to be waited for", async () => {
    const clock = fakeClock();
    const cache = made({ now: clock.now });
    let runs = 0;
    let isPrivate = true;
    const handler = fetchCache(cache)("1m", async () => {
      runs += 1;
      await new Promise((resolve) => setTimeout(resolve, 20));
      return new Response("x", isPrivate ? { headers: { "cache-control": "private" } } : {});
    });
    const get = async (): Promise<string> => (await handler(new Request("http://origin.test/"))).text();
    await get();
    isPrivate = false;
    clock.advance({ days: -1 });
    await Promise.all([get(), get(), get()]);
    expect(runs).toBe(2);
  });
});
