/**
 * A server of its own process: `node shared-server.mjs <folder of the built package> <Redis URL or ""> <prefix>`.
 * Writes its port on a line of its own and ends with its standard input.
 */

import { createServer } from "node:http";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const [folder = "", redisUrl = "", prefix = ""] = process.argv.slice(2);
const load = (path) => import(pathToFileURL(join(folder, path)).href);
const { createCache } = await load("index.js");
const { nodeCache } = await load("adapters/node/index.js");

const options = { prefix };
if (redisUrl !== "") {
  const { redisStore } = await load("stores/redis/index.js");
  options.store = redisStore({ url: redisUrl, deadlineMs: 10_000 });
}
const cache = createCache(options);
const connected = new Promise((resolve) => {
  if (redisUrl === "") resolve();
  cache.events.on("connected", resolve);
});

let runs = 0;
const cached = nodeCache(cache);
const whoAmI = cached("1h", (request, response) => {
  response.setHeader("Content-Type", "application/json");
  if (request.headers["accept-language"] !== undefined) response.setHeader("Vary", "Accept-Language");
  response.end(JSON.stringify({ pid: process.pid, run: ++runs, url: request.url }));
});
const sameEverywhere = cached("1h", (_request, response) => response.end("the same in every process"));

const server = createServer((request, response) => {
  const route = request.url?.startsWith("/same") === true ? sameEverywhere : whoAmI;
  void route(request, response);
});
await connected;
server.listen(0, "127.0.0.1", () => console.log(server.address().port));
process.stdin.resume();
process.stdin.once("end", () => process.exit(0));
