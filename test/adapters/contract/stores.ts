/** The stores the contract runs on. */

import { once } from "node:events";

import { Redis } from "ioredis";
import { createClient } from "redis";
import { inject } from "vitest";

import { memoryStore } from "../../../src/stores/memory/index.ts";
import { redisStore } from "../../../src/stores/redis/index.ts";
import { tiered } from "../../../src/stores/tiered.ts";
import type { CacheStore } from "../../../src/http.ts";

export interface StoreKind {
  readonly name: "memory" | "redis" | "tiered";
  /** Called once before the first store is made. */
  connect(): Promise<void>;
  make(now: () => number): CacheStore;
  disconnect(): Promise<void>;
}

export type RedisClientName = "ioredis" | "node-redis";

export const memoryKind: StoreKind = {
  name: "memory",
  connect: async () => {},
  make: (now) => memoryStore({ now }),
  disconnect: async () => {},
};

/** The shared Redis of the test run, over one connection for all stores of a test file. */
export function redisKind(clientName: RedisClientName): StoreKind {
  let client: unknown;
  let disconnect = async (): Promise<void> => {};
  return {
    name: "redis",
    async connect() {
      const url = inject("redisUrl");
      if (clientName === "ioredis") {
        const redis = new Redis(url);
        await once(redis, "ready");
        client = redis;
        disconnect = async () => redis.disconnect();
        return;
      }
      const redis = createClient({ url });
      await redis.connect();
      client = redis;
      disconnect = async () => redis.destroy();
    },
    // How soon Redis answers on a busy machine is not what the contract is about.
    make: () => redisStore({ client, deadlineMs: 10_000 }),
    disconnect: () => disconnect(),
  };
}

/** Memory in front of the shared Redis. */
export function tieredKind(clientName: RedisClientName): StoreKind {
  const redis = redisKind(clientName);
  return { ...redis, name: "tiered", make: (now) => tiered(memoryStore({ now }), redis.make(now)) };
}
