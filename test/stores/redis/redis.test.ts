import { Redis } from "ioredis";
import { createClient, type RedisClientType } from "redis";
import { afterAll, afterEach, beforeAll, describe, expect, inject, it } from "vitest";

import { encodeEntry } from "../../../src/stores/redis/entry-frame.ts";
import { clientForUrl, redisClient } from "../../../src/stores/redis/client/detect.ts";
import { redisStore } from "../../../src/stores/redis/index.ts";
import { storeContract } from "../../../src/testing.ts";
import type { CacheStore } from "../../../src/http.ts";
import { type RedisServer, startRedis } from "../../redis/server.ts";
import { opened, ownPrefix, textEntry, textOf, until, untilCaching } from "../../redis/store.ts";

const url = inject("redisUrl");

let nodeRedis: RedisClientType;
/** For what the tests do beside the stores. */
let admin: RedisClientType;
let ioredis: Redis;
beforeAll(async () => {
  nodeRedis = createClient({ url });
  await nodeRedis.connect();
  admin = createClient({ url: inject("redisAdminUrl") });
  await admin.connect();
  ioredis = new Redis(url);
});
afterAll(async () => {
  await nodeRedis.close();
  await admin.close();
  await ioredis.quit();
});

const stores: CacheStore[] = [];
function made(store: CacheStore): CacheStore {
  stores.push(store);
  return store;
}
afterEach(async () => {
  for (const store of stores.splice(0)) await store.close?.();
});

/** Every way to a client, by the words the tests are named with. */
const ways = [
  { way: "url", make: () => redisStore({ url }) },
  { way: "node-redis client", make: () => redisStore({ client: nodeRedis }) },
  { way: "ioredis client", make: () => redisStore({ client: ioredis }) },
  { way: "connect to node-redis", make: () => redisStore({ connect: () => createClient({ url }).connect() }) },
  { way: "connect to ioredis", make: () => redisStore({ connect: () => new Redis(url) }) },
];

for (const { way, make } of ways)
  storeContract({ describe, it, name: `redis store: contract over ${way}`, createStore: make });

/** The keys in Redis of the entries of a prefix: all but the two of its purge log. */
async function entryKeys(prefix: string): Promise<string[]> {
  const log = [`${prefix}:1:{${prefix}}:log`, `${prefix}:1:{${prefix}}:pos`];
  return (await admin.keys(`${prefix}*`)).filter((key) => !log.includes(key));
}

describe("keys in Redis", () => {
  it("carry the prefix, the layout's version, a legible label and a hash of the whole key", async () => {
    const prefix = ownPrefix();
    const store = made(redisStore({ client: nodeRedis }));
    opened(store);
    await store.put(`${prefix} GET http://api.test/a:b?x={1}*&y=ü`, textEntry("a"), 60_000);
    const keys = await entryKeys(prefix);
    expect(keys).toHaveLength(1);
    expect(keys[0]).toMatch(/^test-[0-9a-f]{12}:1:GET_http_\/\/api\.test\/a_b\?x=_1__&y=_:\{[\w-]{22}\}$/);
  });

  it("stay short and apart for names of any length", async () => {
    const prefix = ownPrefix();
    const store = made(redisStore({ client: nodeRedis }));
    opened(store);
    await store.put(`${prefix} ${"a".repeat(10_000)}b`, textEntry("b"), 60_000);
    await store.put(`${prefix} ${"a".repeat(10_000)}c`, textEntry("c"), 60_000);
    const keys = await entryKeys(prefix);
    expect(keys).toHaveLength(2);
    for (const key of keys) expect(key.length).toBeLessThan(140);
  });

  it("all expire, however long the retention", async () => {
    const prefix = ownPrefix();
    const store = made(redisStore({ client: nodeRedis }));
    opened(store);
    for (const retainMs of [0.2, 1, 1000, 60_000.5, 1e12, Number.MAX_SAFE_INTEGER]) {
      await store.put(`${prefix} ${retainMs}`, textEntry("a"), retainMs);
    }
    const keys = await entryKeys(prefix);
    expect(keys.length).toBeGreaterThanOrEqual(4);
    for (const key of keys) {
      const expiresInMs = await admin.pTTL(key);
      // -2: it expired in between. -1 would be a key that stays for good.
      expect(expiresInMs).not.toBe(-1);
      expect(expiresInMs).toBeLessThanOrEqual(10 * 365 * 24 * 60 * 60 * 1000);
    }
  });

  it("of a neighbour whose prefix begins with ours are left alone", async () => {
    const prefix = ownPrefix();
    const store = made(redisStore({ client: nodeRedis }));
    opened(store);
    await admin.set(`${prefix}2:1:neighbour`, "theirs", { expiration: { type: "EX", value: 60 } });
    await store.put(`${prefix}2 GET /`, textEntry("second"), 60_000);
    await store.put(`${prefix} GET /`, textEntry("first"), 60_000);
    await store.delete(`${prefix} GET /`);
    expect(textOf(await store.get(`${prefix}2 GET /`))).toBe("second");
    expect(await admin.get(`${prefix}2:1:neighbour`)).toBe("theirs");
  });

  it("work under a user's own key prefix", async () => {
    const prefix = ownPrefix();
    const client = new Redis(url, { keyPrefix: "tenant:" });
    const store = made(redisStore({ client }));
    opened(store);
    await untilCaching(store, prefix);
    expect((await admin.keys(`tenant:${prefix}:1:*`)).length).toBeGreaterThan(0);
    await client.quit();
  });
});

describe("what is in Redis is an input", () => {
  async function planting(): Promise<{ store: CacheStore; prefix: string; keyOf: (name: string) => Promise<string> }> {
    const prefix = ownPrefix();
    const store = made(redisStore({ client: nodeRedis, maxEntryBytes: 10_000 }));
    opened(store);
    const keyOf = async (name: string): Promise<string> => {
      const keys = await admin.keys(`${prefix}:1:${name}:*`);
      if (keys.length !== 1 || keys[0] === undefined) throw new Error(`${keys.length} keys of ${name}`);
      return keys[0];
    };
    return { store, prefix, keyOf };
  }

  it("swapped values are misses: the key is in the value and compared", async () => {
    const { store, prefix, keyOf } = await planting();
    await store.put(`${prefix} mine`, textEntry("mine"), 60_000);
    await store.put(`${prefix} theirs`, textEntry("theirs"), 60_000);
    const [mine, theirs] = [await keyOf("mine"), await keyOf("theirs")];
    await admin.rename(mine, `${prefix}:swap`);
    await admin.rename(theirs, mine);
    await admin.rename(`${prefix}:swap`, theirs);
    expect(await store.get(`${prefix} mine`)).toBeUndefined();
    expect(await store.get(`${prefix} theirs`)).toBeUndefined();
  });

  it.each([
    { what: "an empty value", plant: (key: string) => admin.set(key, "") },
    { what: "text", plant: (key: string) => admin.set(key, "hello") },
    {
      what: "a value of another type",
      plant: (key: string) => admin.del(key).then(() => admin.rPush(key, "a")),
    },
    {
      what: "a truncated value",
      plant: async (key: string) => admin.set(key, String(await admin.getRange(key, 0, 30))),
    },
    { what: "a value with a changed byte", plant: (key: string) => admin.setRange(key, 40, "\u0007") },
    { what: "a huge value", plant: (key: string) => admin.setRange(key, 20_000_000, "x") },
  ])("$what is a miss, and the next store replaces it", async ({ plant }) => {
    const { store, prefix, keyOf } = await planting();
    await store.put(`${prefix} a`, textEntry("first"), 60_000);
    await plant(await keyOf("a"));
    expect(await store.get(`${prefix} a`)).toBeUndefined();
    await store.put(`${prefix} a`, textEntry("second"), 60_000);
    expect(textOf(await store.get(`${prefix} a`))).toBe("second");
  });

  it("an entry of a newer version is a miss and stays where it is", async () => {
    const { store, prefix, keyOf } = await planting();
    await store.put(`${prefix} a`, textEntry("first"), 60_000);
    const key = await keyOf("a");
    const frame = encodeEntry(`${prefix} a`, textEntry("newer"));
    if (frame === undefined) throw new Error("not encoded");
    frame.writeUInt8(2, 2);
    await admin.set(key, frame, { expiration: { type: "EX", value: 60 } });
    expect(await store.get(`${prefix} a`)).toBeUndefined();
    expect(await admin.strLen(key)).toBe(frame.length);
  });

  it("an entry that is too large, or no JSON, is not kept and what was there goes", async () => {
    const { store, prefix } = await planting();
    for (const unfit of [
      textEntry("x".repeat(10_000)),
      textEntry("a", { big: 1n }),
      textEntry("a", { x: "x".repeat(70_000) }),
    ]) {
      await store.put(`${prefix} a`, textEntry("before"), 60_000);
      await store.put(`${prefix} a`, unfit, 60_000);
      expect(await store.get(`${prefix} a`)).toBeUndefined();
    }
  });
});

describe("traffic to a server of our own", () => {
  let server: RedisServer;
  let admin: RedisClientType;
  beforeAll(async () => {
    server = await startRedis();
    admin = createClient({ url: server.adminUrl });
    await admin.connect();
  });
  afterAll(async () => {
    admin.destroy();
    await server.stop();
  });

  async function commandCounts(): Promise<Record<string, number>> {
    const counts: Record<string, number> = {};
    for (const [, name, calls] of (await admin.info("commandstats")).matchAll(/cmdstat_([^:]+):calls=(\d+)/g)) {
      if (name !== undefined && !/^(info|config|client)/.test(name)) counts[name] = Number(calls);
    }
    return counts;
  }

  const clients = [
    { client: "node-redis", connect: () => createClient({ url: server.url }).connect() },
    { client: "ioredis", connect: () => new Redis(server.url) },
  ];

  it.each(clients)(
    "is one MGET for a hit or a miss, one SET to store, one UNLINK to delete ($client)",
    async ({ connect }) => {
      const store = made(redisStore({ connect }));
      opened(store);
      await untilCaching(store, "count");
      await admin.configResetStat();
      await store.put("count a", textEntry("a"), 60_000);
      expect(await commandCounts()).toEqual({ set: 1 });
      for (let index = 0; index < 10; index += 1) await store.get("count a");
      expect(await commandCounts()).toEqual({ set: 1, mget: 10 });
      await store.get("count b");
      expect(await commandCounts()).toEqual({ set: 1, mget: 11 });
      await store.delete("count a");
      expect(await commandCounts()).toEqual({ set: 1, mget: 11, unlink: 1 });
    },
  );

  it.each(clients)("goes over one connection, however much there is ($client)", async ({ connect }) => {
    const store = made(redisStore({ connect }));
    opened(store);
    await untilCaching(store, "connections");
    await store.put("connections a", textEntry("a"), 60_000);
    const connections = async (): Promise<number> =>
      (await admin.sendCommand<string>(["CLIENT", "LIST"])).trim().split("\n").length;
    const before = await connections();
    for (let round = 0; round < 20; round += 1) {
      const found = await Promise.all(Array.from({ length: 100 }, async () => store.get("connections a")));
      expect(found.every((entry) => textOf(entry) === "a")).toBe(true);
    }
    expect(await connections()).toBe(before);
    await store.close?.();
    await until(async () => (await connections()) === before - 1);
  });

  it("leaves no key without an expiry behind but the purge logs", async () => {
    const keys = (await admin.keys("*")).filter((key) => !/:\{[^}]+\}:(log|pos)$/.test(key));
    expect(keys.length).toBeGreaterThan(0);
    for (const key of keys) expect(await admin.pTTL(key)).not.toBe(-1);
  });
});

describe("clients", () => {
  it("are known by their shape, so a second copy of a package will do", () => {
    const shape = Object.assign(Object.create(null), {
      status: "ready",
      getBuffer: () => {},
      set: () => {},
      unlink: () => {},
      on: () => {},
      off: () => {},
      listeners: () => [],
    }) as object;
    expect(redisClient(shape)?.isReady()).toBe(true);
  });

  it("made by the user stay open and work as before when the store closes", async () => {
    for (const client of [createClient({ url }), new Redis(url)]) {
      if (!(client instanceof Redis)) await client.connect();
      // While it connects, ioredis itself listens.
      else await until(() => client.status === "ready");
      for (let round = 0; round < 20; round += 1) {
        const store = redisStore({ client });
        opened(store);
        await store.close?.();
      }
      for (const event of ["ready", "end", "close", "terminated"]) expect(client.listenerCount(event)).toBe(0);
      expect(client.listenerCount("error")).toBeLessThanOrEqual(1);
      let heard = 0;
      client.on("end", () => {
        heard += 1;
      });
      expect(client instanceof Redis ? await client.ping() : await client.ping()).toBe("PONG");
      await client.quit();
      await until(() => heard === 1);
    }
  });

  it("serve two caches through one store until both have closed it", async () => {
    const prefix = ownPrefix();
    const store = redisStore({ url });
    const first = opened(store);
    await untilCaching(store, prefix);
    const second = opened(store);
    expect(first.map(({ type }) => type)).toEqual(["connecting", "connected"]);
    expect(second.map(({ type }) => type)).toEqual(["connected"]);
    await store.close?.();
    await store.put(`${prefix} a`, textEntry("a"), 60_000);
    expect(textOf(await store.get(`${prefix} a`))).toBe("a");
    await store.close?.();
    expect(store.get(`${prefix} a`)).toBeUndefined();
  });

  it("of ioredis with lazyConnect connect when the store is opened", async () => {
    const client = new Redis(url, { lazyConnect: true });
    const store = made(redisStore({ client }));
    opened(store);
    await untilCaching(store, ownPrefix());
    await client.quit();
  });

  const missing = async (): Promise<never> => {
    throw Object.assign(new Error("Cannot find package"), { code: "ERR_MODULE_NOT_FOUND" });
  };

  it("for a url come from ioredis when redis is not installed", async () => {
    const client = await clientForUrl(url, { redis: missing, ioredis: () => import("ioredis") });
    const prefix = ownPrefix();
    const store = made(redisStore({ connect: () => client }));
    opened(store);
    await untilCaching(store, prefix);
    expect(client).toBeInstanceOf(Redis);
  });

  it("for a url say what to install when there is none", async () => {
    await expect(clientForUrl(url, { redis: missing, ioredis: missing })).rejects.toMatchObject({
      code: "ERR_REDIS_CLIENT_MISSING",
      message: expect.stringContaining("npm install redis"),
    });
  });
});

describe("mistakes are refused at once", () => {
  const where = (option: string): string => `redisStore({ ${option} })`;
  it.each([
    { options: {}, says: "exactly one of url, client and connect, got undefined" },
    { options: undefined, says: "an object with exactly one of url, client and connect, got undefined" },
    { options: "redis://u:secret@h", says: "redisStore(options): expected an object with exactly one of url, client" },
    { options: "redis://u:secret@h", says: 'got "…@h"' },
    { options: { url, client: {} }, says: 'exactly one of url, client and connect, got "url and client"' },
    {
      options: { url: undefined },
      says: `${where("url")}: expected a URL such as "redis://127.0.0.1:6379" or "rediss://…", got undefined`,
    },
    { options: { url: "" }, says: "is the variable set?" },
    { options: { url: "localhost:6379" }, says: 'got "localhost:6379".\nIt must begin with redis:// or rediss://.' },
    { options: { url: "redis://localhost:99999" }, says: "Check its host and its port." },
    { options: { url: "http://127.0.0.1" }, says: 'got "http://127.0.0.1"' },
    {
      options: { client: undefined },
      says: `${where("client")}: expected a client of node-redis 5 or later, ioredis, iovalkey or valkey-glide, got undefined`,
    },
    { options: { client: "redis://127.0.0.1" }, says: `${where("client")}: expected a client` },
    { options: { client: "redis://u:s@cret@h" }, says: 'got "redis://***@h"' },
    { options: { connect: "redis://u:s@cret@h" }, says: 'got "redis://***@h"' },
    { options: { client: new Map() }, says: "got an instance of Map" },
    { options: { connect: {} }, says: `${where("connect")}: expected a function` },
  ])("$options", ({ options, says }) => {
    expect(() => redisStore(options as never)).toThrow(
      expect.objectContaining({ name: "TypeError", code: "ERR_INVALID_STORE", message: expect.stringContaining(says) }),
    );
  });

  it.each([
    { deadlineMs: 0 },
    { deadlineMs: -1 },
    { deadlineMs: Number.NaN },
    { deadlineMs: Number.POSITIVE_INFINITY },
    { deadlineMs: "100" },
    { maxEntryBytes: 0 },
    { maxEntryBytes: 1e12 },
    { purgeLogLength: 0 },
    { purgeLogLength: 1e7 },
  ])("%o", (limits) => {
    const [name] = Object.keys(limits);
    expect(() => redisStore({ url, ...(limits as object) })).toThrow(
      expect.objectContaining({
        name: "RangeError",
        code: "ERR_INVALID_OPTION",
        message: expect.stringContaining(`redisStore({ ${name} }): expected a whole number from 1 to`),
      }),
    );
  });

  it.each([
    { integrityKey: "", got: "0 bytes" },
    { integrityKey: "sesame-sesame-1", got: "15 bytes" },
    { integrityKey: new Uint8Array(15), got: "15 bytes" },
    { integrityKey: 7, got: "a value of type number" },
    { integrityKey: null, got: "null" },
    { integrityKey: undefined, got: "undefined" },
    { integrityKey: {}, got: "a value of type object" },
  ])("an integrity key of $got", ({ integrityKey, got }) => {
    const message = `redisStore({ integrityKey }): expected a text or a Uint8Array of at least 16 bytes, got ${got}.`;
    const expected = { name: "RangeError", code: "ERR_INVALID_OPTION", message: expect.stringContaining(message) };
    try {
      redisStore({ url, integrityKey: integrityKey as string | undefined });
      expect.fail("not refused");
    } catch (error) {
      expect(error).toMatchObject(expected);
      expect(String(error)).not.toContain("sesame");
    }
  });

  it.each(["sixteen bytes ok", "ü".repeat(8), new Uint8Array(16)])("but takes the integrity key %s", (integrityKey) => {
    expect(redisStore({ url, integrityKey }).name).toBe("redis");
  });

  it("an option that does not exist", () => {
    expect(() => redisStore({ url, deadlineMS: 50 } as { url: string })).toThrow(
      expect.objectContaining({
        code: "ERR_UNKNOWN_OPTION",
        message: expect.stringMatching(
          /^redisStore\(\): there is no option "deadlineMS"\.\nThe options are url, .*deadlineMs/,
        ),
      }),
    );
  });

  it.each(["redis://user:sesame@", "rediss//:sesame@host", "http://user:sesame@host", ":sesame@host:6379"])(
    "without printing the password of %s",
    (wrong) => {
      try {
        redisStore({ url: wrong });
        expect.fail("not refused");
      } catch (error) {
        expect(String(error)).toMatch(/^TypeError \[ERR_INVALID_STORE\]: redisStore/);
        expect(`${String(error)} ${(error as Error).stack} ${JSON.stringify(error)}`).not.toContain("sesame");
      }
    },
  );
});
