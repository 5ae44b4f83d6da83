/** Redis stores for tests of the purge log: over any client, with another clock or other conclusions. */

import { createClient, type RedisClientType } from "redis";
import { afterAll, afterEach, beforeAll } from "vitest";

import type { RedisClient } from "../../../../src/stores/redis/client/port.ts";
import { createRedisStore, type RedisStore, type RedisStoreSettings } from "../../../../src/stores/redis/store.ts";
import type { PurgeTarget, StoreEntry } from "../../../../src/http.ts";
import { adapted, textOf } from "../../../redis/store.ts";

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

export const HARD: { readonly soft: boolean } = { soft: false };
export const SOFT: { readonly soft: boolean } = { soft: true };
export const TAG: PurgeTarget = { kind: "name", text: "#a" };

/** Connections and stores of one test file, which stand for processes. */
export interface Processes {
  /** A connection beside those of the stores. */
  readonly admin: () => RedisClientType;
  /** One of three connections. */
  readonly client: (index: 0 | 1 | 2) => RedisClient;
  /** A store on a connection of its own, as in another process. */
  readonly process: (index: 0 | 1 | 2, settings?: LogStoreSettings) => RedisStore;
  readonly over: (client: RedisClient, settings?: LogStoreSettings) => RedisStore;
}

/** To be called once in a test file: connects before its tests, and closes stores and connections after them. */
export function processes(url: string, adminUrl: string): Processes {
  const clients: RedisClientType[] = [];
  const stores: RedisStore[] = [];
  beforeAll(async () => {
    for (let index = 0; index < 3; index += 1) clients.push(await connected(url));
    clients.push(await connected(adminUrl));
  });
  afterEach(async () => {
    for (const store of stores.splice(0)) await store.close?.();
  });
  afterAll(() => {
    for (const client of clients) client.destroy();
  });

  const client = (index: 0 | 1 | 2): RedisClient => adapted(clients[index]);
  const over = (found: RedisClient, settings?: LogStoreSettings): RedisStore => {
    const store = storeOver(found, settings);
    stores.push(store);
    return store;
  };
  return {
    admin: () => {
      const admin = clients[3];
      if (admin === undefined) throw new Error("not connected yet");
      return admin;
    },
    client,
    over,
    process: (index, settings) => over(client(index), settings),
  };
}

export function entry(text: string, generation: string, more: Partial<StoreEntry> = {}): StoreEntry {
  return { meta: { madeAtMs: 1 }, body: new TextEncoder().encode(text), names: ["#a"], generation, ...more };
}

/** Asks for a key as a cache does: what is not found is fetched and put, with the generation from before the fetch. */
export async function fill(store: RedisStore, key: string, fetch: () => string | Promise<string>): Promise<string> {
  const found = textOf(await store.get(key));
  if (found !== undefined) return found;
  const generation = store.purges.generation(key.slice(0, key.indexOf(" ")));
  const text = await fetch();
  await store.put(key, entry(text, generation), 60_000);
  return text;
}
