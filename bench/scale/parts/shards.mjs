/** 6. How keys and commands spread over a Cluster of three masters with a replica each. */
import { round } from "../harness/figures.mjs";
import { command, errorCounts, info, withCluster } from "../harness/servers.mjs";
import { withWorkers } from "../harness/workers.mjs";

export const KEYS = 10_000;
const PURGES = 100;

export async function measureShards() {
  return withCluster((cluster) =>
    withWorkers([{ subject: "reprise", nodes: cluster.addresses, bodyBytes: 64 }], async (worker) => {
      const masters = await cluster.masters();
      const position = await cluster.masterOf("scale:1:{scale}:pos");
      const before = await keyCounts(masters);
      const paths = Array.from({ length: KEYS }, (_, id) => `/shard/${id}`);
      await worker.tell("sequence", { paths });
      const stored = await keyCounts(masters);
      for (const { port } of masters) await command(port, "CONFIG", "RESETSTAT");
      const { hits } = await worker.tell("sequence", { paths });
      const reads = await callsOf(masters);
      for (let purge = 0; purge < PURGES; purge += 1) await worker.tell("purge", { tag: "other" });
      const redirects = { MOVED: 0, ASK: 0, CROSSSLOT: 0 };
      for (const { port } of masters) {
        const errors = await errorCounts(port);
        for (const name of Object.keys(redirects)) redirects[name] += errors.get(name) ?? 0;
      }
      const shards = masters.map((master, at) => ({
        keys: stored[at] - before[at],
        commands: reads[at],
        holdsPosition: master === position,
      }));
      return { keys: KEYS, hits, purges: PURGES, redirects, shards, perHit: round(total(reads) / KEYS, 3) };
    }),
  );
}

function total(counts) {
  return counts.reduce((sum, count) => sum + count, 0);
}

function keyCounts(masters) {
  return Promise.all(masters.map(({ port }) => command(port, "DBSIZE").then(Number)));
}

/** GET and MGET, which is what hits are made of. */
function callsOf(masters) {
  return Promise.all(
    masters.map(async ({ port }) => {
      const stats = await info(port, "commandstats");
      const calls = (name) => Number(/calls=(\d+)/.exec(stats.get(`cmdstat_${name}`) ?? "")?.[1] ?? 0);
      return calls("get") + calls("mget");
    }),
  );
}
