/** 1. What a request costs Redis, by how it comes out. */
import { commandsOf, costOf, perRequest } from "../harness/observe.mjs";
import { round, sum } from "../harness/figures.mjs";
import { withRedis } from "../harness/servers.mjs";
import { withWorkers } from "../harness/workers.mjs";

const REQUESTS = 200;
const MEMORY_HITS = 5000;
const PURGES = 50;
const WAITS = 10;
const SLOW_ORIGIN_MS = 200;
const POSITION_READ = "EVALSHA";

/** The outcomes of one subject, each with commands and bytes per request. */
export async function measureCommands(subject) {
  return withRedis(async ({ port, url }) => {
    const alone = { subject, url };
    const rows = await withWorkers([alone], async (worker) => {
      // The first one brings Redis its script.
      await worker.tell("purge", { tag: "first" });
      return [
        await outcome(port, "hit in Redis", REQUESTS, await hits(worker, "/hit/1")),
        await outcome(port, "miss", REQUESTS, misses(worker, "/miss")),
        await outcome(port, "purge by tag", PURGES, purges(worker)),
      ];
    });
    if (subject === "apicache") return rows;
    rows.unshift(await inMemory(port, { ...alone, tiers: {} }));
    if (subject !== "reprise") return rows;
    const strict = await withWorkers([{ ...alone, tiers: { maxStalenessMs: 0 } }], async (worker) =>
      outcome(port, "hit in memory, `maxStalenessMs: 0`", REQUESTS, await hits(worker, "/strict/1")),
    );
    return [
      rows[0],
      strict,
      ...rows.slice(1, 2),
      await afterPurge(port, alone),
      rows[2],
      await waiting(port, url),
      rows[3],
    ];
  });
}

/** Commands in one run, bytes in another: whoever listens to the commands is sent bytes as well. */
async function outcome(port, name, requests, act) {
  const { sent, inScripts } = await commandsOf(port, act);
  const { bytesIn, bytesOut } = await costOf(port, act);
  return {
    name,
    requests,
    sent: perRequest(sent, requests),
    inScripts: inScripts.length / requests,
    bytes: { toRedis: round(bytesIn / requests), fromRedis: round(bytesOut / requests) },
  };
}

async function hits(worker, path) {
  await worker.tell("sequence", { paths: [path], times: 3 });
  return async () => {
    const { hits } = await worker.tell("sequence", { paths: [path], times: REQUESTS });
    if (hits !== REQUESTS) throw new Error(`${REQUESTS - hits} of ${REQUESTS} requests for ${path} were no hits.`);
  };
}

function misses(worker, prefix) {
  let round = 0;
  return async () => {
    round += 1;
    const paths = Array.from({ length: REQUESTS }, (_, id) => `${prefix}/${round}-${id}`);
    const { hits } = await worker.tell("sequence", { paths });
    if (hits > 0) throw new Error(`${hits} of ${REQUESTS} first requests were hits.`);
  };
}

function purges(worker) {
  return async () => {
    for (let time = 0; time < PURGES; time += 1) await worker.tell("purge", { tag: "hit" });
  };
}

/** Hits in memory ask for nothing; now and then, and not because of their number, the purge log is read. */
async function inMemory(port, settings) {
  return withWorkers([settings], async (worker) => {
    const paths = ["/memory/1"];
    await worker.tell("sequence", { paths, times: 3 });
    const act = () => worker.tell("sequence", { paths, times: MEMORY_HITS });
    const { sent } = await commandsOf(port, act);
    const { bytesIn, bytesOut } = await costOf(port, act);
    const ofRequests = sent.filter(({ name }) => name !== POSITION_READ);
    const positionReads = sent.length - ofRequests.length;
    return {
      name: "hit in memory",
      requests: MEMORY_HITS,
      sent: perRequest(ofRequests, MEMORY_HITS),
      inScripts: 0,
      bytes: { toRedis: round(bytesIn / MEMORY_HITS, 1), fromRedis: round(bytesOut / MEMORY_HITS, 1) },
      positionReads,
    };
  });
}

/** Of the first request that a process makes after another has purged something else. */
async function afterPurge(port, alone) {
  return withWorkers([alone, alone], async (reader, purger) => {
    await reader.tell("sequence", { paths: ["/kept/1"], times: 3 });
    const [{ from }] = (await commandsOf(port, () => reader.tell("sequence", { paths: ["/kept/1"] }))).sent;
    const act = async () => {
      for (let time = 0; time < PURGES; time += 1) {
        await purger.tell("purge", { tag: "other" });
        const { hits } = await reader.tell("sequence", { paths: ["/kept/1"] });
        if (hits !== 1) throw new Error("A purge of something else cost a hit.");
      }
    };
    const { sent } = await commandsOf(port, act);
    const ofReader = sent.filter((each) => each.from === from);
    const name = "hit in Redis, the first after a purge of something else";
    return { name, requests: PURGES, sent: perRequest(ofReader, PURGES) };
  });
}

/** Of a process that waits while another asks an origin that takes its time. */
async function waiting(port, url) {
  const settings = { subject: "reprise", url, originMs: SLOW_ORIGIN_MS };
  return withWorkers([settings, settings], async (filler, waiter) => {
    const [{ from }] = (await commandsOf(port, () => waiter.tell("sequence", { paths: ["/ready/waiter"] }))).sent;
    let seen = 0;
    const wait = async (times) => {
      for (let time = 0; time < times; time += 1) {
        const paths = [`/wait/${(seen += 1)}`];
        const filled = filler.tell("sequence", { paths });
        await new Promise((resolve) => setTimeout(resolve, SLOW_ORIGIN_MS / 10));
        await Promise.all([filled, waiter.tell("sequence", { paths })]);
      }
    };
    const originCalls = async () => sum(await Promise.all([filler, waiter].map((worker) => worker.tell("calls"))));
    // The first one brings Redis its scripts.
    await wait(1);
    const before = await originCalls();
    const { sent } = await commandsOf(port, () => wait(WAITS));
    const calls = (await originCalls()) - before;
    if (calls !== WAITS) throw new Error(`${WAITS} misses of two processes made ${calls} origin calls.`);
    const ofWaiter = sent.filter((each) => each.from === from);
    const name = `miss that waits for another process, whose origin takes ${SLOW_ORIGIN_MS} ms`;
    return { name, requests: WAITS, sent: perRequest(ofWaiter, WAITS) };
  });
}
