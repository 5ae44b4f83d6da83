/** The oldest Hono that is supported: its contexts end as those of today do. */

import { setTimeout as pause } from "node:timers/promises";
import type { Hono as CurrentHono } from "hono";
import { Hono } from "hono46";
import { compress } from "hono46/compress";
import { setCookie } from "hono46/cookie";
import { expect, it, onTestFinished } from "vitest";

import { honoCache } from "../../src/adapters/hono/index.ts";
import { createCache, type CacheEvent } from "../../src/index.ts";
import { until } from "./contract/world.ts";

it("Hono 4.6: late cookies, removed fields, hits, and renewals through the app", async () => {
  let nowMs = Date.UTC(2026, 2, 1, 12);
  const cache = createCache({ now: () => nowMs });
  const events: CacheEvent[] = [];
  cache.events.on("*", (event) => events.push(event));
  onTestFinished(() => cache.close());
  const old = new Hono();
  const app = old as unknown as CurrentHono;
  const cached = honoCache(cache, { app });
  let runs = 0;
  old.use("/late", async (context, next) => {
    await next();
    await pause(5);
    setCookie(context, "sid", "a");
  });
  old.use("/late", compress({ threshold: 1 }));
  app.use(async (context, next) => {
    context.header("X-Frame-Options", "DENY");
    await next();
  });
  app.get("/late", cached("1h"), (context) => context.text(`run ${++runs}`));
  app.get("/page", cached({ expire: 10, staleWhileRevalidate: "1h" }), (context) => {
    context.header("X-Frame-Options", undefined);
    return context.text(`run ${++runs}`);
  });
  const get = async (path: string): Promise<readonly (string | null)[]> => {
    const { headers, body } = await app.request(path, { headers: { "Accept-Encoding": "gzip" } });
    await new Response(body).arrayBuffer();
    return [headers.get("x-reprise-cache"), headers.get("x-frame-options"), headers.get("cache-control")];
  };

  for (const run of [1, 2]) {
    expect(await get("/late")).toEqual(["Miss", "DENY", null]);
    expect(runs).toBe(run);
  }
  expect(await get("/page")).toEqual(["Miss", null, "max-age=10"]);
  expect(await get("/page")).toEqual(["Hit", null, "max-age=10"]);
  nowMs += 11_000;
  expect(await get("/page")).toEqual(["Hit", null, "max-age=0"]);
  await until(() => events.filter(({ type }) => type === "stored").length === 2);
  expect(await get("/page")).toEqual(["Hit", null, "max-age=10"]);
  expect(runs).toBe(4);
});
