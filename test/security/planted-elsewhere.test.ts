/** planted content that is met on other ways than a plain look-up. */

import { afterAll, beforeAll, describe, expect, inject, it, onTestFinished } from "vitest";

import { createCache } from "../../src/cache.ts";
import { memoryStore } from "../../src/stores/memory/index.ts";
import { redisStore } from "../../src/stores/redis/index.ts";
import { tiered } from "../../src/stores/tiered.ts";
import type { CachedFunction } from "../../src/functions/contract.ts";
import { ownPrefix, until } from "../redis/store.ts";
import { frameOf, frameParts, type Intruder, intruder, reframed, startWorld } from "./world.ts";

const url = inject("redisUrl");
const MIB = 1024 * 1024;
let redis: Intruder;
beforeAll(async () => {
  redis = await intruder(inject("redisAdminUrl"));
});
afterAll(() => redis.end());

function nested(depth: number): string {
  return "[".repeat(depth) + "]".repeat(depth);
}

describe("an entry of a release that is newer", () => {
  it.each([
    { what: "a newer major version", at: 2, byte: 2 },
    { what: "a flag nobody knows yet", at: 3, byte: 0x80 },
    { what: "a flag beside one that is known", at: 3, byte: 3 },
  ])("$what: a miss, and it stays where it is", async ({ at, byte }) => {
    const world = await startWorld({ store: redisStore({ url }) });
    await world.untilHit("/page");
    const key = await redis.entryKey(world.prefix, "page");
    const newer = Buffer.from(await redis.read(key));
    newer[at] = byte;
    await redis.plant(key, newer);
    const { calls } = world;
    // What answers HEAD is not stored, so nothing of ours takes its place.
    for (let round = 1; round <= 3; round += 1) {
      expect((await world.get("/page", { method: "HEAD" })).status).toBe(200);
      expect(world.calls).toBe(calls + round);
    }
    expect((await redis.read(key)).equals(newer)).toBe(true);
  });
});

it("a flipped bit, wherever it is: the handler answers", async () => {
  const world = await startWorld({ store: redisStore({ url }) });
  const original = (await world.untilHit("/page")).body;
  const key = await redis.entryKey(world.prefix, "page");
  const frame = await redis.read(key);
  for (let bit = 0; bit < frame.length * 8; bit += 11) {
    const flipped = Buffer.from(frame);
    flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7));
    await redis.plant(key, flipped);
    expect([bit, (await world.get("/page")).body]).not.toEqual([bit, original]);
  }
});

describe("in front of Redis, memory", () => {
  it("keeps nothing of a planted entry, of 64 MiB or 30,000 levels, and serves what it has", async () => {
    const memory = memoryStore();
    const lower = redisStore({ url });
    const world = await startWorld({ store: tiered(memory, lower) });
    await until(() => lower.isAvailable?.());
    await world.untilHit("/page");
    await until(async () => (await redis.entryKeys(world.prefix)).length === 1);
    const key = await redis.entryKey(world.prefix, "page");
    const frame = await redis.read(key);
    const head = JSON.stringify(frameParts(frame).head);
    const plants = [
      frameOf(head, Buffer.alloc(64 * MIB, "planted")),
      frameOf(head.replace('"m":{', `"m":{"deep":${nested(30_000)},`), "planted 1"),
      reframed(frame, ({ m }) => (m["status"] = 999), "planted 2"),
    ];
    for (const planted of plants) {
      await redis.plant(key, planted);
      const other = await startWorld({ store: tiered(memoryStore(), redisStore({ url })), prefix: world.prefix });
      for (let round = 0; round < 3; round += 1) {
        expect((await world.get("/page")).body).toMatch(/^handler /);
        expect((await other.get("/page")).body).toMatch(/^handler /);
      }
      expect(memory.sizeBytes).toBeLessThan(MIB);
    }
  });
});

describe("the result of a function", () => {
  const parts: readonly { readonly what: string; readonly text: string }[] = [
    { what: "nothing", text: "" },
    { what: "no JSON", text: "{" },
    { what: "a number", text: "7" },
    { what: "a place that is not there", text: "[[7]]" },
    { what: "a place before the first", text: "[[-99]]" },
    { what: "an unknown type", text: '[["Function","return 1"]]' },
    { what: "a __proto__", text: '[{"__proto__":1},{"polluted":2},true]' },
    { what: "an object without a prototype and a __proto__", text: '[["null","__proto__",1],{"polluted":2},true]' },
    { what: "a sparse list of 4 billion", text: "[[-7,4294967295]]" },
    { what: "a typed array of no buffer", text: '[["Uint8Array",1],{"byteLength":1e9}]' },
    { what: "a buffer that is no base64", text: '[["ArrayBuffer",{"length":1000000000}]]' },
    { what: "a Buffer of something else", text: '[["Buffer",1],"planted"]' },
    { what: "a RegExp of exponential time", text: '[["RegExp","(a+)+$","zz"]]' },
    { what: "a URL that is none", text: '[["URL","planted"]]' },
    { what: "a Temporal that is none", text: '[["Temporal.Instant","planted"]]' },
    { what: "30,000 levels", text: nested(30_000) },
    { what: "30,000 objects, each in the one before", text: chain(30_000) },
  ];

  function chain(length: number): string {
    return `[${Array.from({ length }, (_, index) => `{"a":${index + 1}}`).join(",")},1]`;
  }

  async function wrapped(): Promise<{ rate: CachedFunction<[string], string>; prefix: string; calls: () => number }> {
    const store = redisStore({ url });
    const prefix = ownPrefix();
    const cache = createCache({ store, prefix });
    onTestFinished(() => cache.close());
    await until(() => store.isAvailable?.());
    let calls = 0;
    const rate = cache.wrap("rate", (_currency: string) => `function ${(calls += 1)}`);
    await until(async () => {
      const before = calls;
      await rate("EUR");
      return calls === before;
    });
    return { rate, prefix, calls: () => calls };
  }

  it.each(parts)("$what: the function runs, or a value comes that is only a value", async ({ text }) => {
    const { rate, prefix, calls } = await wrapped();
    const key = await redis.entryKey(prefix, "rate");
    const before = Object.getOwnPropertyDescriptors(Object.prototype);
    const called = calls();
    await redis.plant(
      key,
      reframed(await redis.read(key), () => {}, text),
    );
    const value: unknown = await rate("EUR");
    if (calls() > called) expect(value).toBe(`function ${calls()}`);
    else expect(typeof value).not.toBe("function");
    expect(Object.getOwnPropertyDescriptors(Object.prototype)).toEqual(before);
    expect((value as { polluted?: unknown } | null)?.polluted).toBeUndefined();
  });

  it.each([
    { what: "a time that is text", meta: { receivedAtMs: "1" } },
    { what: "a lifetime of -1", meta: { freshnessLifetimeSeconds: -1 } },
    { what: "a kind of something else", meta: { kind: "response" } },
    { what: "no kind", meta: { kind: null } },
  ])("$what: the function runs", async ({ meta }) => {
    const { rate, prefix, calls } = await wrapped();
    const key = await redis.entryKey(prefix, "rate");
    const called = calls();
    await redis.plant(
      key,
      reframed(await redis.read(key), (head) => Object.assign(head.m, meta), '["planted"]'),
    );
    expect(await rate("EUR")).toBe(`function ${called + 1}`);
  });
});
