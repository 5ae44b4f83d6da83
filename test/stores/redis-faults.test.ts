/** The Redis store while Redis is away, frozen, killed, refusing or full. Real servers, real signals. */

import { connect as tcpConnect, createServer, type Server, type Socket } from "node:net";

import { Redis } from "ioredis";
import { createClient } from "redis";
import { afterEach, beforeEach, describe, expect, it } from "vitest";

import { redisStore } from "../../src/stores/redis.ts";
import type { CacheStore, StoreEvent } from "../../src/types.ts";
import { freePort, type RedisServer, startRedis } from "../redis/server.ts";
import { opened, textEntry, textOf, until, untilCaching } from "../redis/store.ts";

/** What a get may take while Redis does not answer: the deadline of 100 ms and room for a busy machine. */
const AT_ONCE_MS = 1000;

const cleanups: (() => unknown)[] = [];
const unhandled: unknown[] = [];
const onUnhandled = (reason: unknown): void => void unhandled.push(reason);

beforeEach(() => {
  unhandled.length = 0;
  process.on("unhandledRejection", onUnhandled);
  process.on("uncaughtException", onUnhandled);
});

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
  await pause(20);
  process.off("unhandledRejection", onUnhandled);
  process.off("uncaughtException", onUnhandled);
  expect(unhandled).toEqual([]);
});

async function server(options?: Parameters<typeof startRedis>[0]): Promise<RedisServer> {
  const started = await startRedis(options);
  cleanups.push(() => started.kill());
  return started;
}

function made(store: CacheStore): CacheStore {
  cleanups.push(() => store.close?.());
  return store;
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms);
  });
}

/** The result of a get and how long it took. */
async function timedGet(store: CacheStore, key: string): Promise<{ text: string | undefined; ms: number }> {
  const startMs = performance.now();
  const text = textOf(await store.get(key));
  return { text, ms: performance.now() - startMs };
}

function typesOf(events: readonly StoreEvent[]): string[] {
  return events.map(({ type }) => type);
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
    const store = made(make(`redis://127.0.0.1:${port}`));
    const events = opened(store);
    for (let round = 0; round < 50; round += 1) {
      expect(store.get("p a")).toBeUndefined();
      expect(store.put("p a", textEntry("a"), 60_000)).toBeUndefined();
      await pause(10);
    }
    await until(() => events.length >= 2);
    expect(typesOf(events)).toEqual(["connecting", "connection-failed"]);

    await server({ port });
    await untilCaching(store, "p");
    expect(typesOf(events)).toEqual(["connecting", "connection-failed", "connected"]);
  });

  it("survives kill -9 and caches again when Redis is back on its port", async () => {
    const first = await server();
    const store = made(make(first.url));
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
    const store = made(make(redis.url));
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
    expect(store.put("p a", textEntry("while frozen"), 60_000)).toBeUndefined();
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
    const store = made(make(`redis://:sesame-wrong@127.0.0.1:${redis.port}`));
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
  it("names the reason and the address in the report", async () => {
    const redis = await server({ password: "right" });
    const store = made(redisStore({ url: `redis://:sesame@127.0.0.1:${redis.port}/3` }));
    const events = opened(store);
    await until(() => events.length === 2);
    const address = `redis://127.0.0.1:${redis.port}/3`;
    expect(events[1]).toMatchObject({
      type: "connection-failed",
      address,
      error: { code: "ERR_STORE_UNREACHABLE", message: expect.stringContaining(`${address}: WRONGPASS`) },
    });
  });

  it("connects with the right password, however it is written", async () => {
    const redis = await server({ password: "p@ss:w/rd %" });
    const store = made(redisStore({ url: redis.url }));
    const events = opened(store);
    await untilCaching(store, "p");
    expect(JSON.stringify(events)).not.toMatch(/p@ss|p%40ss/);
  });

  it("makes a new connection when the old one is up and dead", async () => {
    const redis = await server();
    const proxy = await tcpProxy(redis.port);
    const store = made(redisStore({ url: `redis://127.0.0.1:${proxy.port}` }));
    const events = opened(store);
    await untilCaching(store, "p");
    await store.put("p a", textEntry("a"), 60_000);

    proxy.deafen();
    for (let round = 0; round < 6; round += 1) await store.get("p a");
    await untilCaching(store, "p", 15_000);
    expect(textOf(await store.get("p a"))).toBe("a");
    expect(proxy.accepted()).toBeGreaterThan(1);
    expect(typesOf(events).at(-1)).toBe("connected");
  });

  it("tries again when a server accepts and never speaks", async () => {
    const redis = await server();
    const proxy = await tcpProxy(redis.port);
    proxy.deafen({ fromTheStart: true });
    const store = made(redisStore({ url: `redis://127.0.0.1:${proxy.port}` }));
    const events = opened(store);
    await until(() => events.some(({ type }) => type === "connection-failed"), 7000);
    expect(events[1]).toMatchObject({ error: { message: expect.stringContaining("no answer within 5 s") } });
    proxy.hear();
    await untilCaching(store, "p", 15_000);
  });

  it("makes a client anew when connect's was closed for good", async () => {
    const redis = await server();
    const clients: { destroy(): void }[] = [];
    const store = made(
      redisStore({
        connect: async () => {
          const client = await createClient({ url: redis.url, socket: { reconnectStrategy: false } }).connect();
          clients.push(client);
          return client;
        },
      }),
    );
    opened(store);
    await untilCaching(store, "p");
    clients[0]?.destroy();
    expect(store.get("p a")).toBeUndefined();
    await untilCaching(store, "p");
    expect(clients).toHaveLength(2);
  });

  it("calls connect again after it failed", async () => {
    const redis = await server();
    let calls = 0;
    const store = made(
      redisStore({
        connect: () => {
          calls += 1;
          if (calls < 3) throw new Error(`attempt ${calls}`);
          return createClient({ url: redis.url });
        },
      }),
    );
    const events = opened(store);
    await untilCaching(store, "p");
    expect(calls).toBe(3);
    expect(typesOf(events)).toEqual(["connecting", "connection-failed", "connected"]);
    expect(events[1]).toMatchObject({ error: { message: "redis: attempt 1" } });
  });

  it("says what connect returned when it is no client, and does not ask again", async () => {
    let calls = 0;
    const store = made(
      redisStore({
        connect: () => {
          calls += 1;
          return { not: "a client" };
        },
      }),
    );
    const events = opened(store);
    await until(() => events.length === 2);
    await pause(600);
    expect(calls).toBe(1);
    expect(events[1]).toMatchObject({
      error: { message: expect.stringContaining("redisStore({ connect }): expected a client") },
    });
  });

  it("says so when a user's client was never connected", async () => {
    const store = made(redisStore({ client: createClient({ url: "redis://127.0.0.1:1" }) }));
    const events = opened(store);
    await until(() => events.length === 2, 7000);
    expect(events[1]).toMatchObject({
      type: "connection-failed",
      error: { message: expect.stringContaining("is its connect() called?") },
    });
  });

  it("goes on reading while a full Redis refuses every write", async () => {
    const redis = await server();
    const admin = await createClient({ url: redis.url }).connect();
    cleanups.push(() => admin.destroy());
    const store = made(redisStore({ url: redis.url }));
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
    const admin = await createClient({ url: redis.url }).connect();
    cleanups.push(() => admin.destroy());
    await admin.sendCommand(["ACL", "SETUSER", "cache", "on", ">sesame", "~only:*", "+@all"]);
    const store = made(redisStore({ url: `redis://cache:sesame@127.0.0.1:${redis.port}` }));
    opened(store);
    await untilCaching(store, "only");
    await store.put("only a", textEntry("a"), 60_000);

    await admin.sendCommand(["ACL", "SETUSER", "cache", "-@read"]);
    for (let round = 0; round < 10; round += 1) expect(await store.get("only a")).toBeUndefined();
    await admin.sendCommand(["ACL", "SETUSER", "cache", "+@read"]);
    await until(async () => textOf(await store.get("only a")) === "a");
  });

  it("bounds what waits for a frozen Redis", async () => {
    const redis = await server();
    const store = made(redisStore({ url: redis.url, maxEntryBytes: 1024 * 1024 }));
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
    const store = made(redisStore({ url: redis.url, deadlineMs: 5000 }));
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

  it("leaves no connection behind when it closes while it connects", async () => {
    const redis = await server();
    const admin = await createClient({ url: redis.url }).connect();
    cleanups.push(() => admin.destroy());
    const connections = async (): Promise<number> =>
      (await admin.sendCommand<string>(["CLIENT", "LIST"])).trim().split("\n").length;
    for (const make of [
      () => redisStore({ url: redis.url }),
      () => redisStore({ connect: () => new Redis(redis.url) }),
    ]) {
      for (let ticks = 0; ticks < 30; ticks += 1) {
        const store = make();
        opened(store);
        for (let tick = 0; tick < ticks; tick += 1) await Promise.resolve();
        if (ticks % 3 === 0) await new Promise((resolve) => setImmediate(resolve));
        await store.close?.();
      }
    }
    await pause(100);
    expect(await connections()).toBe(1);
  });

  it("closes while Redis is frozen, while it is away, and twice", async () => {
    const redis = await server();
    const frozen = redisStore({ url: redis.url });
    opened(frozen);
    await untilCaching(frozen, "p");
    redis.freeze();
    const get = frozen.get("p a");
    await frozen.close?.();
    expect(await get).toBeUndefined();
    await frozen.close?.();
    redis.thaw();

    const away = redisStore({ url: `redis://127.0.0.1:${await freePort()}` });
    const events = opened(away);
    await until(() => events.length === 2);
    await away.close?.();
    expect(away.get("p a")).toBeUndefined();
    expect(events).toHaveLength(2);
  });
});

/** A proxy that can keep its connections and pass nothing on any more. */
async function tcpProxy(target: number): Promise<{
  port: number;
  accepted(): number;
  /** What is connected now, or is connected until `hear`, gets no answers. */
  deafen(options?: { fromTheStart: boolean }): void;
  hear(): void;
}> {
  const pairs = new Set<{ near: Socket; far: Socket }>();
  let accepted = 0;
  let isDeaf = false;
  const proxy: Server = createServer((near) => {
    accepted += 1;
    near.on("error", () => {});
    if (isDeaf) {
      near.resume();
      return;
    }
    const far = tcpConnect(target, "127.0.0.1");
    far.on("error", () => near.destroy());
    near.on("close", () => far.destroy());
    far.on("close", () => near.destroy());
    near.pipe(far);
    far.pipe(near);
    pairs.add({ near, far });
  });
  const sockets = new Set<Socket>();
  proxy.on("connection", (socket) => sockets.add(socket));
  const port = await freePort();
  await new Promise<void>((resolve) => {
    proxy.listen(port, "127.0.0.1", resolve);
  });
  cleanups.push(() => {
    for (const socket of sockets) socket.destroy();
    proxy.close();
  });
  return {
    port,
    accepted: () => accepted,
    deafen: (options) => {
      isDeaf = options?.fromTheStart === true;
      for (const { near, far } of pairs) {
        near.unpipe(far);
        far.unpipe(near);
        near.resume();
        far.resume();
      }
    },
    hear: () => {
      isDeaf = false;
    },
  };
}
