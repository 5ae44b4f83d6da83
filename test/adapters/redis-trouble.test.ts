/** Redis away, frozen or lost while requests come in. No client sees an error, and none waits long. */

import { Agent } from "node:http";

import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";

import { redisStore } from "../../src/stores/redis/index.ts";
import type { Logger } from "../../src/http.ts";
import { freePort, type RedisServer, startRedis } from "../redis/server.ts";
import { ownPrefix, until } from "../redis/store.ts";
import type { Driver } from "./contract/driver.ts";
import { express4Driver, express5Driver } from "./contract/express-driver.ts";
import { fetchDriver } from "./contract/fetch-driver.ts";
import { honoDriver } from "./contract/hono-driver.ts";
import type { Received } from "./contract/http-client.ts";
import { nodeDriver } from "./contract/node-driver.ts";
import { memoryKind } from "./contract/stores.ts";
import { hitOrMiss, startWorld, type World } from "./contract/world.ts";

const DRIVERS = [express5Driver, express4Driver, honoDriver, nodeDriver, fetchDriver];
const REQUESTS = 200;
const CONNECTIONS = 20;
/** The store's deadline of 100 ms, with room for a machine that does other things as well. */
const ANSWERED_WITHIN_MS = 2_000;

describe.each(DRIVERS.map((driver) => ({ name: driver.name, driver })))("$name", ({ driver }) => {
  let redis: RedisServer;
  beforeAll(async () => {
    redis = await startRedis();
  });
  afterAll(() => redis.kill());

  it("Redis frozen under load: every request is answered by the handler, and caching resumes by itself", async () => {
    const world = await serve(driver, redis.url);
    await untilHit(world);

    redis.freeze();
    onTestFinished(() => redis.thaw());
    const answers = await load(world);
    redis.thaw();

    expect(answers.statuses).toEqual([200]);
    expect(answers.slowestMs).toBeLessThan(ANSWERED_WITHIN_MS);
    await untilHit(world);
  });

  it("Redis killed under load, and started again", async () => {
    const own = await startRedis();
    onTestFinished(() => own.kill());
    const world = await serve(driver, own.url);
    await untilHit(world);

    const loading = load(world);
    await own.kill();
    const answers = await loading;
    const more = await load(world);

    expect([answers.statuses, more.statuses]).toEqual([[200], [200]]);
    expect(Math.max(answers.slowestMs, more.slowestMs)).toBeLessThan(ANSWERED_WITHIN_MS);
    const again = await startRedis({ port: own.port });
    onTestFinished(() => again.kill());
    await untilHit(world);
  });

  it.each(["purges", "refresh"] as const)(
    "Redis frozen: %s() answers, tells what was not purged, and makes up for it",
    async (how) => {
      const world = await serveWrite(driver, redis.url, how);
      await untilHit(world);
      const before = (await world.get("/")).text;

      redis.freeze();
      onTestFinished(() => redis.thaw());
      const answer = await world.send("/write", { method: "PUT" });

      expect([answer.status, answer.text]).toEqual([200, "written"]);
      const failed = world.events.filter(({ type }) => type === "purge-failed");
      expect(failed).toMatchObject([
        {
          targets: expect.arrayContaining([{ kind: "name", text: "#shown" }]) as unknown,
          error: { code: "ERR_PURGE_NOT_ACKNOWLEDGED" },
        },
      ]);
      const refused = { type: "not-stored", subject: "PUT /write", because: "purge-failed" };
      const told = world.events.filter((event) => event.type === "not-stored" && event.subject === "PUT /write");
      expect(told).toEqual(how === "refresh" ? [refused] : []);
      redis.thaw();
      await until(async () => (await world.get("/")).text !== before, 15_000);
    },
  );

  it("5.9 Redis away from the start: logged once, with the reason", async () => {
    const port = await freePort();
    const lines: string[] = [];
    const log = (line: string): void => void lines.push(line);
    const world = await serve(driver, `redis://:secret@127.0.0.1:${port}`, { debug: () => {}, info: log, warn: log });

    const answers = await load(world);
    expect(answers.statuses).toEqual([200]);
    expect(answers.slowestMs).toBeLessThan(ANSWERED_WITHIN_MS);
    expect(world.events.some(({ type }) => type === "connection-failed")).toBe(true);
    const failures = lines.filter((line) => line.startsWith("cannot reach"));
    expect(failures).toHaveLength(1);
    expect(failures[0]).toMatch(new RegExp(`^cannot reach redis at .*127\\.0\\.0\\.1:${port}.*: .*ECONNREFUSED`));
    expect(lines.join("\n")).not.toContain("secret");

    const late = await startRedis({ port, password: "secret" });
    onTestFinished(() => late.kill());
    await untilHit(world);
  });
});

function serve(driver: Driver, url: string, logger?: Logger): Promise<World> {
  const store = redisStore({ url });
  const options = { store, prefix: ownPrefix(), now: Date.now, ...(logger === undefined ? {} : { logger }) };
  return startWorld(memoryKind, options, (cache) =>
    driver.start(cache, [
      { path: "/", handler: () => ({ json: { at: "/" } }) },
      { path: "/:id", handler: async (seen) => ({ json: { url: seen.url } }) },
    ]),
  );
}

/** A tagged page that counts its runs, and a route that writes what it shows. */
function serveWrite(driver: Driver, url: string, how: "purges" | "refresh"): Promise<World> {
  let runs = 0;
  const options = { store: redisStore({ url }), prefix: ownPrefix(), now: Date.now };
  return startWorld(memoryKind, options, (cache) =>
    driver.start(cache, [
      { path: "/", handler: () => ({ text: String(++runs) }), options: { tags: ["shown"] } },
      {
        path: "/write",
        handler: () => ({ text: "written" }),
        make: (cached, rest) => cached[how]({ tags: ["shown"] }, ...rest),
      },
    ]),
  );
}

/** Many requests over some kept connections: of one URL, which collapse, and of many. */
async function load(world: World): Promise<{ statuses: number[]; slowestMs: number }> {
  const agent = new Agent({ keepAlive: true, maxSockets: CONNECTIONS });
  const statuses = new Set<number>();
  let slowestMs = 0;
  const one = async (at: number): Promise<void> => {
    const startedMs = performance.now();
    const received: Received = await world.send(at % 2 === 0 ? "/" : `/${at}?q=${at}`, { agent });
    slowestMs = Math.max(slowestMs, performance.now() - startedMs);
    statuses.add(received.status);
  };
  const lane = async (first: number): Promise<void> => {
    for (let at = first; at < REQUESTS; at += CONNECTIONS) await one(at);
  };
  try {
    await Promise.all(Array.from({ length: CONNECTIONS }, (_, first) => lane(first)));
  } finally {
    agent.destroy();
  }
  return { statuses: [...statuses], slowestMs };
}

/** Waits until the cache stores and finds again. */
async function untilHit(world: World): Promise<void> {
  await until(async () => hitOrMiss(await world.get("/")) === "Hit", 15_000);
}
