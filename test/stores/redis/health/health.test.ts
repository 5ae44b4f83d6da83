/** The states of the health of Redis and what leads from one to the other, with clients that do what a test wants. */

import { afterEach, describe, expect, it } from "vitest";

import type { StoreEvent } from "../../../../src/http.ts";
import { redisClient } from "../../../../src/stores/redis/client/detect.ts";
import type { ClientSource } from "../../../../src/stores/redis/health/connection.ts";
import { RedisHealth } from "../../../../src/stores/redis/health/health.ts";
import { typesOf, until } from "../../../redis/store.ts";
import { FakeClient } from "./fake-client.ts";

const KEY = "p:1:{a}";
const DEADLINE_MS = 20;

const opened: RedisHealth[] = [];
afterEach(async () => {
  for (const health of opened.splice(0)) await health.close();
});

interface World {
  readonly health: RedisHealth;
  readonly events: StoreEvent[];
  backs: number;
}

function healthOf(source: ClientSource): World {
  const events: StoreEvent[] = [];
  const world = { events, backs: 0 };
  const health = new RedisHealth({
    source,
    redact: (text) => text.replaceAll("sesame", "***"),
    deadlineMs: DEADLINE_MS,
    maxEntryBytes: 1000,
    onBack: () => {
      world.backs += 1;
    },
  });
  opened.push(health);
  return Object.assign(world, { health });
}

function over(fake: FakeClient): World {
  const client = redisClient(fake);
  if (client === undefined) throw new Error("not recognised as a client");
  return healthOf({ kind: "given", client });
}

function made(make: () => unknown): World {
  return healthOf({ kind: "made", option: "connect", make, address: "redis" });
}

async function failFiveTimes({ health }: World): Promise<void> {
  for (let round = 0; round < 5; round += 1) await health.guard(KEY).read("get", () => new Promise(() => {}));
}

describe("the health of Redis", () => {
  it("is closed, starting, up, down and up again", () => {
    const fake = new FakeClient();
    const world = over(fake);
    const { health, events } = world;
    expect(health.state).toBe("closed");
    health.open((event) => events.push(event));
    expect(health.state).toBe("starting");
    fake.ready();
    expect(health.state).toBe("up");
    expect(health.client(KEY)).toBeDefined();
    fake.lose();
    expect(health.state).toBe("down");
    expect(health.client(KEY)).toBeUndefined();
    expect(health.lastError).toMatchObject({ code: "ERR_STORE_UNREACHABLE" });
    fake.ready();
    expect(health.state).toBe("up");
    expect(health.lastError).toBeUndefined();
    expect(world.backs).toBe(2);
    expect(typesOf(events)).toEqual(["connecting", "connected", "connection-failed", "connected"]);
  });

  it("is suspended after five failures, and up when a probe is answered", async () => {
    const fake = new FakeClient();
    const world = over(fake);
    const { health, events } = world;
    health.open((event) => events.push(event));
    fake.ready();
    await failFiveTimes(world);
    expect(health.state).toBe("suspended");
    expect(health.client(KEY)).toBeUndefined();
    expect(health.lastError).toMatchObject({ code: "ERR_STORE_SUSPENDED" });
    fake.answer = async () => [null, null];
    await until(() => health.state === "up");
    expect(world.backs).toBe(2);
    expect(typesOf(events).slice(2)).toEqual(["operation-failed", "operation-failed", "connected"]);
  });

  it("is up again over a new connection, whatever failed over the old one", async () => {
    const fake = new FakeClient();
    const world = over(fake);
    world.health.open(() => {});
    fake.ready();
    await failFiveTimes(world);
    fake.lose();
    expect(world.health.state).toBe("down");
    fake.ready();
    expect(world.health.state).toBe("up");
  });

  it("is down when the first connection takes ten deadlines", async () => {
    const { health } = over(new FakeClient());
    health.open(() => {});
    expect(health.state).toBe("starting");
    await until(() => health.state === "down");
  });

  it("starts again when it is opened after it was closed", async () => {
    const { health } = made(() => new FakeClient());
    health.open(() => {});
    await until(() => health.state === "down");
    await health.close();
    expect(health.state).toBe("closed");
    health.open(() => {});
    expect(health.state).toBe("starting");
  });

  it("is unusable when connect returns no client", async () => {
    const { health, events } = made(() => ({}));
    health.open((event) => events.push(event));
    await until(() => health.state === "unusable");
    expect(typesOf(events)).toEqual(["connecting", "connection-failed"]);
  });

  it("takes secrets out of what it reports", async () => {
    const { health } = made(() => {
      throw new Error("no such user: sesame");
    });
    health.open(() => {});
    await until(() => health.state === "down");
    expect(health.lastError?.message).toContain("no such user: ***");
  });

  it("tells a cache that opens it late that Redis is connected", () => {
    const fake = new FakeClient();
    const { health, events } = over(fake);
    health.open(() => {});
    fake.ready();
    health.open((event) => events.push(event));
    expect(typesOf(events)).toEqual(["connected"]);
  });
});

describe("waiting for the first connection", () => {
  it("ends when the connection is up", async () => {
    const fake = new FakeClient();
    const { health } = over(fake);
    health.open(() => {});
    const waiting = health.firstConnection("write");
    fake.ready();
    expect(await waiting).toBeLessThanOrEqual(performance.now());
  });

  it("ends for a look-up with its deadline, and for a write later", async () => {
    const { health } = over(new FakeClient());
    health.open(() => {});
    const ended: string[] = [];
    const write = health.firstConnection("write").then(() => ended.push("write"));
    const lookUp = health.firstConnection("look-up").then(() => ended.push("look-up"));
    await Promise.all([write, lookUp]);
    expect(ended).toEqual(["look-up", "write"]);
  });

  it("leaves a look-up what is left of its deadline for the answer", async () => {
    const { health } = over(new FakeClient());
    expect(await health.inTime(Promise.resolve("answer"))).toBe("answer");
    expect(await health.inTime(new Promise(() => {}), performance.now() - DEADLINE_MS)).toBeUndefined();
    await expect(health.inTime(Promise.reject(new Error("no")))).rejects.toThrow("no");
  });
});
