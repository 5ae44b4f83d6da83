/** Errors that an error handler answers with a status below 400, as a page. */

import express, { type NextFunction, type Request, type Response as ExpressResponse } from "express";
import { Hono } from "hono";
import { HTTPException } from "hono/http-exception";
import { describe, expect, it, onTestFinished } from "vitest";

import { expressCache } from "../../src/adapters/express/index.ts";
import { createCache, type CacheEvent } from "../../src/index.ts";
import { send } from "./contract/http-client.ts";
import { listen } from "./contract/listen.ts";
import { until } from "./contract/world.ts";
import { byFetch, onNode, site, status, type Build } from "./hono-sites.ts";

const failed = (events: readonly CacheEvent[]): string[] =>
  events.flatMap((event) => (event.type === "revalidation-failed" ? [event.error.message] : []));

describe.each([onNode, byFetch])("Hono $name: app.onError answers with 200", (kind) => {
  let isDown = false;
  const failing =
    (options: object): Build =>
    (app, cached) => {
      isDown = false;
      app.onError((error, context) => context.json({ ok: false, error: error.message }, 200));
      app.get("/", cached(options), (context) => {
        if (isDown) throw new Error("db down");
        return context.json({ ok: true });
      });
    };

  it("on the first run: not stored", async () => {
    const { get } = await site(kind, failing({ expire: "1h" }));
    isDown = true;
    for (const _ of [1, 2]) {
      const response = await get("/");
      expect(await response.json()).toEqual({ ok: false, error: "db down" });
      expect(status(response)).toBe("reprise; fwd=uri-miss; fwd-status=200; detail=origin-error");
      expect(response.headers.get("cache-control")).toBe(null);
    }
    isDown = false;
    expect(await (await get("/")).json()).toEqual({ ok: true });
  });

  it("of requests that come together each gets an answer, and none is stored", async () => {
    const { get } = await site(kind, failing({ expire: "1h" }));
    isDown = true;
    for (const response of await Promise.all([get("/"), get("/"), get("/")]))
      expect(await response.json()).toEqual({ ok: false, error: "db down" });
    isDown = false;
    expect(await (await get("/")).json()).toEqual({ ok: true });
  });

  it("in a renewal: it has failed with the error, and the stale response stays", async () => {
    const { get, advance, events } = await site(kind, failing({ expire: 10, staleWhileRevalidate: "1h" }));
    await (await get("/")).text();
    await until(() => events.some(({ type }) => type === "stored"));
    advance(11);
    isDown = true;
    await (await get("/")).text();
    await until(() => failed(events).length === 1);
    expect(failed(events)).toEqual(["db down"]);
    isDown = false;
    const response = await get("/");
    expect([await response.json(), status(response)]).toEqual([{ ok: true }, "reprise; hit; ttl=-1"]);
  });

  it("staleIfError puts the stale response in its place", async () => {
    const { get, advance } = await site(kind, failing({ expire: 10, staleIfError: "1h" }));
    await (await get("/")).text();
    await until(async () => status(await get("/")).includes("hit"));
    advance(11);
    isDown = true;
    const response = await get("/");
    expect([await response.json(), status(response)]).toEqual([
      { ok: true },
      "reprise; fwd=stale; ttl=-1; detail=stale-if-error",
    ]);
  });

  it("the error handler of an app inside counts, and so does a layer between that answers for the error", async () => {
    const { get } = await site(kind, (app, cached) => {
      const inside = new Hono();
      inside.onError((error, context) => context.text(`inside: ${error.message}`));
      inside.get("/x", cached("1h"), () => {
        throw new Error("x");
      });
      app.route("/inside", inside);
      app.get(
        "/between",
        cached("1h"),
        async (context, next) => {
          await next();
          if (context.error !== undefined) context.res = new Response("between", { status: 200 });
        },
        () => {
          throw new Error("y");
        },
      );
    });

    for (const path of ["/inside/x", "/between"]) {
      for (const _ of [1, 2]) {
        const response = await get(path);
        expect(response.status, path).toBe(200);
        expect(status(response), path).toContain("detail=origin-error");
      }
    }
  });

  it("a redirect that is thrown goes out, also where a stale response could stand in", async () => {
    let isLoggedOut = false;
    const { get, advance } = await site(kind, (app, cached) => {
      app.get("/", cached({ expire: 10, staleIfError: "1h" }), (context) => {
        if (!isLoggedOut) return context.text("page");
        throw new HTTPException(302, { res: new Response(null, { status: 302, headers: { Location: "/login" } }) });
      });
    });
    await (await get("/")).text();
    await until(async () => status(await get("/")).includes("hit"));
    advance(11);
    isLoggedOut = true;
    for (const _ of [1, 2]) {
      const response = await get("/");
      expect([response.status, response.headers.get("location")]).toEqual([302, "/login"]);
      expect(status(response)).toContain("detail=origin-error");
    }
  });

  it("cached.refresh() does not store it", async () => {
    const { get } = await site(kind, (app, cached) => {
      app.onError((error, context) => context.text(error.message, 200));
      app.put("/", cached.refresh("1h"), () => {
        throw new Error("not written");
      });
      app.get("/", cached("1h"), (context) => context.text("page"));
    });

    expect(await (await get("/", {}, "PUT")).text()).toBe("not written");
    expect(await (await get("/")).text()).toBe("page");
  });

  it("what is thrown with a status of 400 or more is an answer as before", async () => {
    let runs = 0;
    const { get } = await site(kind, (app, cached) => {
      app.get("/", cached({ expire: "1h", statuses: { 404: "1h" } }), () => {
        runs += 1;
        throw new HTTPException(404, { message: "none" });
      });
    });

    for (const outcome of ["stored", "hit"]) {
      const response = await get("/");
      expect([response.status, await response.text()]).toEqual([404, "none"]);
      expect(status(response)).toContain(outcome);
    }
    expect(runs).toBe(1);
  });
});

it("Express 5.3: a renewal whose error a handler answers with 200 has failed with the error", async () => {
  let nowMs = Date.UTC(2026, 2, 1, 12);
  let isDown = false;
  const cache = createCache({ now: () => nowMs });
  const events: CacheEvent[] = [];
  cache.events.on("*", (event) => events.push(event));
  const app = express();
  app.get("/", expressCache(cache)({ expire: 10, staleWhileRevalidate: "1h" }), (_request, response) => {
    if (isDown) throw new Error("db down");
    response.json({ ok: true });
  });
  app.use((error: Error, _request: Request, response: ExpressResponse, _next: NextFunction) => {
    response.json({ ok: false, error: error.message });
  });
  const { url, ...served } = await listen(app);
  onTestFinished(async () => {
    await served.close();
    await cache.close();
  });

  expect((await send(url)).text).toBe('{"ok":true}');
  nowMs += 11_000;
  isDown = true;
  await send(url);
  await until(() => failed(events).length === 1);
  expect(failed(events)).toEqual(["db down"]);
  isDown = false;
  expect((await send(url)).text).toBe('{"ok":true}');
});
