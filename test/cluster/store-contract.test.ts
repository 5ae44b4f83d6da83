/** What every store promises, and leases, over a real Cluster and behind real Sentinels, alone and with a memory tier. */

import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { memoryStore } from "../../src/stores/memory/index.ts";
import { redisStore } from "../../src/stores/redis/index.ts";
import type { RedisStore } from "../../src/stores/redis/store.ts";
import { tiered } from "../../src/stores/tiered.ts";
import { storeContract } from "../../src/testing.ts";
import { type RedisCluster, startCluster } from "../redis/cluster.ts";
import { DOCUMENTED_CLUSTERS, DOCUMENTED_SENTINELS } from "../redis/documented-clients.ts";
import { eachTest } from "../redis/each-test.ts";
import { type SentinelGroup, startSentinel } from "../redis/sentinel.ts";
import { opened, ownPrefix, textEntry, textOf, until, untilCaching } from "../redis/store.ts";

let cluster: RedisCluster;
let group: SentinelGroup;
beforeAll(async () => {
  cluster = await startCluster();
  group = await startSentinel();
}, 90_000);
afterAll(async () => {
  await cluster?.stop();
  await group?.stop();
});

const { ownStore } = eachTest();

/** A busy machine must not turn a hit into a miss. */
const deadlineMs = 2000;

const FORMS: readonly { readonly form: string; readonly make: () => RedisStore }[] = [
  ...DOCUMENTED_CLUSTERS.map(({ form, connect }) => ({
    form,
    make: () => redisStore({ connect: connect(cluster.addresses), deadlineMs }),
  })),
  ...DOCUMENTED_SENTINELS.map(({ form, connect }) => ({
    form,
    make: () => redisStore({ connect: connect(group.masterName, group.addresses), deadlineMs }),
  })),
];

describe.each(FORMS)("over $form", ({ make }) => {
  storeContract({ describe, it, createStore: make });

  it("a copy in memory obeys purges and soft purges of another process", async () => {
    const prefix = ownPrefix();
    const here = ownStore(make());
    const tier = ownStore(tiered(memoryStore(), make(), { maxStalenessMs: 0 }));
    for (const store of [here, tier]) {
      opened(store);
      await until(() => store.purges?.verify(prefix));
    }
    const put = async (): Promise<void> => {
      const entry = { ...textEntry("kept"), names: ["#a"], generation: tier.purges?.generation(prefix) ?? "" };
      await tier.put(`${prefix} k`, entry, 60_000);
      expect(textOf(await tier.get(`${prefix} k`))).toBe("kept");
    };
    await put();
    await here.purges.purge(prefix, [{ kind: "name", text: "#a" }], { soft: true });
    expect(await tier.get(`${prefix} k`)).toMatchObject({ outdatedAtMs: expect.any(Number) });
    await here.purges.purge(prefix, [{ kind: "name", text: "#a" }], { soft: false });
    expect(await tier.get(`${prefix} k`)).toBeUndefined();
  });

  it("one of two processes has a lease, and fills", async () => {
    const prefix = ownPrefix();
    const [one, two] = [ownStore(make()), ownStore(make())];
    for (const store of [one, two]) {
      opened(store);
      await untilCaching(store, prefix, 15_000);
    }
    const key = `${prefix} k`;
    const lease = await one.leases.acquire(key);
    if (typeof lease !== "object") throw new Error(String(lease));
    expect(await two.leases.acquire(key)).toBe("taken");
    const entry = { ...textEntry("filled"), generation: one.purges.generation(prefix) };
    expect(await lease.put(entry, 60_000)).toBe("stored");
    expect(textOf(await two.get(key))).toBe("filled");
    const next = await two.leases.acquire(key);
    expect(next).toBeTypeOf("object");
    if (typeof next === "object") next.release();
  });
});
