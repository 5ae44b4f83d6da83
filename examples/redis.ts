// Reprise with Redis or Valkey: all processes share what one of them has stored, also after a restart.
import express from "express";
import { createCache } from "reprise";
import { expressCache } from "reprise/express";
import { redisStore } from "reprise/redis";

// While Redis is away every request is answered by its handler; caching goes on by itself when it is back.
const cache = createCache({
  store: redisStore({ url: process.env.REDIS_URL ?? "redis://127.0.0.1:6379" }),
  // The beginning of every key: applications with different prefixes share a Redis without meeting.
  prefix: "reprise-example",
  // Processes on different ports serve the same thing, so the port of the request shall not tell their responses apart.
  authority: "example.com",
  logger: console,
});
const cached = expressCache(cache);
const app = express();

app.get("/time", cached("5m"), (_request, response) => {
  response.json({ computedAt: new Date(), byProcess: process.pid });
});

// PORT chooses the port; without it the system picks a free one.
const server = app.listen(Number(process.env.PORT ?? 0), () => {
  const address = server.address();
  if (typeof address === "object" && address !== null) console.log(`http://localhost:${address.port}/time`);
});
