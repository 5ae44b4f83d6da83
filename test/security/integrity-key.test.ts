/** with an integrity key, nobody who can only write to Redis can make, change or move an entry. */

import { randomBytes } from "node:crypto";

import { afterAll, beforeAll, describe, expect, inject, it } from "vitest";

import { encodeEntry } from "../../src/stores/redis/entry-frame.ts";
import { redisStore } from "../../src/stores/redis/index.ts";
import type { StoreEntry } from "../../src/http.ts";
import { frameParts, type Intruder, intruder, isHit, reframed, startWorld, type World } from "./world.ts";

const url = inject("redisUrl");
const integrityKey = randomBytes(32);
let redis: Intruder;
beforeAll(async () => {
  redis = await intruder(inject("redisAdminUrl"));
});
afterAll(() => redis.end());

function sealing(prefix?: string): Promise<World> {
  return startWorld({ store: redisStore({ url, integrityKey }), ...(prefix === undefined ? {} : { prefix }) });
}

interface SealedHead {
  readonly k: string;
  readonly m: StoreEntry["meta"];
  readonly n: readonly string[];
  readonly u: string;
  readonly g: string;
  readonly x: number;
  readonly o: number;
}

/** What is in a frame, sealed with another key, or not at all. */
function resealed(frame: Buffer, key: Buffer | undefined, text: string): Buffer {
  const { k, m, n, u, g, x, o } = frameParts(frame).head as unknown as SealedHead;
  const entry = { meta: m, body: Buffer.from(text), names: n, uri: u, generation: g };
  const times = { expiresAtMs: x, clockOffsetMs: o };
  return encodeEntry(k, entry, { times, integrityKey: key }) ?? Buffer.alloc(0);
}

describe("a sealed entry", () => {
  it("is read by every process with the key, given as text or as bytes", async () => {
    const text = "a secret of 16 bytes or more";
    const first = await startWorld({ store: redisStore({ url, integrityKey: text }) });
    await first.untilHit("/page");
    const second = await startWorld({
      store: redisStore({ url, integrityKey: new TextEncoder().encode(text) }),
      prefix: first.prefix,
    });
    const answer = await second.untilHit("/page");
    expect([answer.body, second.calls]).toEqual(["handler 1", 0]);
  });

  it("is the only thing that is read: with our own key the very same frame is a hit", async () => {
    const world = await sealing();
    await world.untilHit("/page");
    const key = await redis.entryKey(world.prefix, "page");
    await redis.plant(key, resealed(await redis.read(key), integrityKey, "ours"));
    expect(await world.get("/page")).toMatchObject({ body: "ours" });
  });

  it.each([
    { what: "sealed with another key", plant: (frame: Buffer) => resealed(frame, randomBytes(32), "planted") },
    { what: "sealed with a key of zeros", plant: (frame: Buffer) => resealed(frame, Buffer.alloc(32), "planted") },
    { what: "not sealed", plant: (frame: Buffer) => resealed(frame, undefined, "planted") },
    { what: "without its seal", plant: (frame: Buffer) => frame.subarray(0, -16) },
    {
      what: "with a seal of zeros",
      plant: (frame: Buffer) => Buffer.concat([frame.subarray(0, -16), Buffer.alloc(16)]),
    },
    {
      what: "with another body",
      plant: (frame: Buffer) =>
        withSealOf(
          frame,
          reframed(frame, () => {}, "planted 1"),
        ),
    },
    {
      what: "fresh for longer",
      plant: (frame: Buffer) =>
        withSealOf(
          frame,
          reframed(frame, ({ m }) => (m["freshnessLifetimeSeconds"] = 9999)),
        ),
    },
    {
      what: "of a later generation",
      plant: (frame: Buffer) =>
        withSealOf(
          frame,
          reframed(frame, (head) => (head["g"] = String(head["g"]).replace(/\d$/, "9"))),
        ),
    },
  ])("$what is a miss", async ({ plant }) => {
    const world = await sealing();
    await world.untilHit("/page");
    const key = await redis.entryKey(world.prefix, "page");
    const { calls } = world;
    await redis.plant(key, plant(await redis.read(key)));
    expect(await world.get("/page")).toMatchObject({ status: 200, body: `handler ${calls + 1}` });
    expect(isHit(await world.untilHit("/page"))).toBe(true);
  });

  it("of one process is nothing to another without the key, or with another one", async () => {
    const first = await sealing();
    await first.untilHit("/page");
    for (const other of [undefined, randomBytes(32)]) {
      const store = redisStore({ url, ...(other === undefined ? {} : { integrityKey: other }) });
      const world = await startWorld({ store, prefix: first.prefix });
      await world.untilHit("/other");
      const { calls } = world;
      expect(await world.get("/page")).toMatchObject({ body: `handler ${calls + 1}` });
    }
  });

  it("swapped with another, or put under another key or prefix, is a miss", async () => {
    const world = await sealing();
    const neighbour = await sealing(`${world.prefix}2`);
    await world.untilHit("/mine");
    await world.untilHit("/theirs");
    await neighbour.untilHit("/mine");
    const [mine, theirs, far] = [
      await redis.entryKey(world.prefix, "mine"),
      await redis.entryKey(world.prefix, "theirs"),
      await redis.entryKey(neighbour.prefix, "mine"),
    ];
    const [frame, other] = [await redis.read(mine), await redis.read(theirs)];
    await redis.plant(mine, other);
    await redis.plant(theirs, frame);
    await redis.plant(far, frame);
    for (const [from, path] of [
      [world, "/mine"],
      [world, "/theirs"],
      [neighbour, "/mine"],
    ] as const) {
      const { calls } = from;
      expect(await from.get(path)).toMatchObject({ body: `handler ${calls + 1}` });
    }
  });

  it("swapped entries are misses without a key, too: each is bound to its key", async () => {
    const world = await startWorld({ store: redisStore({ url }) });
    await world.untilHit("/mine");
    await world.untilHit("/theirs");
    const [mine, theirs] = [await redis.entryKey(world.prefix, "mine"), await redis.entryKey(world.prefix, "theirs")];
    const [frame, other] = [await redis.read(mine), await redis.read(theirs)];
    await redis.plant(mine, other);
    await redis.plant(theirs, frame);
    expect(await world.get("/mine")).toMatchObject({ body: "handler 3" });
    expect(await world.get("/theirs")).toMatchObject({ body: "handler 4" });
  });
});

/** Another frame with true lengths and checksum, and the seal of `frame`. */
function withSealOf(frame: Buffer, other: Buffer): Buffer {
  const sealed = Buffer.concat([other, frame.subarray(-16)]);
  sealed.writeUInt8(2, 3);
  return sealed;
}

describe("a wrong integrity key is refused at once, and not printed", () => {
  it.each([
    { value: "" },
    { value: "sesame" },
    { value: "sesame sesame s" },
    { value: Buffer.from("sesame") },
    { value: new Uint8Array(15) },
    { value: null },
    { value: 1234567890123456 },
    { value: ["sesame sesame sesame"] },
    { value: { key: "sesame sesame sesame" } },
    { value: new Uint16Array(16) },
  ])("$value", ({ value }) => {
    let thrown: unknown;
    try {
      redisStore({ url, integrityKey: value as never });
    } catch (error) {
      thrown = error;
    }
    expect(thrown).toMatchObject({ name: "RangeError", code: "ERR_INVALID_OPTION" });
    expect(String(thrown)).toMatch(
      /redisStore\(\{ integrityKey \}\): expected a text or a Uint8Array of at least 16 bytes/,
    );
    expect(`${String(thrown)} ${(thrown as Error).stack}`).not.toMatch(/sesame|1234567890123456/);
  });
});
