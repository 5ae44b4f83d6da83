/** Every client of every family that talks to a Cluster, or finds its server through Sentinels, for tables of tests. */

import { GlideClusterClient, type ReadFrom } from "@valkey/valkey-glide";
import { Cluster, Redis } from "ioredis";
import { Cluster as Cluster5, Redis as Redis5 } from "ioredis5";
import { Cluster as IovalkeyCluster, Redis as IovalkeyRedis } from "iovalkey";
import { createCluster, createSentinel } from "redis";
import { createCluster as createCluster5, createSentinel as createSentinel5 } from "redis5";

import type { MadeClient } from "./clients.ts";

type Address = { readonly host: string; readonly port: number };

interface ClientSettings {
  /** Reads from replicas where it may. Default false. */
  readonly readsReplicas?: boolean;
  /** For the servers that have the data, not for Sentinels. Default: none. */
  readonly password?: string;
}

export interface ClusterForm {
  readonly form: string;
  /** A client that is connecting or connected. Rejects only where the family has no client without a connection. */
  readonly make: (addresses: readonly Address[], settings?: ClientSettings) => Promise<MadeClient>;
}

export interface SentinelForm {
  readonly form: string;
  readonly make: (sentinels: readonly Address[], masterName: string, settings?: ClientSettings) => Promise<MadeClient>;
}

function ignore(): void {}

function passwordOf(password: string | undefined): { password?: string } {
  return password === undefined ? {} : { password };
}

interface NodeRedisLike {
  on(event: "error", listener: () => void): unknown;
  connect(): Promise<unknown>;
  destroy(): unknown;
}

type CreateCluster = (options: {
  rootNodes: { url: string }[];
  useReplicas: boolean;
  defaults: object;
}) => NodeRedisLike;

function ofNodeRedis(form: string, create: CreateCluster): ClusterForm {
  return {
    form,
    make: async (addresses, { readsReplicas = false, password } = {}) => {
      const rootNodes = addresses.map(({ host, port }) => ({ url: `redis://${host}:${port}` }));
      return connecting(create({ rootNodes, useReplicas: readsReplicas, defaults: passwordOf(password) }));
    },
  };
}

function connecting(client: NodeRedisLike): MadeClient {
  client.on("error", ignore);
  client.connect().catch(ignore);
  return { client, end: () => void client.destroy() };
}

interface IoRedisLike {
  on(event: "error", listener: () => void): unknown;
  disconnect(): void;
}

function ofIoRedis(form: string, Class: unknown): ClusterForm {
  const IoRedisCluster = Class as new (nodes: Address[], options: object) => IoRedisLike;
  return {
    form,
    make: async (addresses, { readsReplicas = false, password } = {}) => {
      const client = new IoRedisCluster([...addresses], {
        scaleReads: readsReplicas ? "slave" : "master",
        redisOptions: passwordOf(password),
      });
      client.on("error", ignore);
      return { client, end: () => client.disconnect() };
    },
  };
}

export const CLUSTER_FORMS: readonly ClusterForm[] = [
  ofNodeRedis("node-redis 6 createCluster", createCluster),
  ofNodeRedis("node-redis 5 createCluster", createCluster5),
  ofIoRedis("ioredis 6 Cluster", Cluster),
  ofIoRedis("ioredis 5 Cluster", Cluster5),
  ofIoRedis("iovalkey Cluster", IovalkeyCluster),
  {
    form: "valkey-glide GlideClusterClient",
    make: async (addresses, { readsReplicas = false, password } = {}) => {
      const readFrom: ReadFrom = readsReplicas ? "preferReplica" : "primary";
      const client = await GlideClusterClient.createClient({
        addresses: [...addresses],
        readFrom,
        ...(password !== undefined && { credentials: { password } }),
      });
      return { client, end: () => client.close() };
    },
  },
];

type CreateSentinel = (options: {
  name: string;
  sentinelRootNodes: Address[];
  replicaPoolSize: number;
  nodeClientOptions: object;
}) => NodeRedisLike;

function throughNodeRedis(form: string, create: CreateSentinel): SentinelForm {
  return {
    form,
    make: async (sentinels, name, { readsReplicas = false, password } = {}) =>
      connecting(
        create({
          name,
          sentinelRootNodes: [...sentinels],
          replicaPoolSize: readsReplicas ? 1 : 0,
          nodeClientOptions: passwordOf(password),
        }),
      ),
  };
}

function throughSentinels(form: string, Class: unknown): SentinelForm {
  const IoRedis = Class as new (options: object) => IoRedisLike;
  return {
    form,
    make: async (sentinels, name, { password } = {}) => {
      const client = new IoRedis({ sentinels: [...sentinels], name, ...passwordOf(password) });
      client.on("error", ignore);
      return { client, end: () => client.disconnect() };
    },
  };
}

export const SENTINEL_FORMS: readonly SentinelForm[] = [
  throughNodeRedis("node-redis 6 createSentinel", createSentinel),
  throughNodeRedis("node-redis 5 createSentinel", createSentinel5),
  throughSentinels("ioredis 6 Redis with sentinels", Redis),
  throughSentinels("ioredis 5 Redis with sentinels", Redis5),
  throughSentinels("iovalkey Redis with sentinels", IovalkeyRedis),
];
