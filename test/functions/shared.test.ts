/** Wrapped functions of several processes on one real Redis: each has a store, a connection and a purge log of its own. */

import { describe, expect, inject, it, onTestFinished } from "vitest";

import { createCache } from "../../src/cache.ts";
import type { CachedFunction } from "../../src/functions/contract.ts";
import { memoryStore } from "../../src/stores/memory/index.ts";
import { redisStore } from "../../src/stores/redis/index.ts";
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

it("a purge by one process holds for every call that begins after it in another", async () => {
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

it("a call after a purge elsewhere gets nothing that was running before it, and neither does the store", async () => {
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

describe("what shares a name in two processes", () => {
  type Id = object;
  type Named<Fn extends (...args: never[]) => unknown> = (prefix: string) => Promise<Fn>;

  /** Wraps a function as a process of its own does. */
  function processWith<Args extends unknown[], Result>(
    fn: (...args: Args) => Result,
  ): Named<(...args: Args) => Promise<Awaited<Result>>> {
    return async (prefix) => {
      const redis = redisStore({ url: inject("redisUrl"), deadlineMs: 5000 });
      const cache = createCache({ store: redis, prefix });
      onTestFinished(() => cache.close());
      await cache.ready();
      return cache.wrap("Service.get", fn as (...args: unknown[]) => unknown, { expire: "10m" }) as never;
    };
  }

  /** Calls until the result comes out of the store. */
  const untilHit = async (call: () => Promise<unknown>, runs: () => number): Promise<void> =>
    until(async () => {
      const before = runs();
      await call();
      return runs() === before;
    });

  it("is not given the results of a function with another text, and replaces them", async () => {
    const prefix = ownPrefix();
    let runs = 0;
    const users = await processWith((id: number) => `user ${id} ${++runs}`)(prefix);
    const orders = await processWith((id: number) => `order ${id} ${++runs}`)(prefix);
    await untilHit(
      () => users(1),
      () => runs,
    );
    expect(await orders(1)).toMatch(/^order 1 /);
    await untilHit(
      () => orders(1),
      () => runs,
    );
    expect(await users(1)).toMatch(/^user 1 /);
  });

  it("is given the results of a function with the same text", async () => {
    const prefix = ownPrefix();
    let runs = 0;
    const make = (): ((id: number) => string) => (id) => `user ${id} ${++runs}`;
    const [one, two] = [await processWith(make())(prefix), await processWith(make())(prefix)];
    await untilHit(
      () => one(1),
      () => runs,
    );
    expect(await two(1)).toBe(await one(1));
  });

  it("is told apart by the classes of its arguments", async () => {
    const prefix = ownPrefix();
    const idOfA = ((): Id => {
      class Id {
        toString(): string {
          return "1";
        }
      }
      return new Id();
    })();
    const idOfB = ((): Id => {
      class Id {
        readonly isOfB = true;
        toString(): string {
          return "1";
        }
      }
      return new Id();
    })();
    let runs = 0;
    const kind = (id: Id): string => `${"isOfB" in id} ${++runs}`;
    const [one, two] = [await processWith(kind)(prefix), await processWith(kind)(prefix)];
    await untilHit(
      () => one(idOfA),
      () => runs,
    );
    expect(await two(idOfB)).toMatch(/^true /);
  });
});
