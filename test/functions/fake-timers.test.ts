import { afterEach, describe, expect, it, vi } from "vitest";
import { createCache } from "../../src/cache.ts";
import { gate, settled } from "./harness.ts";

afterEach(() => {
  vi.useRealTimers();
});

describe("fake timers that a test installs after the cache was made", () => {
  it("decide when a result has expired", async () => {
    const cache = createCache();
    let runs = 0;
    const rates = cache.wrap("rates", async () => ++runs, { expire: "10m" });
    vi.useFakeTimers();
    expect([await rates(), await rates()]).toEqual([1, 1]);
    vi.advanceTimersByTime(599_000);
    expect(await rates()).toBe(1);
    vi.advanceTimersByTime(1_000);
    expect(await rates()).toBe(2);
    vi.setSystemTime(Date.now() + 600_000);
    expect(await rates()).toBe(3);
  });

  it("hang no call, purge or refresh", async () => {
    const cache = createCache();
    const { promise, open } = gate<string>();
    const rates = cache.wrap("rates", async () => promise);
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "Date", "performance"] });
    const calls = [rates(), rates()];
    await settled();
    open("done");
    expect(await Promise.all(calls)).toEqual(["done", "done"]);
    await rates.purge();
    expect(await rates.refresh()).toBe("done");
    await rates.purgeAll();
    expect(await rates()).toBe("done");
  });
});
