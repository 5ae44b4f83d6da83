/** The purge log of the Redis store when records or answers are lost or late. */

import { setTimeout as pause } from "node:timers/promises";

import { describe, expect, inject, it } from "vitest";

import { VIEW } from "../../../../src/stores/redis/purges/scripts.ts";
import type { RedisClient } from "../../../../src/stores/redis/client/port.ts";
import type { PurgeTarget } from "../../../../src/http.ts";
import { ownPrefix, textOf, until } from "../../../redis/store.ts";
import { entry, fill, HARD, logKeys, processes, TAG } from "./log-store.ts";

const { admin, client, over, process } = processes(inject("redisUrl"), inject("redisAdminUrl"));

interface Keys {
  readonly log: string;
  readonly end: string;
}

describe("answers that come late or not at all", () => {
  /** A client that gives its answers to `held` scripts only when they are released. */
  function holding(real: RedisClient): { slow: RedisClient; held: (() => void)[]; hold: Set<unknown> } {
    const held: (() => void)[] = [];
    const hold = new Set<unknown>();
    const evaluate = async (...args: Parameters<RedisClient["evaluate"]>): Promise<unknown> => {
      const answer = await real.evaluate(...args);
      if (hold.has(args[0])) await new Promise<void>((resolve) => void held.push(resolve));
      return answer;
    };
    return { slow: Object.assign(Object.create(real) as RedisClient, { evaluate }), held, hold };
  }

  it("a reading of the log that began before a purge proves nothing to a read that began after it", async () => {
    const prefix = ownPrefix();
    const { slow, held, hold } = holding(client(0));
    const [a, b] = [over(slow, { deadlineMs: 10_000 }), process(1)];
    await fill(a, `${prefix} k`, () => "old");
    hold.add(VIEW);
    const early = a.purges.verify(prefix);
    await until(() => held.length === 1);
    await b.purges.purge(prefix, [TAG], HARD);
    const read = a.get(`${prefix} k`);
    await pause(50);
    hold.clear();
    held[0]?.();
    expect(await early).toBe(true);
    expect(await read).toBeUndefined();
  });

  it("a reading that was sent before the answer to a purge of one's own begins no new log", async () => {
    const prefix = ownPrefix();
    const { slow, held, hold } = holding(client(0));
    const a = over(slow, { deadlineMs: 10_000 });
    await fill(a, `${prefix} k`, () => "kept");
    hold.add(VIEW);
    const purged = a.purges.purge(prefix, [{ kind: "name", text: "#other" }], HARD);
    const verified = a.purges.verify(prefix);
    const { after } = await purged;
    await until(() => held.length === 1);
    hold.clear();
    held[0]?.();
    expect(await verified).toBe(true);
    expect(a.purges.generation(prefix)).toBe(after);
    expect(textOf(await a.get(`${prefix} k`))).toBe("kept");
  });

  it("what a process still holds is purged when its purge began a new log that it cannot read", async () => {
    const prefix = ownPrefix();
    const { slow, hold, held } = holding(client(0));
    const a = over(slow, { deadlineMs: 50 });
    await fill(a, `${prefix} k`, () => "old");
    const copy = entry("copy", a.purges.generation(prefix));
    const { log, end } = logKeys(prefix);
    await admin().del([log, end]);
    hold.add(VIEW);
    await a.purges.purge(prefix, [TAG], HARD);
    expect(a.purges.judge(prefix, `${prefix} k`, copy)).toBe("purged");
    expect(a.purges.verifiedAtMs(prefix)).toBe(-Infinity);
    expect(await a.get(`${prefix} k`)).toBeUndefined();
    hold.clear();
    for (const release of held) release();
    await until(async () => a.purges.verify(prefix));
    expect(a.purges.judge(prefix, `${prefix} k`, copy)).toBe("purged");
  });

  it("processes that find the log lost at the same moment begin one new log", async () => {
    const prefix = ownPrefix();
    const three = [process(0), process(1), process(2)];
    for (const store of three) await store.get(`${prefix} k`);
    for (let round = 0; round < 20; round += 1) {
      const { log, end } = logKeys(prefix);
      await admin().del([log, end]);
      await Promise.all(three.map(async (store) => store.get(`${prefix} k`)));
      expect(new Set(three.map((store) => store.purges.generation(prefix))).size).toBe(1);
    }
  });
});

describe("a log that is lost, cut or foreign", () => {
  it.each([
    { what: "the end is lost", harm: ({ end }: Keys) => admin().del(end) },
    { what: "the records are lost", harm: ({ log }: Keys) => admin().del(log) },
    { what: "both are lost", harm: ({ log, end }: Keys) => admin().del([log, end]) },
    { what: "the stream is empty", harm: ({ log }: Keys) => admin().xTrim(log, "MAXLEN", 0) },
    { what: "the end is garbage", harm: ({ end }: Keys) => admin().set(end, "garbage") },
    { what: "the end is of a foreign epoch", harm: ({ end }: Keys) => admin().set(end, "0foreign:1-1:7") },
    {
      what: "the last records are gone and the end is older",
      harm: async ({ log, end }: Keys) => {
        const [last] = (await admin().xRevRange(log, "+", "-", { COUNT: 1 })) ?? [];
        if (last !== undefined) await admin().xDel(log, last.id);
        const [before] = (await admin().xRevRange(log, "+", "-", { COUNT: 1 })) ?? [];
        const epoch = (await admin().get(end))?.split(":")[0];
        await admin().set(end, `${epoch}:${before?.id}:${before?.message["n"]}`);
      },
    },
    {
      what: "a record is no record",
      harm: async ({ log, end }: Keys) => {
        await admin().xAdd(log, "*", { hello: "world" });
        await admin().del(end);
      },
    },
  ])("when $what, everything is a miss and the log begins anew", async ({ harm }) => {
    const [prefix, a, b] = [ownPrefix(), process(0), process(1)];
    const key = `${prefix} k`;
    await fill(a, key, () => "old");
    await a.purges.purge(prefix, [{ kind: "name", text: "#other" }], HARD);
    expect(textOf(await b.get(key))).toBe("old");
    await a.purges.purge(prefix, [TAG], HARD);
    await harm(logKeys(prefix));
    expect(await a.get(key)).toBeUndefined();
    expect(await b.get(key)).toBeUndefined();
    await fill(b, key, () => "new");
    expect(textOf(await a.get(key))).toBe("new");
    await b.purges.purge(prefix, [TAG], HARD);
    expect(await a.get(key)).toBeUndefined();
    const { log, end } = logKeys(prefix);
    expect(await admin().pTTL(log)).toBe(-1);
    expect(await admin().pTTL(end)).toBe(-1);
  });

  it.each([
    {
      what: "the end is of another type",
      harm: ({ end }: Keys) =>
        admin()
          .del(end)
          .then(() => admin().rPush(end, "x")),
    },
    {
      what: "the log is of another type",
      harm: async ({ log, end }: Keys) => {
        await admin().set(log, "x");
        await admin().set(end, "0foreign:1-1:7");
      },
    },
  ])("an unreadable purge log is a miss, never fresh: $what", async ({ harm }) => {
    const [prefix, a] = [ownPrefix(), process(0)];
    const key = `${prefix} k`;
    await fill(a, key, () => "old");
    await harm(logKeys(prefix));
    expect(await a.get(key)).toBeUndefined();
    expect(await a.get(key)).toBeUndefined();
    expect(await process(1).get(key)).toBeUndefined();
    await expect(a.purges.purge(prefix, [TAG], HARD)).rejects.toMatchObject({ code: "ERR_PURGE_NOT_ACKNOWLEDGED" });
    const { log, end } = logKeys(prefix);
    await admin().del([log, end]);
    expect(await a.get(key)).toBeUndefined();
    await fill(a, key, () => "new");
    expect(textOf(await a.get(key))).toBe("new");
  });

  it.each([
    { what: "is no list", targets: "{}" },
    { what: "is no JSON", targets: "[" },
    { what: "has a kind of a newer release", targets: '["zsomething"]' },
  ])("a record whose targets $what purges everything before it", async ({ targets }) => {
    const [prefix, a] = [ownPrefix(), process(0)];
    const { log, end } = logKeys(prefix);
    await fill(a, `${prefix} k`, () => "old");
    const [epoch, id, count] = (await admin().get(end))?.split(":") ?? [];
    const next = `${Number(id?.split("-")[0]) + 1}-0`;
    await admin().xAdd(log, next, { n: String(Number(count) + 1), m: "h", t: targets });
    await admin().set(end, `${epoch}:${next}:${Number(count) + 1}`);
    expect(await a.get(`${prefix} k`)).toBeUndefined();
    expect(await fill(a, `${prefix} k`, () => "new")).toBe("new");
    expect(textOf(await a.get(`${prefix} k`))).toBe("new");
  });

  it("one that was trimmed while a process was away purges what that process may have missed, and no more", async () => {
    const prefix = ownPrefix();
    const [a, b] = [process(0, { purgeLogLength: 10 }), process(1)];
    await fill(b, `${prefix} old`, () => "old");
    for (let index = 0; index < 500; index += 1) {
      await a.purges.purge(prefix, [{ kind: "name", text: `#other ${index}` }], HARD);
    }
    await fill(a, `${prefix} new`, () => "new");
    await a.purges.purge(prefix, [{ kind: "name", text: "#last" }], HARD);
    expect(textOf(await b.get(`${prefix} new`))).toBe("new");
    expect(await b.get(`${prefix} old`)).toBeUndefined();
    // Who was there knows that nothing purged it.
    expect(textOf(await a.get(`${prefix} old`))).toBe("old");
  });

  it("a long one is read in parts by a process that begins", async () => {
    const [prefix, a] = [ownPrefix(), process(0)];
    await fill(a, `${prefix} old`, () => "old");
    await fill(a, `${prefix} k`, () => "k");
    const rounds = Array.from({ length: 2500 }, (_, index): PurgeTarget => ({ kind: "name", text: `#${index}` }));
    for (let from = 0; from < rounds.length; from += 100) {
      await Promise.all(rounds.slice(from, from + 100).map((target) => a.purges.purge(prefix, [target], HARD)));
    }
    await a.purges.purge(prefix, [{ kind: "key", text: `${prefix} old` }], HARD);
    const b = process(1);
    expect(textOf(await b.get(`${prefix} k`))).toBe("k");
    expect(await b.get(`${prefix} old`)).toBeUndefined();
    expect(b.purges.generation(prefix)).toBe(a.purges.generation(prefix));
  });
});
