// One server process of the benchmark: node bench/server.mjs <framework> <variant>. Prints its port.
import http from "node:http";

const [framework, variant] = process.argv.slice(2);
const body = JSON.stringify({
  users: Array.from({ length: 20 }, (_, id) => ({ id, name: `user ${id}`, role: "reader" })),
});

const { createCache, memoryStore } = await import("reprise");

async function storeFor() {
  if (variant !== "redis") return memoryStore();
  const { redisStore } = await import("reprise/redis");
  return redisStore({ url: process.env.REDIS_URL });
}

async function handlerFor() {
  const cache = variant === "uncached" ? undefined : createCache({ store: await storeFor() });
  if (framework === "node") {
    const answer = (_request, response) => {
      response.setHeader("content-type", "application/json");
      response.end(body);
    };
    if (cache === undefined) return answer;
    const { nodeCache } = await import("reprise/node");
    return nodeCache(cache)("1h", answer);
  }
  const { default: express } = await import("express");
  const app = express();
  const answer = (_request, response) => response.type("json").send(body);
  if (cache === undefined) app.get("/users", answer);
  else {
    const { expressCache } = await import("reprise/express");
    app.get("/users", expressCache(cache)("1h"), answer);
  }
  return app;
}

const server = http.createServer(await handlerFor());
server.listen(0, "127.0.0.1", () => process.stdout.write(`${server.address().port}\n`));
