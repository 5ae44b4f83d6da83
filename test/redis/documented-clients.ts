/** Clients for Clusters and Sentinels with the settings the documentation recommends, as `redisStore({ connect })` takes them. */

import { GlideClusterClient, Logger } from "@valkey/valkey-glide";
import { Cluster, type ClusterOptions, Redis, type RedisOptions } from "ioredis";
import { Cluster as Cluster5, Redis as Redis5 } from "ioredis5";
import { Cluster as ValkeyCluster, Redis as ValkeyRedis } from "iovalkey";
import { createCluster, createSentinel } from "redis";

interface Address {
  readonly host: string;
  readonly port: number;
}

export interface DocumentedCluster {
  /** How the tests are named. */
  readonly form: string;
  /** What `redisStore({ connect })` takes. */
  readonly connect: (addresses: readonly Address[]) => () => unknown;
}

export interface DocumentedSentinel {
  readonly form: string;
  /** The addresses are those of the Sentinels. */
  readonly connect: (masterName: string, addresses: readonly Address[]) => () => unknown;
}

// It would write a line for each command that times out.
Logger.setLoggerConfig("off");

/** Short waits that never end. */
const retryStrategy = (attempt: number): number => Math.min(1000, 50 * attempt);

/** A command gives up soon, and a silent socket is closed: only then is another node asked. */
const IOREDIS_OPTIONS = { commandTimeout: 250, socketTimeout: 1000, maxRetriesPerRequest: 0 } as const;

type ClusterClass = new (nodes: Address[], options: ClusterOptions) => object;
type RedisClass = new (options: RedisOptions) => object;

function ofIoRedisCluster(form: string, Class: unknown): DocumentedCluster {
  return {
    form,
    connect: (addresses) => () =>
      new (Class as ClusterClass)([...addresses], {
        slotsRefreshInterval: 2000,
        enableOfflineQueue: false,
        clusterRetryStrategy: retryStrategy,
        redisOptions: IOREDIS_OPTIONS,
      }),
  };
}

function ofIoRedisSentinel(form: string, Class: unknown): DocumentedSentinel {
  return {
    form,
    connect: (name, sentinels) => () =>
      new (Class as RedisClass)({
        ...IOREDIS_OPTIONS,
        name,
        sentinels: [...sentinels],
        failoverDetector: true,
        enableOfflineQueue: false,
        retryStrategy,
        reconnectOnError: (error) => error.message.startsWith("READONLY"),
        sentinelRetryStrategy: retryStrategy,
      }),
  };
}

export const DOCUMENTED_CLUSTERS: readonly DocumentedCluster[] = [
  {
    form: "node-redis createCluster",
    connect: (addresses) => () =>
      createCluster({
        rootNodes: addresses.map((socket) => ({ socket })),
        minimizeConnections: true,
        defaults: { disableOfflineQueue: true, socket: { connectTimeout: 1000 } },
      }),
  },
  ofIoRedisCluster("ioredis 6 Cluster", Cluster),
  ofIoRedisCluster("ioredis 5 Cluster", Cluster5),
  ofIoRedisCluster("iovalkey Cluster", ValkeyCluster),
  {
    form: "valkey-glide GlideClusterClient",
    connect: (addresses) => () => GlideClusterClient.createClient({ addresses: [...addresses], requestTimeout: 250 }),
  },
];

export const DOCUMENTED_SENTINELS: readonly DocumentedSentinel[] = [
  {
    form: "node-redis createSentinel",
    connect: (name, addresses) => () =>
      createSentinel({
        name,
        sentinelRootNodes: [...addresses],
        reserveClient: true,
        nodeClientOptions: { disableOfflineQueue: true, socket: { connectTimeout: 1000 } },
        sentinelClientOptions: { socket: { connectTimeout: 1000 } },
      }),
  },
  ofIoRedisSentinel("ioredis 6 Redis with sentinels", Redis),
  ofIoRedisSentinel("ioredis 5 Redis with sentinels", Redis5),
  ofIoRedisSentinel("iovalkey Redis with sentinels", ValkeyRedis),
];
