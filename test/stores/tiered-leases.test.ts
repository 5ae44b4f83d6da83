/** Leases through two tiers: a copy in memory must not hide what another process fills or has filled. */

import { createClient } from "redis";
import { describe, expect, inject, it, onTestFinished } from "vitest";

import type { CacheStore, Lease, StoreEntry } from "../../src/http.ts";
import { startRedis } from "../redis/server.ts";
import { textOf, until } from "../redis/store.ts";
import { aProcess, copied, fresh, twoProcesses } from "./tiers.ts";

async function held(store: CacheStore, key: string): Promise<Lease> {
  await store.get(key);
  const lease = await store.leases?.acquire(key);
  if (lease === undefined || lease === "taken") throw new Error(`The lease on ${key} is ${lease}.`);
  return lease;
}

describe("leases over two tiers", () => {
  it("put what they store into memory as well", async () => {
    const { prefix, here } = await twoProcesses({ maxStalenessMs: 60_000 });
    const lease = await held(here.store, `${prefix} a`);
    expect(await lease.put(fresh(here.store, prefix, "a"), 60_000)).toBe("stored");
    expect(textOf(here.store.get(`${prefix} a`) as StoreEntry)).toBe("a");
  });

  it("keep nothing in memory when they were lost, not even what was there before", async () => {
    const { prefix, here, there } = await twoProcesses({ maxStalenessMs: 60_000 });
    const key = `${prefix} a`;
    await here.store.put(key, fresh(here.store, prefix, "stale", { version: 1 }), 60_000);
    const lease = await held(here.store, key);
    const raw = createClient({ url: inject("redisAdminUrl") });
    await raw.connect();
    onTestFinished(() => raw.close());
    await raw.del(await raw.keys(`${prefix}:1:*lease*`));
    const theirs = await held(there.store, key);
    expect(await theirs.put(fresh(there.store, prefix, "theirs", { version: 2 }), 60_000)).toBe("stored");
    expect(await lease.put(fresh(here.store, prefix, "ours", { version: 2 }), 60_000)).toBe("lost");
    expect(textOf(await here.store.get(key))).toBe("theirs");
  });

  it("that another process holds let the copy here be seen through, until the new version is there", async () => {
    const { prefix, here, there } = await twoProcesses({ maxStalenessMs: 60_000 });
    const key = `${prefix} a`;
    await there.store.put(key, fresh(there.store, prefix, "v1", { version: 1 }), 60_000);
    await here.store.get(key);
    await copied();
    const theirs = await held(there.store, key);
    expect(await here.store.leases?.acquire(key)).toBe("taken");
    for (let round = 0; round < 3; round += 1) {
      expect(textOf(await here.store.get(key))).toBe("v1");
      await copied();
    }
    await theirs.put(fresh(there.store, prefix, "v2", { version: 2 }), 60_000);
    expect(textOf(await here.store.get(key))).toBe("v2");
    await copied();
    expect(textOf(here.store.get(key) as StoreEntry)).toBe("v2");
  });

  it("are not had for what another process has renewed already: the copy here is only older", async () => {
    const { prefix, here, there } = await twoProcesses({ maxStalenessMs: 60_000 });
    const key = `${prefix} a`;
    await there.store.put(key, fresh(there.store, prefix, "v1", { version: 1 }), 60_000);
    await here.store.get(key);
    await copied();
    await there.store.put(key, fresh(there.store, prefix, "v2", { version: 2 }), 60_000);
    expect(textOf(await here.store.get(key))).toBe("v1");
    const acquiring = here.store.leases?.acquire(key);
    expect(textOf(await here.store.get(key))).toBe("v2");
    expect(await acquiring).toBe("taken");
    await copied();
    expect(textOf(here.store.get(key) as StoreEntry)).toBe("v2");
    // The same version in both tiers: whoever wants to renew it may. The lease from before was given back.
    await until(async () => typeof (await here.store.leases?.acquire(key)) === "object");
  });
});

describe("leases over two tiers, while Redis is away", () => {
  it("leave the copy in memory in use", async () => {
    const redis = await startRedis();
    onTestFinished(() => redis.kill());
    const { store } = await aProcess("p", { maxStalenessMs: 60_000 }, redis.url);
    await store.put("p a", fresh(store, "p", "a"), 60_000);
    await redis.kill();
    await until(async () => (await store.leases?.acquire("p a")) === undefined);
    expect(textOf(store.get("p a") as StoreEntry)).toBe("a");
  });
});
