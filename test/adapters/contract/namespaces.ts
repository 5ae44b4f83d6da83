import { Redis } from "ioredis";
import { expect, inject, it } from "vitest";

import type { CacheStore } from "../../../src/index.ts";
import { ownPrefix } from "../../redis/store.ts";
import { counter, hitOrMiss, type Setup } from "./world.ts";

/** Prefix and hit/miss field. */
export function namespaces(setup: Setup): void {
  it("5.1 the prefix is on every key", async () => {
    const keys: string[] = [];
    const prefix = ownPrefix();
    const { get } = await setup.start(
      [
        { path: "/plain", handler: () => ({ text: "plain" }) },
        { path: "/varied", handler: () => ({ text: "varied", headers: { Vary: "Accept-Language" } }) },
        { path: "/keyed", handler: () => ({ text: "keyed" }), options: { key: () => ["other", 1], vary: ["accept"] } },
      ],
      { prefix, store: recording(setup.kind.make(Date.now), keys) },
    );

    for (const path of ["/plain?a=1", "/varied", "/keyed", "/keyed"]) await get(path);

    expect(keys.length).toBeGreaterThan(6);
    expect(keys.filter((key) => !key.startsWith(`${prefix} `))).toEqual([]);
    if (setup.kind.name === "redis") await expectOwnKeysInRedis(prefix, 4);
  });

  it("5.1 two prefixes in one store never meet", async () => {
    const store = setup.kind.make(Date.now);
    const routes = [{ path: "/", ...counter() }];
    const prefix = ownPrefix();
    const first = await setup.start(routes, { store, prefix, authority: "api.example" });
    const second = await setup.start(routes, { store, prefix: `${prefix}b`, authority: "api.example" });
    const sameAsFirst = await setup.start(routes, { store, prefix, authority: "api.example" });

    expect((await first.get("/")).text).toBe('{"run":1}');
    expect((await second.get("/")).text).toBe('{"run":2}');
    expect((await sameAsFirst.get("/")).text).toBe('{"run":1}');
  });

  it("5.1 the hit/miss field has the configured name, and no other", async () => {
    const { get } = await setup.serve(() => ({ text: "named" }), {}, { responseHeader: "X-MyAPI-Cache" });

    const [miss, hit] = [await get("/"), await get("/")];

    expect(miss.headers["x-myapi-cache"]).toBe("Miss");
    expect(hit.headers["x-myapi-cache"]).toBe("Hit");
    expect([hitOrMiss(miss), hitOrMiss(hit)]).toEqual([undefined, undefined]);
  });
}

function recording(store: CacheStore, keys: string[]): CacheStore {
  return {
    name: store.name,
    open: (report) => store.open?.(report),
    get(key) {
      keys.push(key);
      return store.get(key);
    },
    put(key, entry, retainMs) {
      keys.push(key);
      return store.put(key, entry, retainMs);
    },
    delete(key) {
      keys.push(key);
      return store.delete(key);
    },
    close: () => store.close?.(),
  };
}

/** Everything this prefix wrote, each with an expiry but for the two keys of the purge log. */
async function expectOwnKeysInRedis(prefix: string, count: number): Promise<void> {
  const redis = new Redis(inject("redisAdminUrl"));
  try {
    const log = [`${prefix}:1:{${prefix}}:log`, `${prefix}:1:{${prefix}}:pos`];
    const all = await redis.keys(`*${prefix}*`);
    expect(all).toEqual(expect.arrayContaining(log));
    const keys = all.filter((key) => !log.includes(key));
    expect(keys).toHaveLength(count);
    for (const key of keys) {
      expect(key.startsWith(`${prefix}:`)).toBe(true);
      expect(await redis.pttl(key)).toBeGreaterThan(0);
    }
  } finally {
    redis.disconnect();
  }
}
