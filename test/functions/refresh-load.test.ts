/** Random purges, refreshes and reads from two processes on one real Redis: no read gives what was older than an answered purge. */

import { setTimeout as pause } from "node:timers/promises";
import { expect, inject, it, onTestFinished } from "vitest";
import { createCache } from "../../src/cache.ts";
import { memoryStore } from "../../src/stores/memory/index.ts";
import { redisStore } from "../../src/stores/redis/index.ts";
import { tiered } from "../../src/stores/tiered.ts";
import { ownPrefix, until } from "../redis/store.ts";

const KEYS = 4;
const WORKERS = 24;
const LOAD_MS = 4_000;

type Read = (key: number) => Promise<number>;
interface Numbers extends Read {
  purge(key: number): Promise<void>;
  refresh(key: number): Promise<number>;
}

/** What the function reads, and what each key must be at least once a purge or a refresh is answered. */
class Truth {
  readonly versions: number[] = Array.from({ length: KEYS }, () => 0);
  readonly answered: number[] = Array.from({ length: KEYS }, () => 0);
  reads = 0;
  readonly stale: string[] = [];

  write(key: number): void {
    this.versions[key] = (this.versions[key] ?? 0) + 1;
  }

  /** What was written before `invalidate` began is seen by every read after it. */
  async after(key: number, invalidate: () => Promise<unknown>): Promise<void> {
    const written = this.versions[key] ?? 0;
    await invalidate();
    this.answered[key] = Math.max(this.answered[key] ?? 0, written);
  }

  async check(key: number, read: Read): Promise<void> {
    const least = this.answered[key] ?? 0;
    const got = await read(key);
    this.reads += 1;
    if (got < least) this.stale.push(`key ${key}: ${got} instead of ${least} or more`);
  }
}

/** Reads the version, some time before or after which it has other things to do. */
function slowly(truth: Truth, random: () => number): Read {
  return async (key) => {
    await pause(random() * 4);
    const version = truth.versions[key] ?? 0;
    await pause(random() * 8);
    return version;
  };
}

async function numbersOf(prefix: string, isTiered: boolean, read: Read): Promise<Numbers> {
  const redis = redisStore({ url: inject("redisUrl"), deadlineMs: 5_000 });
  const store = isTiered ? tiered(memoryStore(), redis, { maxStalenessMs: 0 }) : redis;
  const cache = createCache({ store, prefix });
  onTestFinished(() => cache.close());
  await until(() => redis.purges.verify(prefix));
  // Some results are refused: the old one must be gone all the same.
  return cache.wrap("numbers", read, { expire: "10m", storeWhen: (version) => version % 5 !== 0 });
}

it.each([
  { stores: "redis", isTiered: false },
  { stores: "tiered", isTiered: true },
])(
  "no read over $stores is older than a purge or a refresh that was answered before it",
  async ({ isTiered }) => {
    const truth = new Truth();
    const prefix = ownPrefix();
    const { random } = Math;
    const read = slowly(truth, random);
    const processes = [await numbersOf(prefix, isTiered, read), await numbersOf(prefix, isTiered, read)];
    const endsAtMs = performance.now() + LOAD_MS;
    const work = async (): Promise<void> => {
      while (performance.now() < endsAtMs) {
        const numbers = processes[Math.floor(random() * 2)] as Numbers;
        const key = Math.floor(random() * KEYS);
        const dice = random();
        if (dice < 0.02) {
          truth.write(key);
          await truth.after(key, () => numbers.purge(key));
        } else if (dice < 0.06) {
          truth.write(key);
          await truth.after(key, () => numbers.refresh(key));
        } else if (dice < 0.08) await truth.after(key, () => numbers.refresh(key));
        else await truth.check(key, numbers);
        await pause(random() * 2);
      }
    };
    await Promise.all(Array.from({ length: WORKERS }, work));
    expect(truth.stale).toEqual([]);
    expect(truth.reads).toBeGreaterThan(1_000);
  },
  30_000,
);
