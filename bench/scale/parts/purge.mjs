/** 2. What a purge by tag costs when it covers more and more responses, and how long Redis keeps others waiting. */
import { median, round } from "../harness/figures.mjs";
import { commandsOf, costOf } from "../harness/observe.mjs";
import { longestPing } from "../harness/ping.mjs";
import { plant, redisClient } from "../harness/plant.mjs";
import { withRedis } from "../harness/servers.mjs";
import { withWorkers } from "../harness/workers.mjs";

export const SIZES = [1000, 10_000, 100_000, 1_000_000];
const PURGES = 20;
const BATCH = 1000;
const INDEX = "index:tagged";
const SMALL_BODY_BYTES = 16;
/** It can only be filled by requests. */
const MOST_FOR_APICACHE = 10_000;

/** One row for each number of responses; in it, the cost for Reprise, each subject it is compared with, and a set of keys. */
export async function measurePurges(subjects, sizes = SIZES) {
  const rows = [];
  for (const size of sizes) {
    const row = { size, keySet: await ofKeySet(size) };
    for (const subject of ["reprise", "bentocache"]) {
      if (subjects.includes(subject)) row[subject] = await ofMark(subject, size);
    }
    if (subjects.includes("apicache") && size <= MOST_FOR_APICACHE) row.apicache = await ofApicache(size);
    rows.push(row);
  }
  return rows;
}

/** Of caches that note the purge and look at it when they read. Copies of a stored response are planted around it. */
function ofMark(subject, size) {
  return withRedis(({ port, url }) =>
    withWorkers([{ subject, url, bodyBytes: SMALL_BODY_BYTES }], async (worker) => {
      await worker.tell("sequence", { paths: ["/tagged/1"], times: 2 });
      await plant(port, { word: "tagged", size });
      const takenMs = [];
      const purgeOften = async () => {
        for (let time = 0; time < PURGES; time += 1) {
          takenMs.push((await worker.tell("purge", { tag: "tagged" })).takenMs);
        }
      };
      await purgeOften();
      takenMs.length = 0;
      const longestPingMs = await longestPing(port, purgeOften);
      const { hits } = await worker.tell("sequence", { paths: ["/tagged/1"] });
      if (hits !== 0) throw new Error(`${subject}: what was purged is still there.`);
      const taken = round(median(takenMs), 2);
      const { sent } = await commandsOf(port, purgeOften);
      const { cpuSeconds } = await costOf(port, purgeOften);
      return {
        takenMs: taken,
        commands: sent.length / PURGES,
        redisCpuMs: round((cpuSeconds * 1000) / PURGES, 2),
        longestPingMs: round(longestPingMs, 1),
      };
    }),
  );
}

/** Of the usual design: the keys of each tag are kept in a set, and a purge walks it and deletes them. */
function ofKeySet(size) {
  return withRedis(async ({ port, url }) => {
    await withWorkers([{ subject: "reprise", url, bodyBytes: SMALL_BODY_BYTES }], async (worker) => {
      await worker.tell("sequence", { paths: ["/tagged/1"] });
      await plant(port, { word: "tagged", size, index: INDEX });
    });
    const client = await redisClient(port);
    let commands = 0;
    const send = (...words) => {
      commands += 1;
      return client.sendCommand(words);
    };
    let takenMs;
    const purge = async () => {
      const startMs = performance.now();
      let cursor = "0";
      do {
        const [next, keys] = await send("SSCAN", INDEX, cursor, "COUNT", String(BATCH));
        cursor = String(next);
        if (keys.length > 0) await send("UNLINK", ...keys);
      } while (cursor !== "0");
      await send("UNLINK", INDEX);
      takenMs = performance.now() - startMs;
    };
    const { result: longestPingMs, cpuSeconds } = await costOf(port, () => longestPing(port, purge));
    client.destroy();
    return {
      takenMs: round(takenMs, 2),
      commands,
      redisCpuMs: round(cpuSeconds * 1000, 2),
      longestPingMs: round(longestPingMs, 1),
    };
  });
}

function ofApicache(size) {
  return withRedis(({ port, url }) => {
    const settings = { subject: "apicache", url, bodyBytes: SMALL_BODY_BYTES };
    return withWorkers([settings, settings], async (worker, other) => {
      await worker.tell("sequence", { paths: Array.from({ length: size }, (_, id) => `/tagged/${id}`) });
      const deletions = (commands) => commands.filter(({ name }) => name === "DEL").length;
      const elsewhere = await commandsOf(port, () => other.tell("purge", { tag: "tagged" }));
      let takenMs;
      const here = await commandsOf(port, async () => {
        ({ takenMs } = await worker.tell("purge", { tag: "tagged" }));
      });
      return {
        takenMs: round(takenMs, 2),
        commands: deletions(here.sent),
        commandsElsewhere: deletions(elsewhere.sent),
      };
    });
  });
}
