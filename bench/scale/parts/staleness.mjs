/** 4. How long after a purge other processes serve what is in their memory, against the bound they were given. */
import { createServer } from "node:http";
import { setTimeout as pause } from "node:timers/promises";

import { percentile, round } from "../harness/figures.mjs";
import { withRedis } from "../harness/servers.mjs";
import { withWorkers } from "../harness/workers.mjs";

const PROCESSES = 4;
const PATH = "/version/1";
export const BUCKETS_MS = [0, 50, 100, 150, 200, 250];

export async function measureStaleness(maxStalenessMs, purges) {
  const origin = await startOrigin();
  try {
    return await withRedis(({ url }) => {
      const settings = { subject: "reprise", url, tiers: { maxStalenessMs }, originPort: origin.port };
      return withWorkers(
        Array.from({ length: PROCESSES }, () => settings),
        (...workers) => observe(workers, origin, { maxStalenessMs, purges }),
      );
    });
  } finally {
    origin.stop();
  }
}

/** All processes read all the time; each in turn makes what they read outdated and purges it. */
async function observe(workers, origin, { maxStalenessMs, purges }) {
  for (const worker of workers) await worker.tell("watch", { path: PATH });
  await pause(500);
  const acknowledged = [];
  for (let purge = 0; purge < purges; purge += 1) {
    origin.version += 1;
    const purger = purge % workers.length;
    const { atMs } = await workers[purger].tell("purge", { tag: "version" });
    acknowledged.push({ version: origin.version, atMs, purger });
    await pause(maxStalenessMs * 1.5 + 100 + Math.random() * 150);
  }
  const reads = [];
  for (const worker of workers) reads.push(await worker.tell("watched"));

  const lags = [];
  let pastBound = 0;
  let ownStale = 0;
  for (const { version, atMs, purger } of acknowledged) {
    for (const [process, ofProcess] of reads.entries()) {
      const stale = ofProcess.filter((read) => read.atMs > atMs && read.version < version);
      if (process === purger) {
        ownStale += stale.length;
        continue;
      }
      lags.push(stale.length === 0 ? 0 : stale.at(-1).atMs - atMs);
      pastBound += stale.filter((read) => read.atMs > atMs + maxStalenessMs).length;
    }
  }
  return {
    maxStalenessMs,
    processes: workers.length,
    purges,
    reads: reads.flat().length,
    p50Ms: round(percentile(lags, 0.5), 1),
    p99Ms: round(percentile(lags, 0.99), 1),
    maxMs: round(Math.max(...lags), 1),
    pastBound,
    ownStale,
    histogram: histogram(lags),
  };
}

/** How many lags are at most each of the limits, and above the one before; the last one counts what is above all. */
function histogram(lags) {
  const counts = Array.from({ length: BUCKETS_MS.length + 1 }, () => 0);
  for (const lag of lags) {
    const bucket = BUCKETS_MS.findIndex((limit) => lag <= limit);
    counts[bucket === -1 ? BUCKETS_MS.length : bucket] += 1;
  }
  return counts;
}

/** Tells the version there is now. */
async function startOrigin() {
  const origin = { version: 1 };
  const server = createServer((_, response) => response.end(String(origin.version)));
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return Object.assign(origin, {
    port: server.address().port,
    stop() {
      server.closeAllConnections();
      server.close();
    },
  });
}
