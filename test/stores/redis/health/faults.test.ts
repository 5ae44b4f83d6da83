/** The Redis store while Redis is away, frozen, killed, refusing or full. Real servers, real signals. */

import { setTimeout as pause } from "node:timers/promises";

import { Redis } from "ioredis";
import { createClient } from "redis";
import { describe, expect, it } from "vitest";

import { createCache } from "../../../../src/index.ts";
import { redisStore } from "../../../../src/stores/redis/index.ts";
import type { CacheStore } from "../../../../src/http.ts";
import { eachTest } from "../../../redis/each-test.ts";
import { freePort } from "../../../redis/server.ts";
import { opened, textEntry, textOf, typesOf, until, untilCaching } from "../../../redis/store.ts";

/** What a get may take while Redis does not answer: the deadline of 100 ms and room for a busy machine. */
const AT_ONCE_MS = 1000;

const { cleanups, server, ownStore } = eachTest();

/** The result of a get and how long it took. */
async function timedGet(store: CacheStore, key: string): Promise<{ text: string | undefined; ms: number }> {
  const startMs = performance.now();
  const text = textOf(await store.get(key));
  return { text, ms: performance.now() - startMs };
}

const ways: { way: string; make: (url: string) => CacheStore }[] = [
  { way: "url", make: (url) => redisStore({ url }) },
  {
    way: "node-redis client",
    make: (url) => {
      const client = createClient({ url });
      client.connect().catch(() => {});
      cleanups.push(() => client.destroy());
      return redisStore({ client });
    },
  },
  {
    way: "ioredis client",
    make: (url) => {
      const client = new Redis(url);
      cleanups.push(() => client.disconnect());
      return redisStore({ client });
    },
  },
  { way: "connect", make: (url) => redisStore({ connect: () => createClient({ url }).connect() }) },
  { way: "connect to ioredis", make: (url) => redisStore({ connect: () => new Redis(url) }) },
];

describe.each(ways)("Redis store over $way", ({ make }) => {
  it("answers at once while Redis was never there, says so once, and begins to cache when it comes", async () => {
    const port = await freePort();
    const store = ownStore(make(`redis://127.0.0.1:${port}`));
    const events = opened(store);
    const startMs = performance.now();
    for (let round = 0; round < 50; round += 1) {
      expect(await store.get("p a")).toBeUndefined();
      expect(await store.put("p a", textEntry("a"), 60_000)).toBe("failed");
      await pause(10);
    }
    // 50 times 10 ms, and one deadline for what came while the connection was refused.
    expect(performance.now() - startMs).toBeLessThan(3000);
    await until(() => events.length >= 2);
    expect(typesOf(events)).toEqual(["connecting", "connection-failed"]);

    await server({ port });
    await untilCaching(store, "p");
    expect(typesOf(events)).toEqual(["connecting", "connection-failed", "connected"]);
  });

  it("survives kill -9 and caches again when Redis is back on its port", async () => {
    const first = await server();
    const store = ownStore(make(first.url));
    const events = opened(store);
    await untilCaching(store, "p");
    await store.put("p a", textEntry("a"), 60_000);

    const underWay = Array.from({ length: 50 }, async () => store.get("p a"));
    await first.kill();
    for (const entry of await Promise.all(underWay)) expect(textOf(entry) ?? "a").toBe("a");
    for (let round = 0; round < 30; round += 1) {
      const { text, ms } = await timedGet(store, "p a");
      expect(text).toBeUndefined();
      expect(ms).toBeLessThan(AT_ONCE_MS);
      await store.put("p a", textEntry("lost"), 60_000);
      await pause(10);
    }
    expect(typesOf(events)).toEqual(["connecting", "connected", "connection-failed"]);

    await server({ port: first.port });
    await untilCaching(store, "p");
    expect(await store.get("p a")).toBeUndefined();
    expect(typesOf(events).slice(0, 4)).toEqual(["connecting", "connected", "connection-failed", "connected"]);
  });

  it("answers within the deadline while Redis is frozen, and uses nothing that comes too late", async () => {
    const redis = await server();
    const store = ownStore(make(redis.url));
    const events = opened(store);
    await untilCaching(store, "p");
    await store.put("p a", textEntry("a"), 60_000);

    redis.freeze();
    for (let round = 0; round < 10; round += 1) {
      const { text, ms } = await timedGet(store, "p a");
      expect(text).toBeUndefined();
      expect(ms).toBeLessThan(AT_ONCE_MS);
    }
    // Five misses in a row: Redis is left out, and a get costs nothing at all.
    expect(store.get("p a")).toBeUndefined();
    expect(store.put("p a", textEntry("while frozen"), 60_000)).toBe("failed");
    const failures = events.filter((event) => event.type === "operation-failed");
    expect(failures.map(({ error }) => (error as Error & { code?: string }).code)).toEqual([
      "ERR_STORE_TIMEOUT",
      "ERR_STORE_SUSPENDED",
    ]);

    redis.thaw();
    await untilCaching(store, "p");
    expect(textOf(await store.get("p a"))).toBe("a");
    expect(typesOf(events).at(-1)).toBe("connected");
  });

  it("reports a wrong password once, within seconds, and never prints it", async () => {
    const redis = await server({ password: "right" });
    const store = ownStore(make(`redis://:sesame-wrong@127.0.0.1:${redis.port}`));
    const events = opened(store);
    await until(() => events.some(({ type }) => type === "connection-failed"), 7000);
    expect(store.get("p a")).toBeUndefined();
    await pause(300);
    expect(typesOf(events)).toEqual(["connecting", "connection-failed"]);
    const text = events.map((event) =>
      "error" in event ? `${event.error.message} ${event.error.stack}` : event.address,
    );
    expect(text.join()).not.toContain("sesame");
    expect(JSON.stringify(events)).not.toContain("sesame");
  });
});

describe("Redis store", () => {
  it("goes on reading while a full Redis refuses every write", async () => {
    const redis = await server();
    const admin = await createClient({ url: redis.adminUrl }).connect();
    cleanups.push(() => admin.destroy());
    const store = ownStore(redisStore({ url: redis.url }));
    const events = opened(store);
    await untilCaching(store, "p");
    await store.put("p a", textEntry("a"), 60_000);
    await admin.configSet("maxmemory", "1");
    for (let round = 0; round < 20; round += 1) await store.put("p b", textEntry("b"), 60_000);
    expect(textOf(await store.get("p a"))).toBe("a");
    const failures = events.filter((event) => event.type === "operation-failed");
    expect(failures).toHaveLength(1);
    expect(failures[0]).toMatchObject({ operation: "put", error: { message: expect.stringContaining("OOM") } });

    await admin.configSet("maxmemory", "0");
    await store.put("p b", textEntry("b"), 60_000);
    expect(textOf(await store.get("p b"))).toBe("b");
  });

  it("comes back after its permission to read was withdrawn and given back", async () => {
    const redis = await server();
    const admin = await createClient({ url: redis.adminUrl }).connect();
    cleanups.push(() => admin.destroy());
    await admin.sendCommand(["ACL", "SETUSER", "cache", "on", ">sesame", "~only:*", "+@all"]);
    const store = ownStore(redisStore({ url: `redis://cache:sesame@127.0.0.1:${redis.port}` }));
    opened(store);
    await untilCaching(store, "only");
    await store.put("only a", textEntry("a"), 60_000);

    await admin.sendCommand(["ACL", "SETUSER", "cache", "-@read"]);
    for (let round = 0; round < 10; round += 1) expect(await store.get("only a")).toBeUndefined();
    await admin.sendCommand(["ACL", "SETUSER", "cache", "+@read"]);
    await until(async () => textOf(await store.get("only a")) === "a");
  });

  it("that caches share reports no more to one that was closed", async () => {
    const redis = await server();
    const store = redisStore({ url: redis.url });
    const caches = ["one", "two"].map((prefix) => createCache({ store, prefix }));
    const heard = caches.map((cache) => {
      const types: string[] = [];
      cache.events.on("*", ({ type }) => types.push(type));
      cleanups.push(() => cache.close());
      return types;
    });
    await until(() => heard.every((types) => types.includes("connected")));
    await caches[0]!.close();
    await redis.kill();
    await until(() => heard[1]!.includes("connection-failed"));
    expect(heard[0]).not.toContain("connection-failed");
  });

  it("bounds what waits for a frozen Redis", async () => {
    const redis = await server();
    const store = ownStore(redisStore({ url: redis.url, maxEntryBytes: 1024 * 1024 }));
    const events = opened(store);
    await untilCaching(store, "p");
    redis.freeze();
    const before = process.memoryUsage().arrayBuffers;
    const body = new Uint8Array(1000 * 1000);
    const puts = Array.from({ length: 200 }, async (_, index) => store.put(`p ${index}`, { meta: {}, body }, 60_000));
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(220 * 1_000_000);
    const gets = Array.from({ length: 5000 }, async (_, index) => store.get(`p get ${index}`));
    expect((await Promise.all(gets)).every((entry) => entry === undefined)).toBe(true);
    await Promise.all(puts);
    expect(events.some((event) => event.type === "operation-failed")).toBe(true);
    redis.thaw();
    await untilCaching(store, "p");
  });

  it("a burst of reads larger than the bound leaves a healthy Redis in use", async () => {
    const redis = await server();
    const store = ownStore(redisStore({ url: redis.url, deadlineMs: 5000 }));
    opened(store);
    await untilCaching(store, "p");
    const keys = Array.from({ length: 3000 }, (_, index) => `p ${index}`);
    for (let at = 0; at < keys.length; at += 500) {
      await Promise.all(keys.slice(at, at + 500).map(async (key) => store.put(key, textEntry("a"), 60_000)));
    }
    const found = await Promise.all(keys.map(async (key) => store.get(key)));
    expect(found.filter((entry) => textOf(entry) === "a").length).toBe(1024);
    expect(textOf(await store.get("p 2999"))).toBe("a");
  });
});
