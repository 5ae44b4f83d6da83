/** Middleware of Express that puts another URL or query in place of the one that the client sent. */

import express5, { type Request, type RequestHandler } from "express";
import express4 from "express4";
import { describe, expect, it } from "vitest";

import { serveExpress } from "./contract/express-driver.ts";
import { hitOrMiss, onEachStore, until, type World } from "./contract/world.ts";

/** A field that the handler is not to see the effect of without it, and that nothing puts in the key. */
const FIELD = "x-own";

/** Rewrites requests with the field. */
function rewriting(rewrite: (request: Request) => void): RequestHandler {
  return (request, _response, next) => {
    if (request.get(FIELD) !== undefined) rewrite(request);
    next();
  };
}

const shown: RequestHandler = (request, response) => {
  const { originalUrl, baseUrl, url, query } = request;
  response.json({ originalUrl, shown: baseUrl + url, query });
};

async function untilHit(world: World, path: string, headers: Record<string, string> = {}): Promise<string> {
  let text = "";
  await until(async () => {
    const received = await world.get(path, headers);
    text = received.text;
    return hitOrMiss(received) === "Hit";
  });
  return text;
}

describe.each([
  { name: "Express 5", express: express5 },
  { name: "Express 4", express: express4 },
])("$name", ({ name, express }) => {
  const serve = serveExpress.bind(undefined, express);

  onEachStore("node-redis", (kind) => {
    it("keeps two routes apart that rewriting makes of one URL", async () => {
      const { get } = await serve(kind, (app, cached) => {
        app.use(rewriting((request) => (request.url = `/de${request.url}`)));
        app.get("/de/home", cached("5m"), (_request, response) => void response.send("Willkommen"));
        app.get("/home", cached("5m"), (_request, response) => void response.send("Welcome"));
      });
      for (const outcome of ["Miss", "Hit"]) {
        const german = await get("/home", { [FIELD]: "1" });
        const english = await get("/home");
        expect([german.text, hitOrMiss(german)]).toEqual(["Willkommen", outcome]);
        expect([english.text, hitOrMiss(english)]).toEqual(["Welcome", outcome]);
      }
      const direct = await get("/de/home");
      expect([direct.text, hitOrMiss(direct)]).toEqual(["Willkommen", "Miss"]);
    });

    it.each<{ rewrite: string; to: (request: Request) => void }>([
      { rewrite: "url in a router", to: (request) => (request.url = "/b") },
      { rewrite: "baseUrl", to: (request) => (request.baseUrl = "/tenant") },
      { rewrite: "the query in url", to: (request) => (request.url += "?lang=de") },
      { rewrite: "query as a whole", to: (request) => define(request, { lang: "de" }) },
      { rewrite: "originalUrl", to: (request) => (request.originalUrl = "/other") },
    ])("keeps apart what the handler is shown with another $rewrite", async ({ to }) => {
      const world = await serve(kind, (app, cached) => {
        const router = express.Router();
        router.use(rewriting(to));
        router.get("/:page", cached("5m"), shown);
        app.use("/in", router);
      });
      const own = await untilHit(world, "/in/a", { [FIELD]: "1" });
      const plain = await untilHit(world, "/in/a");
      expect(own).not.toBe(plain);
      expect(JSON.parse(plain)).toEqual({ originalUrl: "/in/a", shown: "/in/a", query: {} });
      expect(await untilHit(world, "/in/a", { [FIELD]: "1" })).toBe(own);
    });

    it("shows the handler what middleware put into url and query, also where parameters are not in the key", async () => {
      const world = await serve(kind, (app, cached) => {
        app.use(rewriting((request) => (request.url = "/page?session=9&lang=de")));
        app.get("/page", cached({ query: ["lang"] }), shown);
      });
      const own = JSON.parse(await untilHit(world, "/page?b=2&lang=en&a=1", { [FIELD]: "1" })) as object;
      expect(own).toMatchObject({ originalUrl: "/page?lang=en", shown: "/page?lang=de" });
      expect(own).toMatchObject({ query: { lang: name === "Express 5" ? "de" : "en" } });
    });

    it("hides parameters that are not in the key from a query that was parsed of the new URL", async () => {
      const world = await serve(kind, (app, cached) => {
        app.use(
          rewriting((request) => {
            request.url = "/page?session=9&lang=de";
            define(request, { session: "9", lang: "de" });
          }),
        );
        app.get("/page", cached({ query: ["lang"] }), shown);
      });
      const own = JSON.parse(await untilHit(world, "/page?lang=en", { [FIELD]: "1" })) as object;
      expect(own).toMatchObject({ query: { lang: "de" } });
      expect(own).not.toHaveProperty("query.session");
    });

    it("leaves a query alone that middleware put in place, and has all of it in the key", async () => {
      let tenant = "one";
      const world = await serve(kind, (app, cached) => {
        app.use(rewriting((request) => define(request, { ...request.query, tenant })));
        app.get("/page", cached({ query: ["lang"] }), shown);
      });
      const one = await untilHit(world, "/page?lang=en&x=1", { [FIELD]: "1" });
      expect(JSON.parse(one)).toMatchObject({ query: { lang: "en", tenant: "one" } });
      tenant = "two";
      const two = await world.get("/page?lang=en&x=1", { [FIELD]: "1" });
      expect(hitOrMiss(two)).toBe("Miss");
      expect(JSON.parse(two.text)).toMatchObject({ query: { tenant: "two" } });
    });

    it("takes no part where the query cannot be told apart", async () => {
      const world = await serve(kind, (app, cached) => {
        app.use(
          rewriting((request) => {
            const query: Record<string, unknown> = {};
            query["self"] = query;
            define(request, query);
          }),
        );
        app.get("/page", cached("5m"), (_request, response) => void response.send(String(Math.random())));
      });
      const answers = [await world.get("/page", { [FIELD]: "1" }), await world.get("/page", { [FIELD]: "1" })];
      expect(answers.map(({ status }) => status)).toEqual([200, 200]);
      expect(answers[0]?.text).not.toBe(answers[1]?.text);
    });

    it("is one key for what routers cut off and put back", async () => {
      const world = await serve(kind, (app, cached) => {
        const inner = express.Router({ mergeParams: true });
        inner.get("/", cached("5m"), shown);
        inner.get("/x", cached("5m"), shown);
        app.use("/api/:id", inner);
        app.use(cached("5m"));
        app.get("/late", shown);
      });
      for (const path of ["/api/7", "/api/7/", "/api/7?a=1", "/api/7/x?b=1", "/late"]) {
        await untilHit(world, path);
      }
      for (const url of ["/", "/?a=1", "/x?b=1"]) await world.cache.purge({ url });
      for (const path of ["/api/7", "/api/7?a=1", "/api/7/x?b=1", "/late"]) {
        expect(hitOrMiss(await world.get(path)), path).toBe("Hit");
      }
    });

    it.each([
      { what: { url: "/home" } },
      { what: { url: "/de/home" } },
      { what: { prefix: "/de" } },
      { what: { prefix: "/home" } },
    ])("purge($what) reaches a response whose URL was rewritten", async ({ what }) => {
      const world = await serve(kind, (app, cached) => {
        app.use(rewriting((request) => (request.url = `/de${request.url}`)));
        app.get("/de/home", cached("5m"), (_request, response) => void response.send("Willkommen"));
        app.get("/other", cached("5m"), (_request, response) => void response.send("other"));
      });
      await untilHit(world, "/home", { [FIELD]: "1" });
      await untilHit(world, "/other");
      await world.cache.purge(what);
      expect(hitOrMiss(await world.get("/home", { [FIELD]: "1" }))).toBe("Miss");
      expect(hitOrMiss(await world.get("/other"))).toBe("Hit");
    });

    it.each(["/home", "/de/home", "/alias"])(
      "a write to %s reaches a response whose URL was rewritten",
      async (path) => {
        const world = await serve(kind, (app, cached) => {
          app.use((request, _response, next) => {
            if (request.url === "/home" || request.url === "/alias") request.url = "/de/home";
            next();
          });
          app.get("/de/home", cached("5m"), (_request, response) => void response.send("Willkommen"));
          app.put("/de/home", cached.purges(), (_request, response) => void response.send("written"));
        });
        await untilHit(world, "/home");
        await world.send(path, { method: "PUT" });
        expect(hitOrMiss(await world.get("/home"))).toBe("Miss");
      },
    );
  });
});

/** As middleware for Express 5 does it, where the query is a getter. */
function define(request: Request, query: unknown): void {
  Object.defineProperty(request, "query", { value: query, writable: true, configurable: true, enumerable: true });
}
