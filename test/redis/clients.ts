/** Every client of every family the Redis store takes, for tables of tests. */

import { GlideClient } from "@valkey/valkey-glide";
import { Redis } from "ioredis";
import { Redis as Redis5 } from "ioredis5";
import { Redis as IovalkeyRedis } from "iovalkey";
import { createClient, createClientPool } from "redis";
import { createClient as createClient5, createClientPool as createClientPool5 } from "redis5";

/** A client of some family, with what a test needs to do to it. */
export interface MadeClient {
  readonly client: object;
  /** Ends it in whatever state it is. */
  readonly end: () => void;
}

export interface ClientForm {
  /** How the tests are named. */
  readonly form: string;
  /** A client that is connecting or connected. Rejects only where the family has no client without a connection. */
  readonly make: (url: string) => Promise<MadeClient>;
}

interface NodeRedisLike {
  on(event: "error", listener: () => void): unknown;
  connect(): Promise<unknown>;
  destroy(): void;
}

function ignore(): void {}

type CreateNodeRedis = (options: { url: string }, poolOptions: { cleanupDelay: number }) => NodeRedisLike;

/** Longer than any test: a pool destroyed with commands under way throws when this has passed. */
const CLEANUP_DELAY_MS = 3_600_000;

function ofNodeRedis(form: string, create: CreateNodeRedis): ClientForm {
  return {
    form,
    make: async (url) => {
      const client = create({ url }, { cleanupDelay: CLEANUP_DELAY_MS });
      client.on("error", ignore);
      client.connect().catch(ignore);
      return { client, end: () => client.destroy() };
    },
  };
}

type IoRedisOptions = { maxRetriesPerRequest?: number; enableOfflineQueue?: boolean };
type IoRedisClass = new (url: string, options: IoRedisOptions) => { on: Redis["on"]; disconnect(): void };

function ofIoRedis(form: string, Class: unknown): ClientForm {
  return {
    form,
    make: async (url) => {
      const client = new (Class as IoRedisClass)(url, {});
      client.on("error", ignore);
      return { client, end: () => client.disconnect() };
    },
  };
}

/** Clients of one server. */
export const SINGLE_NODE_FORMS: readonly ClientForm[] = [
  ofNodeRedis("node-redis 6 createClient", createClient),
  ofNodeRedis("node-redis 6 createClientPool", createClientPool),
  ofNodeRedis("node-redis 5 createClient", createClient5),
  ofNodeRedis("node-redis 5 createClientPool", createClientPool5),
  ofIoRedis("ioredis 6 Redis", Redis),
  ofIoRedis("ioredis 5 Redis", Redis5),
  ofIoRedis("iovalkey Redis", IovalkeyRedis),
  {
    form: "valkey-glide GlideClient",
    make: async (url) => {
      const { hostname, port, username, password } = new URL(url);
      const client = await GlideClient.createClient({
        addresses: [{ host: hostname, port: Number(port) }],
        ...(password !== "" && {
          credentials: { password: decodeURIComponent(password), ...(username !== "" && { username }) },
        }),
      });
      return { client, end: () => client.close() };
    },
  },
];
