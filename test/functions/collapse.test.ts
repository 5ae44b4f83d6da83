import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { afterEach, describe, expect, it, vi } from "vitest";
import { wrapFunction } from "../../src/functions/wrap.ts";
import { gate, harness, remoteStore, settled } from "./harness.ts";

afterEach(() => {
  vi.useRealTimers();
});

const STORES = [
  { kind: "a store that answers at once", store: undefined },
  { kind: "a store that answers later", store: remoteStore },
];

describe.each(STORES)("overlapping calls over $kind", ({ store }) => {
  const cache = (fillDeadlineMs = 30_000): ReturnType<typeof harness> =>
    harness(store === undefined ? { fillDeadlineMs } : { store, fillDeadlineMs });

  it("run the function once for a thousand callers, each with a copy of its own", async () => {
    const { context } = cache();
    const { promise, open } = gate<{ list: number[] }>();
    let runs = 0;
    const find = wrapFunction(context, "find", (id: number) => (runs++, promise.then((found) => ({ id, ...found }))));
    const calls = Array.from({ length: 1_000 }, () => find(7));
    await settled();
    open({ list: [1] });
    const results = await Promise.all(calls);
    expect(runs).toBe(1);
    expect(new Set(results).size).toBe(1_000);
    expect(new Set(results.map(({ list }) => list)).size).toBe(1_000);
    for (const result of results) expect(result).toEqual({ id: 7, list: [1] });
  });

  it("are kept apart by key", async () => {
    const { context } = cache();
    const runs: number[] = [];
    const find = wrapFunction(context, "find", async (id: number) => {
      runs.push(id);
      await settled();
      return id;
    });
    expect(await Promise.all([find(1), find(2), find(1), find(2)])).toEqual([1, 2, 1, 2]);
    expect(new Set(runs)).toEqual(new Set([1, 2]));
    expect(runs).toHaveLength(2);
  });

  it("all get what was thrown; the next call tries again", async () => {
    const { context } = cache();
    const gates = [gate<number>(), gate<number>()];
    let runs = 0;
    const find = wrapFunction(context, "find", () => gates[runs++]!.promise);
    const calls = [find(), find(), find()];
    await settled();
    gates[0]!.fail(new Error("down"));
    const ends = await Promise.allSettled(calls);
    expect(ends.map((end) => end.status)).toEqual(["rejected", "rejected", "rejected"]);
    expect(runs).toBe(1);
    gates[1]!.open(2);
    expect(await find()).toBe(2);
  });

  it("share no result that may not be kept: each runs on its own, all at once", async () => {
    const { context } = cache();
    const gates = [gate<object>(), gate<object>(), gate<object>()];
    class Connection {
      readonly open = true;
    }
    let runs = 0;
    const open = wrapFunction(context, "open", () => gates[runs++]!.promise);
    const calls = [open(), open(), open()];
    await settled();
    expect(runs).toBe(1);
    gates[0]!.open(new Connection());
    await settled();
    expect(runs).toBe(3);
    gates[1]!.open(new Connection());
    gates[2]!.open(new Connection());
    expect(new Set(await Promise.all(calls)).size).toBe(3);
  });

  it("share no result that `storeWhen` refuses", async () => {
    const { context } = cache();
    let runs = 0;
    const find = wrapFunction(
      context,
      "find",
      async () => {
        const run = ++runs;
        await settled();
        return { private: run === 1, run };
      },
      { storeWhen: (user) => !user.private },
    );
    const results = await Promise.all([find(), find(), find()]);
    expect(results.filter((result) => result.private)).toHaveLength(1);
    expect(results[0]).toEqual({ private: true, run: 1 });
  });

  it("collapse a call that came while the result was on its way to the store", async () => {
    const { context } = cache();
    let runs = 0;
    const find = wrapFunction(context, "find", () => ++runs);
    await find();
    expect(await find()).toBe(1);
  });

  it("wait for a hanging one until the deadline, then run on their own, and free the key", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    const { context } = cache(5_000);
    const hanging = gate<string>();
    let runs = 0;
    const find = wrapFunction(context, "find", () => (++runs === 1 ? hanging.promise : Promise.resolve(`run ${runs}`)));
    const first = find();
    const waiting = [find(), find()];
    await settled();
    vi.advanceTimersByTime(4_999);
    await settled();
    expect(runs).toBe(1);
    vi.advanceTimersByTime(1);
    expect(await Promise.all(waiting)).toEqual(["run 2", "run 3"]);
    expect(runs).toBe(3);
    await settled();
    expect(await find()).toBe("run 3");
    hanging.open("late");
    expect(await first).toBe("late");
  });

  it("keep a late result only if no later run has stored one", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    const { context, trace } = cache(5_000);
    const hanging = gate<string>();
    let runs = 0;
    const find = wrapFunction(context, "find", () => (++runs === 1 ? hanging.promise : "newer"));
    const first = find();
    await settled();
    vi.advanceTimersByTime(5_000);
    await settled();
    expect(await find()).toBe("newer");
    await settled();
    hanging.open("older");
    expect(await first).toBe("older");
    await settled();
    expect(await find()).toBe("newer");
    expect(trace()).toEqual(["stored", "not-stored: superseded", "found"]);
  });

  it("keep a result that took longer than the deadline", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    const { context } = cache(5_000);
    const slow = gate<string>();
    let runs = 0;
    const find = wrapFunction(context, "find", () => (runs++, slow.promise));
    const first = find();
    await settled();
    vi.advanceTimersByTime(6_000);
    slow.open("slow");
    await first;
    await settled();
    expect(await find()).toBe("slow");
    expect(runs).toBe(1);
  });
});

describe("a store that does not answer", () => {
  it("counts as one that has nothing, once the deadline has passed", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    const { context, store } = harness({ fillDeadlineMs: 5_000 });
    const silent = { ...store, get: () => new Promise<undefined>(() => {}) };
    let runs = 0;
    const find = wrapFunction({ ...context, store: silent }, "find", () => ++runs);
    const calls = [find(), find()];
    await settled();
    vi.advanceTimersByTime(5_000);
    expect(new Set(await Promise.all(calls))).toEqual(new Set([1, 2]));
  });
});

describe("what a wrapped function holds on to", () => {
  it("does not grow with calls, and its options are not touched", async () => {
    const ignoreArgTypes = [Date];
    const ownTypes = [URL];
    const options = Object.freeze({
      ignoreArgTypes: ownTypes,
      ignoreArgs: Object.freeze([5]),
      tags: Object.freeze(["a"]),
    });
    const { context, store } = harness({ ignoreArgTypes });
    const silent = { ...context, report: () => {}, store: { ...store, put: () => "failed" as const } };
    const find = wrapFunction(silent, "find", (id: number, _at: Date) => ({ id }), options);
    const at = new Date();
    const callMany = async (count: number): Promise<void> => {
      for (let id = 0; id < count; id++) await find(id, at);
    };
    await callMany(20_000);
    const before = heapBytes();
    await callMany(100_000);
    // One entry per call, left behind, would be 10 MB at least.
    expect(heapBytes() - before).toBeLessThan(3_000_000);
    expect(ignoreArgTypes).toEqual([Date]);
    expect(ownTypes).toEqual([URL]);
  });

  it("is not changed by what is done to its options later", () => {
    const ownTypes: (typeof Date | typeof URL)[] = [Date];
    const ignoreArgs = [1];
    const find = wrapFunction(harness().context, "find", (...args: unknown[]) => args.length, {
      ignoreArgTypes: ownTypes,
      ignoreArgs,
    });
    ownTypes.push(URL);
    ignoreArgs.push(0);
    expect(find.keyOf("a", "b", new Date(), new URL("https://a.example/"))).toBe(
      'test find("a",_,_,URL("https://a.example/"))',
    );
  });
});

function garbageCollector(): () => void {
  setFlagsFromString("--expose-gc");
  return runInNewContext("gc") as () => void;
}

const collectGarbage = garbageCollector();

function heapBytes(): number {
  for (let round = 0; round < 3; round++) collectGarbage();
  return process.memoryUsage().heapUsed;
}
