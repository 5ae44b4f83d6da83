/** What arrives while the first connection to Redis is being made: real servers, and networks that are slow or swallow everything. */

import { execFile } from "node:child_process";
import { createServer } from "node:net";
import { setTimeout as pause } from "node:timers/promises";
import { promisify } from "node:util";

import { Redis } from "ioredis";
import { createClient } from "redis";
import { describe, expect, it } from "vitest";

import { fetchCache } from "../../../src/adapters/fetch/index.ts";
import { type Cache, createCache } from "../../../src/cache.ts";
import { memoryStore } from "../../../src/stores/memory/index.ts";
import { redisStore } from "../../../src/stores/redis/index.ts";
import { tiered } from "../../../src/stores/tiered.ts";
import type { CacheStore } from "../../../src/http.ts";
import { eachTest } from "../../redis/each-test.ts";
import { type FaultProxy, startFaultProxy } from "../../redis/fault-proxy.ts";
import { freePort } from "../../redis/server.ts";
import { ownPrefix, textEntry, textOf, until } from "../../redis/store.ts";

const { cleanups, server } = eachTest();

type Make = (url: string, deadlineMs?: number) => CacheStore;

const deadlines = (deadlineMs: number | undefined): { deadlineMs?: number } =>
  deadlineMs === undefined ? {} : { deadlineMs };

const stores: readonly { name: string; make: Make }[] = [
  { name: "redisStore({ url })", make: (url, ms) => redisStore({ url, ...deadlines(ms) }) },
  {
    name: "redisStore({ client }) of node-redis whose connect() was called",
    make: (url, ms) => {
      const client = createClient({ url }).on("error", () => {});
      client.connect().catch(() => {});
      cleanups.push(() => client.destroy());
      return redisStore({ client, ...deadlines(ms) });
    },
  },
  {
    name: "redisStore({ client }) of ioredis",
    make: (url, ms) => {
      const client = new Redis(url).on("error", () => {});
      cleanups.push(() => client.disconnect());
      return redisStore({ client, ...deadlines(ms) });
    },
  },
  {
    name: "redisStore({ connect })",
    make: (url, ms) => redisStore({ connect: () => createClient({ url }), ...deadlines(ms) }),
  },
  {
    name: "redisStore({ connect }) that connects by itself",
    make: (url, ms) => redisStore({ connect: () => createClient({ url }).connect(), ...deadlines(ms) }),
  },
  {
    name: "tiered()",
    make: (url, ms) => tiered(memoryStore(), redisStore({ url, ...deadlines(ms) })),
  },
];

function ownCache(store: CacheStore, prefix: string): Cache {
  const cache = createCache({ store, prefix });
  cleanups.push(() => cache.close());
  return cache;
}

/** A cached handler, asked in the very turn in which its cache was made. */
async function ask(cache: Cache, path = "/"): Promise<string> {
  const handler = fetchCache(cache)("1h", () => new Response("x"));
  const response = await handler(new Request(`http://origin.test${path}`));
  await response.text();
  return response.headers.get("x-reprise-cache") ?? "";
}

/** Asks twice; in between what the first one brought is stored. */
async function askTwice(cache: Cache): Promise<readonly string[]> {
  const stored = new Promise<void>((resolve) => {
    cache.events.on("stored", () => resolve());
  });
  const first = await ask(cache);
  await stored;
  return [first, await ask(cache)];
}

async function proxied(): Promise<FaultProxy> {
  const redis = await server();
  const proxy = await startFaultProxy(redis.port);
  cleanups.push(() => proxy.stop());
  return proxy;
}

describe.each(stores)("a cache on $name that has just been made", ({ name, make }) => {
  it("keeps the response to its first request, and the next process finds it at its own first", async () => {
    const { url } = await server();
    const prefix = ownPrefix();
    const first = ownCache(make(url, 2000), prefix);
    expect(await askTwice(first)).toEqual(["Miss", "Hit"]);
    await first.close();
    expect(await ask(ownCache(make(url, 2000), prefix))).toBe("Hit");
  });

  it("keeps the result of its first call, and the next process finds it at its own first", async () => {
    const { url } = await server();
    const prefix = ownPrefix();
    let runs = 0;
    for (const expected of [1, 1, 1]) {
      const cache = createCache({ store: make(url, 2000), prefix });
      await cache.wrap("f", async () => ++runs)();
      await cache.close();
      expect(runs).toBe(expected);
    }
  });

  it("keeps the result of a refresh that is the first thing it does", async () => {
    const { url } = await server();
    const prefix = ownPrefix();
    const run = async (method: "call" | "refresh"): Promise<number> => {
      const cache = createCache({ store: make(url, 2000), prefix });
      const f = cache.wrap("f", async () => ++runs);
      const result = await (method === "refresh" ? f.refresh() : f());
      await cache.close();
      return result;
    };
    let runs = 0;
    expect([await run("refresh"), await run("call"), await run("refresh"), await run("call")]).toEqual([1, 1, 2, 2]);
  });

  it("lets the first requests wait for one deadline where nothing answers, and later ones for nothing", async () => {
    const silent = createServer(() => {}).listen(0, "127.0.0.1");
    cleanups.push(() => silent.close());
    await until(() => silent.listening);
    const { port } = silent.address() as { port: number };
    const store = make(`redis://127.0.0.1:${port}`);
    const cache = ownCache(store, ownPrefix());
    let failures = 0;
    cache.events.on("connection-failed", () => void (failures += 1));
    const timed = async (path: string): Promise<number> => {
      const askedMs = performance.now();
      expect(await ask(cache, path)).toBe("Miss");
      return performance.now() - askedMs;
    };
    const [first] = await Promise.all([timed("/"), timed("/"), timed("/other")]);
    expect(first).toBeGreaterThan(90);
    // Ten deadlines after the start nothing waits any more, though the connection has not failed yet.
    expect(store.get(`${cache.prefix} k`)).toBeInstanceOf(Promise);
    await until(() => store.get(`${cache.prefix} k`) === undefined, 4000);
    expect(failures).toBe(0);
    expect(await ask(cache, "/later")).toBe("Miss");
  });

  it("lets no request wait any more once the connection was refused", async () => {
    const store = make(`redis://127.0.0.1:${await freePort()}`);
    const cache = ownCache(store, ownPrefix());
    const failed = new Promise<void>((resolve) => {
      cache.events.on("connection-failed", () => resolve());
    });
    expect(await ask(cache)).toBe("Miss");
    await failed;
    expect(store.get(`${cache.prefix} k`)).toBeUndefined();
    expect(await ask(cache, "/later")).toBe("Miss");
  });

  it("waits for a slow network within the deadline", async () => {
    const proxy = await proxied();
    proxy.delay(30);
    const cache = ownCache(make(proxy.url, 3000), ownPrefix());
    expect(await askTwice(cache)).toEqual(["Miss", "Hit"]);
  });

  it("is ready when Redis answers, and the next look-up is in time", async () => {
    const proxy = await proxied();
    proxy.delay(20);
    const prefix = ownPrefix();
    for (const outcome of ["Miss", "Hit"]) {
      const cache = ownCache(make(proxy.url, 1000), prefix);
      await cache.ready();
      expect(await ask(cache)).toBe(outcome);
      // The copy of the body is stored when it has been read to its end.
      await pause(0);
      await cache.close();
    }
  });

  it("is ready once a Redis that was away comes", async () => {
    const port = await freePort();
    const cache = ownCache(make(`redis://127.0.0.1:${port}`), ownPrefix());
    const ready = cache.ready({ timeoutMs: 15_000 });
    await new Promise<void>((resolve) => {
      cache.events.on("connection-failed", () => resolve());
    });
    await server({ port });
    await ready;
    expect(await askTwice(cache)).toEqual(["Miss", "Hit"]);
  });

  it("rejects ready() with the reason where Redis is not there", async () => {
    const port = await freePort();
    const cache = ownCache(make(`redis://127.0.0.1:${port}`), ownPrefix());
    const error = (await cache.ready({ timeoutMs: 500 }).catch((thrown: unknown) => thrown)) as Error;
    expect(error).toMatchObject({ code: "ERR_STORE_NOT_READY" });
    // A connect() that waits for its client keeps to itself why that takes so long.
    const reason = name.endsWith("by itself") ? "redis" : `redis://127.0.0.1:${port}: .*ECONNREFUSED`;
    expect(error.message).toMatch(new RegExp(`^cache\\.ready\\(\\): no answer of redis within 500 ms: ${reason}`));
  });
});

describe("ready()", () => {
  it.each<{ store: string; make: () => CacheStore | undefined }>([
    { store: "the default", make: () => undefined },
    { store: "memoryStore()", make: () => memoryStore() },
    { store: "a store of a user", make: () => userStore() },
  ])("resolves at once on $store", async ({ make }) => {
    const store = make();
    const cache = createCache(store === undefined ? {} : { store });
    await cache.ready({ timeoutMs: 1 });
    await cache.close();
  });

  it("waits for a store of a user that says it is not available", async () => {
    let isAvailable = false;
    const cache = createCache({ store: { ...userStore(), isAvailable: () => isAvailable } });
    const refused = cache.ready({ timeoutMs: 30 });
    await expect(refused).rejects.toMatchObject({ code: "ERR_STORE_NOT_READY" });
    const ready = cache.ready();
    isAvailable = true;
    await ready;
  });

  it("rejects with the reason when the password is wrong", async () => {
    const redis = await server({ password: "right" });
    const cache = ownCache(redisStore({ url: `redis://:sesame@127.0.0.1:${redis.port}` }), ownPrefix());
    const error = (await cache.ready({ timeoutMs: 1000 }).catch((thrown: unknown) => thrown)) as Error;
    expect(error.message).toContain("WRONGPASS");
    expect(error.message).not.toContain("sesame");
  });

  it("rejects where Redis is connected and frozen", async () => {
    const redis = await server();
    const cache = ownCache(redisStore({ url: redis.url }), ownPrefix());
    await cache.ready();
    redis.freeze();
    cleanups.push(() => redis.thaw());
    await expect(cache.ready({ timeoutMs: 700 })).rejects.toMatchObject({ code: "ERR_STORE_NOT_READY" });
    redis.thaw();
    await cache.ready();
  });

  it("rejects when the cache is closed meanwhile", async () => {
    const cache = createCache({ store: redisStore({ url: `redis://127.0.0.1:${await freePort()}` }) });
    const ready = cache.ready({ timeoutMs: 60_000 });
    await cache.close();
    await expect(ready).rejects.toMatchObject({ code: "ERR_STORE_NOT_READY" });
  });

  it.each([0, -1, 1.5, "5s", 86_400_001, Number.NaN])("refuses a timeoutMs of %j", async (timeoutMs) => {
    const refused = createCache().ready({ timeoutMs: timeoutMs as number });
    await expect(refused).rejects.toThrow("cache.ready({ timeoutMs }): expected a whole number from 1 to 86400000");
  });
});

describe("close()", () => {
  it.each([
    { what: "at once", waits: async () => {} },
    { what: "once it is connected", waits: (cache: Cache) => cache.ready() },
  ])("waits for what was put $what", async ({ waits }) => {
    const proxy = await proxied();
    const { url } = await server();
    const prefix = ownPrefix();
    const store = redisStore({ url, deadlineMs: 2000 });
    const cache = createCache({ store, prefix });
    await waits(cache);
    const putting = store.put(`${prefix} k`, textEntry("late"), 60_000);
    await cache.close();
    expect(await putting).toBe("stored");
    expect(proxy.counters.connections).toBe(0);

    const reader = redisStore({ url, deadlineMs: 2000 });
    const other = ownCache(reader, prefix);
    await other.ready();
    expect(textOf(await reader.get(`${prefix} k`))).toBe("late");
  });

  it("waits for a write over a client of the user's, which the user may end right after", async () => {
    const proxy = await proxied();
    const client = createClient({ url: proxy.url }).on("error", () => {});
    await client.connect();
    const prefix = ownPrefix();
    const store = redisStore({ client, deadlineMs: 2000 });
    const cache = createCache({ store, prefix });
    await cache.ready();
    proxy.delay(200);
    const putting = store.put(`${prefix} k`, textEntry("late"), 60_000);
    await cache.close();
    client.destroy();
    expect(await putting).toBe("stored");
  });

  it("does not wait for ever for a Redis that is not there", async () => {
    const silent = createServer(() => {}).listen(0, "127.0.0.1");
    cleanups.push(() => silent.close());
    await until(() => silent.listening);
    const { port } = silent.address() as { port: number };
    const cache = createCache({ store: redisStore({ url: `redis://127.0.0.1:${port}` }), prefix: ownPrefix() });
    await cache.wrap("f", () => 1)();
    const startMs = performance.now();
    await cache.close();
    expect(performance.now() - startMs).toBeLessThan(4000);
  });
});

describe("a process whose client never connects", () => {
  it("still gets its result, and does not end while the first look-up waits", async () => {
    // The built package: Node 20 runs no TypeScript.
    const root = new URL("../../../dist/", import.meta.url).href;
    const script = `
      import { createClient } from "redis";
      import { createCache } from "${root}index.js";
      import { redisStore } from "${root}stores/redis/index.js";
      const cache = createCache({ store: redisStore({ client: createClient({ url: "redis://127.0.0.1:1" }) }) });
      console.log(await cache.wrap("f", async () => "ran")());`;
    const args = ["--input-type=module", "-e", script];
    const { stdout } = await promisify(execFile)(process.execPath, args, { cwd: new URL("../../..", import.meta.url) });
    expect(stdout.trim()).toBe("ran");
  });
});

function userStore(): CacheStore {
  return { name: "mine", get: () => undefined, put: () => "stored", delete: () => {} };
}
