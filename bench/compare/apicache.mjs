/** apicache in front of an Express route, asked over HTTP because that is the only way in. */
import { Agent, get } from "node:http";

import apicache from "apicache";
import express from "express";
import redis from "redis";

const LIFETIME = "1 hour";

export async function open({ url }, origin) {
  const client = redis.createClient(url);
  const cache = apicache.newInstance({ redisClient: client });
  const app = express();
  app.get("/:tag/:id", cache.middleware(LIFETIME), (request, response, next) => {
    request.apicacheGroup = request.params.tag;
    origin.answer(request.url).then((text) => response.type("text/plain").send(text), next);
  });
  const server = await new Promise((resolve) => {
    const listening = app.listen(0, "127.0.0.1", () => resolve(listening));
  });
  const agent = new Agent({ keepAlive: true, maxSockets: 1024 });
  const { port } = server.address();
  return {
    request(path) {
      return new Promise((resolve, reject) => {
        get({ port, host: "127.0.0.1", path, agent }, (reply) => {
          let text = "";
          reply.setEncoding("utf8").on("data", (piece) => (text += piece));
          // Only what comes from the store says so.
          reply.on("end", () => resolve({ text, isHit: reply.headers["apicache-store"] !== undefined }));
        }).on("error", reject);
      });
    },
    async purge(group) {
      cache.clear(group);
      // Its commands are on their way; this one is answered after them.
      await new Promise((resolve) => {
        void client.ping(resolve);
      });
    },
    async close() {
      server.closeAllConnections();
      server.close();
      agent.destroy();
      // Each stored response has a timer of an hour, which would keep the process.
      setTimeout(() => process.exit(0), 100);
      await new Promise((resolve) => {
        void client.quit(resolve);
      });
    },
  };
}
