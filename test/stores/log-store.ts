/** Redis stores for tests of the purge log: over any client, with another clock or other conclusions. */

import { createClient, type RedisClientType } from "redis";

import { type RedisClient, redisClient } from "../../src/stores/_redis-client.ts";
import { createRedisStore, type RedisStore, type RedisStoreSettings } from "../../src/stores/_redis-store.ts";

export type LogStoreSettings = Partial<Omit<RedisStoreSettings, "source">>;

/** A store over a client of ours, ready to use. The client stays the caller's. */
export function storeOver(client: RedisClient, settings: LogStoreSettings = {}): RedisStore {
  const store = createRedisStore({
    source: { kind: "given", client },
    redact: (text) => text,
    deadlineMs: 1000,
    maxEntryBytes: 1024 * 1024,
    purgeLogLength: 10_000,
    leaseMs: 2000,
    integrityKey: undefined,
    ...settings,
  });
  store.open?.(() => {});
  return store;
}

/** The store's view of a client. */
export function adapted(client: unknown): RedisClient {
  const found = redisClient(client);
  if (found === undefined) throw new Error("no client");
  return found;
}

export async function connected(url: string): Promise<RedisClientType> {
  const client: RedisClientType = createClient({ url, disableOfflineQueue: true, socket: { reconnectStrategy: 20 } });
  client.on("error", () => {});
  await client.connect();
  return client;
}

/** The keys of the purge log of a prefix. */
export function logKeys(prefix: string): { readonly log: string; readonly end: string } {
  return { log: `${prefix}:1:{${prefix}}:log`, end: `${prefix}:1:{${prefix}}:pos` };
}

export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms);
  });
}
