/** Routes that the tests serve in each runtime: a fetch handler, with a Hono app below /hono. */

import { AsyncLocalStorage } from "node:async_hooks";
import { Hono } from "hono";
import { setCookie } from "hono/cookie";
import { createCache } from "../../dist/index.js";
import { fetchCache } from "../../dist/adapters/fetch/index.js";
import { honoCache } from "../../dist/adapters/hono/index.js";

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const user = new AsyncLocalStorage();

let nowMs = Date.UTC(2026, 2, 1, 12);
const cache = createCache({ now: () => nowMs });
const events = [];
cache.events.on("*", (event) => events.push(event.type));

let runs = 0;

const cached = fetchCache(cache);
const fetchRoutes = {
  // The sample of the README.
  "/sample": cached("5m", (request) => Response.json({ path: new URL(request.url).pathname })),
  "/slow": cached("5m", async () => {
    await pause(50);
    return new Response(`run ${++runs}`);
  }),
  "/mine": cached("5m", async () => {
    await pause(50);
    return new Response(`hello ${user.getStore()}`, { headers: { "Cache-Control": "private" } });
  }),
  "/renewed": cached({ expire: 10, staleWhileRevalidate: "1h" }, async () => {
    await pause(50);
    return new Response(`run ${++runs}`);
  }),
  "/streamed": cached("5m", () => {
    const pieces = ["one,", "two,", `run ${++runs}`];
    return new Response(
      new ReadableStream({
        async pull(controller) {
          await pause(5);
          const piece = pieces.shift();
          if (piece === undefined) controller.close();
          else controller.enqueue(new TextEncoder().encode(piece));
        },
      }),
    );
  }),
  "/text": cached({ expire: 10, staleWhileRevalidate: "1h" }, () => new Response(`text ${++runs}`)),
  "/text-later": cached("5m", async () => new Response(`text ${++runs}`)),
  "/uncached/text": () => new Response(`text ${++runs}`),
  "/bytes": cached("5m", async () => new Response(new Uint8Array([0, 255, 1]))),
  "/uncached/bytes": () => new Response(new Uint8Array([0, 255, 1])),
  "/moved": cached("5m", () => new Response(null, { status: 301, headers: { Location: "/sample" } })),
};
const late = cached("5m", async () => new Response(`token ${++runs}`));
fetchRoutes["/late"] = async (...args) => {
  const response = await late(...args);
  await pause(20);
  response.headers.append("Set-Cookie", "sid=a");
  return response;
};

const app = new Hono();
const honoCached = honoCache(cache, { app: () => root });
app.use((context, next) => user.run(context.req.header("x-user"), next));
app.get("/slow", honoCached("5m"), async (context) => {
  await pause(50);
  return context.text(`run ${++runs}`);
});
app.get("/text", honoCached({ expire: 10, staleWhileRevalidate: "1h" }), (context) => context.text(`text ${++runs}`));
const addressOf = ({ env, req }) => env?.requestIP?.(req.raw)?.address ?? env?.remoteAddr?.hostname ?? "none";
app.use("/restricted", (context, next) => {
  const isAllowed = context.req.header("x-address") === addressOf(context) || addressOf(context) === "127.0.0.1";
  return isAllowed ? next() : context.text(addressOf(context), 403);
});
app.get("/restricted", honoCached({ expire: 10, staleWhileRevalidate: "1h" }), (context) =>
  context.text(`run ${++runs}`),
);
app.get("/mine", honoCached("5m"), async (context) => {
  await pause(50);
  context.header("Cache-Control", "private");
  return context.text(`hello ${user.getStore()}`);
});
app.get("/renewed", honoCached({ expire: 10, staleWhileRevalidate: "1h" }), async (context) => {
  await pause(50);
  return context.text(`run ${++runs}`);
});
app.use("/late", async (context, next) => {
  await next();
  await pause(20);
  setCookie(context, "sid", "a");
});
app.get("/late", honoCached("5m"), (context) => context.text(`token ${++runs}`));
app.get("/moved", honoCached("5m"), (context) => context.redirect("/hono/slow", 301));

const root = new Hono();
root.get("/control/advance", (context) => {
  nowMs += Number(context.req.query("seconds")) * 1000;
  return context.text("");
});
root.get("/control/events", (context) => context.json(events));
root.route("/hono", app);
root.all("*", (context) => {
  const route = fetchRoutes[new URL(context.req.url).pathname];
  if (route === undefined) return context.notFound();
  let executionCtx;
  try {
    ({ executionCtx } = context);
  } catch {
    // Only Workers have one.
  }
  return user.run(context.req.header("x-user"), () => route(context.req.raw, context.env, executionCtx));
});

export const handle = root.fetch;
