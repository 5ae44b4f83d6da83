/** Wrapped functions of several processes on one real Redis: each has a store, a connection and a purge log of its own. */

import { expect, inject, it, onTestFinished } from "vitest";

import { createCache } from "../../src/cache.ts";
import type { CachedFunction } from "../../src/functions/contract.ts";
import { memoryStore } from "../../src/stores/memory.ts";
import { redisStore } from "../../src/stores/redis.ts";
import { tiered } from "../../src/stores/tiered.ts";
import { ownPrefix, until } from "../redis/store.ts";
import { gate, type Gate } from "./harness.ts";

type Rates = CachedFunction<[currency: string], string>;
type FetchRates = (currency: string) => string | Promise<string>;

/** `rates` in a process of its own, which follows the purge log. */
async function ratesOf(prefix: string, fetchRates: FetchRates, isTiered = false): Promise<Rates> {
  // A busy machine must not turn a hit into a miss.
  const redis = redisStore({ url: inject("redisUrl"), deadlineMs: 5000 });
  const store = isTiered ? tiered(memoryStore(), redis, { maxStalenessMs: 0 }) : redis;
  const cache = createCache({ store, prefix });
  onTestFinished(() => cache.close());
  await until(() => redis.purges.verify(prefix));
  return cache.wrap("rates", fetchRates, { expire: "10m" });
}

it("T56: a purge by one process holds for every call that begins after it in another", async () => {
  const prefix = ownPrefix();
  let version = 1;
  let runs = 0;
  const fetchRates: FetchRates = (currency) => {
    runs += 1;
    return `${currency} ${version}`;
  };
  const [one, two] = [await ratesOf(prefix, fetchRates), await ratesOf(prefix, fetchRates)];
  const untilStored = (currency: string): Promise<void> =>
    until(async () => {
      const before = runs;
      await two(currency);
      return runs === before;
    });
  for (const currency of ["EUR", "USD"]) {
    await one(currency);
    await untilStored(currency);
  }

  for (version = 2; version <= 20; version += 1) {
    await one.purge("EUR");
    expect(await two("EUR")).toBe(`EUR ${version}`);
    expect(await two("USD")).toBe("USD 1");
    await untilStored("EUR");
  }
});

it("T56: a call after a purge elsewhere gets nothing that was running before it, and neither does the store", async () => {
  const prefix = ownPrefix();
  const runs: Gate<string>[] = [];
  const gated: FetchRates = () => {
    const run = gate<string>();
    runs.push(run);
    return run.promise;
  };
  const [one, two] = [await ratesOf(prefix, gated), await ratesOf(prefix, () => "by two")];
  const before = one("EUR");
  await until(() => runs.length === 1);
  await two.purge("EUR");
  const after = one("EUR");
  runs[0]!.open("old");
  expect(await before).toBe("old");
  await until(() => runs.length === 2);
  expect(await two("EUR")).toBe("by two");
  runs[1]!.open("new");
  expect(await after).toBe("new");
  expect(["by two", "new"]).toContain(await two("EUR"));
});

it("a refresh reaches what another process has in memory, and is there for the next caller", async () => {
  const prefix = ownPrefix();
  let runs = 0;
  const fetchRates: FetchRates = () => `run ${++runs}`;
  const [one, two] = [await ratesOf(prefix, fetchRates, true), await ratesOf(prefix, fetchRates, true)];
  expect(await one("EUR")).toBe("run 1");
  await until(async () => (await two("EUR")) === "run 1" || runs > 1);
  for (let refreshes = 1; refreshes <= 10; refreshes += 1) {
    const fresh = await one.refresh("EUR");
    expect(fresh).toBe(`run ${runs}`);
    await until(async () => (await two("EUR")) === fresh);
    expect(await one("EUR")).toBe(fresh);
    expect(fresh).toBe(`run ${runs}`);
  }
});
