// Reprise with plain node:http: `cached` takes options and a handler, and gives a handler back.
import { createServer } from "node:http";
import { createCache } from "reprise";
import { nodeCache } from "reprise/node";

const cached = nodeCache(createCache({ logger: console }));

const time = cached("5m", (_request, response) => {
  response.setHeader("Content-Type", "application/json");
  response.end(JSON.stringify({ computedAt: new Date() }));
});

const server = createServer((request, response) => {
  if (request.url === "/time") return time(request, response);
  response.writeHead(404).end();
});

// PORT chooses the port; without it the system picks a free one.
server.listen(Number(process.env.PORT ?? 0), () => {
  const address = server.address();
  if (typeof address === "object" && address !== null) console.log(`http://localhost:${address.port}/time`);
});
