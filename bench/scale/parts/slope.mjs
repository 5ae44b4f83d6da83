/** 8. How many round trips a request waits for: by how much it gets slower when each takes longer. */
import { setTimeout as pause } from "node:timers/promises";

import { line, percentile, round } from "../harness/figures.mjs";
import { withDelayProxy } from "../harness/delay-proxy.mjs";
import { withRedis } from "../harness/servers.mjs";
import { withWorkers } from "../harness/workers.mjs";

export const DELAYS_MS = [0, 0.5, 2, 10];
const ROUNDS = 4;
const REQUESTS = 25;
/** What is still under way in the background after the last answer. */
const SETTLE_MS = 60;
/** Other work of the machine only ever adds time, so the quicker requests say more about the round trips. */
const SHARE = 0.1;

/** For hits and for misses of one subject. */
export async function measureSlope(subject) {
  return withRedis(({ port }) =>
    withDelayProxy(port, ({ proxy, url }) =>
      withWorkers([{ subject, url, bodyBytes: 64 }], async (worker) => {
        const hit = await slope(proxy, async () => {
          const { takenMs, hits } = await worker.tell("sequence", { paths: ["/slope/1"], times: REQUESTS });
          return hits >= REQUESTS - 1 ? takenMs : [];
        });
        let seen = 0;
        const miss = await slope(proxy, async () => {
          const paths = Array.from({ length: REQUESTS }, () => `/slope/miss-${(seen += 1)}`);
          return (await worker.tell("sequence", { paths })).takenMs;
        });
        return { subject, hit, miss };
      }),
    ),
  );
}

/** The delays take turns. What was really added is what the proxy saw, not what it was told. */
async function slope(proxy, act) {
  const points = DELAYS_MS.map((delayMs) => ({ delayMs, takenMs: [], addedMs: [] }));
  await act();
  for (let turn = 0; turn < ROUNDS; turn += 1) {
    for (const point of points) {
      await pause(SETTLE_MS);
      proxy.delayMs = point.delayMs;
      proxy.addedMs.length = 0;
      point.takenMs.push(...(await act()));
      point.addedMs.push(...proxy.addedMs);
    }
  }
  proxy.delayMs = 0;
  if (points.some(({ takenMs }) => takenMs.length === 0)) throw new Error("There were no hits through the proxy.");
  const typical = points.map(({ addedMs, takenMs }) => [
    addedMs.length === 0 ? 0 : percentile(addedMs, SHARE),
    percentile(takenMs, SHARE),
  ]);
  const fitted = line(typical);
  return {
    roundTrips: round(fitted.slope, 2),
    points: typical.map(([addedMs, takenMs], at) => ({
      delayMs: DELAYS_MS[at],
      addedMs: round(addedMs, 2),
      takenMs: round(takenMs, 2),
    })),
  };
}
