/** 5. Seconds of CPU per request: of the process that answers over HTTP, and of Redis. */
import { Agent, get } from "node:http";

import { median, round } from "../harness/figures.mjs";
import { costOf } from "../harness/observe.mjs";
import { withRedis } from "../harness/servers.mjs";
import { withWorkers } from "../harness/workers.mjs";

const CONNECTIONS = 16;
const REQUESTS = 2000;
const ROUNDS = 5;

/** A row for each outcome; they take turns, so that what else the machine does falls on all alike. */
export async function measureCpu() {
  return withRedis(async ({ port, url }) => {
    const reprise = { subject: "reprise", url };
    const settings = [{ subject: "none" }, { ...reprise, tiers: {} }, reprise, reprise];
    return withWorkers(settings, async (none, tiered, hit, miss) => {
      const cases = [
        { name: "no cache, a handler that does nothing", worker: none, path: () => "/none/1" },
        { name: "hit in memory", worker: tiered, path: () => "/cpu/1" },
        { name: "hit in Redis", worker: hit, path: () => "/cpu/1" },
        { name: "miss, stored", worker: miss, path: fresh },
      ];
      for (const each of cases) {
        Object.assign(each, { port: await each.worker.tell("listen"), processUs: [], redisUs: [] });
        await load(each);
      }
      for (let turn = 0; turn < ROUNDS; turn += 1) {
        for (const each of cases) {
          const beforeSeconds = await each.worker.tell("cpu");
          const { cpuSeconds } = await costOf(port, () => load(each));
          const usedSeconds = (await each.worker.tell("cpu")) - beforeSeconds;
          each.processUs.push((usedSeconds * 1e6) / REQUESTS);
          each.redisUs.push((cpuSeconds * 1e6) / REQUESTS);
        }
      }
      return cases.map(({ name, processUs, redisUs }) => ({
        name,
        processUs: round(median(processUs)),
        lowestUs: round(Math.min(...processUs)),
        highestUs: round(Math.max(...processUs)),
        redisUs: Math.max(0, round(median(redisUs))),
      }));
    });
  });
}

let paths = 0;

function fresh() {
  paths += 1;
  return `/cpu/fresh-${paths}`;
}

async function load({ port, path }) {
  const agent = new Agent({ keepAlive: true, maxSockets: CONNECTIONS });
  let left = REQUESTS;
  const client = async () => {
    while (left > 0) {
      left -= 1;
      await ask(agent, port, path());
    }
  };
  await Promise.all(Array.from({ length: CONNECTIONS }, client));
  agent.destroy();
}

function ask(agent, port, path) {
  return new Promise((resolve, reject) => {
    get({ agent, port, host: "127.0.0.1", path }, (response) => {
      response.resume().on("end", () => (response.statusCode === 200 ? resolve() : reject(new Error("not 200"))));
    }).on("error", reject);
  });
}
