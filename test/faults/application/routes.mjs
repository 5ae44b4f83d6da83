/**
 * The routes of the application under test.
 *
 * `/<route>/<id>?bytes=<size of the padding>&ms=<how long the handler takes>`, where the route is one of
 *
 *     plain    no cache: what the others are compared with
 *     fresh    fresh for an hour
 *     stale    fresh for a second, then served for a day if the handler fails
 *     renew    fresh for a second, then served for a day while it is renewed
 *     item     fresh for an hour; the content comes from the origin all processes share, with its version
 *     headers  fresh for as long as its own Cache-Control says, an hour; tells its Age
 *     private  never stored
 *
 * Each answer says which request it was made for, so a mix-up shows.
 */
import { Agent, get } from "node:http";
import { setTimeout as pause } from "node:timers/promises";

import { bodyText } from "../harness/body.mjs";

const TAGS = (request) => [`id:${new URL(request.url, "http://localhost").pathname.split("/")[2]}`];
const LIFETIMES = {
  fresh: { expire: "1h" },
  stale: { expire: 1, staleIfError: "1d" },
  renew: { expire: 1, staleWhileRevalidate: "1d" },
  item: { expire: "1h" },
  private: { expire: "1h" },
};

export async function makeRoutes(cache, { dist, originPort }) {
  const { nodeCache } = await import(`${dist}/adapters/node/index.js`);
  const cached = nodeCache(cache);
  const agent = new Agent({ keepAlive: true, maxSockets: 1024 });
  /** How often the handler ran, by path and query. */
  const runs = new Map();
  /** Requests to routes with a cache, and how often the handler ran for them. */
  let cachedRequests = 0;
  let originCalls = 0;
  let mode = "ok";

  async function handler(request, response) {
    const url = new URL(request.url, "http://localhost");
    const [, route] = url.pathname.split("/");
    const isCached = route !== "plain";
    if (isCached) originCalls += 1;
    runs.set(request.url, (runs.get(request.url) ?? 0) + 1);
    const ms = Number(url.searchParams.get("ms") ?? 0);
    const version = route === "item" ? await versionOf(request.url) : undefined;
    if (ms > 0) await pause(ms);
    if (isCached && mode === "error") return answer(response, 503, "out of order");
    if (isCached && mode === "timeout") {
      await pause(200);
      return answer(response, 504, "out of time");
    }
    if (route === "headers") response.setHeader("Cache-Control", "max-age=3600");
    if (route === "private") response.setHeader("Cache-Control", "no-store");
    const body = bodyText(request.url, Number(url.searchParams.get("bytes") ?? 0), { pid: process.pid, version });
    if (isCached && mode === "reset") {
      response.writeHead(200, { "Content-Type": "application/json", "Content-Length": Buffer.byteLength(body) });
      response.write(body.slice(0, body.length / 2));
      setImmediate(() => response.destroy());
      return;
    }
    answer(response, 200, body);
  }

  function versionOf(path) {
    return new Promise((resolve, reject) => {
      get({ port: originPort, host: "127.0.0.1", path, agent }, (reply) => {
        let text = "";
        reply.setEncoding("utf8").on("data", (piece) => (text += piece));
        reply.on("end", () => resolve(Number(text))).on("error", reject);
      }).on("error", reject);
    });
  }

  const routes = new Map([["plain", handler]]);
  for (const [name, options] of Object.entries(LIFETIMES)) {
    routes.set(name, cached({ ...options, tags: TAGS }, handler));
  }

  routes.set("headers", cached.byHeaders({}, handler));

  return {
    handle(request, response) {
      const name = request.url.split("/")[1];
      const route = routes.get(name);
      if (route === undefined) return answer(response, 404, "no such route");
      if (name !== "plain") cachedRequests += 1;
      return Promise.resolve(route(request, response)).catch(() => response.destroy());
    },
    runs: () => Object.fromEntries(runs),
    tally: () => ({ cachedRequests, originCalls }),
    setOrigin: (to) => {
      mode = to;
    },
    close: () => agent.destroy(),
  };
}

function answer(response, status, body) {
  response.writeHead(status, {
    "Content-Type": "application/json",
    "Content-Length": Buffer.byteLength(body),
    "X-Handler": "1",
  });
  response.end(body);
}
