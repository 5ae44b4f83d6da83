/**
 * One process of the application under test: `node --expose-gc main.mjs <settings as JSON>`, with an IPC channel.
 *
 * Tells its port, then answers the orders of `harness/application.mjs`. After `close` it must end by itself.
 */
import { createServer } from "node:http";
import { monitorEventLoopDelay } from "node:perf_hooks";
import { setTimeout as pause } from "node:timers/promises";

import { skewClock } from "./clock.mjs";
import { makeRoutes } from "./routes.mjs";
import { makeStore } from "./store.mjs";

const settings = JSON.parse(process.argv[2]);
skewClock(settings.clockSkewMs ?? 0);

const { createCache } = await import(`${settings.dist}/index.js`);
const unhandled = [];
process.on("unhandledRejection", (reason) => unhandled.push(String(reason)));
process.on("uncaughtException", (error) => unhandled.push(String(error.stack)));

const store = await makeStore(settings);
const cache = createCache({
  ...(store === undefined ? {} : { store }),
  prefix: settings.prefix,
  maxBodyBytes: settings.maxBodyBytes ?? 4 * 1024 * 1024,
});
/** Counts of what the cache tells, by type and code; of the first few, when and what. */
const events = new Map();
const told = [];
cache.events.on("*", countEvent);

const routes = await makeRoutes(cache, settings);
const server = createServer((request, response) => void routes.handle(request, response));
// None: a connection that is idle for nearly that long when the process is frozen would be closed, with the request that came
// over it meanwhile, as soon as it goes on. That is a reset by node:http, and would count as an error of the cache.
server.keepAliveTimeout = 0;
const lag = monitorEventLoopDelay({ resolution: 5 });
lag.enable();

const ORDERS = {
  stats: () => ({ events: Object.fromEntries(events), told, runs: routes.runs() }),
  tally,
  lag: () => {
    const maxMs = lag.max / 1e6;
    lag.reset();
    return maxMs;
  },
  memory: () => {
    globalThis.gc();
    globalThis.gc();
    const { heapUsed, external } = process.memoryUsage();
    return { bytes: heapUsed + external, handles: process.getActiveResourcesInfo().length };
  },
  residentBytes: () => process.memoryUsage.rss(),
  origin: ({ mode }) => routes.setOrigin(mode),
  purge: ({ target, options }) => purge(target, options),
  storm,
  block: ({ ms }) => {
    const untilMs = performance.now() + ms;
    while (performance.now() < untilMs);
  },
  skew: ({ ms }) => skewClock(ms),
  close,
};

process.on("message", (message) => void obey(message));
// What an orchestrator sends before it replaces a process.
process.once("SIGTERM", () => void shutDown());
server.listen(0, "127.0.0.1", () => process.send({ port: server.address().port }));

async function obey({ id, order, ...words }) {
  try {
    process.send({ id, value: await ORDERS[order](words), tally: tally() });
  } catch (error) {
    process.send({ id, error: String(error.stack ?? error), tally: tally() });
  }
}

/** What is counted from the beginning to the end of the process. Told with each answer: it may be the last one. */
function tally() {
  return { ...routes.tally(), unhandled };
}

function countEvent(event) {
  const { type, error, because, operation } = event;
  if (type === "outcome" || type === "stored") return;
  const name = [type, operation, because, error?.code].filter(Boolean).join(" ");
  events.set(name, (events.get(name) ?? 0) + 1);
  if (told.length < 200) told.push({ atMs: Date.now(), name, message: error?.message ?? "" });
}

async function purge(target, options) {
  const startMs = performance.now();
  try {
    await cache.purge(target, options);
    return { acknowledged: true, ms: performance.now() - startMs };
  } catch (error) {
    return { acknowledged: false, ms: performance.now() - startMs, code: error.code, message: error.message };
  }
}

/** Purges of many names, so many a second, whether or not earlier ones were acknowledged. */
async function storm({ perSecond, seconds }) {
  const underWay = [];
  const startMs = performance.now();
  while (underWay.length < perSecond * seconds) {
    const due = Math.min(perSecond * seconds, ((performance.now() - startMs) / 1000) * perSecond);
    while (underWay.length < due) underWay.push(purge({ tag: `storm-${underWay.length}` }));
    await pause(5);
  }
  const results = await Promise.all(underWay);
  return {
    times: results.map(({ ms }) => ms),
    refused: results.filter(({ acknowledged }) => !acknowledged).length,
  };
}

/** Ends all that was begun. The process has nothing left to wait for once its channel is closed too. */
async function close() {
  const closed = new Promise((resolve) => {
    server.close(resolve);
  });
  server.closeAllConnections();
  await closed;
  routes.close();
  await cache.close();
  lag.disable();
  setTimeout(leave, 50);
  // What is there for a moment longer, such as the channel this is told over, is not what keeps a process.
  return process.getActiveResourcesInfo();
}

/** As `close`, but answers under way are finished. */
async function shutDown() {
  const closed = new Promise((resolve) => {
    server.close(resolve);
  });
  // A connection that is kept open for more requests would hold the server for minutes.
  const closing = setInterval(() => server.closeIdleConnections(), 20);
  await closed;
  clearInterval(closing);
  routes.close();
  await cache.close();
  lag.disable();
  leave();
}

function leave() {
  process.send({ tally: tally() });
  process.disconnect();
}
