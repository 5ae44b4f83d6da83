import { connect } from "node:net";

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";

import { command } from "./command.ts";
import { type FaultProxy, startFaultProxy } from "./fault-proxy.ts";
import { startRedis, type RedisServer } from "./server.ts";
import { until } from "./store.ts";

let server: RedisServer;
let proxy: FaultProxy;
beforeAll(async () => {
  server = await startRedis();
});
beforeEach(async () => {
  proxy = await startFaultProxy(server.port);
});
afterEach(() => proxy.stop());
afterAll(() => server.stop());

/** Milliseconds a command takes through the proxy. */
async function timed(...words: readonly string[]): Promise<number> {
  const startMs = performance.now();
  await command(proxy.port, ...words);
  return performance.now() - startMs;
}

describe("fault proxy", () => {
  it("passes commands and counts what it passed", async () => {
    expect(await command(proxy.port, "PING")).toBe("PONG");
    await until(() => proxy.counters.open === 0);
    // AUTH is 44 bytes and PING 14; +OK is 5 and +PONG 7.
    expect(proxy.counters).toEqual({ connections: 1, open: 0, resets: 0, bytesToServer: 58, bytesToClient: 12 });
  });

  it("delays replies, and no longer after pass()", async () => {
    proxy.delay(200, 50);
    expect(await timed("PING")).toBeGreaterThanOrEqual(199);
    proxy.pass();
    expect(await timed("PING")).toBeLessThan(199);
  });

  it("limits the bandwidth of replies", async () => {
    await command(server.port, "SET", "large", "x".repeat(50_000));
    proxy.limit(100_000);
    expect(await timed("GET", "large")).toBeGreaterThanOrEqual(480);
  });

  it("cuts a reply after so many bytes, once", async () => {
    await command(server.port, "SET", "large", "x".repeat(300_000));
    proxy.cutAfter(1024);
    await expect(command(proxy.port, "GET", "large")).rejects.toThrow();
    expect(proxy.counters).toMatchObject({ resets: 1, bytesToClient: 1024 });
    expect(await command(proxy.port, "GET", "large")).toHaveLength(300_000);
  });

  it("holds everything in a black hole and lets it go afterwards", async () => {
    proxy.blackHole();
    const ping = command(proxy.port, "PING");
    const early = Promise.race([
      ping,
      new Promise((resolve) => {
        setTimeout(() => resolve("silence"), 200);
      }),
    ]);
    expect(await early).toBe("silence");
    proxy.pass();
    expect(await ping).toBe("PONG");
  });

  it("resets the connections there are, and refuses new ones until pass()", async () => {
    const socket = connect({ port: proxy.port, host: "127.0.0.1" });
    const codes: unknown[] = [];
    socket.on("error", (error) => codes.push("code" in error ? error.code : error));
    await until(() => proxy.counters.open === 1);
    proxy.reset();
    await until(() => codes.length === 1);
    expect(codes).toEqual(["ECONNRESET"]);

    proxy.refuse();
    await expect(command(proxy.port, "PING")).rejects.toThrow();
    proxy.pass();
    expect(await command(proxy.port, "PING")).toBe("PONG");
  });
});

describe("a server of startRedis", () => {
  it("starts again after kill() on its port, with what it saved if it keeps its directory", async () => {
    const kept = await startRedis({ keepsDirectory: true, config: ["--appendonly", "yes", "--appendfsync", "always"] });
    const pid = kept.pid;
    await command(kept.port, "SET", "key", "value");
    await kept.kill();
    await kept.start();
    expect(await command(kept.port, "GET", "key")).toBe("value");
    expect(kept.pid).not.toBe(pid);
    await kept.stop();

    const forgetful = await startRedis();
    await command(forgetful.port, "SET", "key", "value");
    await forgetful.kill();
    await forgetful.start();
    expect(await command(forgetful.port, "GET", "key")).toBeNull();
    await forgetful.stop();
  });

  it("takes the lines of an ACL file", async () => {
    const guarded = await startRedis({ acl: ["user default on nopass ~app:* +@read +ping"] });
    await expect(command(guarded.port, "SET", "app:1", "x")).rejects.toThrow("NOPERM");
    await expect(command(guarded.port, "GET", "other")).rejects.toThrow("NOPERM");
    expect(await command(guarded.port, "GET", "app:1")).toBeNull();
    await guarded.stop();
  });
});
