/** Caching among the middleware of Hono. */

import { randomUUID } from "node:crypto";
import { gunzipSync } from "node:zlib";

import { getRequestListener } from "@hono/node-server";
import { type Context, Hono, type MiddlewareHandler } from "hono";
import { compress } from "hono/compress";
import { setCookie } from "hono/cookie";
import { cors } from "hono/cors";
import { HTTPException } from "hono/http-exception";
import { streamSSE, streamText } from "hono/streaming";
import { describe, expect, it } from "vitest";

import { honoCache } from "../../src/adapters/hono/index.ts";
import { firstPiece, linesOf, open, read } from "./contract/http-client.ts";
import { listen } from "./contract/listen.ts";
import { leavesWithStale } from "./contract/stale.ts";
import type { StoreKind } from "./contract/stores.ts";
import {
  cacheStatusOf,
  gate,
  hitOrMiss,
  onEachStore,
  startWorld,
  until,
  untilStored,
  type World,
} from "./contract/world.ts";

type App = Hono<{ Variables: { user: string; tenant: string } }>;
type Cached = ReturnType<typeof honoCache>;

const STALE = { expire: 10, staleWhileRevalidate: 60 } as const;

function serve(kind: StoreKind, build: (app: App, cached: Cached) => void): Promise<World> {
  return startWorld(kind, {}, (cache) => {
    const app: App = new Hono();
    build(app, honoCache(cache));
    return listen(getRequestListener(app.fetch));
  });
}

describe("Hono", () => {
  onEachStore("node-redis", (kind) => {
    it("headers of outer middleware are those of this request, whether set before or after next()", async () => {
      const { get } = await serve(kind, (app, cached) => {
        app.use(async (context, next) => {
          context.header("X-Before", randomUUID());
          await next();
          context.header("X-After", randomUUID());
          context.res.headers.set("X-After-Too", randomUUID());
        });
        app.get("/context", cached(), (context) => context.json({ a: 1 }));
        app.get("/varied", cached({ vary: ["accept"] }), (context) => context.json({ a: 1 }));
      });

      for (const path of ["/context", "/varied"]) {
        const received = [await get(path)];
        // Redis may keep it a moment after the first client has it.
        await until(async () => hitOrMiss(await get(path)) === "Hit");
        received.push(await get(path), await get(path));
        expect(received.map(hitOrMiss), path).toEqual(["Miss", "Hit", "Hit"]);
        for (const name of ["x-before", "x-after", "x-after-too"]) {
          const values = received.map(({ headers }) => headers[name]);
          expect(
            values.every((value) => typeof value === "string"),
            `${name} of ${path}`,
          ).toBe(true);
          expect(new Set(values).size, `${name} of ${path}`).toBe(3);
        }
      }
    });

    it("a cookie of outer middleware is set for its own client; set late, it keeps the response out of the store", async () => {
      let visitors = 0;
      const { get } = await serve(kind, (app, cached) => {
        app.use("/before", async (context, next) => {
          setCookie(context, "visitor", `v${++visitors}`);
          setCookie(context, "theme", "dark");
          await next();
        });
        app.use("/after", async (context, next) => {
          await next();
          setCookie(context, "visitor", `v${++visitors}`);
          setCookie(context, "theme", "dark");
        });
        app.get("/before", cached(), (context) => context.text("page"));
        app.get("/after", cached(), (context) => context.text("page"));
      });

      for (const path of ["/before", "/after"]) {
        for (const outcome of path === "/before" ? ["Miss", "Hit", "Hit"] : ["Miss", "Miss", "Miss"]) {
          const received = await get(path);
          expect([received.text, hitOrMiss(received)], path).toEqual(["page", outcome]);
          expect(linesOf(received, "set-cookie"), path).toEqual([`visitor=v${visitors}; Path=/`, "theme=dark; Path=/"]);
        }
      }
      expect(visitors).toBe(6);
    });

    it("T19 outer headers do not hide what a handler's own Response says", async () => {
      const { get } = await serve(kind, (app, cached) => {
        app.use(async (context, next) => {
          context.header("Vary", "Accept");
          context.header("Cache-Control", "public");
          await next();
        });
        app.get("/vary", cached(), () => new Response("mine", { headers: { Vary: "Cookie" } }));
        app.get("/private", cached(), () => new Response("mine", { headers: { "Cache-Control": "private" } }));
      });

      expect(cacheStatusOf(await get("/vary"))).toContain("detail=vary-identity");
      expect(cacheStatusOf(await get("/private"))).toContain("detail=private");
    });

    it("a cookie that inner middleware sets keeps the response out of the store", async () => {
      const { get } = await serve(kind, (app, cached) => {
        const login: MiddlewareHandler = async (context, next) => {
          await next();
          setCookie(context, "login", "a");
        };
        app.get("/", cached(), login, (context) => context.text("page"));
      });

      for (let round = 0; round < 2; round++) {
        expect(cacheStatusOf(await get("/"))).toBe("reprise; fwd=uri-miss; fwd-status=200; detail=set-cookie");
      }
    });

    it("cors(): each origin has its own answer and Vary names Origin", async () => {
      const { get } = await serve(kind, (app, cached) => {
        app.use(cors({ origin: (origin) => origin, credentials: true }));
        app.get("/", cached({ vary: ["accept-language"] }), (context) => context.json({ a: 1 }));
      });

      for (const origin of ["https://a.example", "https://b.example", "https://a.example"]) {
        const received = await get("/", { Origin: origin });
        expect(received.headers["access-control-allow-origin"]).toBe(origin);
        const names = linesOf(received, "vary").join(", ").toLowerCase().split(/, */);
        expect(names).toContain("origin");
        expect(names).toContain("accept-language");
      }
      expect(hitOrMiss(await get("/", { Origin: "https://c.example" }))).toBe("Hit");
    });

    it("an outer Cache-Control: no-store is meant for the route too", async () => {
      const { get } = await serve(kind, (app, cached) => {
        app.use(async (context, next) => {
          context.header("Cache-Control", "no-store");
          await next();
        });
        app.get("/", cached(), (context) => context.text("page"));
      });

      for (let round = 0; round < 2; round++) expect(cacheStatusOf(await get("/"))).toContain("detail=no-store");
    });

    it("compress() in front: each client gets what it can read", async () => {
      const text = "compress me ".repeat(500);
      let runs = 0;
      const { get } = await serve(kind, (app, cached) => {
        app.use(compress());
        app.get("/", cached(), (context) => {
          runs++;
          return context.text(text);
        });
      });

      for (let round = 0; round < 2; round++) {
        const gzip = await get("/", { "Accept-Encoding": "gzip" });
        expect(gzip.headers["content-encoding"]).toBe("gzip");
        expect(gunzipSync(gzip.body).toString()).toBe(text);
        expect((await get("/")).text).toBe(text);
      }
      expect(runs).toBe(1);
    });

    it("caching as middleware of an app, before its routes", async () => {
      let runs = 0;
      const { get, advance } = await serve(kind, (app, cached) => {
        app.use("*", cached({ expire: 10, staleWhileRevalidate: 60 }));
        app.get("/a", (context) => context.text(`a ${++runs}`));
        app.get("/b/:id", (context) => context.text(`b ${context.req.param("id")}`));
      });

      expect((await get("/a")).text).toBe("a 1");
      expect((await get("/b/7")).text).toBe("b 7");
      expect((await get("/b/8")).text).toBe("b 8");
      expect((await get("/a")).text).toBe("a 1");
      expect((await get("/nowhere")).status).toBe(404);
      advance(15);
      expect(["a 1", "a 2"]).toContain((await get("/a")).text);
      await until(() => runs === 2);
      await until(async () => (await get("/a")).text === "a 2");
      expect(runs).toBe(2);
    });

    it("errors: a throw, an HTTPException and onError are not stored", async () => {
      let isBroken = true;
      const { get } = await serve(kind, (app, cached) => {
        app.onError((error, context) =>
          context.text(`handled ${error.message}`, error instanceof HTTPException ? 418 : 500),
        );
        const broken = (error: Error) => (context: Context) => {
          if (isBroken) throw error;
          return context.text("ok");
        };
        app.get("/throw", cached(), broken(new Error("t")));
        app.get("/http", cached(), broken(new HTTPException(418, { message: "h" })));
      });

      expect([(await get("/throw")).text, (await get("/http")).text]).toEqual(["handled t", "handled h"]);
      isBroken = false;
      for (const path of ["/throw", "/http"]) {
        expect((await get(path)).text).toBe("ok");
        expect(hitOrMiss(await get(path))).toBe("Hit");
      }
    });

    it("stale-while-revalidate: the second run goes through outer middleware, with params, variables and env of its own", async () => {
      let outer = 0;
      const world = await serve(kind, (app, cached) => {
        app.use(async (context, next) => {
          context.set("user", `user ${++outer}`);
          await next();
        });
        const inner: MiddlewareHandler = async (context, next) => {
          context.set("tenant", `t${String(context.req.param("id"))}`);
          await next();
          context.header("X-Inner", "1");
        };
        app.get("/users/:id", cached(STALE), inner, (context) => {
          const { req } = context;
          return context.json({
            id: req.param("id"),
            lang: req.query("lang"),
            user: context.get("user"),
            tenant: context.get("tenant"),
            path: req.path,
            agent: req.header("user-agent"),
          });
        });
      });
      const path = "/users/7?lang=en";
      const first = JSON.parse((await world.get(path, { "User-Agent": "one" })).text) as object;
      world.advance(15);

      const stale = await world.get(path, { "User-Agent": "two" });
      expect(JSON.parse(stale.text)).toEqual(first);
      await untilStored(world, 2);
      const renewed = await world.get(path);
      expect(JSON.parse(renewed.text)).toEqual({
        id: "7",
        lang: "en",
        user: "user 3",
        tenant: "t7",
        path: "/users/7",
        agent: "two",
      });
      expect(renewed.headers["x-inner"]).toBe("1");
      expect(outer).toBe(4);
    });

    it("stale-while-revalidate: inside a sub-app with middleware of its own", async () => {
      let run = 0;
      const world = await serve(kind, (app, cached) => {
        const inner = new Hono();
        inner.use(async (context, next) => {
          await next();
          context.header("X-Sub", "1");
        });
        inner.onError((_, context) => context.text("failed", 500));
        inner.get("/items/:id", cached(STALE), (context) => context.text(`${context.req.param("id")} v${++run}`));
        app.route("/api/:version", inner);
      });
      await world.get("/api/v1/items/7");
      world.advance(15);

      expect((await world.get("/api/v1/items/7")).text).toBe("7 v1");
      await untilStored(world, 2);
      const renewed = await world.get("/api/v1/items/7");
      expect([renewed.text, renewed.headers["x-sub"]]).toEqual(["7 v2", "1"]);
    });

    it("stale-while-revalidate: a client that leaves does not take the renewal with it", async () => {
      const renewal = gate();
      let run = 0;
      const world = await serve(kind, (app, cached) => {
        app.get("/", cached(STALE), async (context) => {
          if (++run === 1) return context.text("v1");
          await renewal.opened;
          context.req.raw.signal.throwIfAborted();
          return context.text("v2");
        });
      });
      await leavesWithStale(world, { isUnderWay: () => run === 2, open: renewal.open });
    });

    it("streamText streams, and streamSSE is neither delayed nor stored", async () => {
      const more = gate();
      const { url, get } = await serve(kind, (app, cached) => {
        app.get("/text", cached(), (context) =>
          streamText(context, async (out) => {
            await out.write("one,");
            await more.opened;
            await out.write("two");
          }),
        );
        app.get("/events", cached(), (context) =>
          streamSSE(context, async (out) => {
            await out.writeSSE({ data: "1" });
            await more.opened;
          }),
        );
      });

      const text = await open(`${url}/text`);
      const events = await open(`${url}/events`);
      expect(await firstPiece(text)).toBe("one,");
      expect(await firstPiece(events)).toBe("data: 1\n\n");
      expect(cacheStatusOf(events)).toContain("detail=no-cache");
      more.open();
      expect((await read(text)).toString()).toBe("two");
      await read(events);
      expect([(await get("/text")).text, hitOrMiss(await get("/text"))]).toEqual(["one,two", "Hit"]);
      expect(hitOrMiss(await get("/events"))).toBe("Miss");
    });
  });
});
