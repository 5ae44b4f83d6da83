/** Fake timers that an application's test installs after the cache was imported and made: nothing hangs, and time goes by. */

import { createClient } from "redis";
import { afterEach, describe, expect, inject, it, vi } from "vitest";

import { fetchCache } from "../../src/adapters/fetch/index.ts";
import { createCache } from "../../src/cache.ts";
import { memoryStore } from "../../src/stores/memory/index.ts";
import { redisStore } from "../../src/stores/redis/index.ts";
import { tiered } from "../../src/stores/tiered.ts";
import type { CacheStore } from "../../src/http.ts";
import { eachTest } from "../redis/each-test.ts";
import { ownPrefix } from "../redis/store.ts";

const { cleanups, server } = eachTest();

afterEach(() => void vi.useRealTimers());

/** What Redis clients hand their commands to the socket with. */
const WITHOUT_IMMEDIATES = [
  "Date",
  "setTimeout",
  "clearTimeout",
  "setInterval",
  "clearInterval",
  "performance",
] as const;

const stores: readonly { name: string; make: (url: string, deadlineMs?: number) => CacheStore }[] = [
  { name: "memoryStore()", make: () => memoryStore() },
  { name: "redisStore()", make: (url, deadlineMs = 2000) => redisStore({ url, deadlineMs }) },
  { name: "tiered()", make: (url, deadlineMs = 2000) => tiered(memoryStore(), redisStore({ url, deadlineMs })) },
];

describe.each(stores)("fake timers over $name", ({ make }) => {
  it("advance the age of responses and results, as a wall clock does", async () => {
    const cache = createCache({ store: make(inject("redisUrl")), prefix: ownPrefix() });
    cleanups.push(() => cache.close());
    await cache.ready();
    const handler = fetchCache(cache)("1m", () => new Response("x"));
    const get = async (): Promise<string | null> => {
      const stored = new Promise<void>((resolve) => {
        cache.events.on("stored", ({ subject }) => void (subject === "GET /" && resolve()));
      });
      const response = await handler(new Request("http://origin.test/"));
      await response.text();
      const status = response.headers.get("cache-status");
      if (status?.includes("stored") === true) await stored;
      return status;
    };
    let runs = 0;
    const run = cache.wrap("run", async () => ++runs, { expire: "1m" });

    vi.useFakeTimers({ toFake: [...WITHOUT_IMMEDIATES], now: Date.now() });
    expect(await get()).toBe("reprise; fwd=uri-miss; fwd-status=200; stored");
    expect(await run()).toBe(1);
    vi.advanceTimersByTime(59_000);
    expect(await get()).toBe("reprise; hit; ttl=1");
    expect(await run()).toBe(1);
    vi.advanceTimersByTime(1000);
    expect(await get()).toMatch(/^reprise; fwd=(stale|uri-miss); fwd-status=200; stored$/);
    expect(await run()).toBe(2);
    vi.setSystemTime(Date.now() + 30_000);
    expect(await get()).toBe("reprise; hit; ttl=30");

    // An hour back: nobody can say how old these are.
    vi.setSystemTime(Date.now() - 3_600_000);
    expect(await get()).toMatch(/^reprise; fwd=(stale|uri-miss); fwd-status=200; stored$/);
    expect(await run()).toBe(3);
    expect(await get()).toBe("reprise; hit; ttl=60");
    await cache.purge("all");
    expect(await get()).toMatch(/^reprise; fwd=uri-miss/);
  });

  it("hang nothing, not even where they stop the Redis client itself", async () => {
    const cache = createCache({ store: make(inject("redisUrl"), 200), prefix: ownPrefix() });
    await cache.ready();
    vi.useFakeTimers();
    const handler = fetchCache(cache)({ expire: "1m", staleWhileRevalidate: "1m" }, () => new Response("x"));
    const run = cache.wrap("run", async () => "ran");
    for (let round = 0; round < 8; round += 1) {
      const response = await handler(new Request("http://origin.test/"));
      expect(await response.text()).toBe("x");
      expect(await run()).toBe("ran");
    }
    await cache.purge("all").catch(() => {});
    await cache.close();
  }, 60_000);

  it("hang nothing where Redis is frozen", async () => {
    const redis = await server();
    const store = make(redis.url);
    const cache = createCache({ store, prefix: ownPrefix() });
    cleanups.push(() => cache.close());
    await cache.ready();
    vi.useFakeTimers({ toFake: [...WITHOUT_IMMEDIATES] });
    redis.freeze();
    cleanups.push(() => redis.thaw());
    for (let round = 0; round < 2; round += 1)
      expect(await cache.wrap(`run ${round}`.replace(" ", ""), () => 1)()).toBe(1);
  }, 30_000);
});

describe("fake timers at the start", () => {
  it("do not keep a request waiting for a connection that nothing answers", async () => {
    const client = createClient({ url: "redis://127.0.0.1:1" });
    vi.useFakeTimers();
    const cache = createCache({ store: redisStore({ client }), prefix: ownPrefix() });
    expect(await cache.wrap("run", () => 1)()).toBe(1);
    await expect(cache.ready({ timeoutMs: 50 })).rejects.toThrow("cache.ready()");
    await cache.close();
  });
});
