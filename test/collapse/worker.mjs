/**
 * One process of a fleet: `fork("worker.mjs", [JSON of WorkerSettings])`. Its cache is that of the built package, over a
 * Redis it shares with the others; its origin is the parent, asked over the IPC channel, so that a test decides when and
 * what the origin answers, and counts.
 */

import { createServer } from "node:http";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { setTimeout as pause } from "node:timers/promises";

const { folder, redisUrl, cluster, sentinel, prefix, cacheOptions, storeOptions, listens } = JSON.parse(
  process.argv[2] ?? "{}",
);
const load = (path) => import(pathToFileURL(join(folder, path)).href);
const { createCache } = await load("index.js");
const { fetchCache } = await load("adapters/fetch/index.js");
const { nodeCache } = await load("adapters/node/index.js");
const { redisStore } = await load("stores/redis/index.js");

/** Options of the routes, by the first part of the path. */
const ROUTES = {
  hour: { expire: "1h" },
  brief: { expire: 3 },
  renewed: { expire: 1, staleWhileRevalidate: "1h" },
  revalidated: { expire: 1, staleIfError: "1h" },
};

/** The parent may have had enough. */
function tell(message) {
  if (process.connected) process.send(message);
}

const origin = new Map();
let calls = 0;

/** Asks the parent; never answered if the parent does not want to. */
function askOrigin(path, language) {
  if (!process.connected) return Promise.reject(new Error("The origin is gone."));
  const call = ++calls;
  tell({ type: "origin", call, path, language });
  return new Promise((resolve) => {
    origin.set(call, resolve);
  });
}

/** Where Redis is, as `redisStore()` takes it. */
async function source() {
  if (redisUrl !== undefined) return { url: redisUrl };
  const { createCluster, createSentinel } = await import("redis");
  const defaults = { disableOfflineQueue: true, socket: { connectTimeout: 1000 } };
  if (cluster === undefined) {
    const { name, addresses } = sentinel;
    const options = { name, sentinelRootNodes: addresses, reserveClient: true, nodeClientOptions: defaults };
    return { connect: () => createSentinel(options) };
  }
  const rootNodes = cluster.map((socket) => ({ socket }));
  return { connect: () => createCluster({ rootNodes, minimizeConnections: true, defaults }) };
}

const store = redisStore({ ...(await source()), ...storeOptions });
const cache = createCache({ store, prefix, authority: "fleet.test", ...cacheOptions });
const failures = [];
cache.events.on("operation-failed", ({ operation, error }) => failures.push(`${operation}: ${error.message}`));
process.on("unhandledRejection", (error) => failures.push(`unhandled: ${String(error)}`));
const connected = new Promise((resolve) => {
  cache.events.on("connected", resolve);
});

const onFetch = fetchCache(cache);
const fetchHandlers = Object.fromEntries(
  Object.entries(ROUTES).map(([name, options]) => [
    name,
    onFetch(options, async (request) => {
      const { pathname } = new URL(request.url);
      const { status, headers, body } = await askOrigin(pathname, request.headers.get("accept-language"));
      return new Response(body, { status, headers });
    }),
  ]),
);

async function ask(path, init, { abortAfterMs } = {}) {
  const startMs = performance.now();
  const abort = new AbortController();
  const asked = fetchHandlers[path.split("/")[1]](
    new Request(`http://fleet.test${path}`, { ...init, signal: abort.signal }),
  );
  if (abortAfterMs !== undefined) setTimeout(() => abort.abort(), abortAfterMs);
  const response = await asked;
  const body = await response.text();
  return {
    status: response.status,
    body,
    cacheStatus: response.headers.get("cache-status") ?? "",
    tookMs: performance.now() - startMs,
  };
}

let server;
async function listening() {
  const onNode = nodeCache(cache);
  const route = onNode(ROUTES.hour, (request, response) => {
    // The head and a piece go out at once: a client that leaves does so in the middle.
    if (request.url.startsWith("/hour/pieces")) response.write("first ");
    void askOrigin(request.url, request.headers["accept-language"]).then(({ status, headers, body }) => {
      if (!response.headersSent) response.writeHead(status, headers);
      response.end(body);
    });
  });
  server = createServer((request, response) => void route(request, response));
  await new Promise((resolve) => {
    server.listen(0, "127.0.0.1", resolve);
  });
  return server.address().port;
}

/** What an application does at SIGTERM: no new requests, and the cache closed. Then nothing is left to keep it alive. */
async function close() {
  server?.close();
  server?.closeAllConnections();
  const startMs = performance.now();
  await cache.close();
  tell({ type: "closed", tookMs: performance.now() - startMs });
  process.disconnect();
}

process.once("SIGTERM", () => void close());
process.on("message", (message) => void obey(message));

async function obey(message) {
  switch (message.type) {
    case "origin": {
      const answer = origin.get(message.call);
      origin.delete(message.call);
      return answer?.(message.answer);
    }
    case "ask": {
      const { path, count, headers, abortAfterMs } = message;
      const asked = Array.from({ length: count }, () => ask(path, { headers }, { abortAfterMs }));
      const answers = (await Promise.allSettled(asked)).map(({ value, reason }) => value ?? { failed: String(reason) });
      return tell({ type: "answers", id: message.id, answers, failures });
    }
    case "read": {
      const answers = [];
      const endAtMs = performance.now() + message.forMs;
      while (performance.now() < endAtMs) {
        answers.push(await ask(message.path, {}));
        await pause(message.everyMs);
      }
      return tell({ type: "answers", id: message.id, answers, failures });
    }
    case "close":
      return close();
    default:
      throw new Error(`What is ${message.type}?`);
  }
}
await connected;
tell({ type: "ready", port: listens ? await listening() : 0 });
