/** What becomes of a response that is on its way while what it is about is purged by another process. */
import { setTimeout as pause } from "node:timers/promises";

import { withRedis } from "../harness/servers.mjs";
import { withWorkers } from "../harness/workers.mjs";

const TIMES = 5;
const ORIGIN_MS = 300;
const PURGE_AFTER_MS = 100;

/** How often what was asked for before the purge was served after it. */
export async function measureRace(subject) {
  return withRedis(({ url }) => {
    const settings = { subject, url, originMs: ORIGIN_MS };
    return withWorkers([settings, settings], async (filler, purger) => {
      let outdated = 0;
      for (let time = 0; time < TIMES; time += 1) {
        const paths = [`/race-${time}/1`];
        const filled = filler.tell("sequence", { paths });
        await pause(PURGE_AFTER_MS);
        await purger.tell("purge", { tag: `race-${time}` });
        await filled;
        await pause(PURGE_AFTER_MS);
        const { hits } = await filler.tell("sequence", { paths });
        outdated += hits;
      }
      return { times: TIMES, outdated };
    });
  });
}
