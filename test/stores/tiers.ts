/** What the tests of the tiered store share: two tiers, as each process of a cluster has them. */

import { inject, onTestFinished } from "vitest";

import { type MemoryStore, memoryStore } from "../../src/stores/memory/index.ts";
import { redisStore } from "../../src/stores/redis/index.ts";
import { tiered, type TieredOptions } from "../../src/stores/tiered.ts";
import type { CacheStore, StoreEntry } from "../../src/http.ts";
import { opened, ownPrefix, textEntry, until } from "../redis/store.ts";

interface Tiers {
  readonly store: CacheStore;
  readonly upper: MemoryStore;
}

/** What one process has: a memory and a connection of its own. */
export async function aProcess(
  prefix: string,
  options: TieredOptions = {},
  redisUrl: string = inject("redisUrl"),
): Promise<Tiers> {
  const upper = memoryStore();
  // What is tested here is not how long a slow machine takes.
  const store = tiered(upper, redisStore({ url: redisUrl, deadlineMs: 2000 }), options);
  onTestFinished(async () => store.close?.());
  opened(store);
  await until(async () => store.purges?.verify(prefix));
  return { store, upper };
}

export async function twoProcesses(
  options: TieredOptions = {},
): Promise<{ prefix: string; here: Tiers; there: Tiers }> {
  const prefix = ownPrefix();
  const [here, there] = await Promise.all([aProcess(prefix, options), aProcess(prefix, options)]);
  return { prefix, here, there };
}

/** An entry asked for now. */
export function fresh(store: CacheStore, prefix: string, text: string, meta: StoreEntry["meta"] = {}): StoreEntry {
  return { ...textEntry(text, meta), generation: store.purges?.generation(prefix) ?? "" };
}

/** Lets what was found be copied into memory. */
export function copied(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(() => setImmediate(resolve));
  });
}
