/** What the tests of the Redis store share: an opened store, its events, and a wait for something to become true. */

import { randomBytes } from "node:crypto";
import { setTimeout as pause } from "node:timers/promises";

import { redisClient } from "../../src/stores/redis/client/detect.ts";
import type { RedisClient } from "../../src/stores/redis/client/port.ts";
import type { CacheStore, StoreEntry, StoreEvent } from "../../src/http.ts";

/** A prefix no other test uses: the shared Redis is never flushed. */
export function ownPrefix(): string {
  return `test-${randomBytes(6).toString("hex")}`;
}

/** Opens `store` and keeps its events. */
export function opened(store: CacheStore): StoreEvent[] {
  const events: StoreEvent[] = [];
  store.open?.((event) => events.push(event));
  return events;
}

/** The store's view of a client. */
export function adapted(client: unknown): RedisClient {
  const found = redisClient(client);
  if (found === undefined) throw new Error("The store knows no such client.");
  return found;
}

/** Waits until `condition` holds; fails after `withinMs`. */
export async function until(condition: () => unknown, withinMs = 10_000): Promise<void> {
  const giveUpAtMs = Date.now() + withinMs;
  while (!(await condition())) {
    if (Date.now() > giveUpAtMs) throw new Error(`Not within ${withinMs} ms: ${condition.toString()}`);
    await pause(10);
  }
}

export function typesOf(events: readonly StoreEvent[]): string[] {
  return events.map(({ type }) => type);
}

/** Waits until the store keeps what it is given. */
export async function untilCaching(store: CacheStore, prefix: string, withinMs?: number): Promise<void> {
  const key = `${prefix} caching ${randomBytes(6).toString("hex")}`;
  await until(async () => {
    await store.put(key, textEntry("caching"), 60_000);
    return (await store.get(key)) !== undefined;
  }, withinMs);
}

export function textEntry(text: string, meta: StoreEntry["meta"] = {}): StoreEntry {
  return { meta, body: new TextEncoder().encode(text) };
}

export function textOf(entry: StoreEntry | undefined): string | undefined {
  return entry === undefined ? undefined : new TextDecoder().decode(entry.body);
}
