/** Redis down never makes a request hang, whichever client is in use. Real servers, real signals. */

import { setTimeout as pause } from "node:timers/promises";

import { Cluster, Redis } from "ioredis";
import { createClient, createClientPool, createCluster, createSentinel } from "redis";
import { createClientPool as createClientPool5, createCluster as createCluster5 } from "redis5";
import { describe, expect, it } from "vitest";

import { RedisConnection } from "../../../../src/stores/redis/health/connection.ts";
import { redisStore } from "../../../../src/stores/redis/index.ts";
import type { CacheStore, StoreEvent } from "../../../../src/http.ts";
import { SINGLE_NODE_FORMS } from "../../../redis/clients.ts";
import { command } from "../../../redis/command.ts";
import { eachTest } from "../../../redis/each-test.ts";
import { type FailedStart, failedStart, setUser, WRONG_PASSWORD } from "../../../redis/failed-start.ts";
import { freePort, type RedisServer } from "../../../redis/server.ts";
import { opened, textEntry, textOf, typesOf, until, untilCaching } from "../../../redis/store.ts";

/** What a get may take while Redis does not answer: the deadline of 100 ms and room for a busy machine. */
const AT_ONCE_MS = 1000;

const { cleanups, server, ownClient, ownStore } = eachTest();

/** Gets one after the other for `forMs`; none may take long. */
async function getsAtOnce(store: CacheStore, forMs: number): Promise<readonly (string | undefined)[]> {
  const found: (string | undefined)[] = [];
  const untilMs = performance.now() + forMs;
  while (performance.now() < untilMs) {
    const startMs = performance.now();
    found.push(textOf(await store.get("p a")));
    expect(performance.now() - startMs).toBeLessThan(AT_ONCE_MS);
    // A write, which no request waits for, may take ten times as long.
    void store.put("p b", textEntry("b"), 60_000);
    await pause(10);
  }
  return found;
}

describe.each(SINGLE_NODE_FORMS)("Redis down never makes a request hang ($form)", ({ make }) => {
  /** A store over a client of the user's, which caches. */
  async function caching(redis: RedisServer): Promise<{ store: CacheStore; events: StoreEvent[] }> {
    const store = ownStore(redisStore({ client: await ownClient(make(redis.url)) }));
    const events = opened(store);
    await untilCaching(store, "p");
    await store.put("p a", textEntry("a"), 60_000);
    return { store, events };
  }

  it("frozen: a get waits for its deadline, then for nothing; what comes late is not used", async () => {
    const redis = await server();
    const { store, events } = await caching(redis);
    redis.freeze();
    const found = await getsAtOnce(store, 1500);
    expect(found.every((text) => text === undefined)).toBe(true);
    expect(store.isAvailable?.()).toBe(false);
    expect(store.get("p a")).toBeUndefined();
    expect(events.some((event) => "error" in event && /no answer|timed out|timeout/i.test(event.error.message))).toBe(
      true,
    );
    redis.thaw();
    await untilCaching(store, "p");
    expect(textOf(await store.get("p a"))).toBe("a");
  });

  it("killed under load, and started again", async () => {
    const redis = await server();
    const { store, events } = await caching(redis);
    const underWay = Array.from({ length: 50 }, async (_, index) => store.get(`p ${index}`));
    await redis.kill();
    for (const entry of await Promise.all(underWay)) expect(entry).toBeUndefined();
    const found = await getsAtOnce(store, 1000);
    expect(found.every((text) => text === undefined)).toBe(true);
    expect(events.some(({ type }) => type === "connection-failed" || type === "operation-failed")).toBe(true);
    await redis.start();
    await untilCaching(store, "p", 15_000);
    expect(await store.get("p a")).toBeUndefined();
  });
});

describe.each(SINGLE_NODE_FORMS)("a start without Redis is told once, within 5 s ($form)", ({ form, make }) => {
  async function failure(url: string): Promise<FailedStart & { readonly store: CacheStore }> {
    const store = ownStore(redisStore({ connect: () => ownClient(make(url)) }));
    return { store, ...(await failedStart(store)) };
  }

  it("with a closed port, and caches when the server comes", async () => {
    const port = await freePort();
    const { store, error, events } = await failure(`redis://127.0.0.1:${port}`);
    expect(error.message).toMatch(/Check host and port/);
    await pause(500);
    expect(events).toHaveLength(2);
    await server({ port });
    await untilCaching(store, "p", 15_000);
  });

  it("with a host that does not exist", async () => {
    const { error } = await failure("redis://cache.invalid:6379");
    expect(error.message).toMatch(/cache\.invalid/);
    expect(error.message).toMatch(/Check (the host name|host and port)/);
  });

  it("with a wrong password, and caches when it is right", async () => {
    const redis = await server({ password: "right" });
    const { store, error } = await failure(`redis://:${WRONG_PASSWORD}@127.0.0.1:${redis.port}`);
    expect(error.message).toMatch(/WRONGPASS/);
    expect(error.message).toContain("Check the user name and the password.");
    await setUser(redis, "default", WRONG_PASSWORD);
    await untilCaching(store, "p", 15_000);
  });

  it("with a user the server does not know, and caches when it does", async () => {
    const redis = await server({ password: "right" });
    const { store, error } = await failure(`redis://nobody:${WRONG_PASSWORD}@127.0.0.1:${redis.port}`);
    expect(error.message).toMatch(/WRONGPASS/);
    await setUser(redis, "nobody", WRONG_PASSWORD);
    await untilCaching(store, "p", 15_000);
  });

  // Without a password node-redis 5 greets no server, and hears of it from the first command.
  if (form.startsWith("node-redis 5")) return;
  it("with no password where one is asked for", async () => {
    const redis = await server({ password: "right" });
    const { error } = await failure(`redis://127.0.0.1:${redis.port}`);
    expect(error.message).toMatch(/NOAUTH|HELLO must be called with the client already authenticated/);
    expect(error.message).toContain("The server asks for a password");
  });
});

it.each(SINGLE_NODE_FORMS.filter(({ form }) => form.startsWith("node-redis 5")))(
  "a start with no password where one is asked for is told by the gets ($form)",
  async ({ make }) => {
    const redis = await server({ password: "right" });
    const store = ownStore(redisStore({ connect: () => ownClient(make(redis.url.replace(":right@", ""))) }));
    const events = opened(store);
    await until(async () => {
      expect(await store.get("p a")).toBeUndefined();
      return events.some((event) => event.type === "operation-failed" && event.error.message.includes("NOAUTH"));
    }, 5000);
    expect(typesOf(events)).not.toContain("connection-failed");
    await until(async () => {
      expect(await store.get("p a")).toBeUndefined();
      return store.isAvailable?.() === false;
    });
  },
);

/** What `connect` best returns: a client nobody has connected, and nobody listens to. */
const UNCONNECTED = [
  { form: "createClient", make: (port: number) => createClient({ url: urlOf(port) }) },
  { form: "createClientPool", make: (port: number) => createClientPool({ url: urlOf(port) }) },
  { form: "createCluster", make: (port: number) => createCluster({ rootNodes: [{ url: urlOf(port) }] }) },
  {
    form: "createCluster of node-redis 5",
    make: (port: number) => createCluster5({ rootNodes: [{ url: urlOf(port) }] }),
  },
  {
    form: "createSentinel",
    make: (port: number) => createSentinel({ name: "primary", sentinelRootNodes: [{ host: "127.0.0.1", port }] }),
  },
  { form: "ioredis with lazyConnect", make: (port: number) => new Redis(port, "127.0.0.1", { lazyConnect: true }) },
  {
    form: "ioredis Cluster",
    make: (port: number) => new Cluster([{ host: "127.0.0.1", port }], { lazyConnect: true }),
  },
  {
    form: "ioredis with Sentinels",
    make: (port: number) => new Redis({ name: "primary", sentinels: [{ host: "127.0.0.1", port }], lazyConnect: true }),
  },
];

function urlOf(port: number): string {
  return `redis://127.0.0.1:${port}`;
}

describe.each(UNCONNECTED)("connect that returns a client before it is connected ($form)", ({ form, make }) => {
  it("says once, within 5 s, that there is no server, and caches when there is", async () => {
    const port = await freePort();
    const store = ownStore(redisStore({ connect: () => make(port) }));
    const events = opened(store);
    await until(() => events.length >= 2, 5500);
    expect(events[1]).toMatchObject({ type: "connection-failed" });
    await pause(1500);
    expect(events).toHaveLength(2);
    if (/sentinel/i.test(form)) return;
    const isCluster = /cluster/i.test(form);
    const busPort = String(await freePort());
    const asCluster = ["--cluster-enabled", "yes", "--cluster-port", busPort, "--cluster-announce-ip", "127.0.0.1"];
    const config = isCluster ? asCluster : [];
    await server({ port, config });
    if (isCluster) await command(port, "CLUSTER", "ADDSLOTSRANGE", 0, 16_383);
    await untilCaching(store, "p", 15_000);
  });
});

it("connect that waits for its client in vain is told how to know why", async () => {
  const redis = await server({ password: "right" });
  const client = createClient({ url: `redis://:${WRONG_PASSWORD}@127.0.0.1:${redis.port}` });
  cleanups.push(() => client.destroy());
  const store = ownStore(redisStore({ connect: () => client.on("error", () => {}).connect() }));
  const events = opened(store);
  await until(() => events.length >= 2, 6000);
  expect(events[1]).toMatchObject({
    type: "connection-failed",
    error: { message: expect.stringContaining("return it before it is connected") },
  });
});

it.each([
  { form: "node-redis 6", make: (url: string) => createClientPool({ url }, { cleanupDelay: 100 }) },
  { form: "node-redis 5", make: (url: string) => createClientPool5({ url }, { cleanupDelay: 100 }) },
])("a pool let go of while its commands wait for a frozen server throws nothing later ($form)", async ({ make }) => {
  const redis = await server();
  const store = ownStore(redisStore({ connect: () => make(redis.url) }));
  opened(store);
  await untilCaching(store, "p");
  redis.freeze();
  for (let round = 0; round < 4; round += 1) {
    await Promise.all(Array.from({ length: 30 }, async (_, index) => store.get(`p ${index}`)));
  }
  await store.close?.();
  await pause(500);
});

describe("connect, asked for a client that takes the place of one on a frozen server", () => {
  /** What `connect` makes, in turn: on a server that answers, on one that is frozen, and then on one that answers. */
  async function inTurn() {
    const [first, second, third] = [await server(), await server(), await server()];
    second.freeze();
    const made: string[] = [];
    const connect = (): object => {
      const { url } = [first, second][made.length] ?? third;
      made.push(url);
      return createClient({ url });
    };
    return { first, second, third, made, connect };
  }

  it("is asked again when the next one is on a frozen server too, and the store caches over the one after that", async () => {
    const { first, second, third, made, connect } = await inTurn();
    const store = ownStore(redisStore({ connect }));
    const events = opened(store);
    await untilCaching(store, "p");
    expect(made).toEqual([first.url]);

    first.freeze();
    await untilCaching(store, "p", 30_000);
    expect(made.slice(0, 3)).toEqual([first.url, second.url, third.url]);
    expect(await command(third.port, "DBSIZE")).toBeGreaterThan(0);
    expect(events.at(-1)).toMatchObject({ type: "connected", address: third.url });

    // The one given up is gone, and not merely forgotten.
    second.thaw();
    const connections = async (): Promise<number> =>
      String(await command(second.port, "CLIENT", "LIST"))
        .trim()
        .split("\n").length;
    await until(async () => (await connections()) === 1);
  }, 60_000);

  it("and throws, is asked again ever more seldom, tells of it once, and the first is used when it answers", async () => {
    const redis = await server();
    const askedAtMs: number[] = [];
    const connect = (): object => {
      askedAtMs.push(performance.now());
      if (askedAtMs.length > 1) throw new Error("no more clients");
      return createClient({ url: redis.url });
    };
    const store = ownStore(redisStore({ connect }));
    const events = opened(store);
    await untilCaching(store, "p");
    redis.freeze();
    const giveUpAtMs = performance.now() + 24_000;
    while (performance.now() < giveUpAtMs) {
      expect(await store.get("p a")).toBeUndefined();
      await pause(50);
    }
    const pausesMs = askedAtMs.slice(2).map((atMs, index) => atMs - askedAtMs[index + 1]!);
    expect(pausesMs.length).toBeGreaterThanOrEqual(5);
    for (const [index, ms] of pausesMs.entries()) {
      expect(ms).toBeGreaterThanOrEqual(Math.min(5000, 250 * 2 ** index) - 20);
    }
    expect(typesOf(events).filter((type) => type === "connection-failed")).toHaveLength(1);
    redis.thaw();
    await untilCaching(store, "p");
    expect(typesOf(events).at(-1)).toBe("connected");
    const { length } = askedAtMs;
    await pause(9000);
    expect(askedAtMs, "the one that was to be asked next is not needed any more").toHaveLength(length);
  }, 60_000);

  it("is asked again without another command to say that the first is dead", async () => {
    const { first, second, third, made, connect } = await inTurn();
    const events: StoreEvent[] = [];
    // Without a store above it, whose probes would ask for a new client as well.
    const connection = new RedisConnection({
      source: { kind: "made", option: "connect", make: connect, address: "redis" },
      report: (event) => events.push(event),
      onReady: () => {},
      redact: (text) => text,
      startMs: 1000,
    });
    cleanups.push(() => connection.close());
    connection.open();
    await until(() => connection.state === "connected");

    first.freeze();
    connection.rebuild();
    await until(() => connection.state === "connected" && connection.address === third.url, 30_000);
    expect(made.slice(0, 3)).toEqual([first.url, second.url, third.url]);
    expect(typesOf(events)).toEqual(["connecting", "connected", "connection-failed", "connected"]);
  }, 60_000);
});
