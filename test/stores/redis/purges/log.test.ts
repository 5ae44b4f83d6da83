/** The purge log of the Redis store, as several processes see it. */

import { describe, expect, inject, it } from "vitest";

import type { RedisClient } from "../../../../src/stores/redis/client/port.ts";
import type { PurgeTarget } from "../../../../src/http.ts";
import { ownPrefix, textOf, until } from "../../../redis/store.ts";
import { entry, fill, HARD, logKeys, processes, SOFT, TAG } from "./log-store.ts";

const { admin, client, over, process } = processes(inject("redisUrl"), inject("redisAdminUrl"));

describe("a purge holds in every process", () => {
  it("against what was stored before it, and not against what is fetched after it", async () => {
    const [prefix, a, b] = [ownPrefix(), process(0), process(1)];
    const key = `${prefix} k`;
    await fill(a, key, () => "old");
    expect(await fill(b, key, () => "other")).toBe("old");
    await a.purges.purge(prefix, [TAG], HARD);
    expect(await b.get(key)).toBeUndefined();
    expect(await a.get(key)).toBeUndefined();
    await fill(a, key, () => "new");
    expect(textOf(await b.get(key))).toBe("new");
    expect(textOf(await a.get(key))).toBe("new");
  });

  it.each<{ target: (key: string) => PurgeTarget }>([
    { target: () => ({ kind: "all" }) },
    { target: () => TAG },
    { target: (key) => ({ kind: "key", text: key }) },
    { target: () => ({ kind: "uri", text: "https://api.test/users/7?x=1" }) },
    { target: () => ({ kind: "uri", text: "/users/7?x=1" }) },
    { target: () => ({ kind: "under", text: "/users" }) },
    { target: () => ({ kind: "under", text: "https://api.test/users/" }) },
  ])("by $target", async ({ target }) => {
    const [prefix, a, b] = [ownPrefix(), process(0), process(1)];
    const [key, neighbour] = [`${prefix} k`, `${prefix} n`];
    await b.get(key);
    const generation = b.purges.generation(prefix);
    await b.put(key, entry("a", generation, { uri: "https://api.test/users/7?x=1" }), 60_000);
    await b.put(neighbour, entry("b", generation, { names: ["#ab"], uri: "https://api.test/usersAbc" }), 60_000);
    await a.purges.purge(prefix, [target(key)], HARD);
    expect(await b.get(key)).toBeUndefined();
    if (target(key).kind !== "all") expect(textOf(await b.get(neighbour))).toBe("b");
  });

  it("also when it was being filled while it was purged elsewhere", async () => {
    const [prefix, a, b] = [ownPrefix(), process(0), process(1)];
    const key = `${prefix} k`;
    const served = await fill(a, key, async () => {
      await b.purges.purge(prefix, [TAG], HARD);
      return "read before the purge";
    });
    expect(served).toBe("read before the purge");
    expect(await a.get(key)).toBeUndefined();
    expect(await b.get(key)).toBeUndefined();
    expect(await fill(b, key, () => "new")).toBe("new");
    expect(textOf(await a.get(key))).toBe("new");
  });

  it("and is then not even sent to Redis where the purge is known", async () => {
    const [prefix, a] = [ownPrefix(), process(0)];
    await fill(a, `${prefix} k`, async () => {
      await a.purges.purge(prefix, [TAG], HARD);
      return "old";
    });
    expect(await admin().keys(`${prefix}:1:k:*`)).toEqual([]);
  });

  it("whatever the clocks of the processes say", async () => {
    const prefix = ownPrefix();
    const ahead = process(0, { now: () => Date.now() + 300_000 });
    const behind = process(1, { now: () => Date.now() - 300_000 });
    for (const [purger, filler] of [
      [ahead, behind],
      [behind, ahead],
    ] as const) {
      const key = `${prefix} ${purger === ahead ? "purged ahead" : "purged behind"}`;
      await fill(filler, key, () => "old");
      await purger.purges.purge(prefix, [TAG], HARD);
      expect(await filler.get(key)).toBeUndefined();
      await fill(filler, key, () => "new");
      expect(textOf(await purger.get(key))).toBe("new");
    }
  });

  it("and an entry says how its writer's clock differs", async () => {
    const prefix = ownPrefix();
    const [ahead, here] = [process(0, { now: () => Date.now() + 300_000 }), process(1)];
    await fill(ahead, `${prefix} k`, () => "a");
    const found = await here.get(`${prefix} k`);
    expect(found?.clockShiftMs).toBeGreaterThan(-301_000);
    expect(found?.clockShiftMs).toBeLessThan(-299_000);
    expect(found?.retainMs).toBeGreaterThan(50_000);
    expect(found?.retainMs).toBeLessThanOrEqual(60_100);
    expect((await ahead.get(`${prefix} k`))?.clockShiftMs).toBeUndefined();
    await fill(here, `${prefix} l`, () => "b");
    expect((await ahead.get(`${prefix} l`))?.clockShiftMs).toBeGreaterThan(299_000);
  });

  it("also when a SET under way meanwhile arrives after it", async () => {
    const prefix = ownPrefix();
    const held: (() => void)[] = [];
    const real = client(0);
    const slow = Object.assign(Object.create(real) as RedisClient, {
      set: async (...args: Parameters<RedisClient["set"]>) => {
        await new Promise<void>((resolve) => void held.push(resolve));
        return real.set(...args);
      },
    });
    const [a, b] = [over(slow), process(1)];
    const key = `${prefix} k`;
    await a.get(key);
    const putting = a.put(key, entry("late", a.purges.generation(prefix)), 60_000);
    await until(() => held.length === 1);
    await b.purges.purge(prefix, [{ kind: "key", text: key }], HARD);
    expect(await admin().keys(`${prefix}:1:k:*`)).toEqual([]);
    held[0]?.();
    await putting;
    expect(await admin().keys(`${prefix}:1:k:*`)).toHaveLength(1);
    expect(await b.get(key)).toBeUndefined();
    expect(await a.get(key)).toBeUndefined();
  });

  it("and leaves every other prefix alone", async () => {
    const [prefix, a, b] = [ownPrefix(), process(0), process(1)];
    const others = [`${prefix}2`, prefix.slice(0, -1), `${prefix}.${prefix}`];
    for (const each of [prefix, ...others]) await fill(a, `${each} k`, () => each);
    await b.purges.purge(prefix, [{ kind: "all" }], HARD);
    for (const each of others) expect(textOf(await b.get(`${each} k`))).toBe(each);
    for (const each of others) expect(textOf(await a.get(`${each} k`))).toBe(each);
    expect(await a.get(`${prefix} k`)).toBeUndefined();
  });

  it("holds against an entry that says no generation, until it is put again", async () => {
    const [prefix, a, b] = [ownPrefix(), process(0), process(1)];
    const { generation: _, ...plain } = entry("a", "");
    await a.put(`${prefix} k`, plain, 60_000);
    expect(textOf(await b.get(`${prefix} k`))).toBe("a");
    await b.purges.purge(prefix, [{ kind: "key", text: `${prefix} other` }], HARD);
    expect(textOf(await a.get(`${prefix} k`))).toBe("a");
    await b.purges.purge(prefix, [TAG], HARD);
    expect(await a.get(`${prefix} k`)).toBeUndefined();
  });

  it("keeps nothing whose generation was unknown when it was asked for", async () => {
    const [prefix, a] = [ownPrefix(), process(0)];
    for (const round of [1, 2]) {
      await a.put(`${prefix} k`, entry(`round ${round}`, ""), 60_000);
      expect(await a.get(`${prefix} k`)).toBeUndefined();
      expect(await admin().keys(`${prefix}:1:k:*`)).toEqual([]);
    }
  });

  it("with a thousand targets at once, each of them", async () => {
    const [prefix, a, b] = [ownPrefix(), process(0), process(1)];
    await b.get(`${prefix} k`);
    const generation = b.purges.generation(prefix);
    for (const index of [0, 199, 200, 999, 1000]) {
      await b.put(`${prefix} ${index}`, entry("a", generation, { names: [`#${index}`] }), 60_000);
    }
    const targets = Array.from({ length: 1000 }, (_, index): PurgeTarget => ({ kind: "name", text: `#${index}` }));
    await a.purges.purge(prefix, targets, HARD);
    for (const index of [0, 199, 200, 999]) expect(await b.get(`${prefix} ${index}`)).toBeUndefined();
    expect(textOf(await b.get(`${prefix} 1000`))).toBe("a");
  });
});

describe("a soft purge", () => {
  it("says since when an entry is stale, on the clock of the reader", async () => {
    const prefix = ownPrefix();
    const [a, b] = [process(0), process(1, { now: () => Date.now() + 300_000 })];
    await fill(a, `${prefix} k`, () => "a");
    const before = Date.now();
    await a.purges.purge(prefix, [TAG], SOFT);
    const after = Date.now();
    const seenByA = (await a.get(`${prefix} k`))?.outdatedAtMs ?? 0;
    const seenByB = (await b.get(`${prefix} k`))?.outdatedAtMs ?? 0;
    expect(seenByA).toBeGreaterThan(before - 100);
    expect(seenByA).toBeLessThanOrEqual(after + 100);
    expect(Math.abs(seenByB - 300_000 - seenByA)).toBeLessThan(200);
  });

  it("is over when a fresh entry is put, and a hard purge goes further", async () => {
    const [prefix, a, b] = [ownPrefix(), process(0), process(1)];
    const key = `${prefix} k`;
    await fill(a, key, () => "a");
    await b.purges.purge(prefix, [TAG], SOFT);
    await b.purges.purge(prefix, [TAG], HARD);
    expect(await a.get(key)).toBeUndefined();
    await fill(a, key, () => "b");
    await b.purges.purge(prefix, [TAG], SOFT);
    expect((await a.get(key))?.outdatedAtMs).toBeGreaterThan(0);
    await a.put(key, entry("c", a.purges.generation(prefix)), 60_000);
    const found = await b.get(key);
    expect(textOf(found)).toBe("c");
    expect(found?.outdatedAtMs).toBeUndefined();
  });
});

describe("positions", () => {
  it("are those right before and after the purge, and move with the purges of others", async () => {
    const [prefix, a, b] = [ownPrefix(), process(0), process(1)];
    expect(a.purges.generation(prefix)).toBe("");
    expect(a.purges.verifiedAtMs(prefix)).toBe(-Infinity);
    expect(await a.purges.verify(prefix)).toBe(true);
    const first = a.purges.generation(prefix);
    expect(first).toMatch(/^[0-9a-z]+:\d+-\d+$/);
    const receipt = await a.purges.purge(prefix, [TAG], HARD);
    expect(receipt.before).toBe(first);
    expect(receipt.after).toBe(a.purges.generation(prefix));
    const theirs = await b.purges.purge(prefix, [TAG], HARD);
    expect(theirs.before).toBe(receipt.after);
    expect(a.purges.generation(prefix)).toBe(receipt.after);
    const sentAtMs = performance.now();
    await a.get(`${prefix} k`);
    expect(a.purges.generation(prefix)).toBe(theirs.after);
    expect(a.purges.verifiedAtMs(prefix)).toBeGreaterThanOrEqual(sentAtMs);
    expect(a.purges.verifiedAtMs(prefix)).toBeLessThanOrEqual(performance.now());
  });

  it("make an entry valid, purged or stale also for one who holds a copy", async () => {
    const [prefix, a, b] = [ownPrefix(), process(0), process(1)];
    await a.purges.verify(prefix);
    const copy = entry("copy", a.purges.generation(prefix));
    expect(a.purges.judge(prefix, `${prefix} k`, copy)).toBe("valid");
    await b.purges.purge(prefix, [TAG], SOFT);
    expect(a.purges.judge(prefix, `${prefix} k`, copy)).toBe("valid");
    await a.purges.verify(prefix);
    expect(a.purges.judge(prefix, `${prefix} k`, copy)).toEqual({ outdatedAtMs: expect.any(Number) });
    await a.purges.purge(prefix, [TAG], HARD);
    expect(a.purges.judge(prefix, `${prefix} k`, copy)).toBe("purged");
    expect(a.purges.judge(prefix, `${prefix} k`, entry("x", "0other:1-1"))).toBe("purged");
    expect(a.purges.judge(prefix, `${prefix} k`, entry("x", "garbage"))).toBe("purged");
    expect(a.purges.judge(prefix, `${prefix} k`, entry("x", ""))).toBe("purged");
  });

  it("of purges that are called at once are all different and all hold", async () => {
    const [prefix, a, b] = [ownPrefix(), process(0), process(1)];
    await fill(a, `${prefix} k`, () => "a");
    const receipts = await Promise.all(
      Array.from({ length: 100 }, (_, index) =>
        (index % 2 === 0 ? a : b).purges.purge(prefix, [{ kind: "name", text: `#${index}` }], HARD),
      ),
    );
    expect(new Set(receipts.map(({ after }) => after)).size).toBe(100);
    expect(textOf(await b.get(`${prefix} k`))).toBe("a");
    await Promise.all([a.purges.purge(prefix, [TAG], HARD), b.purges.purge(prefix, [TAG], HARD)]);
    expect(await b.get(`${prefix} k`)).toBeUndefined();
  });
});

describe("sealed entries", () => {
  const key = "0123456789abcdef";
  it("are read by who has the key, and nobody takes a sealed for an unsealed one", async () => {
    const prefix = ownPrefix();
    const integrityKey = new TextEncoder().encode(key);
    const [a, b, plain] = [process(0, { integrityKey }), process(1, { integrityKey }), process(2)];
    await fill(a, `${prefix} k`, () => "a");
    expect(textOf(await b.get(`${prefix} k`))).toBe("a");
    expect(await plain.get(`${prefix} k`)).toBeUndefined();
    await fill(plain, `${prefix} l`, () => "unsealed");
    expect(await a.get(`${prefix} l`)).toBeUndefined();
  });
});

describe("100,000 names", () => {
  it("leave no trace in Redis when entries have them, and a short log when they are purged", async () => {
    const prefix = ownPrefix();
    const a = process(0, { purgeLogLength: 100 });
    await a.get(`${prefix} k`);
    const generation = a.purges.generation(prefix);
    const names = (from: number, length: number): string[] =>
      Array.from({ length }, (_, index) => `#name ${from + index}`);
    for (let from = 0; from < 100_000; from += 1000) {
      await a.put(`${prefix} ${from}`, entry("a", generation, { names: names(from, 1000) }), 60_000);
    }
    expect(await admin().keys(`${prefix}:*`)).toHaveLength(102);
    for (let from = 0; from < 100_000; from += 1000) {
      const targets = names(from, 1000).map((text): PurgeTarget => ({ kind: "name", text }));
      await a.purges.purge(prefix, targets, HARD);
    }
    const { log } = logKeys(prefix);
    expect(await admin().xLen(log)).toBeLessThan(300);
    for (let from = 0; from < 100_000; from += 1000) expect(await a.get(`${prefix} ${from}`)).toBeUndefined();
  });
});
