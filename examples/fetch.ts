// Reprise with a handler from Request to Response, the form that Bun.serve, Deno.serve and workers take.
import { serve } from "@hono/node-server";
import { createCache } from "reprise";
import { fetchCache } from "reprise/fetch";

const cached = fetchCache(createCache({ logger: console }));

const time = cached("5m", () => Response.json({ computedAt: new Date() }));

function handler(request: Request): Response | Promise<Response> {
  if (new URL(request.url).pathname === "/time") return time(request);
  return new Response(null, { status: 404 });
}

// On Bun: Bun.serve({ fetch: handler }). On Deno: Deno.serve(handler). On Node this small server does the same.
// PORT chooses the port; without it the system picks a free one.
serve({ fetch: handler, port: Number(process.env.PORT ?? 0) }, ({ port }) => {
  console.log(`http://localhost:${port}/time`);
});
