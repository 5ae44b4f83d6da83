/** the purge log is an input like the entries. Whatever somebody plants there, nothing purged is served. */

import { afterAll, beforeAll, describe, expect, inject, it } from "vitest";

import { redisStore } from "../../src/stores/redis/index.ts";
import { until } from "../redis/store.ts";
import { type Intruder, intruder, reframed, startWorld, type World } from "./world.ts";

const url = inject("redisUrl");
let redis: Intruder;
beforeAll(async () => {
  redis = await intruder(inject("redisAdminUrl"));
});
afterAll(() => redis.end());

interface LogKeys {
  readonly end: string;
  readonly log: string;
  /** What `end` held. */
  readonly text: string;
}

type Plant = (keys: LogKeys) => Promise<unknown>;

function end(text: (keys: LogKeys) => string): Plant {
  return async (keys) => redis.client.set(keys.end, text(keys));
}

/** Appends a record under the next id of Redis, and makes the end point at it. */
function record(fields: Readonly<Record<string, string>>, times = 1): Plant {
  return async (keys) => {
    const [epoch = "", , count = "0"] = keys.text.split(":");
    const adding = redis.client.multi();
    for (let time = 0; time < times; time += 1) adding.xAdd(keys.log, "*", { ...fields });
    const ids = (await adding.exec()) as unknown as readonly Buffer[];
    await redis.client.set(keys.end, `${epoch}:${ids.at(-1)?.toString()}:${Number(count) + times}`);
  };
}

function other(type: "list" | "hash" | "text", which: "end" | "log"): Plant {
  return async (keys) => {
    const key = keys[which];
    await redis.client.del(key);
    if (type === "list") return redis.client.rPush(key, "a");
    if (type === "hash") return redis.client.hSet(key, "a", "b");
    return redis.client.set(key, "a");
  };
}

const plants: readonly { readonly what: string; readonly plant: Plant }[] = [
  { what: "an end that is nothing", plant: end(() => "") },
  { what: "an end that is no end", plant: end(() => "hello") },
  { what: "an end of 1 MiB", plant: end(({ text }) => text + "0".repeat(1024 * 1024)) },
  { what: "an end with NUL and CR LF", plant: end(({ text }) => text.replace(":", "\0:\r\n")) },
  { what: "an end of another epoch", plant: end(({ text }) => text.replace(/^\w+/, "another")) },
  { what: "an end of an epoch with a pattern", plant: end(({ text }) => text.replace(/^\w+/, "%w+.*")) },
  { what: "an end long ago", plant: end(({ text }) => text.replace(/:\d+-\d+:/, ":1-0:")) },
  { what: "an end in the far future", plant: end(({ text }) => text.replace(/:\d+-\d+:/, ":9999999999999-2047:")) },
  { what: "an end with a time of 400 digits", plant: end(({ text }) => text.replace(/:\d+-/, `:${"9".repeat(400)}-`)) },
  { what: "an end that counts too few records", plant: end(({ text }) => text.replace(/\d+$/, "1")) },
  { what: "an end that counts too many records", plant: end(({ text }) => text.replace(/\d+$/, "999999999999999")) },
  { what: "no end", plant: ({ end: key }) => redis.client.del(key) },
  { what: "no log", plant: ({ log }) => redis.client.del(log) },
  { what: "neither", plant: (keys) => redis.client.del([keys.end, keys.log]) },
  { what: "a log without its last record", plant: ({ log }) => redis.client.xTrim(log, "MAXLEN", 1) },
  { what: "a log without a record", plant: ({ log }) => redis.client.xTrim(log, "MAXLEN", 0) },
  { what: "a record without anything we know", plant: record({ a: "b" }) },
  { what: "a record whose number is no number", plant: record({ n: "x", m: "h", t: '["*"]' }) },
  { what: "a record whose number is 1e999", plant: record({ n: "1e999", m: "h", t: '["*"]' }) },
  { what: "a record whose targets are no JSON", plant: record({ n: "3", m: "h", t: "[" }) },
  { what: "a record whose targets are no texts", plant: record({ n: "3", m: "h", t: '[{"toString":1}]' }) },
  { what: "a record with __proto__", plant: record({ n: "3", ["__proto__"]: "x", t: '{"__proto__":{"polluted":1}}' }) },
  {
    what: "a record nested 30,000 deep",
    plant: record({ n: "3", m: "h", t: "[".repeat(30_000) + "]".repeat(30_000) }),
  },
  { what: "a record with an unknown target", plant: record({ n: "3", m: "h", t: '["?"]' }) },
  { what: "5000 records of the same number", plant: record({ n: "3", m: "s", t: '["nothing"]' }, 5000) },
];

/** A page whose first response was purged, its frame, and the log as it is. */
async function purged(): Promise<{ world: World; key: string; frame: Buffer; keys: LogKeys }> {
  const world = await startWorld({ store: redisStore({ url }) });
  const { prefix } = world;
  await world.untilHit("/page");
  const key = await redis.entryKey(prefix, "page");
  const frame = await redis.read(key);
  await world.cache.purge({ url: "/page" });
  const names = { end: `${prefix}:1:{${prefix}}:pos`, log: `${prefix}:1:{${prefix}}:log` };
  return { world, key, frame, keys: { ...names, text: String(await redis.read(names.end)) } };
}

/** The purged frame comes back again and again; a cache that is in order serves neither it nor anything else for good. */
async function expectRecovery(world: World, key: string, frame: Buffer): Promise<void> {
  for (let round = 0; round < 3; round += 1) {
    await redis.plant(key, frame);
    const answer = await world.get("/page");
    expect(answer.status).toBe(200);
    expect(answer.body).not.toBe("handler 1");
  }
  const before = await world.untilHit("/page");
  expect(before.body).not.toBe("handler 1");
  await until(async () => {
    await world.get("/page");
    return world.cache.purge("all").then(ignore(true), ignore(false));
  });
  const after = await world.get("/page");
  expect(after.body).not.toBe(before.body);
  await world.untilHit("/page");
}

function ignore<T>(value: T): () => T {
  return () => value;
}

describe.each(plants)("$what", ({ plant }) => {
  it("is no way back to what was purged, and does not last", async () => {
    const { world, key, frame, keys } = await purged();
    await plant(keys);
    await expectRecovery(world, key, frame);
    expect(Object.getOwnPropertyNames(Object.prototype)).not.toContain("polluted");
  });

  it("is none for a process that has just started, either", async () => {
    const { world: first, key, frame, keys } = await purged();
    await first.cache.close();
    await plant(keys);
    const world = await startWorld({ store: redisStore({ url }), prefix: first.prefix });
    // Its handler begins to count anew.
    await world.get("/other");
    await expectRecovery(world, key, frame);
  });
});

describe.each([
  { what: "an end that is a list", plant: other("list", "end") },
  { what: "an end that is a hash", plant: other("hash", "end") },
  { what: "a log that is a text", plant: other("text", "log") },
  { what: "a log that is a list", plant: other("list", "log") },
  { what: "a log that is a hash", plant: other("hash", "log") },
])("$what", ({ plant }) => {
  it("serves nothing and purges nothing, says so, and lasts until somebody removes it", async () => {
    const { world, key, frame, keys } = await purged();
    await redis.client.set(keys.end, "another:1-1:7");
    await plant(keys);
    for (let round = 1; round <= 3; round += 1) {
      await redis.plant(key, frame);
      expect(await world.get("/page")).toMatchObject({ status: 200, body: `handler ${world.calls}` });
    }
    await expect(world.cache.purge("all")).rejects.toMatchObject({
      code: "ERR_PURGE_NOT_ACKNOWLEDGED",
      message: expect.stringContaining("WRONGTYPE"),
    });
    expect(world.events).toContainEqual(
      expect.objectContaining({
        type: "operation-failed",
        error: expect.objectContaining({ message: expect.stringContaining("WRONGTYPE") }),
      }),
    );
    await redis.client.del([keys.end, keys.log]);
    await expectRecovery(world, key, frame);
  });
});

it("a record with the last id there is: purges are refused and said to be, and hold here", async () => {
  const { world, keys, key, frame } = await purged();
  const { body } = await world.untilHit("/page");
  await redis.client.xAdd(keys.log, "18446744073709551615-18446744073709551615", { n: "3" });
  await expect(world.cache.purge("all")).rejects.toMatchObject({ code: "ERR_PURGE_NOT_ACKNOWLEDGED" });
  expect((await world.get("/page")).body).not.toBe(body);
  await redis.client.del(keys.log);
  await expectRecovery(world, key, frame);
});

describe("a frame with another generation is a miss", () => {
  it.each([
    { what: "of another epoch", generation: (own: string) => own.replace(/^\w+/, "another") },
    { what: "after all that is known", generation: (own: string) => own.replace(/:\d+/, ":9999999999999") },
    { what: "of no number", generation: (own: string) => own.replace(/:\d+/, ":NaN") },
    { what: "that is nothing", generation: () => "" },
    { what: "that is only an epoch", generation: (own: string) => own.replace(/:.*/, "") },
    { what: "of the beginning", generation: (own: string) => own.replace(/:.*/, ":") },
    { what: "of Infinity", generation: (own: string) => own.replace(/:\d+/, `:${"9".repeat(400)}`) },
    { what: "of a negative position", generation: (own: string) => own.replace(/:.*/, ":-1-0") },
  ])("$what", async ({ generation }) => {
    const world = await startWorld({ store: redisStore({ url }) });
    await world.untilHit("/page");
    await world.cache.purge("all");
    await world.untilHit("/page");
    const key = await redis.entryKey(world.prefix, "page");
    const { calls } = world;
    await redis.plant(
      key,
      reframed(await redis.read(key), (head) => (head["g"] = generation(String(head["g"]))), "planted"),
    );
    const answer = await world.get("/page");
    expect(answer.body).toBe(`handler ${calls + 1}`);
    expect((await world.untilHit("/page")).body).toBe(`handler ${calls + 1}`);
  });

  it("and a log that was set back, with the entries of its time, serves none of them to who knew better", async () => {
    const world = await startWorld({ store: redisStore({ url }) });
    const { prefix } = world;
    await world.untilHit("/page");
    const keys = [await redis.entryKey(prefix, "page"), `${prefix}:1:{${prefix}}:pos`, `${prefix}:1:{${prefix}}:log`];
    const dumps = await Promise.all(keys.map((key) => redis.client.dump(key)));
    await world.cache.purge("all");
    await Promise.all(
      keys.map((key, index) => redis.client.restore(key, 0, dumps[index] as unknown as Buffer, { REPLACE: true })),
    );
    for (let round = 0; round < 5; round += 1) expect((await world.get("/page")).body).not.toBe("handler 1");
    expect((await world.untilHit("/page")).body).not.toBe("handler 1");
  });
});
