/** The Redis store over servers that answer, and say no: each refusal a real one. */

import { setTimeout as pause } from "node:timers/promises";

import { createClient } from "redis";
import { describe, expect, it } from "vitest";

import { redisStore } from "../../../src/stores/redis/index.ts";
import type { CacheStore, StoreEvent } from "../../../src/http.ts";
import { command } from "../../redis/command.ts";
import { eachTest } from "../../redis/each-test.ts";
import { freePort } from "../../redis/server.ts";
import { opened, textEntry, textOf, until, untilCaching } from "../../redis/store.ts";

const { server, ownStore } = eachTest();

function openedStore(options: Parameters<typeof redisStore>[0]): { store: CacheStore; events: StoreEvent[] } {
  const store = ownStore(redisStore(options));
  return { store, events: opened(store) };
}

/** Gets until the store is left out; never an error, never an entry. */
async function untilLeftOut(store: CacheStore): Promise<void> {
  await until(() => store.isAvailable?.());
  await until(async () => {
    expect(await store.get("p a")).toBeUndefined();
    return store.isAvailable?.() === false;
  });
}

function lastFailure(events: readonly StoreEvent[]): string {
  const failed = events.findLast((event) => event.type === "operation-failed");
  return failed === undefined ? "" : failed.error.message;
}

describe("a server that cannot serve is left out until it can", () => {
  it("BUSY: it runs a script without end", async () => {
    const redis = await server({ config: ["--busy-reply-threshold", "50"] });
    const { store, events } = openedStore({ url: redis.url });
    await untilCaching(store, "p");
    const busy = command(redis.port, "EVAL", "while true do end", 0).catch(() => {});
    await untilLeftOut(store);
    await command(redis.port, "SCRIPT", "KILL");
    await busy;
    await untilCaching(store, "p");
    expect(lastFailure(events)).toMatch(/BUSY|no answer/);
  });

  it("MASTERDOWN: it is a replica without its primary", async () => {
    const redis = await server({ replicaOf: await freePort(), config: ["--replica-serve-stale-data", "no"] });
    const { store, events } = openedStore({ connect: () => createClient({ url: redis.url, disableClientInfo: true }) });
    await untilLeftOut(store);
    expect(lastFailure(events)).toContain("MASTERDOWN");
    await command(redis.port, "REPLICAOF", "NO", "ONE");
    await untilCaching(store, "p");
  });

  it("CLUSTERDOWN: it is a node of a cluster without slots", async () => {
    const redis = await server({ config: ["--cluster-enabled", "yes", "--cluster-port", String(await freePort())] });
    const { store, events } = openedStore({ url: redis.url });
    await untilLeftOut(store);
    expect(lastFailure(events)).toContain("CLUSTERDOWN");
    await command(redis.port, "CLUSTER", "ADDSLOTSRANGE", 0, 16_383);
    await untilCaching(store, "p");
  });
});

describe("a server that refuses to write is read", () => {
  it("NOREPLICAS: it has too few replicas", async () => {
    const redis = await server();
    const { store, events } = openedStore({ url: redis.url });
    await untilCaching(store, "p");
    await store.put("p a", textEntry("a"), 60_000);
    await command(redis.port, "CONFIG", "SET", "min-replicas-to-write", 1);
    for (let round = 0; round < 20; round += 1) await store.put("p b", textEntry("b"), 60_000);
    expect(textOf(await store.get("p a"))).toBe("a");
    expect(lastFailure(events)).toContain("NOREPLICAS");
    await command(redis.port, "CONFIG", "SET", "min-replicas-to-write", 0);
    await store.put("p b", textEntry("b"), 60_000);
    expect(textOf(await store.get("p b"))).toBe("b");
  });

  it("READONLY: it became a replica; the store asks for a client of the next primary", async () => {
    const syncingAtOnce = { config: ["--repl-diskless-sync-delay", "0"] };
    const [first, second] = [await server(syncingAtOnce), await server(syncingAtOnce)];
    // A log whose last record is from the second in which a server was started counts as one from a snapshot.
    await pause(1100);
    let urls = [first.url];
    const { store, events } = openedStore({ connect: () => createClient({ url: urls[0]! }) });
    await untilCaching(store, "p");
    await store.put("p a", textEntry("a"), 60_000);
    await command(second.port, "REPLICAOF", "127.0.0.1", first.port);
    await until(async () => (await command(second.port, "DBSIZE")) === (await command(first.port, "DBSIZE")));
    await command(second.port, "REPLICAOF", "NO", "ONE");
    await command(first.port, "REPLICAOF", "127.0.0.1", second.port);
    urls = [second.url];
    await store.put("p b", textEntry("b"), 60_000);
    expect(lastFailure(events)).toContain("READONLY");
    expect(store.isAvailable?.()).toBe(true);
    await untilCaching(store, "p", 15_000);
    expect(textOf(await store.get("p a"))).toBe("a");
  });
});

describe("a user without permissions", () => {
  it("NOPERM: the store is left out, asked seldom, and used when it may", async () => {
    const redis = await server();
    await command(redis.port, "ACL", "SETUSER", "cache", "on", ">sesame", "~p:*", "+@all", "-@read");
    const { store, events } = openedStore({ url: `redis://cache:sesame@127.0.0.1:${redis.port}` });
    await untilLeftOut(store);
    expect(lastFailure(events)).toContain("NOPERM");
    await command(redis.port, "CONFIG", "RESETSTAT");
    await pause(2500);
    const refused = String(await command(redis.port, "INFO", "commandstats"));
    expect(Number(/cmdstat_get:.*rejected_calls=(\d+)/.exec(refused)?.[1] ?? 0)).toBeLessThan(2);
    await command(redis.port, "ACL", "SETUSER", "cache", "+@read");
    await untilCaching(store, "p", 15_000);
  });
});
