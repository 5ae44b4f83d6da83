/** The store of each worker: memory in front of the Cluster. */
import { memoryStore, type CacheStore } from "reprise";
import { createCluster } from "redis";
import { redisStore } from "reprise/redis";
import { tiered } from "reprise/tiered";
import type { Address } from "./servers.ts";

export function clusterStore(nodes: readonly Address[]): CacheStore {
  // A function that makes the client, not a client: when a server freezes, only a new one finds the way around it.
  const connect = () =>
    createCluster({
      rootNodes: nodes.map((socket) => ({ socket })),
      // Connects to a server when it is first needed, so that one that is down does not keep the others away.
      minimizeConnections: true,
      defaults: { disableOfflineQueue: true, socket: { connectTimeout: 1000 } },
    });
  // Six servers and all workers share this machine here; the default of 100 ms is for servers of their own.
  return tiered(memoryStore({ maxBytes: 64 * 1024 * 1024 }), redisStore({ connect, deadlineMs: 500 }));
}
