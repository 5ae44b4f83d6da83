/** Purges while Redis is away, frozen, full, read-only or refusing. Real servers, real signals. */

import { setTimeout as pause } from "node:timers/promises";

import type { RedisClientType } from "redis";
import { describe, expect, it } from "vitest";

import { Guard } from "../../../../src/stores/redis/health/command-guard.ts";
import { InFlight } from "../../../../src/stores/redis/health/in-flight.ts";
import { MAX_WAITING_OTHERS } from "../../../../src/stores/redis/health/limits.ts";
import { RedisPurgeLog } from "../../../../src/stores/redis/purges/log.ts";
import { RedisClock } from "../../../../src/stores/redis/client/server-clock.ts";
import { redisStore } from "../../../../src/stores/redis/index.ts";
import type { RedisStore } from "../../../../src/stores/redis/store.ts";
import type { PurgeTarget } from "../../../../src/http.ts";
import { eachTest } from "../../../redis/each-test.ts";
import { type FaultProxy, startFaultProxy } from "../../../redis/fault-proxy.ts";
import { freePort, type RedisServer } from "../../../redis/server.ts";
import { adapted, opened, textEntry, textOf, until, untilCaching } from "../../../redis/store.ts";
import { connected, logKeys } from "./log-store.ts";

const TAG: PurgeTarget = { kind: "name", text: "#a" };
const NOT_ACKNOWLEDGED = { code: "ERR_PURGE_NOT_ACKNOWLEDGED" };

const { cleanups, server, ownStore } = eachTest();

async function adminOf(redis: RedisServer): Promise<RedisClientType> {
  const client = await connected(redis.adminUrl);
  cleanups.push(() => client.destroy());
  return client;
}

async function proxyTo(redis: RedisServer): Promise<FaultProxy> {
  const proxy = await startFaultProxy(redis.port);
  cleanups.push(() => proxy.stop());
  return proxy;
}

/** A store of its own, as in another process, that keeps what it is given. */
async function process(url: string, prefix = "p"): Promise<RedisStore> {
  const store = ownStore(redisStore({ url }));
  opened(store);
  await untilCaching(store, prefix);
  return store;
}

async function put(store: RedisStore, key: string): Promise<void> {
  const generation = store.purges.generation(key.slice(0, key.indexOf(" ")));
  await store.put(key, { ...textEntry("old"), names: ["#a"], generation }, 60_000);
  expect(textOf(await store.get(key))).toBe("old");
}

function purge(store: RedisStore, target: PurgeTarget = TAG, soft = false): Promise<unknown> {
  return Promise.resolve(store.purges.purge("p", [target], { soft }));
}

async function timeMs(run: () => Promise<unknown>): Promise<number> {
  const startMs = performance.now();
  await run();
  return performance.now() - startMs;
}

it("a look-up and the reading of the log that it calls for have one deadline together", async () => {
  const redis = await server();
  const proxy = await proxyTo(redis);
  const a = await process(redis.url);
  const b = ownStore(redisStore({ url: proxy.url, deadlineMs: 1000 }));
  opened(b);
  await untilCaching(b, "p");
  await put(b, "p k");
  await purge(a, { kind: "name", text: "#another" });
  proxy.delay(700);
  expect(await b.get("p k")).toBeUndefined();
  // The reading went on, and the next one finds the log as it is known.
  await until(async () => textOf(await b.get("p k")) === "old");
});

describe("a cut connection", () => {
  it("hides no purge: what was purged elsewhere meanwhile is a miss from the first read on", async () => {
    const redis = await server();
    const proxy = await proxyTo(redis);
    const [a, b] = [await process(redis.url), await process(proxy.url)];
    await put(b, "p k");
    proxy.refuse();
    proxy.reset();
    await until(() => b.isAvailable?.() === false);
    await purge(a);
    expect(await b.get("p k")).toBeUndefined();
    proxy.pass();
    await until(() => b.isAvailable?.() === true);
    expect(await b.get("p k")).toBeUndefined();
    expect(await b.get("p k")).toBeUndefined();
  });

  it("refuses a purge, which then holds everywhere as soon as Redis is back, read or not", async () => {
    const redis = await server();
    const proxy = await proxyTo(redis);
    const [a, b] = [await process(redis.url), await process(proxy.url)];
    await put(a, "p k");
    proxy.refuse();
    proxy.reset();
    await until(() => b.isAvailable?.() === false);
    await expect(purge(b)).rejects.toMatchObject(NOT_ACKNOWLEDGED);
    await expect(purge(b, { kind: "name", text: "#b" }, true)).rejects.toMatchObject(NOT_ACKNOWLEDGED);
    expect(textOf(await a.get("p k"))).toBe("old");
    proxy.pass();
    await until(async () => (await a.get("p k")) === undefined);
    expect(await b.get("p k")).toBeUndefined();
  });

  it("a purge that was refused holds in its own process at once", async () => {
    const redis = await server();
    const a = await process(redis.url);
    const copy = { ...textEntry("copy"), names: ["#a"], generation: a.purges.generation("p") };
    const other = { ...copy, names: ["#b"] };
    await redis.kill();
    await until(() => a.isAvailable?.() === false);
    await expect(purge(a)).rejects.toMatchObject(NOT_ACKNOWLEDGED);
    expect(a.purges.judge("p", "p k", copy)).toBe("purged");
    expect(a.purges.judge("p", "p k", other)).toBe("valid");
    await expect(purge(a, { kind: "name", text: "#b" }, true)).rejects.toMatchObject(NOT_ACKNOWLEDGED);
    expect(a.purges.judge("p", "p k", other)).toEqual({ outdatedAtMs: expect.any(Number) });
  });
});

it("a log of many long tags is read over a slow network, in steps that fit into the deadline", async () => {
  const redis = await server();
  const a = await process(redis.url);
  for (let round = 0; round < 100; round += 1) {
    const tags = Array.from({ length: 400 }, (_, at) => `#${"tag".repeat(25)}:${round}:${at}`);
    await a.purges.purge(
      "p",
      tags.map((text): PurgeTarget => ({ kind: "name", text })),
      { soft: false },
    );
  }
  const proxy = await proxyTo(redis);
  proxy.limit(4_000_000);
  const b = ownStore(redisStore({ url: proxy.url }));
  const events = opened(b);
  await until(() => events.some(({ type }) => type === "connected"));
  await until(() => b.purges.verify("p"), 8000);
  expect(b.purges.generation("p")).toBe(a.purges.generation("p"));
});

describe("a purge that Redis does not acknowledge", () => {
  it("says what, why and what to do", async () => {
    const store = ownStore(redisStore({ url: "redis://127.0.0.1:1" }));
    await expect(purge(store)).rejects.toThrow(
      'purge of 1 target under "p": Redis did not acknowledge it, it was not sent: there is no connection.\nIt holds in this process and is tried again',
    );
  });

  it("waits for the first connection, as long as for an answer", async () => {
    const redis = await server();
    const store = ownStore(redisStore({ url: redis.url, deadlineMs: 1000 }));
    opened(store);
    await expect(purge(store)).resolves.toMatchObject({ after: expect.stringMatching(/^\w+:\d+-\d+$/) });

    const away = ownStore(redisStore({ url: `redis://127.0.0.1:${await freePort()}`, deadlineMs: 10_000 }));
    opened(away);
    const startMs = performance.now();
    await expect(purge(away)).rejects.toMatchObject(NOT_ACKNOWLEDGED);
    expect(performance.now() - startMs).toBeLessThan(5000);
  });

  it("is refused within ten deadlines while Redis is frozen, and holds after", async () => {
    const redis = await server();
    const [a, b] = [await process(redis.url), await process(redis.url)];
    await put(a, "p k");
    redis.freeze();
    const tookMs = await timeMs(() => expect(purge(b)).rejects.toMatchObject(NOT_ACKNOWLEDGED));
    expect(tookMs).toBeLessThan(3000);
    redis.thaw();
    await until(async () => (await a.get("p k")) === undefined);
    await until(() => b.isAvailable?.() === true);
    expect(await b.get("p k")).toBeUndefined();
  });

  it("delays none that comes after it: both wait for one answer, and both hold after", async () => {
    const deadlineMs = 300;
    const redis = await server();
    const a = await process(redis.url);
    const b = ownStore(redisStore({ url: redis.url, deadlineMs }));
    opened(b);
    await untilCaching(b, "p");
    await put(a, "p k");
    await a.put("p l", { ...textEntry("l"), names: ["#b"], generation: a.purges.generation("p") }, 60_000);
    redis.freeze();
    await expect(purge(b)).rejects.toMatchObject(NOT_ACKNOWLEDGED);
    const tookMs = await timeMs(() =>
      expect(purge(b, { kind: "name", text: "#b" })).rejects.toThrow(/did not answer in time/),
    );
    expect(tookMs).toBeGreaterThan(10 * deadlineMs - 100);
    expect(tookMs).toBeLessThan(15 * deadlineMs);
    redis.thaw();
    await until(async () => (await a.get("p k")) === undefined && (await a.get("p l")) === undefined);
  });

  it("is in the log when the next one is acknowledged, in one step with it", async () => {
    const redis = await server();
    const admin = await adminOf(redis);
    const a = await process(redis.url);
    await put(a, "p k");
    const before = a.purges.generation("p");
    await admin.configSet("maxmemory", "1");
    await expect(purge(a)).rejects.toThrow(/OOM/);
    await expect(purge(a, { kind: "name", text: "#b" }, true)).rejects.toThrow(/OOM/);
    await admin.configSet("maxmemory", "0");
    await pause(600);
    const runs = async (): Promise<number> =>
      Number(/cmdstat_evalsha:calls=(\d+)/.exec(await admin.info("commandstats"))?.[1]);
    const runsBefore = await runs();
    const last: PurgeTarget = { kind: "name", text: "#c" };
    const receipt = await a.purges.purge("p", [last, last], { soft: false });
    expect(await runs()).toBe(runsBefore + 1);
    expect(receipt).toEqual({ before, after: a.purges.generation("p") });
    const targets = ((await admin.xRange(logKeys("p").log, "-", "+")) ?? []).map(({ message }) => message["t"]);
    expect(targets.slice(-3)).toEqual(['["n#a"]', '["n#b"]', '["n#c","n#c"]']);
    expect(await a.get("p k")).toBeUndefined();
  });

  it("because nothing was sent says so, and why", async () => {
    const redis = await server();
    const store = await process(redis.url);
    redis.freeze();
    for (let round = 0; round < 5; round += 1) await store.get(`p ${round}`);
    await expect(purge(store)).rejects.toThrow(/it was not sent: Redis did not answer before, and is suspended/);
    redis.thaw();

    const inFlight = new InFlight(1000);
    for (let waiting = 0; waiting < MAX_WAITING_OTHERS; waiting += 1) inFlight.begin("others", 0);
    const guard = new Guard({
      deadlineMs: 1000,
      inFlight,
      isConnected: () => true,
      probe: () => undefined,
      onFailure: () => {},
      onResumed: () => {},
      onStuck: () => {},
    });
    const client = adapted(await adminOf(redis));
    const log = new RedisPurgeLog({
      health: { client: () => client, guard: () => guard, firstConnection: async () => 0, deadlineMs: 1000 },
      clock: new RedisClock(Date.now),
      keysOf: logKeys,
      logLength: 1000,
    });
    await expect(log.purge("p", [TAG], { soft: false })).rejects.toThrow(/it was not sent: too many commands wait/);
  });

  it("by a full Redis is refused, reads go on, and it holds when there is room", async () => {
    const redis = await server();
    const admin = await adminOf(redis);
    const [a, b] = [await process(redis.url), await process(redis.url)];
    await put(a, "p k");
    await a.put("p other", { ...textEntry("other"), generation: a.purges.generation("p") }, 60_000);
    await admin.configSet("maxmemory", "1");
    await expect(purge(b)).rejects.toThrow(/OOM/);
    expect(await b.get("p k")).toBeUndefined();
    expect(textOf(await b.get("p other"))).toBe("other");
    expect(textOf(await a.get("p k"))).toBe("old");
    await admin.configSet("maxmemory", "0");
    await pause(600);
    expect(textOf(await b.get("p other"))).toBe("other");
    expect(await a.get("p k")).toBeUndefined();
  });

  it("by a replica is refused", async () => {
    const redis = await server();
    const admin = await adminOf(redis);
    const a = await process(redis.url);
    await put(a, "p k");
    await admin.sendCommand(["REPLICAOF", "127.0.0.1", "1"]);
    await expect(purge(a)).rejects.toThrow(/READONLY/);
    await admin.sendCommand(["REPLICAOF", "NO", "ONE"]);
    await expect(purge(a, { kind: "name", text: "#b" })).resolves.toBeDefined();
    expect(await a.get("p k")).toBeUndefined();
  });

  it("is not forgotten among a thousand: they become a purge of everything", async () => {
    const redis = await server();
    const proxy = await proxyTo(redis);
    const [a, b] = [await process(redis.url), await process(proxy.url)];
    await put(a, "p k");
    await a.put("p other", { ...textEntry("other"), generation: a.purges.generation("p") }, 60_000);
    proxy.refuse();
    proxy.reset();
    await until(() => b.isAvailable?.() === false);
    await expect(purge(b)).rejects.toMatchObject(NOT_ACKNOWLEDGED);
    for (let index = 0; index < 1000; index += 1) {
      await expect(purge(b, { kind: "name", text: `#${index}` })).rejects.toMatchObject(NOT_ACKNOWLEDGED);
    }
    proxy.pass();
    await until(async () => (await a.get("p k")) === undefined);
    expect(await a.get("p other")).toBeUndefined();
  });
});

describe("a burst of look-ups", () => {
  it("leaves out neither a purge nor a reading of the log", async () => {
    const redis = await server();
    const store = ownStore(redisStore({ url: redis.url, deadlineMs: 2000 }));
    opened(store);
    await untilCaching(store, "p");
    await put(store, "p k");
    const lookUps = Array.from({ length: 1600 }, async (_, index) => store.get(`p ${index}`));
    const [receipt, isVerified] = await Promise.all([purge(store), store.purges.verify("p")]);
    expect(receipt).toBeDefined();
    expect(isVerified).toBe(true);
    await Promise.all(lookUps);
    expect(await store.get("p k")).toBeUndefined();
  });
});

describe("a user without the permission", () => {
  it.each([
    { what: "to run scripts", rules: ["+@all", "-@scripting"] },
    { what: "to read streams", rules: ["+@all", "-@stream"] },
    { what: "to read the log", rules: ["+@all", "resetkeys", "%R~p:1:*}", "~p:1:*:{??????????????????????}"] },
  ])("$what gets misses, never what may have been purged", async ({ rules }) => {
    const redis = await server();
    const admin = await adminOf(redis);
    await admin.sendCommand(["ACL", "SETUSER", "limited", "on", ">sesame", "~*", ...rules]);
    const a = await process(redis.url);
    await put(a, "p k");
    const limited = ownStore(redisStore({ url: `redis://limited:sesame@127.0.0.1:${redis.port}` }));
    const events = opened(limited);
    await until(() => limited.isAvailable?.() === true);
    for (let round = 0; round < 3; round += 1) expect(await limited.get("p k")).toBeUndefined();
    expect(limited.purges.generation("p")).toBe("");
    expect(events.some(({ type }) => type === "operation-failed")).toBe(true);
    await expect(purge(limited)).rejects.toMatchObject(NOT_ACKNOWLEDGED);
    expect(textOf(await a.get("p k"))).toBe("old");
  });
});

describe("another server in place of the first", () => {
  it("that is empty begins a new log, and what one process still holds is purged", async () => {
    const redis = await server();
    const a = await process(redis.url);
    await put(a, "p k");
    const copy = { ...textEntry("copy"), names: ["#a"], generation: a.purges.generation("p") };
    await redis.kill();
    await redis.start();
    await until(() => a.purges.judge("p", "p k", copy) === "purged");
    await untilCaching(a, "p");
  });

  it("that was restarted from a snapshot lacks later purges, also when nobody is left who knows of them", async () => {
    const redis = await server({ keepsDirectory: true });
    const admin = await adminOf(redis);
    const [reader, purger] = [await process(redis.url), await process(redis.url)];
    await put(reader, "p k");
    await purge(reader, { kind: "name", text: "#other" });
    await reader.get("p k");
    await admin.sendCommand(["SAVE"]);
    await purge(purger);
    await purger.close?.();
    await redis.kill();
    await redis.start();
    const late = ownStore(redisStore({ url: redis.url }));
    opened(late);
    for (const store of [reader, late]) {
      await until(() => store.isAvailable?.() === true);
      for (let round = 0; round < 20; round += 1) expect(await store.get("p k")).toBeUndefined();
    }
    const restored = await admin.keys("p:1:*k:{*");
    expect(restored).toHaveLength(1);
    await untilCaching(reader, "p");
    await put(late, "p k");
    expect(textOf(await reader.get("p k"))).toBe("old");
  });

  it("that lacks the last purges is found out by the process that made them, before it is read", async () => {
    const redis = await server();
    const admin = await adminOf(redis);
    const proxy = await proxyTo(redis);
    const [a, b] = [await process(redis.url), await process(proxy.url)];
    await put(a, "p k");
    const { log, end } = logKeys("p");
    const before = await admin.get(end);
    await purge(b);
    const [last] = (await admin.xRevRange(log, "+", "-", { COUNT: 1 })) ?? [];
    // As after a failover to a replica that had not received the purge.
    await admin.xDel(log, last?.id ?? "");
    await admin.set(end, before ?? "");
    expect(textOf(await a.get("p k"))).toBe("old");
    proxy.reset();
    await until(async () => (await a.get("p k")) === undefined);
  });
});

describe("what a purge costs", () => {
  it("is the same few commands for 10 and for 10,000 entries, and none that walks through keys", async () => {
    const redis = await server();
    const admin = await adminOf(redis);
    const a = await process(redis.url);
    await purge(a);
    const counts: string[] = [];
    for (const entries of [10, 10_000]) {
      await a.get("p first");
      const generation = a.purges.generation("p");
      for (let from = 0; from < entries; from += 500) {
        const puts = Array.from({ length: Math.min(500, entries - from) }, async (_, index) =>
          a.put(`p ${from + index}`, { ...textEntry("a"), names: ["#a"], generation }, 60_000),
        );
        await Promise.all(puts);
      }
      await admin.configResetStat();
      await purge(a);
      expect(await a.get("p 0")).toBeUndefined();
      const stats = await admin.info("commandstats");
      const calls = [...stats.matchAll(/cmdstat_(\w+)(?:\|\w+)?:calls=(\d+)/g)].filter(
        ([, name]) => !/^(config|info)$/.test(name ?? ""),
      );
      counts.push(
        calls
          .map(([, name, count]) => `${name} ${count}`)
          .toSorted()
          .join(),
      );
      expect(stats).not.toMatch(/cmdstat_(keys|scan|sscan|hscan|zscan|flush\w+)/);
    }
    expect(counts[0]).toBe("evalsha 1,exists 1,get 1,mget 1,set 1,time 2,xadd 1");
    expect(counts[1]).toBe(counts[0]);
  });
});
