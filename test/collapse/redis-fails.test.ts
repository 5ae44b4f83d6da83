/** Redis goes away while processes wait for each other: nobody waits for what cannot come any more. */

import { setTimeout as pause } from "node:timers/promises";

import { describe, expect, it, onTestFinished } from "vitest";

import { command } from "../redis/command.ts";
import { startRedis } from "../redis/server.ts";
import { ownPrefix } from "../redis/store.ts";
import { bodiesOf, builtPackage, makeFleet, slowestMs } from "./fleet.ts";

const PROCESSES = 4;
const REQUESTS = 25;
const DEADLINE_MS = 300;
const FETCH_MS = 1000;
const WAITED_BEFORE_MS = 300;
const LAST_PAUSE_MS = 150;
/** What a busy machine may add. */
const ALLOWANCE_MS = 1500;
const folder = builtPackage();

describe("Redis while four processes wait for one response", () => {
  it.each(["is killed with -9", "is frozen", "refuses all commands"])(
    "%s: each process asks once for itself, and nobody waits for the deadline of waiting",
    async (how) => {
      const redis = await startRedis({ acl: ["user default on nopass ~* &* +@all"] });
      onTestFinished(() => redis.kill());
      const { origin, start } = makeFleet(folder);
      const workers = await start(PROCESSES, {
        redisUrl: redis.url,
        prefix: ownPrefix(),
        storeOptions: { deadlineMs: DEADLINE_MS, leaseMs: 5000 },
        cacheOptions: { collapseDeadline: "10s" },
      });
      origin.answers("/hour/page", () => ({}), FETCH_MS);
      const asked = workers.map((worker) => worker.ask("/hour/page", REQUESTS));
      await origin.called("/hour/page");
      await pause(WAITED_BEFORE_MS);
      expect(origin.calls("/hour/page")).toHaveLength(1);
      if (how === "is killed with -9") await redis.kill();
      else if (how === "is frozen") redis.freeze();
      else await refuseAll(redis.port);
      const answers = (await Promise.all(asked)).flat();

      const boundMs = WAITED_BEFORE_MS + LAST_PAUSE_MS + 2 * DEADLINE_MS + FETCH_MS + ALLOWANCE_MS;
      const calls = origin.calls("/hour/page");
      console.log(`Redis ${how}: ${calls.length} calls, slowest ${Math.round(slowestMs(answers))} of ${boundMs} ms`);
      expect(answers.map(({ status }) => status)).toEqual(Array.from({ length: PROCESSES * REQUESTS }, () => 200));
      expect(calls.length).toBeGreaterThanOrEqual(2);
      expect(new Set(calls.map(({ pid }) => pid)).size).toBe(calls.length);
      expect(bodiesOf(answers)).toHaveLength(calls.length);
      expect(slowestMs(answers)).toBeLessThanOrEqual(boundMs);

      // Without Redis the requests of one process still wait for each other: those who come while the first is asked for
      // share what is asked for next.
      origin.answers("/hour/other", () => ({}), FETCH_MS);
      const again = (await Promise.all(workers.map((worker) => worker.ask("/hour/other", REQUESTS)))).flat();
      expect(again.map(({ status }) => status)).toEqual(Array.from({ length: PROCESSES * REQUESTS }, () => 200));
      const pids = origin.calls("/hour/other").map(({ pid }) => pid);
      expect(new Set(pids).size).toBe(PROCESSES);
      for (const pid of pids) expect(pids.filter((each) => each === pid).length).toBeLessThanOrEqual(2);
      expect(slowestMs(again)).toBeLessThanOrEqual(2 * (FETCH_MS + 2 * DEADLINE_MS) + ALLOWANCE_MS);
      for (const worker of workers) {
        expect(worker.failures.filter((failure) => failure.startsWith("unhandled"))).toEqual([]);
      }
    },
    30_000,
  );
});

/** Connections stay, and everything but saying hello is answered with NOPERM. */
async function refuseAll(port: number): Promise<void> {
  await command(port, "ACL", "SETUSER", "default", "-@all", "+hello", "+ping");
}
