/** Redis servers of this run: started on free ports of the loopback interface, ended with it. */
import { startCluster, startRedis } from "../../../test/faults/harness/fixtures.mjs";

export { command, errorCounts, info } from "../../../test/faults/harness/fixtures.mjs";

/** What Reprise is compared with uses commands of its own. */
const EVERYBODY_MAY = ["user default on nopass ~* &* +@all"];

/** Runs `use` with a server of its own, which is ended afterwards. */
export async function withRedis(use) {
  const redis = await startRedis({ acl: EVERYBODY_MAY });
  try {
    return await use(redis);
  } finally {
    await redis.stop();
  }
}

/** Runs `use` with three masters that have a replica each. */
export async function withCluster(use) {
  const cluster = await startCluster();
  try {
    return await use(cluster);
  } finally {
    await cluster.stop();
  }
}
