/** One of the processes: products by GET, which are cached, and by PUT, which purges what was cached of them. */
import { createServer } from "node:http";
import { setTimeout as wait } from "node:timers/promises";
import { createCache } from "reprise";
import { nodeCache } from "reprise/node";
import { parseNodes } from "./servers.ts";
import { clusterStore } from "./store.ts";

const { CLUSTER_NODES = "", WORKER = "?", PREFIX = "reprise-cluster-example" } = process.env;

const cache = createCache({
  store: clusterStore(parseNodes(CLUSTER_NODES)),
  prefix: PREFIX,
  // Workers have ports of their own, which shall not tell their responses apart.
  authority: "shop.example",
});
const cached = nodeCache(cache);

let runs = 0;
const getProduct = cached({ expire: "10m", tags: (request) => [productOf(request.url)] }, async (request, response) => {
  // As slow as a database may be.
  await wait(200);
  response.setHeader("Content-Type", "text/plain");
  runs += 1;
  response.end(`${productOf(request.url)} by worker ${WORKER}, run ${runs}`);
});

const putProduct = cached.purges({ tags: (request) => [productOf(request.url)] }, (_request, response) => {
  response.writeHead(204).end();
});

const server = createServer((request, response) => {
  if (request.method === "PUT") return putProduct(request, response);
  return getProduct(request, response);
});
server.listen(0, () => {
  const address = server.address();
  if (typeof address === "object" && address !== null) process.send?.(address.port);
});

// The parent is gone or done with us.
process.once("disconnect", () => {
  server.close();
  server.closeAllConnections();
  void cache.close();
});
// Ctrl+C reaches the whole group; the parent ends us in its turn.
process.on("SIGINT", () => {});

function productOf(url = ""): string {
  return url.slice(1).replace("/", ":");
}
