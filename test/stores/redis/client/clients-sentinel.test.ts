/** Each family's client that finds its server through Sentinels, through their failovers too. */

import { setTimeout as pause } from "node:timers/promises";

import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { createCache } from "../../../../src/cache.ts";
import { redisStore } from "../../../../src/stores/redis/index.ts";
import { clientContract, ownKey } from "../../../redis/client-contract.ts";
import { SENTINEL_FORMS } from "../../../redis/cluster-clients.ts";
import { command, commandCounts } from "../../../redis/command.ts";
import { eachTest } from "../../../redis/each-test.ts";
import { type SentinelGroup, startSentinel } from "../../../redis/sentinel.ts";
import { adapted, opened, ownPrefix, textEntry, textOf, typesOf, until, untilCaching } from "../../../redis/store.ts";

let group: SentinelGroup;
beforeAll(async () => {
  group = await startSentinel();
}, 60_000);
afterAll(() => group?.stop());

const { cleanups, ownClient, ownStore } = eachTest();

for (const { form, make } of SENTINEL_FORMS) {
  clientContract({
    form,
    make: () => make(group.addresses, group.masterName),
    flushScripts: async () => command((await group.primary()).port, "SCRIPT", "FLUSH"),
    portOf: async () => (await group.primary()).port,
  });
}

const READING_REPLICAS = SENTINEL_FORMS.filter(({ form }) => form.startsWith("node-redis"));

it.each(READING_REPLICAS)("a pair comes from the primary although $form reads from replicas", async ({ make }) => {
  const client = adapted(await ownClient(make(group.addresses, group.masterName, { readsReplicas: true })));
  await until(() => client.isReady());
  const primary = await group.primary();
  const replicas = group.nodes.filter(({ port }) => port !== primary.port);
  for (const { port } of group.nodes) await command(port, "CONFIG", "RESETSTAT");
  const [first, second] = [ownKey("a"), ownKey("b")];
  for (let round = 0; round < 10; round += 1) {
    await client.get(first);
    expect(await client.getPair(first, second)).toEqual([null, null]);
  }
  const byReplicas = await Promise.all(replicas.map(({ port }) => commandCounts(port)));
  expect(byReplicas.reduce((sum, counts) => sum + (counts.get("get") ?? 0), 0)).toBeGreaterThan(0);
  for (const counts of byReplicas) expect(counts.has("mget")).toBe(false);
  expect((await commandCounts(primary.port)).get("mget")).toBe(10);
});

it.each(SENTINEL_FORMS)(
  "a client of $form that connect() returns before it is connected is used once it is",
  async ({ make }) => {
    let made = 0;
    const connect = (): Promise<object> => {
      made += 1;
      return ownClient(make(group.addresses, group.masterName));
    };
    const store = ownStore(redisStore({ connect }));
    const events = opened(store);
    await untilCaching(store, ownPrefix());
    // A client that never says so is given up after five seconds of silence.
    await pause(6000);
    expect(typesOf(events)).toEqual(["connecting", "connected"]);
    expect(made).toBe(1);
  },
);

describe.each(SENTINEL_FORMS)("a short process over $form", ({ make }) => {
  it.each(["waits for cache.ready()", "asks at once"])("fills and hits where it %s", async (how) => {
    const prefix = ownPrefix();
    let runs = 0;
    for (let process = 0; process < 2; process += 1) {
      const connect = (): Promise<object> => ownClient(make(group.addresses, group.masterName));
      const cache = createCache({ store: redisStore({ connect, deadlineMs: 2000 }), prefix });
      if (how !== "asks at once") await cache.ready();
      for (const id of [1, 2, 3]) await cache.wrap(`f${id}`, async () => ++runs)();
      await cache.close();
      expect(runs).toBe(3);
    }
  });
});

const FAILING_OVER = SENTINEL_FORMS.filter(({ form }) => /node-redis 6|ioredis 6/.test(form));

describe.each(FAILING_OVER)("a frozen primary ($form)", ({ make }) => {
  it("costs misses, until the store has a client of the next one", async () => {
    const connect = (): Promise<object> => ownClient(make(group.addresses, group.masterName));
    const store = ownStore(redisStore({ connect }));
    opened(store);
    const prefix = ownPrefix();
    await untilCaching(store, prefix);
    await store.put(`${prefix} a`, textEntry("a"), 60_000);
    expect(textOf(await store.get(`${prefix} a`))).toBe("a");

    const lost = await group.primary();
    lost.freeze();
    cleanups.push(async () => {
      lost.thaw();
      await group.untilHealthy();
    });
    const startMs = performance.now();
    expect(await store.get(`${prefix} a`)).toBeUndefined();
    expect(performance.now() - startMs).toBeLessThan(1000);
    await untilCaching(store, prefix, 25_000);
    expect((await group.primary()).port).not.toBe(lost.port);
  }, 60_000);
});
