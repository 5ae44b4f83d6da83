/** The connection of the Redis store: made, refused, dead, made anew, closed. Real servers. */

import { connect as tcpConnect, createServer, type Server, type Socket } from "node:net";
import { setTimeout as pause } from "node:timers/promises";

import { Redis } from "ioredis";
import { createClient, createClientPool } from "redis";
import { createClient as createClient5 } from "redis5";
import { describe, expect, it } from "vitest";

import { redisStore } from "../../../../src/stores/redis/index.ts";
import { eachTest } from "../../../redis/each-test.ts";
import { freePort } from "../../../redis/server.ts";
import { opened, textEntry, textOf, typesOf, until, untilCaching } from "../../../redis/store.ts";

const { cleanups, server, ownStore } = eachTest();

describe("the connection of the Redis store", () => {
  it("names the reason and the address in the report", async () => {
    const redis = await server({ password: "right" });
    const store = ownStore(redisStore({ url: `redis://:sesame@127.0.0.1:${redis.port}/3` }));
    const events = opened(store);
    await until(() => events.length === 2);
    const address = `redis://127.0.0.1:${redis.port}/3`;
    expect(events[1]).toMatchObject({
      type: "connection-failed",
      address,
      error: { code: "ERR_STORE_UNREACHABLE", message: expect.stringContaining(`${address}: WRONGPASS`) },
    });
  });

  it("connects with the right password, however it is written", async () => {
    const redis = await server({ password: "p@ss:w/rd %" });
    const store = ownStore(redisStore({ url: redis.url }));
    const events = opened(store);
    await untilCaching(store, "p");
    expect(JSON.stringify(events)).not.toMatch(/p@ss|p%40ss/);
  });

  it("makes a new connection when the old one is up and dead", async () => {
    const redis = await server();
    const proxy = await tcpProxy(redis.port);
    const store = ownStore(redisStore({ url: `redis://127.0.0.1:${proxy.port}` }));
    const events = opened(store);
    await untilCaching(store, "p");
    await store.put("p a", textEntry("a"), 60_000);

    proxy.deafen();
    for (let round = 0; round < 6; round += 1) await store.get("p a");
    await untilCaching(store, "p", 15_000);
    expect(textOf(await store.get("p a"))).toBe("a");
    expect(proxy.accepted()).toBeGreaterThan(1);
    expect(typesOf(events).at(-1)).toBe("connected");
  });

  it("tries again when a server accepts and never speaks", async () => {
    const redis = await server();
    const proxy = await tcpProxy(redis.port);
    proxy.deafen({ fromTheStart: true });
    const store = ownStore(redisStore({ url: `redis://127.0.0.1:${proxy.port}` }));
    const events = opened(store);
    await until(() => events.some(({ type }) => type === "connection-failed"), 7000);
    expect(events[1]).toMatchObject({ error: { message: expect.stringContaining("no answer within 5 s") } });
    proxy.hear();
    await untilCaching(store, "p", 15_000);
  });

  it("makes a client anew when connect's was closed for good", async () => {
    const redis = await server();
    const clients: { destroy(): void }[] = [];
    const store = ownStore(
      redisStore({
        connect: async () => {
          const client = await createClient({ url: redis.url, socket: { reconnectStrategy: false } }).connect();
          clients.push(client);
          return client;
        },
      }),
    );
    opened(store);
    await untilCaching(store, "p");
    clients[0]?.destroy();
    expect(store.get("p a")).toBeUndefined();
    await untilCaching(store, "p");
    expect(clients).toHaveLength(2);
  });

  it("calls connect again after it failed", async () => {
    const redis = await server();
    let calls = 0;
    const store = ownStore(
      redisStore({
        connect: () => {
          calls += 1;
          if (calls < 3) throw new Error(`attempt ${calls}`);
          return createClient({ url: redis.url });
        },
      }),
    );
    const events = opened(store);
    await untilCaching(store, "p");
    expect(calls).toBe(3);
    expect(typesOf(events)).toEqual(["connecting", "connection-failed", "connected"]);
    expect(events[1]).toMatchObject({ error: { message: "redis: attempt 1" } });
  });

  it("says what connect returned when it is no client, and does not ask again", async () => {
    let calls = 0;
    const store = ownStore(
      redisStore({
        connect: () => {
          calls += 1;
          return { not: "a client" };
        },
      }),
    );
    const events = opened(store);
    await until(() => events.length === 2);
    await pause(600);
    expect(calls).toBe(1);
    expect(events[1]).toMatchObject({
      error: { message: expect.stringContaining("redisStore({ connect }): expected a client") },
    });
  });

  it("says so when a user's client was never connected", async () => {
    const store = ownStore(redisStore({ client: createClient({ url: "redis://127.0.0.1:1" }) }));
    const events = opened(store);
    await until(() => events.length === 2, 7000);
    expect(events[1]).toMatchObject({
      type: "connection-failed",
      error: { message: expect.stringContaining("is its connect() called?") },
    });
  });

  it("leaves no connection behind when it closes while it connects", async () => {
    const redis = await server();
    const admin = await createClient({ url: redis.adminUrl }).connect();
    cleanups.push(() => admin.destroy());
    const connections = async (): Promise<number> =>
      (await admin.sendCommand<string>(["CLIENT", "LIST"])).trim().split("\n").length;
    for (const make of [
      () => redisStore({ url: redis.url }),
      () => redisStore({ connect: () => createClient5({ url: redis.url }) }),
      () => redisStore({ connect: () => createClientPool({ url: redis.url }) }),
      () => redisStore({ connect: () => new Redis(redis.url) }),
    ]) {
      for (let ticks = 0; ticks < 30; ticks += 1) {
        const store = make();
        opened(store);
        for (let tick = 0; tick < ticks; tick += 1) await Promise.resolve();
        if (ticks % 3 === 0) await new Promise((resolve) => setImmediate(resolve));
        await store.close?.();
      }
    }
    await pause(100);
    expect(await connections()).toBe(1);
  });

  it("is used on by a cache that opens the store while another one closes it", async () => {
    const redis = await server();
    const store = ownStore(redisStore({ url: redis.url, deadlineMs: 1000 }));
    opened(store);
    await untilCaching(store, "p");
    const closed = store.close?.();
    const events = opened(store);
    await closed;
    await untilCaching(store, "p");
    expect(typesOf(events)).toContain("connected");
  });

  it("tells nothing of a password that the server repeats", async () => {
    const redis = await server({ password: "sesame", config: ["--rename-command", "HELLO", ""] });
    const url = `redis://default:sesame@127.0.0.1:${redis.port}`;
    const store = ownStore(redisStore({ connect: () => createClient({ url, disableOfflineQueue: true }) }));
    const events = opened(store);
    await until(() => events.length >= 2);
    expect(events[1]).toMatchObject({ error: { message: expect.stringContaining("unknown command 'HELLO'") } });
    expect(JSON.stringify(events) + String((events[1] as { error: Error }).error.stack)).not.toContain("sesame");
  });

  it("tells nothing of a password that holds a raw @", async () => {
    const connect = (): never => {
      throw new Error("cannot connect to redis://app:top@secret@127.0.0.1:6379");
    };
    const store = ownStore(redisStore({ connect }));
    const events = opened(store);
    await until(() => events.length === 2);
    expect(events[1]).toMatchObject({ error: { message: expect.stringContaining("redis://***@127.0.0.1:6379") } });
    expect(JSON.stringify(events)).not.toMatch(/top|secret/);
  });

  it("closes while Redis is frozen, while it is away, and twice", async () => {
    const redis = await server();
    const frozen = redisStore({ url: redis.url });
    opened(frozen);
    await untilCaching(frozen, "p");
    redis.freeze();
    const get = frozen.get("p a");
    await frozen.close?.();
    expect(await get).toBeUndefined();
    await frozen.close?.();
    redis.thaw();

    const away = redisStore({ url: `redis://127.0.0.1:${await freePort()}` });
    const events = opened(away);
    await until(() => events.length === 2);
    await away.close?.();
    expect(away.get("p a")).toBeUndefined();
    expect(events).toHaveLength(2);
  });
});

/** A proxy that can keep its connections and pass nothing on any more. */
async function tcpProxy(target: number): Promise<{
  port: number;
  accepted(): number;
  /** What is connected now, or is connected until `hear`, gets no answers. */
  deafen(options?: { fromTheStart: boolean }): void;
  hear(): void;
}> {
  const pairs = new Set<{ near: Socket; far: Socket }>();
  let accepted = 0;
  let isDeaf = false;
  const proxy: Server = createServer((near) => {
    accepted += 1;
    near.on("error", () => {});
    if (isDeaf) {
      near.resume();
      return;
    }
    const far = tcpConnect(target, "127.0.0.1");
    far.on("error", () => near.destroy());
    near.on("close", () => far.destroy());
    far.on("close", () => near.destroy());
    near.pipe(far);
    far.pipe(near);
    pairs.add({ near, far });
  });
  const sockets = new Set<Socket>();
  proxy.on("connection", (socket) => sockets.add(socket));
  const port = await freePort();
  await new Promise<void>((resolve) => {
    proxy.listen(port, "127.0.0.1", resolve);
  });
  cleanups.push(() => {
    for (const socket of sockets) socket.destroy();
    proxy.close();
  });
  return {
    port,
    accepted: () => accepted,
    deafen: (options) => {
      isDeaf = options?.fromTheStart === true;
      for (const { near, far } of pairs) {
        near.unpipe(far);
        far.unpipe(near);
        near.resume();
        far.resume();
      }
    },
    hear: () => {
      isDeaf = false;
    },
  };
}
