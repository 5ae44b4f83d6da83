/** Two tiers and purges by other processes: how long a hit in memory may miss one, and what happens while Redis is away. */

import { setTimeout as pause } from "node:timers/promises";

import { createClient } from "redis";
import { describe, expect, inject, it } from "vitest";

import { type MemoryStore, memoryStore } from "../../src/stores/memory/index.ts";
import { redisStore } from "../../src/stores/redis/index.ts";
import { tiered, type TieredOptions } from "../../src/stores/tiered.ts";
import type { CacheStore, FoundEntry, PurgeLog, PurgeTarget, StoreEntry } from "../../src/http.ts";
import { eachTest } from "../redis/each-test.ts";
import { startFaultProxy } from "../redis/fault-proxy.ts";
import type { RedisServer } from "../redis/server.ts";
import { opened, ownPrefix, textEntry, textOf, until } from "../redis/store.ts";

const sharedUrl = inject("redisUrl");
const ALL: readonly PurgeTarget[] = [{ kind: "all" }];
/** What a hit may take while Redis does not answer: a deadline of 100 ms and room for a busy machine. */
const AT_ONCE_MS = 1000;

const { cleanups, server } = eachTest();

/** Each of these has a memory and a connection of its own, as a process of a cluster has. */
class Process {
  readonly prefix: string;
  readonly store: CacheStore;
  readonly purges: PurgeLog;
  readonly upper: MemoryStore;

  constructor(prefix: string, options: TieredOptions, url: string, deadlineMs: number) {
    this.prefix = prefix;
    this.upper = memoryStore();
    this.store = tiered(this.upper, redisStore({ url, deadlineMs }), options);
    const { purges } = this.store;
    if (purges === undefined) throw new Error("No purge log.");
    this.purges = purges;
  }

  key(name: string): string {
    return `${this.prefix} ${name}`;
  }

  /** Stores what the origin would have given now, in both tiers. */
  async fill(name: string, text: string): Promise<void> {
    const generation = this.purges.generation(this.prefix);
    const entry: StoreEntry = { ...textEntry(text), generation, names: ["#tag"], uri: `http://a.example/${name}` };
    await this.store.put(this.key(name), entry, 60_000);
  }

  async get(name: string): Promise<FoundEntry | undefined> {
    return this.store.get(this.key(name));
  }

  async text(name: string): Promise<string | undefined> {
    return textOf(await this.get(name));
  }

  async purge(targets: readonly PurgeTarget[] = ALL, soft = false): Promise<void> {
    await this.purges.purge(this.prefix, targets, { soft });
  }
}

async function aProcess(
  options: TieredOptions = {},
  { url = sharedUrl, prefix = ownPrefix(), deadlineMs = 2000 } = {},
): Promise<Process> {
  const made = new Process(prefix, options, url, deadlineMs);
  cleanups.push(() => made.store.close?.());
  opened(made.store);
  await until(async () => made.purges.verify(prefix));
  return made;
}

/** Reads without a break; returns how long after `sinceMs` the last read began that still found `text`. */
async function lastSeenMs(
  reader: Process,
  name: string,
  text: string,
  sinceMs: number,
  forMs: number,
): Promise<number> {
  let lastMs = -Infinity;
  for (;;) {
    const startMs = performance.now();
    if (startMs - sinceMs > forMs) return lastMs;
    if ((await reader.text(name)) === text) lastMs = startMs - sinceMs;
    await pause(Math.random() * 3);
  }
}

async function readUntil(reader: Process, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    await reader.text("a");
    await pause(0);
  }
}

describe("a purge by another process", () => {
  // The bound is on when a read begins, by one clock, and is kept by what the read itself does. So it needs no allowance for
  // a slow machine: a read that begins later is judged by a log that was read after the purge was acknowledged.
  it.each([
    { maxStalenessMs: 40, purges: 60 },
    { maxStalenessMs: 250, purges: 10 },
  ])("is noticed within $maxStalenessMs ms, $purges times out of $purges", async ({ maxStalenessMs, purges }) => {
    const prefix = ownPrefix();
    const [writer, reader] = await Promise.all([aProcess({}, { prefix }), aProcess({ maxStalenessMs }, { prefix })]);
    const seenMs: number[] = [];
    for (let round = 0; round < purges; round += 1) {
      const text = `v${round}`;
      await reader.store.purges?.verify(prefix);
      await reader.fill("a", text);
      // Purges at any moment between two readings of the log.
      await lastSeenMs(reader, "a", text, performance.now(), Math.random() * maxStalenessMs);
      expect(textOf(reader.upper.get(reader.key("a")))).toBe(text);
      await writer.purge(round % 2 === 0 ? ALL : [{ kind: "name", text: "#tag" }]);
      seenMs.push(await lastSeenMs(reader, "a", text, performance.now(), maxStalenessMs * 1.5));
    }
    expect(Math.max(...seenMs)).toBeLessThanOrEqual(maxStalenessMs);
    // Else nothing was in memory, and the bound was kept by accident.
    expect(seenMs.filter((ms) => ms > 0).length).toBeGreaterThan(purges / 4);
  });

  it("right before one by this process delays the latter not at all", async () => {
    const prefix = ownPrefix();
    const [other, own] = await Promise.all([
      aProcess({}, { prefix }),
      aProcess({ maxStalenessMs: 60_000 }, { prefix }),
    ]);
    await own.fill("a", "old");
    expect(textOf(own.upper.get(own.key("a")))).toBe("old");
    await other.purge([{ kind: "name", text: "#another" }]);
    await own.purge([{ kind: "name", text: "#tag" }]);
    expect(await own.text("a")).toBeUndefined();
    await own.fill("a", "new");
    expect(await own.text("a")).toBe("new");
  });

  it("is noticed by the first read after a rest, whatever the length of the rest", async () => {
    const prefix = ownPrefix();
    const [writer, reader] = await Promise.all([
      aProcess({}, { prefix }),
      aProcess({ maxStalenessMs: 50 }, { prefix }),
    ]);
    for (const restMs of [51, 60, 100, 300]) {
      await reader.purges.verify(prefix);
      await reader.fill("a", "old");
      await writer.purge();
      const ackMs = performance.now();
      while (performance.now() - ackMs < restMs) await pause(restMs / 10);
      expect(await reader.text("a")).toBeUndefined();
    }
  });

  it("is noticed after the event loop was blocked, by a read that is the first thing to happen", async () => {
    const prefix = ownPrefix();
    const [writer, reader] = await Promise.all([aProcess({}, { prefix }), aProcess({}, { prefix })]);
    await reader.fill("a", "old");
    await writer.purge();
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 300);
    expect(await reader.text("a")).toBeUndefined();
  });

  it("is noticed at once with maxStalenessMs: 0, also while another read waits for its proof", async () => {
    const prefix = ownPrefix();
    const [writer, reader] = await Promise.all([aProcess({}, { prefix }), aProcess({ maxStalenessMs: 0 }, { prefix })]);
    for (let round = 0; round < 150; round += 1) {
      await reader.purges.verify(prefix);
      await reader.fill("a", "old");
      expect(await reader.text("a")).toBe("old");
      const purged = new AbortController();
      const others = readUntil(reader, purged.signal);
      await writer.purge();
      const first = reader.text("a");
      purged.abort();
      expect(await first).toBeUndefined();
      await others;
    }
  });

  it("makes a hit stale when it is soft", async () => {
    const prefix = ownPrefix();
    const [writer, reader] = await Promise.all([aProcess({}, { prefix }), aProcess({ maxStalenessMs: 0 }, { prefix })]);
    await reader.fill("a", "kept");
    expect(await reader.get("a")).not.toHaveProperty("outdatedAtMs");
    const beforeMs = Date.now();
    await writer.purge([{ kind: "name", text: "#tag" }], true);
    const hit = await reader.get("a");
    expect(textOf(hit)).toBe("kept");
    expect(Math.abs((hit?.outdatedAtMs ?? 0) - beforeMs)).toBeLessThan(5000);
  });

  it("leaves what was filled after it", async () => {
    const prefix = ownPrefix();
    const [writer, reader] = await Promise.all([aProcess({}, { prefix }), aProcess({ maxStalenessMs: 0 }, { prefix })]);
    await reader.fill("a", "old");
    await writer.purge();
    await writer.fill("a", "new");
    expect(await reader.text("a")).toBe("new");
    await reader.fill("b", "of another name");
    await writer.purge([{ kind: "uri", text: "http://a.example/a" }]);
    expect(await reader.text("a")).toBeUndefined();
    expect(await reader.text("b")).toBe("of another name");
  });
});

describe("a purge by this process", () => {
  it("holds for the next hit, and frees the memory", async () => {
    const here = await aProcess({ maxStalenessMs: 60_000 });
    for (let round = 0; round < 20; round += 1) {
      await here.fill("a", "old");
      expect(textOf(here.store.get(here.key("a")) as StoreEntry)).toBe("old");
      await here.purge();
      expect(await here.text("a")).toBeUndefined();
      expect(here.upper.entryCount).toBe(0);
    }
  });

  it("holds against a copy that was asked for before it", async () => {
    const here = await aProcess({ maxStalenessMs: 60_000 });
    const generation = here.purges.generation(here.prefix);
    await here.purge();
    await here.store.put(here.key("a"), { ...textEntry("computed before"), generation }, 60_000);
    expect(await here.text("a")).toBeUndefined();
    await here.fill("a", "computed after");
    await here.store.put(here.key("a"), { ...textEntry("computed before"), generation }, 60_000);
    expect(textOf(here.store.get(here.key("a")) as StoreEntry)).toBe("computed after");
  });
});

describe("while Redis is away", () => {
  it("a purge during a cut connection holds as soon as the connection is back", async () => {
    const redis = await server();
    const proxy = await startFaultProxy(redis.port);
    cleanups.push(() => proxy.stop());
    const options = { maxStalenessMs: 50, maxUnverifiedMs: 60_000 };
    const writer = await aProcess({}, { url: redis.url, prefix: "p" });
    const reader = await aProcess(options, { url: proxy.url, prefix: "p", deadlineMs: 100 });
    for (let round = 0; round < 3; round += 1) {
      await until(async () => reader.purges.verify("p"));
      await reader.fill("a", "old");
      proxy.refuse();
      proxy.reset();
      await until(() => performance.now() - reader.purges.verifiedAtMs("p") > 100);
      await writer.purge();
      // Cut off, it cannot know: this is what maxUnverifiedMs permits.
      const startMs = performance.now();
      expect(await reader.text("a")).toBe("old");
      expect(performance.now() - startMs).toBeLessThan(AT_ONCE_MS);

      proxy.pass();
      await until(async () => reader.purges.verify("p"));
      expect(await reader.text("a")).toBeUndefined();
    }
  });

  it.each([
    { how: "frozen", away: async (redis: RedisServer) => redis.freeze() },
    { how: "killed", away: async (redis: RedisServer) => redis.kill() },
  ])("$how, hits go on until maxUnverifiedMs, and are stale after it", async ({ away }) => {
    const redis = await server();
    const reader = await aProcess({ maxStalenessMs: 50, maxUnverifiedMs: 700 }, { url: redis.url, deadlineMs: 100 });
    await reader.fill("a", "a");
    await away(redis);
    let staleHits = 0;
    let lastGoodMs = 0;
    const goneAtMs = performance.now();
    while (staleHits < 20) {
      const startMs = performance.now();
      const hit = await reader.get("a");
      const tookMs = performance.now() - startMs;
      expect(textOf(hit)).toBe("a");
      expect(tookMs).toBeLessThan(AT_ONCE_MS);
      if (hit?.outdatedAtMs === undefined) lastGoodMs = startMs - goneAtMs;
      else {
        staleHits += 1;
        // It turned stale when its time without a proof was over, not when it was read.
        expect(hit.outdatedAtMs).toBeLessThanOrEqual(Date.now());
      }
      await pause(20);
      expect(performance.now() - goneAtMs).toBeLessThan(10_000);
    }
    expect(lastGoodMs).toBeGreaterThan(100);
    // By a proof that was asked for before Redis went away.
    expect(lastGoodMs).toBeLessThanOrEqual(700);
  });

  it("frozen, a purge that was not acknowledged makes no hit wait for it to be repeated", async () => {
    // A write, which has ten times as long, would take far more than AT_ONCE_MS.
    const deadlineMs = 300;
    const redis = await server();
    const reader = await aProcess({ maxStalenessMs: 50 }, { url: redis.url, prefix: "p", deadlineMs });
    await reader.fill("a", "a");
    redis.freeze();
    await expect(reader.purge([{ kind: "name", text: "#other" }])).rejects.toMatchObject({
      code: "ERR_PURGE_NOT_ACKNOWLEDGED",
    });
    for (let round = 0; round < 3; round += 1) {
      const startMs = performance.now();
      expect(await reader.text("a")).toBe("a");
      expect(performance.now() - startMs).toBeLessThan(AT_ONCE_MS);
    }
    redis.thaw();
    await until(async () => reader.purges.verify("p"));
    expect(await reader.text("a")).toBe("a");
    await reader.purge([{ kind: "name", text: "#tag" }]);
    expect(await reader.text("a")).toBeUndefined();
  });

  it("what is stored meanwhile is used as long, and is purged with what is older", async () => {
    const redis = await server();
    const reader = await aProcess({ maxStalenessMs: 50, maxUnverifiedMs: 400 }, { url: redis.url, deadlineMs: 100 });
    await redis.kill();
    await until(() => performance.now() - reader.purges.verifiedAtMs(reader.prefix) > 500);
    await reader.fill("a", "meanwhile");
    const storedAtMs = performance.now();
    expect(await reader.get("a")).not.toHaveProperty("outdatedAtMs");
    expect(await reader.text("a")).toBe("meanwhile");
    while (performance.now() - storedAtMs < 450) await pause(20);
    const stale = await reader.get("a");
    expect(textOf(stale)).toBe("meanwhile");
    expect(stale).toHaveProperty("outdatedAtMs");

    // Back without its log: what was purged before is known to nobody, so nothing that is older counts.
    await redis.start();
    await until(async () => reader.purges.verify(reader.prefix));
    expect(await reader.text("a")).toBeUndefined();
    await reader.fill("a", "again");
    expect(await reader.text("a")).toBe("again");
  });

  it("from the start, memory alone is used", async () => {
    const redis = await server();
    await redis.kill();
    const made = new Process("p", { maxUnverifiedMs: 300 }, redis.url, 100);
    cleanups.push(() => made.store.close?.());
    opened(made.store);
    await made.fill("a", "a");
    const storedAtMs = performance.now();
    const hit = await made.get("a");
    if (performance.now() - storedAtMs < 300) expect(hit).not.toHaveProperty("outdatedAtMs");
    expect(textOf(hit)).toBe("a");
    while (performance.now() - storedAtMs < 350) await pause(20);
    expect(await made.get("a")).toHaveProperty("outdatedAtMs");
    expect(made.store.isAvailable?.()).toBe(true);
  });

  it("a thousand hits at once ask for one proof, not for a thousand", async () => {
    const redis = await server();
    const reader = await aProcess({ maxStalenessMs: 50 }, { url: redis.url });
    const admin = createClient({ url: redis.adminUrl });
    await admin.connect();
    cleanups.push(() => admin.destroy());
    await reader.fill("a", "a");
    await pause(100);
    await admin.sendCommand(["CONFIG", "RESETSTAT"]);
    const hits = await Promise.all(Array.from({ length: 1000 }, () => reader.text("a")));
    expect(hits.every((text) => text === "a")).toBe(true);
    const calls = /cmdstat_evalsha:calls=(\d+)/.exec(await admin.info("commandstats"))?.[1];
    expect(Number(calls)).toBe(1);
  });
});
