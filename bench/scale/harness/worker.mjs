/**
 * One process that uses a cache: `node worker.mjs <settings as JSON>`, with an IPC channel.
 *
 * Paths are `/<tag>/<id>`: a response has the tag its path begins with. Requests are made in the process itself, so that
 * nothing is measured but the cache; only the orders about CPU go over HTTP.
 */
import { randomUUID } from "node:crypto";
import { createServer, request as httpRequest, Agent } from "node:http";
import { setTimeout as pause } from "node:timers/promises";

const settings = JSON.parse(process.argv[2]);
const SUBJECTS = {
  none: "../subjects/none.mjs",
  reprise: "../subjects/reprise.mjs",
  bentocache: "../../compare/bentocache.mjs",
  apicache: "../../compare/apicache.mjs",
};
const READY_WITHIN_MS = 10_000;
/** What comes before the measurement need not take as long as what is measured. */
const PRELUDE = /^\/(ready|warm)\//;

/** What stands below the cache: a text of `bodyBytes`, after `originMs`; or the version that `originPort` tells. */
const origin = {
  calls: 0,
  async answer(path) {
    origin.calls += 1;
    if (settings.originPort !== undefined) return versionOf(path);
    if (settings.originMs > 0 && !PRELUDE.test(path)) await pause(settings.originMs);
    return path.padEnd(settings.bodyBytes ?? 1024, ".");
  },
};
const agent = new Agent({ keepAlive: true });
const { open } = await import(SUBJECTS[settings.subject]);
const subject = await open(settings, origin);
let server;
let watch;

const ORDERS = {
  ready,
  /** One request after the other; how long each took. */
  async sequence({ paths, times = 1 }) {
    const takenMs = [];
    let hits = 0;
    for (let time = 0; time < times; time += 1) {
      for (const path of paths) {
        const startMs = performance.now();
        const { isHit } = await subject.request(path);
        takenMs.push(performance.now() - startMs);
        hits += isHit ? 1 : 0;
        // Where nothing is waited for, what arrives would never be read; a server comes back to that after each request.
        await new Promise(setImmediate);
      }
    }
    return { takenMs, hits };
  },
  /** All of them within so many milliseconds from a given time of the wall clock, evenly; 0 for all at that instant. */
  async together({ path, count, atMs, withinMs = 0 }) {
    await pause(Math.max(0, atMs - Date.now()));
    const before = origin.calls;
    const startMs = performance.now();
    const answers = [];
    while (answers.length < count) {
      const share = withinMs === 0 ? 1 : (performance.now() - startMs) / withinMs;
      while (answers.length < Math.min(1, share) * count) answers.push(subject.request(path));
      await pause(5);
    }
    const right = (await Promise.all(answers)).filter(({ text }) => text.startsWith(path)).length;
    const slowestMs = performance.now() - startMs;
    return { originCalls: origin.calls - before, slowestMs, right };
  },
  async purge({ tag }) {
    const startMs = performance.now();
    await subject.purge(tag);
    return { takenMs: performance.now() - startMs, atMs: monotonicMs() };
  },
  calls: () => origin.calls,
  /** Reads `path` again and again, with a pause of a millisecond, until `watched`. */
  watch({ path }) {
    const reads = [];
    const stop = new AbortController();
    const done = (async () => {
      while (!stop.signal.aborted) {
        const atMs = monotonicMs();
        const { text } = await subject.request(path);
        reads.push({ atMs, version: Number(text) });
        await pause(1);
      }
    })();
    watch = async () => {
      stop.abort();
      await done;
      return reads;
    };
  },
  watched: () => watch(),
  async listen() {
    server = createServer(subject.nodeHandler);
    await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
    return server.address().port;
  },
  /** CPU time this process has used, in seconds. */
  cpu() {
    const { user, system } = process.cpuUsage();
    return (user + system) / 1e6;
  },
  async close() {
    server?.closeAllConnections();
    server?.close();
    agent.destroy();
    await subject.close();
    setImmediate(() => process.disconnect());
  },
};

process.on("message", (message) => void obey(message));

async function obey({ id, order, ...words }) {
  try {
    process.send({ id, value: await ORDERS[order](words) });
  } catch (error) {
    process.send({ id, error: String(error.stack ?? error) });
  }
}

/** The same clock in all processes of a machine. */
function monotonicMs() {
  return Number(process.hrtime.bigint()) / 1e6;
}

/** Waits until a second request for something is a hit. */
async function ready() {
  if (settings.subject === "none") return;
  const giveUpAtMs = performance.now() + READY_WITHIN_MS;
  while (performance.now() < giveUpAtMs) {
    const path = `/ready/${randomUUID()}`;
    await subject.request(path);
    await pause(20);
    if ((await subject.request(path)).isHit) return;
  }
  throw new Error(`${settings.subject} stores nothing.`);
}

function versionOf(path) {
  return new Promise((resolve, reject) => {
    const outgoing = httpRequest({ port: settings.originPort, host: "127.0.0.1", path, agent }, (reply) => {
      let text = "";
      reply.setEncoding("utf8").on("data", (piece) => (text += piece));
      reply.on("end", () => resolve(text));
    });
    outgoing.on("error", reject).end();
  });
}
