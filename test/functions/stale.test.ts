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

describe.each(STORES)("stale results over $kind", ({ store }) => {
  const cache = (fillDeadlineMs = 30_000): ReturnType<typeof harness> =>
    harness(store === undefined ? { fillDeadlineMs } : { store, fillDeadlineMs });

  it("are returned at once and renewed once in the background", async () => {
    const { context, advance, events } = cache();
    const second = gate<{ run: number }>();
    let runs = 0;
    const find = wrapFunction(context, "find", () => (++runs === 1 ? { run: 1 } : second.promise), {
      expire: 10,
      staleWhileRevalidate: 30,
    });
    await find();
    await settled();
    advance(15);
    events.length = 0;
    expect(await Promise.all([find(), find(), find()])).toEqual([{ run: 1 }, { run: 1 }, { run: 1 }]);
    await settled();
    expect(await find()).toEqual({ run: 1 });
    expect(runs).toBe(2);
    expect(events[0]).toMatchObject({ type: "found", ttlSeconds: -5 });
    second.open({ run: 2 });
    await settled();
    expect(await find()).toEqual({ run: 2 });
    expect(runs).toBe(2);
  });

  it("stay when the renewal fails, which is reported and harms nobody", async () => {
    const { context, advance, trace } = cache();
    let runs = 0;
    const find = wrapFunction(
      context,
      "find",
      () => {
        if (++runs > 1) throw new Error("down");
        return runs;
      },
      { expire: 10, staleWhileRevalidate: 30 },
    );
    await find();
    await settled();
    advance(15);
    expect(await find()).toBe(1);
    await settled();
    expect(await find()).toBe(1);
    await settled();
    expect(runs).toBe(3);
    expect(trace()).toEqual(["stored", "found", "not-stored: threw", "found", "not-stored: threw"]);
  });

  it("are made anew once the window is over", async () => {
    const { context, advance } = cache();
    let runs = 0;
    const find = wrapFunction(context, "find", () => ++runs, {
      expire: 10,
      staleWhileRevalidate: 30,
      staleIfError: 60,
    });
    await find();
    await settled();
    advance(40);
    expect(await find()).toBe(2);
  });

  it("are renewed again when the renewal hangs", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    const { context, advance } = cache(5_000);
    const hanging = gate<number>();
    let runs = 0;
    const find = wrapFunction(context, "find", () => (++runs === 2 ? hanging.promise : runs), {
      expire: 10,
      staleWhileRevalidate: 30,
    });
    await find();
    await settled();
    advance(15);
    expect(await find()).toBe(1);
    await settled();
    vi.advanceTimersByTime(5_000);
    expect(await find()).toBe(1);
    await settled();
    expect(await find()).toBe(3);
  });

  it("stand in for what the function throws, for all who wait, within the window", async () => {
    const { context, advance, trace } = cache();
    let runs = 0;
    const find = wrapFunction(
      context,
      "find",
      async () => {
        const run = ++runs;
        await settled();
        if (run > 1) throw new Error("down");
        return { run };
      },
      { expire: 10, staleIfError: 60 },
    );
    const first = await find();
    await settled();
    advance(69);
    const results = await Promise.all([find(), find(), find()]);
    expect(results).toEqual([first, first, first]);
    expect(new Set(results).size).toBe(3);
    expect(runs).toBe(2);
    expect(trace()).toEqual(["stored", "not-stored: threw", "found"]);
    advance(1);
    await expect(find()).rejects.toThrow("down");
  });

  it("do not stand in once the window has closed while the function ran", async () => {
    const { context, advance } = cache();
    const second = gate<number>();
    let runs = 0;
    const find = wrapFunction(context, "find", () => (++runs === 1 ? 1 : second.promise), {
      expire: 10,
      staleIfError: 60,
    });
    await find();
    await settled();
    advance(60);
    const calls = [find(), find()];
    await settled();
    advance(20);
    second.fail(new Error("down"));
    const ends = await Promise.allSettled(calls);
    expect(ends.map(({ status }) => status)).toEqual(["rejected", "rejected"]);
  });

  it("stand in for a function that hangs, whose late result is kept", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    const { context, advance } = cache(5_000);
    const hanging = gate<number>();
    let runs = 0;
    const find = wrapFunction(context, "find", () => (++runs === 1 ? 1 : hanging.promise), {
      expire: 10,
      staleIfError: 60,
    });
    await find();
    await settled();
    advance(15);
    const calls = [find(), find(), find()];
    await settled();
    vi.advanceTimersByTime(5_000);
    expect(await Promise.all(calls)).toEqual([1, 1, 1]);
    expect(runs).toBe(2);
    hanging.open(2);
    await settled();
    expect(await find()).toBe(2);
  });
});
