/** What the shards of a Cluster hold and did. */
import { createCluster } from "redis";
import type { Address } from "./servers.ts";

const SHOWN_COMMANDS = ["get", "set", "eval", "evalsha"];

/** A row for each master: the keys under `prefix`, and how often each command was called on it. */
export async function shardRows(nodes: readonly Address[], prefix: string): Promise<Record<string, string>[]> {
  const cluster = createCluster({ rootNodes: nodes.map((socket) => ({ socket })) });
  cluster.on("error", () => {});
  await cluster.connect();
  try {
    return await Promise.all(
      cluster.masters.map(async (master) => {
        const client = await cluster.nodeClient(master);
        let keys = 0;
        for await (const found of client.scanIterator({ MATCH: `${prefix}:*`, COUNT: 1000 })) keys += found.length;
        const statistics = await client.info("commandstats");
        const calls = SHOWN_COMMANDS.map((name) => [name, callsOf(statistics, name)] as const);
        return { shard: master.address, keys: String(keys), ...Object.fromEntries(calls) };
      }),
    );
  } finally {
    cluster.destroy();
  }
}

function callsOf(statistics: string, name: string): string {
  return new RegExp(`cmdstat_${name}:calls=(\\d+)`).exec(statistics)?.[1] ?? "0";
}
