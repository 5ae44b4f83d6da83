/** Stale responses on Express: what runs again in the background, and what does not. */

import express5, { type Request, type RequestHandler } from "express";
import express4 from "express4";
import { describe, expect, it } from "vitest";

import { serveExpress } from "./contract/express-driver.ts";
import { leavesWithStale } from "./contract/stale.ts";
import { cacheStatusOf, gate, hitOrMiss, onEachStore, until, untilStored } from "./contract/world.ts";

type WithUser = Request & { user?: string };

const STALE = { expire: 10, staleWhileRevalidate: 60 } as const;

describe.each([
  { name: "Express 5", express: express5 },
  { name: "Express 4", express: express4 },
])("$name", ({ express }) => {
  const serve = serveExpress.bind(undefined, express);

  onEachStore("node-redis", (kind) => {
    it("the second run has the params, locals, user and app of the request that found the response stale", async () => {
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
        user: "user 2",
        locals: { theme: "dark", tenant: "t7" },
        site: "shop",
        url: [path, "/api", "/users/7"],
        agent: "two",
      });
      // The middleware in front ran once for each request of a client.
      expect(outer).toBe(3);
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
      { way: "next()", fail: (_request, _response, next) => next() },
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

    it("on an app, where nothing can run again alone, one reader waits and the others do not", async () => {
      const renewal = gate();
      let run = 0;
      const { get, advance } = await serve(kind, (app, cached) => {
        app.use(cached(STALE));
        app.get("/", (_request, response) => {
          run++;
          if (run === 1) return void response.send("v1");
          void renewal.opened.then(() => response.send("v2"));
        });
      });
      await get("/");
      advance(15);

      const waiting = get("/");
      await until(() => run === 2);
      const meanwhile = get("/");
      const first = await Promise.race([waiting, meanwhile, undecided()]);
      renewal.open();

      expect((await waiting).text).toBe("v2");
      expect(cacheStatusOf(await waiting)).toBe("reprise; fwd=stale; fwd-status=200; stored");
      expect(["v1", "v2"]).toContain((await meanwhile).text);
      expect(first === undefined || first.text === "v1").toBe(true);
      expect(run).toBe(2);
      expect((await get("/")).text).toBe("v2");
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

/** Resolves with nothing when the others have had their time. */
function undecided(): Promise<undefined> {
  return new Promise((resolve) => {
    setTimeout(() => resolve(undefined), 50);
  });
}
