/** Entries, purges and leases on all shards of a Cluster, over every client: no command crosses slots. */

import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { createCache } from "../../src/cache.ts";
import { memoryStore } from "../../src/stores/memory/index.ts";
import { redisStore } from "../../src/stores/redis/index.ts";
import { tiered } from "../../src/stores/tiered.ts";
import type { CacheStore, Lease, StoreEntry } from "../../src/http.ts";
import { DOCUMENTED_CLUSTERS } from "../redis/documented-clients.ts";
import { type RedisCluster, startCluster } from "../redis/cluster.ts";
import { command, commandCounts, errorCounts } from "../redis/command.ts";
import { opened, ownPrefix, textEntry, textOf, until } from "../redis/store.ts";

const ENTRIES = 300;
const RETAIN_MS = 60_000;

let cluster: RedisCluster;
beforeAll(async () => {
  cluster = await startCluster();
});
afterAll(async () => {
  await cluster?.stop();
});

describe.each(DOCUMENTED_CLUSTERS)("$form", ({ form, connect }) => {
  const prefix = ownPrefix();
  const keys = Array.from({ length: ENTRIES }, (_, at) => `${prefix} entry ${at}`);
  let store: CacheStore;

  beforeAll(async () => {
    store = redisStore({ connect: connect(cluster.addresses), deadlineMs: 2000 });
    opened(store);
    await until(() => store.purges!.verify(prefix));
    for (const { port } of cluster.nodes) await command(port, "CONFIG", "RESETSTAT");
  });
  afterAll(() => store.close?.());

  it("keeps entries on all shards, each by one command on the shard of its key", async () => {
    await Promise.all(keys.map(async (key, at) => store.put(key, textEntry(`text ${at}`), RETAIN_MS)));
    const found = await Promise.all(keys.map(async (key) => store.get(key)));
    expect(found.map(textOf)).toEqual(keys.map((_, at) => `text ${at}`));

    const shards = await perMaster(async (port) => {
      const entries = ((await command(port, "KEYS", `${prefix}:1:entry*`)) as string[]).length;
      const counts = await commandCounts(port);
      return { entries, set: counts.get("set") ?? 0, get: counts.get("get") ?? 0 };
    });
    console.info(`${form}: ${shards.map((shard) => JSON.stringify(shard)).join(" ")}`);
    expect(sum(shards.map(({ entries }) => entries))).toBe(ENTRIES);
    for (const { entries, set, get } of shards) {
      // Four standard deviations around a third.
      expect(entries).toBeGreaterThan(ENTRIES / 3 - 33);
      expect(entries).toBeLessThan(ENTRIES / 3 + 33);
      expect(set).toBeGreaterThanOrEqual(entries);
      expect(get).toBeGreaterThanOrEqual(entries);
    }
    expect(sum(shards.map(({ set }) => set))).toBeLessThan(ENTRIES * 1.1);
    // Each get reads its entry and the position of the purge log, which is on one shard.
    expect(sum(shards.map(({ get }) => get))).toBeLessThan(ENTRIES * 2.1);
  });

  it("deletes them on all shards", async () => {
    await Promise.all(keys.slice(0, 50).map(async (key) => store.delete(key)));
    const found = await Promise.all(keys.map(async (key) => store.get(key)));
    expect(found.filter((entry) => entry !== undefined)).toHaveLength(ENTRIES - 50);
  });

  it.each(["waits for cache.ready()", "asks at once"])("fills and hits where a process that %s", async (how) => {
    const own = ownPrefix();
    let runs = 0;
    for (let process = 0; process < 2; process += 1) {
      const cache = createCache({
        store: redisStore({ connect: connect(cluster.addresses), deadlineMs: 2000 }),
        prefix: own,
      });
      if (how !== "asks at once") await cache.ready();
      for (const id of [1, 2, 3, 4]) await cache.wrap(`f${id}`, async () => ++runs)();
      await cache.close();
      expect(runs).toBe(4);
    }
  });

  it("purges by name, by URI and all, wherever the entries are", async () => {
    const purges = store.purges!;
    expect(await purges.verify(prefix)).toBe(true);
    const put = async (): Promise<void> => {
      const generation = purges.generation(prefix);
      await Promise.all(
        keys.map(async (key, at) => {
          const of = { names: [at % 2 === 0 ? "even" : "odd"], uri: `http://a.test/${at}`, generation };
          return store.put(key, { ...textEntry(`text ${at}`), ...of }, RETAIN_MS);
        }),
      );
    };
    const left = async (): Promise<number> => {
      const found = await Promise.all(keys.map(async (key) => store.get(key)));
      return found.filter((entry: StoreEntry | undefined) => entry !== undefined).length;
    };
    await put();
    expect(await left()).toBe(ENTRIES);
    await purges.purge(prefix, [{ kind: "name", text: "even" }], { soft: false });
    expect(await left()).toBe(ENTRIES / 2);
    await purges.purge(prefix, [{ kind: "uri", text: "/1" }], { soft: false });
    expect(await left()).toBe(ENTRIES / 2 - 1);
    await purges.purge(prefix, [{ kind: "all" }], { soft: false });
    expect(await left()).toBe(0);
    await put();
    expect(await left()).toBe(ENTRIES);
  });

  it("lets one of two fill a key, on each shard", async () => {
    const other: CacheStore = redisStore({ connect: connect(cluster.addresses), deadlineMs: 2000 });
    opened(other);
    try {
      await until(() => other.purges!.verify(prefix));
      const filled = keys.slice(0, 30);
      await Promise.all(filled.map(async (key) => store.delete(key)));
      const leases = await Promise.all(filled.map((key) => store.leases!.acquire(key)));
      expect(leases.every((lease) => typeof lease === "object")).toBe(true);
      expect(await Promise.all(filled.map((key) => other.leases!.acquire(key)))).toEqual(filled.map(() => "taken"));
      const generation = store.purges!.generation(prefix);
      const kept = await Promise.all(
        leases.map((lease) => (lease as Lease).put({ ...textEntry("filled"), generation }, RETAIN_MS)),
      );
      expect(kept.every(Boolean)).toBe(true);
      const found = await Promise.all(filled.map(async (key) => other.get(key)));
      expect(found.map(textOf)).toEqual(filled.map(() => "filled"));
    } finally {
      await other.close?.();
    }
  });

  it("serves as the lower tier: what one process purges, another no longer has in memory", async () => {
    const tiers = [1, 2].map(() =>
      tiered(memoryStore(), redisStore({ connect: connect(cluster.addresses), deadlineMs: 2000 }), {
        maxStalenessMs: 100,
      }),
    );
    const [one, two] = tiers as [CacheStore, CacheStore];
    tiers.forEach((tier) => opened(tier));
    try {
      for (const tier of tiers) await until(() => tier.purges!.verify(prefix));
      const key = `${prefix} tiered`;
      const generation = one.purges!.generation(prefix);
      await one.put(key, { ...textEntry("both"), names: ["tiered"], generation }, RETAIN_MS);
      expect(textOf(await two.get(key))).toBe("both");
      await one.purges!.purge(prefix, [{ kind: "name", text: "tiered" }], { soft: false });
      await until(async () => (await two.get(key)) === undefined, 2000);
    } finally {
      for (const tier of tiers) await tier.close?.();
    }
  });

  it("no command crosses slots", async () => {
    const crossings = async (): Promise<number> =>
      sum(await perNode(async (port) => (await errorCounts(port)).get("CROSSSLOT") ?? 0));
    expect(await crossings()).toBe(0);
    // It counts what it should count.
    await expect(command(cluster.nodes[0]!.port, "MGET", "a", "b")).rejects.toThrow("CROSSSLOT");
    expect(await crossings()).toBe(1);
  });
});

async function perMaster<T>(ask: (port: number) => Promise<T>): Promise<T[]> {
  const masters = await cluster.masters();
  return Promise.all(masters.map(({ port }) => ask(port)));
}

function perNode<T>(ask: (port: number) => Promise<T>): Promise<T[]> {
  return Promise.all(cluster.nodes.map(({ port }) => ask(port)));
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}
