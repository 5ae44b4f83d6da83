/** Leases in Redis: who fills a key, for how long, and what a holder that lost its lease can still do. Real servers. */

import { setTimeout as pause } from "node:timers/promises";

import { Redis } from "ioredis";
import { createClient } from "redis";
import { afterAll, beforeAll, describe, expect, inject, it } from "vitest";

import { Guard } from "../../../src/stores/redis/health/command-guard.ts";
import { InFlight } from "../../../src/stores/redis/health/in-flight.ts";
import { redisLeases } from "../../../src/stores/redis/leases.ts";
import { redisClient } from "../../../src/stores/redis/client/detect.ts";
import { redisStore } from "../../../src/stores/redis/index.ts";
import type { CacheStore, Lease, PutResult, StoreEvent } from "../../../src/http.ts";
import { eachTest } from "../../redis/each-test.ts";
import { startFaultProxy } from "../../redis/fault-proxy.ts";
import { freePort } from "../../redis/server.ts";
import { opened, ownPrefix, textEntry, textOf, until, untilCaching } from "../../redis/store.ts";

const url = inject("redisUrl");
const raw = createClient({ url: inject("redisAdminUrl") });
const { cleanups, server, ownStore } = eachTest();

beforeAll(() => raw.connect());
afterAll(() => raw.close());
interface Options {
  readonly leaseMs?: number;
  readonly url?: string;
  readonly prefix?: string;
}

/** One store with a connection of its own, as another process would have it. */
async function aProcess(options: Options = {}): Promise<CacheStore & { readonly events: readonly StoreEvent[] }> {
  const { leaseMs } = options;
  const store = ownStore(redisStore({ url: options.url ?? url, ...(leaseMs !== undefined && { leaseMs }) }));
  const events = opened(store);
  await untilCaching(store, options.prefix ?? ownPrefix());
  return Object.assign(store, { events });
}

async function acquired(store: CacheStore, key: string): Promise<Lease | "taken" | undefined> {
  return store.leases?.acquire(key);
}

/** The lease on `key`, after a look-up that found nothing there. */
async function held(store: CacheStore, key: string): Promise<Lease> {
  await store.get(key);
  const lease = await acquired(store, key);
  if (lease === undefined || lease === "taken") throw new Error(`The lease on ${key} is ${lease}.`);
  return lease;
}

function leasesOf(prefix: string): Promise<string[]> {
  return raw.keys(`${prefix}:1:*lease:*`);
}

describe("a lease", () => {
  it("is had by one process at a time", async () => {
    const prefix = ownPrefix();
    const stores = await Promise.all([aProcess(), aProcess(), aProcess()]);
    for (let round = 0; round < 20; round += 1) {
      const key = `${prefix} GET /${round}`;
      const answers = await Promise.all(stores.flatMap((store) => [acquired(store, key), acquired(store, key)]));
      expect(answers.filter((answer) => answer === "taken")).toHaveLength(5);
      expect(answers.filter((answer) => typeof answer === "object")).toHaveLength(1);
    }
  });

  it("ends with what it was for: the entry is there, and the next one may have the lease", async () => {
    const key = `${ownPrefix()} GET /`;
    const [one, two] = [await aProcess(), await aProcess()];
    const lease = await held(one, key);
    expect(await two.leases?.acquire(key)).toBe("taken");
    expect(await lease.put(textEntry("filled"), 60_000)).toBe("stored");
    expect(textOf(await two.get(key))).toBe("filled");
    await held(two, key);
  });

  it("ends without an entry when it is released, and only once", async () => {
    const key = `${ownPrefix()} GET /`;
    const [one, two] = [await aProcess(), await aProcess()];
    const lease = await held(one, key);
    lease.release();
    await until(async () => typeof (await two.leases?.acquire(key)) === "object");
    lease.release();
    expect(await lease.put(textEntry("too late"), 60_000)).toBe("lost");
    expect(await one.leases?.acquire(key)).toBe("taken");
    expect(await one.get(key)).toBeUndefined();
  });

  it("keeps entries as put() does: with an expiry, and not past its size or without a retention", async () => {
    const prefix = ownPrefix();
    const store = ownStore(redisStore({ url, maxEntryBytes: 1000 }));
    opened(store);
    await untilCaching(store, prefix);
    const put = async (name: string, text: string, retainMs: number): Promise<PutResult | "lost"> =>
      (await held(store, `${prefix} ${name}`)).put(textEntry(text), retainMs);
    expect(await put("small", "x", 60_000)).toBe("stored");
    expect(await put("large", "x".repeat(1000), 60_000)).toBe("failed");
    expect(await put("for no time", "x", 0)).toBe("failed");
    expect(await put("for ever", "x", Number.POSITIVE_INFINITY)).toBe("failed");
    expect(await (await held(store, `${prefix} no JSON`)).put({ ...textEntry("x"), meta: { n: 1n } }, 1000)).toBe(
      "failed",
    );

    await until(async () => (await leasesOf(prefix)).length === 0);
    expect(textOf(await store.get(`${prefix} small`))).toBe("x");
    const keys = await raw.keys(`${prefix}:1:{small,large,for_*,no_*}:*`);
    for (const key of keys) expect(await raw.pTTL(key)).toBeGreaterThan(0);
    for (const name of ["large", "for no time", "for ever", "no JSON"]) {
      expect(await store.get(`${prefix} ${name}`)).toBeUndefined();
    }
  });

  it("has a key in Redis that expires, on the Cluster slot of its entry, and that is no entry's key", async () => {
    const prefix = ownPrefix();
    const store = await aProcess();
    // The one name whose entry could be mistaken for a lease.
    for (const name of ["lease", "GET /a"]) {
      const lease = await held(store, `${prefix} ${name}`);
      const [leaseKey = ""] = await leasesOf(prefix);
      const expiresInMs = await raw.pTTL(leaseKey);
      expect(expiresInMs).toBeGreaterThan(0);
      expect(expiresInMs).toBeLessThanOrEqual(2000);
      expect(await lease.put(textEntry(name), 60_000)).toBe("stored");
      expect(textOf(await store.get(`${prefix} ${name}`))).toBe(name);
      expect(await raw.exists(leaseKey)).toBe(0);
      const slots = (await raw.keys(`${prefix}:1:*{*`)).filter((key) =>
        key.includes(leaseKey.match(/\{.*\}/)?.[0] ?? "?"),
      );
      expect(slots).toHaveLength(1);
      await store.delete(`${prefix} ${name}`);
    }
  });

  it("outlives its length while its holder lives", async () => {
    const key = `${ownPrefix()} GET /`;
    const [one, two] = [await aProcess({ leaseMs: 300 }), await aProcess({ leaseMs: 300 })];
    const lease = await held(one, key);
    const endAtMs = performance.now() + 1500;
    while (performance.now() < endAtMs) {
      expect(await two.leases?.acquire(key)).toBe("taken");
      await pause(20);
    }
    expect(await lease.put(textEntry("slow origin"), 60_000)).toBe("stored");
    expect(textOf(await two.get(key))).toBe("slow origin");
  });

  it("is not extended past a limit, so that a hung origin does not hold it for ever", async () => {
    const prefix = ownPrefix();
    const client = redisClient(await createClient({ url }).connect());
    cleanups.push(() => client?.close(1000));
    const guard = new Guard({
      deadlineMs: 1000,
      inFlight: new InFlight(1000),
      isConnected: () => true,
      probe: () => undefined,
      onFailure: () => {},
      onResumed: () => {},
      onStuck: () => {},
    });
    const leases = redisLeases({
      leaseMs: 300,
      maxHoldMs: 500,
      canBeFound: () => true,
      health: { client: () => client, guard: () => guard },
      keysOf: () => ({ entry: `${prefix}:1:e`, lease: `${prefix}:1:lease:e` }),
      frameOf: (_key, entry) => ({ bytes: Buffer.from(entry.body), expireMs: 60_000 }),
    });
    const startMs = performance.now();
    const hung = await leases.acquire("key");
    if (typeof hung !== "object") throw new Error("No lease.");
    await until(async () => typeof (await leases.acquire("key")) === "object");
    // 500 ms, and what the last heartbeat before had given it.
    expect(performance.now() - startMs).toBeGreaterThanOrEqual(500);
    expect(await hung.put(textEntry("at last"), 60_000)).toBe("lost");
    expect(await raw.exists(`${prefix}:1:e`)).toBe(0);
    await leases.close();
  });

  it("ends while a burst of look-ups is under way, so that nobody waits until it expires", async () => {
    const prefix = ownPrefix();
    const store = ownStore(redisStore({ url, deadlineMs: 2000, leaseMs: 60_000 }));
    opened(store);
    await untilCaching(store, prefix);
    const [filling, failing] = [await held(store, `${prefix} filled`), await held(store, `${prefix} not filled`)];
    const generation = store.purges?.generation(prefix) ?? "";
    const lookUps = Array.from({ length: 1500 }, async (_, index) => store.get(`${prefix} ${index}`));
    failing.release();
    expect(await filling.put({ ...textEntry("filled"), generation }, 60_000)).toBe("stored");
    await Promise.all(lookUps);
    expect(await leasesOf(prefix)).toEqual([]);
    await held(store, `${prefix} filled`);
    await held(store, `${prefix} not filled`);
  });

  it("a lease that expired or was freed by another is not ended by its old holder", async () => {
    const prefix = ownPrefix();
    const key = `${prefix} GET /`;
    const [one, two] = [await aProcess(), await aProcess()];
    const old = await held(one, key);
    // As after an expiry, an eviction or a FLUSHALL: nothing tells the holder.
    await raw.del(await leasesOf(prefix));
    const current = await held(two, key);
    const [leaseKey = ""] = await leasesOf(prefix);
    const token = await raw.get(leaseKey);

    expect(await old.put(textEntry("of the old holder"), 60_000)).toBe("lost");
    expect(await raw.get(leaseKey)).toBe(token);
    expect(await one.get(key)).toBeUndefined();

    expect(await current.put(textEntry("of the new holder"), 60_000)).toBe("stored");
    expect(textOf(await one.get(key))).toBe("of the new holder");
  });

  it.each([
    // A heartbeat comes each 50 ms and would cut the lease of the new holder to 150 ms.
    { what: "heartbeat", leaseMs: 150, end: () => pause(400) },
    {
      what: "release",
      leaseMs: 60_000,
      end: async (old: Lease) => {
        old.release();
        await pause(100);
      },
    },
  ])("a $what of an old holder leaves the new one's lease alone", async ({ leaseMs, end }) => {
    const prefix = ownPrefix();
    const key = `${prefix} GET /`;
    const [one, two] = [await aProcess({ leaseMs }), await aProcess({ leaseMs: 60_000 })];
    const old = await held(one, key);
    await raw.del(await leasesOf(prefix));
    await held(two, key);
    const [leaseKey = ""] = await leasesOf(prefix);
    await end(old);
    expect(await raw.pTTL(leaseKey)).toBeGreaterThan(50_000);
  });

  it("that a heartbeat found lost is not asked about again", async () => {
    const redis = await server();
    const admin = createClient({ url: redis.adminUrl });
    await admin.connect();
    cleanups.push(() => admin.destroy());
    const store = await aProcess({ url: redis.url, leaseMs: 100 });
    const lease = await held(store, "p GET /");
    await admin.flushAll();
    await pause(300);
    const scriptsRun = async (): Promise<string | undefined> =>
      /cmdstat_evalsha:calls=(\d+)/.exec(await admin.info("commandstats"))?.[1];
    const before = await scriptsRun();
    expect(before).toBeDefined();
    expect(await lease.put(textEntry("lost"), 60_000)).toBe("lost");
    lease.release();
    await pause(200);
    expect(await scriptsRun()).toBe(before);
  });
});

describe("leases and trouble", () => {
  it("a holder whose Redis froze and thawed keeps nothing, and what the next one stored stays", async () => {
    const redis = await server();
    const [one, two] = [
      await aProcess({ url: redis.url, leaseMs: 300 }),
      await aProcess({ url: redis.url, leaseMs: 300 }),
    ];
    const old = await held(one, "p GET /");
    redis.freeze();
    await pause(600);
    redis.thaw();
    await until(async () => typeof (await two.leases?.acquire("p GET /")) === "object");
    await two.put("p GET /", textEntry("new"), 60_000);
    expect(await old.put(textEntry("old"), 60_000)).toBe("lost");
    expect(textOf(await two.get("p GET /"))).toBe("new");
  });

  it("cannot be had while Redis is away or frozen: undefined within the deadline, put false, no error", async () => {
    const redis = await server();
    const store = await aProcess({ url: redis.url, leaseMs: 60_000 });
    const lease = await held(store, "p GET /a");
    redis.freeze();
    for (let round = 0; round < 10; round += 1) {
      const startMs = performance.now();
      expect(await store.leases?.acquire(`p GET /${round}`)).toBeUndefined();
      expect(performance.now() - startMs).toBeLessThan(1000);
    }
    expect(await lease.put(textEntry("a"), 60_000)).toBe("failed");
    redis.thaw();
    // What was asked for while it was frozen was granted when it thawed, to nobody: it is given back.
    await untilCaching(store, "p");
    await until(async () => typeof (await store.leases?.acquire("p GET /0")) === "object");

    const other = await held(store, "p GET /b");
    await redis.kill();
    await until(async () => (await store.leases?.acquire("p GET /c")) === undefined);
    expect(await other.put(textEntry("b"), 60_000)).toBe("failed");
    other.release();

    const never = ownStore(redisStore({ url: `redis://127.0.0.1:${await freePort()}` }));
    opened(never);
    expect(await never.leases?.acquire("p GET /")).toBeUndefined();
  });

  it.each(["taking it", "filling", "releasing"])(
    "whose %s was lost with a connection is ended over the next one, long before it expires",
    async (what) => {
      const prefix = ownPrefix();
      const proxy = await startFaultProxy(Number(new URL(url).port || 6379));
      cleanups.push(() => proxy.stop());
      const cut = await aProcess({ url: proxy.url, prefix, leaseMs: 30_000 });
      const other = await aProcess({ prefix });
      const key = `${prefix} a`;

      const lease = what === "taking it" ? undefined : await held(cut, key);
      // The server hears what is sent, and its answer gets no further than a byte.
      if (what === "taking it") {
        proxy.cutAfter(1);
        expect(await acquired(cut, key)).toBeUndefined();
        expect(await leasesOf(prefix)).toHaveLength(1);
      } else {
        proxy.blackHole();
        if (what === "filling") expect(await lease?.put(textEntry("lost"), 60_000)).toBe("failed");
        else lease?.release();
        proxy.reset();
      }
      proxy.pass();
      await until(async () => typeof (await acquired(other, key)) === "object", 5000);
    },
  );

  it("of a process that was killed ends by itself", async () => {
    const prefix = ownPrefix();
    const store = await aProcess();
    const dead = new Redis(url);
    const lease = await held(store, `${prefix} GET /`);
    const [leaseKey = ""] = await leasesOf(prefix);
    lease.release();
    await until(async () => (await raw.exists(leaseKey)) === 0);
    // A token nobody extends, as a killed process leaves it behind.
    await dead.set(leaseKey, "token", "PX", 400);
    await dead.quit();
    const startMs = performance.now();
    expect(await store.leases?.acquire(`${prefix} GET /`)).toBe("taken");
    await until(async () => typeof (await store.leases?.acquire(`${prefix} GET /`)) === "object");
    expect(performance.now() - startMs).toBeGreaterThan(200);
  });

  it("of a user who may only read are none, and reading goes on", async () => {
    const redis = await server();
    const admin = createClient({ url: redis.adminUrl });
    await admin.connect();
    await admin.sendCommand(["ACL", "SETUSER", "reader", "on", ">secret", "~*", "+@read", "+@connection"]);
    const writer = await aProcess({ url: redis.url });
    await writer.put("p GET /", textEntry("a"), 60_000);
    await admin.close();

    const reader = ownStore(redisStore({ url: `redis://reader:secret@127.0.0.1:${redis.port}` }));
    opened(reader);
    await until(() => reader.isAvailable?.());
    for (let round = 0; round < 10; round += 1) {
      expect(await reader.leases?.acquire(`p GET /${round}`)).toBeUndefined();
    }
    expect(reader.isAvailable?.()).toBe(true);
  });

  it("are all ended by close(), those that are just being asked for as well", async () => {
    const prefix = ownPrefix();
    const store = await aProcess({ leaseMs: 60_000 });
    for (let number = 0; number < 300; number += 1) await held(store, `${prefix} GET /held/${number}`);
    const asked = Array.from({ length: 50 }, (_, number) => acquired(store, `${prefix} GET /asked/${number}`));
    expect((await leasesOf(prefix)).length).toBeGreaterThanOrEqual(300);
    const startMs = performance.now();
    await store.close?.();
    expect(performance.now() - startMs).toBeLessThan(3000);
    expect(await leasesOf(prefix)).toEqual([]);
    for (const lease of await Promise.all(asked)) {
      if (typeof lease === "object") expect(await lease.put(textEntry("late"), 60_000)).toBe("lost");
    }
  });

  it("do not hold up close() while Redis is frozen", async () => {
    const redis = await server();
    const store = await aProcess({ url: redis.url });
    for (let number = 0; number < 20; number += 1) await held(store, `p GET /${number}`);
    redis.freeze();
    const startMs = performance.now();
    await store.close?.();
    expect(performance.now() - startMs).toBeLessThan(5000);
  });
});

describe("redisStore({ leaseMs })", () => {
  it.each([0, 99, 60_001, 1.5, Number.NaN, "2s"])("refuses %s", (leaseMs) => {
    expect(() => redisStore({ url, leaseMs: leaseMs as number })).toThrow(
      /redisStore\(\{ leaseMs \}\): expected a whole number from 100 to 60000, got/,
    );
  });
});
