/** 9. What Redis keeps, and what is read although nobody asked. */
import { setTimeout as pause } from "node:timers/promises";

import { round } from "../harness/figures.mjs";
import { commandsOf } from "../harness/observe.mjs";
import { redisClient, storedKey } from "../harness/plant.mjs";
import { withRedis } from "../harness/servers.mjs";
import { withWorkers } from "../harness/workers.mjs";

export const BODY_BYTES = 1024;
const RECORDS = [1000, 10_000];
const SECONDS = 4;

export async function measureMemory() {
  return withRedis(async ({ port, url }) => {
    const client = await redisClient(port);
    try {
      const settings = { subject: "reprise", url, bodyBytes: BODY_BYTES };
      const stored = await withWorkers([settings], (worker) => storedBytes(worker, client));
      const positionReads = await withWorkers([{ ...settings, tiers: {} }], (worker) => readsPerSecond(worker, port));
      return { ...stored, ...positionReads };
    } finally {
      client.destroy();
    }
  });
}

async function storedBytes(worker, client) {
  await worker.tell("sequence", { paths: ["/bytes/1"], times: 2 });
  const responseBytes = await memoryOf(client, await storedKey(client, "bytes"));
  const logBytes = [];
  for (const records of RECORDS) {
    const missing = records - Number(await client.sendCommand(["XLEN", LOG]).catch(() => 0));
    for (let purge = 0; purge < missing; purge += 1) await worker.tell("purge", { tag: `user:${purge}` });
    logBytes.push(await memoryOf(client, LOG));
  }
  const recordBytes = (logBytes[1] - logBytes[0]) / (RECORDS[1] - RECORDS[0]);
  return {
    bodyBytes: BODY_BYTES,
    responseBytes,
    recordBytes: round(recordBytes),
    logRecords: RECORDS[1],
    logBytes: logBytes[1],
  };
}

const LOG = "scale:1:{scale}:log";

async function memoryOf(client, key) {
  return Number(await client.sendCommand(["MEMORY", "USAGE", key, "SAMPLES", "0"]));
}

/** Of one process: while it serves hits from memory all the time, and while it serves none. */
async function readsPerSecond(worker, port) {
  await worker.tell("watch", { path: "/reads/1" });
  await pause(500);
  const busy = await perSecond(port);
  await worker.tell("watched");
  await pause(SECONDS * 100);
  return { readsPerSecond: busy, idleReadsPerSecond: await perSecond(port) };
}

async function perSecond(port) {
  const startMs = performance.now();
  const { sent } = await commandsOf(port, () => pause(SECONDS * 1000));
  return round((sent.length * 1000) / (performance.now() - startMs), 1);
}
