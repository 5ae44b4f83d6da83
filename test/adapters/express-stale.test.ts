/** Stale responses on Express: what runs again in the background, and what does not. */

import { AsyncLocalStorage } from "node:async_hooks";

import express5, { type ErrorRequestHandler, type Request, type RequestHandler } from "express";
import express4 from "express4";
import { describe, expect, it } from "vitest";

import { isRenewal } from "../../src/index.ts";
import { serveExpress } from "./contract/express-driver.ts";
import { leavesWithStale } from "./contract/stale.ts";
import { cacheStatusOf, gate, hitOrMiss, onEachStore, until, untilStored } from "./contract/world.ts";

type WithUser = Request & { user?: string };

const STALE = { expire: 10, staleWhileRevalidate: 60 } as const;

describe.each([
  { name: "Express 5", express: express5 },
  { name: "Express 4", express: express4 },
])("$name", ({ name, express }) => {
  const serve = serveExpress.bind(undefined, express);

  onEachStore("node-redis", (kind) => {
    it("the renewal comes through the middleware in front, with the request that found the response stale", async () => {
      let outer = 0;
      const world = await serve(kind, (app, cached) => {
        app.locals["site"] = "shop";
        app.use((request: WithUser, response, next) => {
          request.user = `user ${++outer}`;
          response.locals["theme"] = "dark";
          next();
        });
        const router = express.Router();
        router.get("/users/:id", cached(STALE), loadsTenant, (request: WithUser, response) => {
          response.json({
            id: request.params["id"],
            lang: request.query["lang"],
            user: request.user,
            locals: response.locals,
            site: request.app.locals["site"] as string,
            url: [request.originalUrl, request.baseUrl, request.path],
            agent: request.get("user-agent"),
          });
        });
        app.use("/api", router);
      });
      const path = "/api/users/7?lang=en";
      const first = JSON.parse((await world.get(path, { "User-Agent": "one" })).text) as object;
      world.advance(15);

      const stale = await world.get(path, { "User-Agent": "two" });
      expect(JSON.parse(stale.text)).toEqual(first);
      expect(cacheStatusOf(stale)).toBe("reprise; hit; ttl=-5");
      await untilStored(world, 2);

      const renewed = await world.get(path);
      expect(JSON.parse(renewed.text)).toEqual({
        id: "7",
        lang: "en",
        user: "user 3",
        locals: { theme: "dark", tenant: "t7" },
        site: "shop",
        url: [path, "/api", "/users/7"],
        agent: "two",
      });
      // Three requests of clients, and one renewal.
      expect(outer).toBe(4);
    });

    it("a client that leaves does not take the renewal with it", async () => {
      const renewal = gate();
      let run = 0;
      const world = await serve(kind, (app, cached) => {
        app.get("/", cached(STALE), (request, response) => {
          run++;
          if (run === 1) return void response.send("v1");
          void renewal.opened.then(() => {
            if (!request.destroyed) response.send("v2");
          });
        });
      });
      await leavesWithStale(world, { isUnderWay: () => run === 2, open: renewal.open });
    });

    it.each<{ way: string; fail: RequestHandler }>([
      { way: "next(error)", fail: (_request, _response, next) => next(new Error("down")) },
      {
        way: "a throw",
        fail: () => {
          throw new Error("down");
        },
      },
      { way: "a 503", fail: (_request, response) => void response.status(503).send("down") },
    ])("a renewal that ends in $way leaves the stale response", async ({ fail }) => {
      let isBroken = false;
      const { get, advance, events } = await serve(kind, (app, cached) => {
        app.get("/", cached(STALE), (request, response, next) =>
          isBroken ? fail(request, response, next) : void response.send("v1"),
        );
      });
      await get("/");
      isBroken = true;
      advance(15);

      expect((await get("/")).text).toBe("v1");
      await until(() => events.some(({ type }) => type === "revalidation-failed"));
      expect((await get("/")).text).toBe("v1");
    });

    it("a renewal whose handler fails tells the error, or in Express 4 the status and where the error is", async () => {
      let isBroken = false;
      const handled: string[] = [];
      const { get, advance, events } = await serve(kind, (app, cached) => {
        app.get("/", cached(STALE), (_request, response) => {
          if (isBroken) throw new Error("database is gone");
          response.send("v1");
        });
        app.use(((error: Error, request, response, _next) => {
          if (isRenewal(request)) handled.push(error.message);
          response.status(502).send("broken");
        }) as ErrorRequestHandler);
      });
      await get("/");
      isBroken = true;
      advance(15);

      expect((await get("/")).text).toBe("v1");
      await until(() => events.some(({ type }) => type === "revalidation-failed"));
      const failed = events.find((event) => event.type === "revalidation-failed");
      expect(failed?.error.message).toBe(
        name === "Express 4"
          ? "the origin answered 502; if its handler failed, the error went to the application's error handler"
          : "database is gone",
      );
      expect(handled).toEqual(["database is gone"]);
    });

    it("a renewal that no route answers any more takes the stale response away", async () => {
      let isGone = false;
      const { get, advance, events } = await serve(kind, (app, cached) => {
        app.get("/", cached(STALE), (_request, response, next) => (isGone ? next() : void response.send("v1")));
      });
      await get("/");
      isGone = true;
      advance(15);

      expect((await get("/")).text).toBe("v1");
      await until(() => events.some(({ type }) => type === "revalidation-failed"));
      expect((await get("/")).status).toBe(404);
    });

    it("a renewal that is answered in front of cached() says so, and the stale response stays", async () => {
      let isClosed = false;
      const { get, advance, events } = await serve(kind, (app, cached) => {
        app.use((request, response, next) => {
          if (isClosed && isRenewal(request)) response.sendStatus(429);
          else next();
        });
        app.get("/", cached(STALE), (_request, response) => void response.send("v1"));
      });
      await get("/");
      isClosed = true;
      advance(15);

      expect((await get("/")).text).toBe("v1");
      await until(() => events.some(({ type }) => type === "revalidation-failed"));
      const failed = events.find((event) => event.type === "revalidation-failed");
      expect(failed?.error.message).toBe("the renewal was answered with 429 before it reached cached()");
      expect((await get("/")).text).toBe("v1");
    });

    it.each(["app.use", "app.get on a line of its own", "a router", "a mounted app", "next('route')"])(
      "renews in the background: cached() on %s",
      async (place) => {
        let run = 0;
        const world = await serve(kind, (app, cached) => {
          const answer: RequestHandler = (_request, response) => void response.send(`v${++run}`);
          switch (place) {
            case "app.use":
              app.use(cached(STALE));
              break;
            case "app.get on a line of its own":
              app.get("/at/:id", cached(STALE));
              break;
            case "next('route')":
              app.get("/at/:id", cached(STALE), (_request, _response, next) => next("route"));
              break;
            case "a mounted app": {
              const mounted = express();
              mounted.use(cached(STALE));
              mounted.get("/:id", answer);
              app.use("/at", mounted);
              break;
            }
            default: {
              const router = express.Router();
              router.use(cached(STALE));
              router.get("/:id", answer);
              app.use("/at", router);
            }
          }
          app.get("/at/:id", answer);
        });
        const { get, advance } = world;
        await get("/at/7");
        advance(15);

        const stale = await get("/at/7");
        expect([stale.text, cacheStatusOf(stale)]).toEqual(["v1", "reprise; hit; ttl=-5"]);
        await untilStored(world, 2);
        expect((await get("/at/7")).text).toBe("v2");
        expect(run).toBe(2);
      },
    );

    it("what outer middleware does to the response is done to the renewal as well", async () => {
      let run = 0;
      const world = await serve(kind, (app, cached) => {
        app.use((_request, response, next) => {
          const { send } = response;
          response.send = function filtered(body) {
            return send.call(this, String(body).replace(/secret\d+/, "***"));
          };
          response.status(203).type("text/plain");
          next();
        });
        app.get("/", cached(STALE), (_request, response) => response.send(`secret${++run}`));
      });
      const { get, advance } = world;
      const first = await get("/");
      advance(15);
      await get("/");
      await untilStored(world, 2);
      const renewed = await get("/");

      expect(run).toBe(2);
      expect([renewed.status, renewed.text, renewed.headers["content-type"]]).toEqual([
        203,
        "***",
        first.headers["content-type"],
      ]);
    });

    it("a renewal has the address of the client, which may have left, and its own async context", async () => {
      const context = new AsyncLocalStorage<string>();
      const seen: unknown[] = [];
      let requests = 0;
      const world = await serve(kind, (app, cached) => {
        app.use((_request, _response, next) => context.run(`request ${++requests}`, next));
        app.get("/", cached(STALE), (request, response) => {
          seen.push([request.ip, context.getStore(), isRenewal(request)]);
          response.send("a");
        });
      });
      await world.get("/");
      world.advance(15);
      await world.get("/");
      await untilStored(world, 2);

      const [[address]] = seen as [[string]];
      expect(seen).toEqual([
        [address, "request 1", false],
        [address, "request 3", true],
      ]);
    });

    it("the same middleware on several methods of a route renews with the handler of GET", async () => {
      let run = 0;
      const world = await serve(kind, (app, cached) => {
        const shared = cached(STALE);
        app
          .route("/")
          .post(shared, (_request, response) => void response.send("posted"))
          .get(shared, (_request, response) => void response.send(`v${++run}`))
          .put(shared, (_request, response) => void response.send("put"));
      });
      const { get, send, advance } = world;
      await get("/");
      advance(15);

      expect((await get("/")).text).toBe("v1");
      await untilStored(world, 2);
      expect((await get("/")).text).toBe("v2");
      expect((await send("/", { method: "POST" })).text).toBe("posted");
      expect(run).toBe(2);
    });

    it("stale-if-error: what the error handler answers is replaced while a stale response may stand in", async () => {
      let isBroken = false;
      let handled = 0;
      const { get, advance } = await serve(kind, (app, cached) => {
        app.get("/", cached({ expire: 10, staleIfError: 60 }), (_request, response, next) =>
          isBroken ? next(new Error("down")) : void response.send("v1"),
        );
        const onError: express5.ErrorRequestHandler = (_error, _request, response, _next) => {
          handled++;
          response.status(500).send("handled");
        };
        app.use(onError);
      });
      await get("/");
      isBroken = true;
      advance(15);

      const stale = await get("/");
      expect([stale.status, stale.text]).toEqual([200, "v1"]);
      expect(hitOrMiss(stale)).toBe("Miss");
      expect(cacheStatusOf(stale)).toContain("detail=stale-if-error");
      advance(60);
      expect((await get("/")).text).toBe("handled");
      expect(handled).toBeGreaterThan(0);
    });
  });
});

const loadsTenant: RequestHandler = (request, response, next) => {
  response.locals["tenant"] = `t${String(request.params["id"])}`;
  setTimeout(next, 1);
};
