// Reprise with Hono, here on Node: the same routes run on Bun, Deno and workers.
import { serve } from "@hono/node-server";
import { Hono } from "hono";
import { createCache } from "reprise";
import { honoCache } from "reprise/hono";

const cached = honoCache(createCache({ logger: console }));
const app = new Hono();

app.get("/time", cached("5m"), (context) => context.json({ computedAt: new Date() }));

// A stale response is still served for a minute, while one request in the background computes it anew.
app.get("/slow", cached({ expire: "10s", staleWhileRevalidate: "1m" }), async (context) => {
  await new Promise((resolve) => setTimeout(resolve, 500));
  return context.text(`Took half a second at ${new Date().toISOString()}`);
});

// PORT chooses the port; without it the system picks a free one.
serve({ fetch: app.fetch, port: Number(process.env.PORT ?? 0) }, ({ port }) => {
  console.log(`http://localhost:${port}/time`);
});
