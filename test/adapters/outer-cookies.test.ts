/** Cookies that code in front of `cached()` sets before the handler runs. */

import { getRequestListener } from "@hono/node-server";
import csurf from "csurf";
import express5, { type RequestHandler } from "express";
import express4 from "express4";
import { Hono } from "hono";
import { describe, expect, it } from "vitest";

import { expressCache } from "../../src/adapters/express/index.ts";
import { honoCache } from "../../src/adapters/hono/index.ts";
import { nodeCache } from "../../src/adapters/node/index.ts";
import type { Cache, CacheOptions } from "../../src/index.ts";
import type { RouteOptions } from "../../src/options/route-options.ts";
import type { Served } from "./contract/driver.ts";
import { linesOf } from "./contract/http-client.ts";
import { listen } from "./contract/listen.ts";
import { memoryKind } from "./contract/stores.ts";
import { cacheStatusOf, hitOrMiss, onEachStore, startWorld } from "./contract/world.ts";

type Serve = (cache: Cache, options: RouteOptions, cookie: () => string) => Promise<Served>;

function serveOnExpress(express: typeof express5): Serve {
  return (cache, options, cookie) => {
    const app = express();
    app.use((_request, response, next) => {
      response.append("Set-Cookie", cookie());
      next();
    });
    app.get("/", expressCache(cache)(options), (_request, response) => void response.send("page"));
    return listen(app);
  };
}

const ADAPTERS: Readonly<Record<string, Serve>> = {
  "Express 5": serveOnExpress(express5),
  "Express 4": serveOnExpress(express4),
  Hono: (cache, options, cookie) => {
    const app = new Hono();
    app.use(async (context, next) => {
      context.header("Set-Cookie", cookie(), { append: true });
      await next();
    });
    app.get("/", honoCache(cache)(options), (context) => context.text("page"));
    return listen(getRequestListener(app.fetch));
  },
  "node:http": (cache, options, cookie) => {
    const route = nodeCache(cache)(options, (_request, response) => void response.end("page"));
    return listen((request, response) => {
      response.setHeader("Set-Cookie", [cookie()]);
      void route(request, response);
    });
  },
};

interface Row {
  readonly cookie: string;
  readonly isKept: boolean;
  readonly because: string;
  readonly options?: RouteOptions;
  readonly identity?: CacheOptions["identity"];
}

const ROWS: readonly Row[] = [
  { cookie: "connect.sid=s1; Path=/", isKept: false, because: "it begins a session" },
  { cookie: "_csrf=secret", isKept: false, because: "the page may show its token" },
  { cookie: "XSRF-TOKEN=secret", isKept: false, because: "the page may show it" },
  { cookie: "__Host-session=s1; Secure; Path=/", isKept: false, because: "a prefix hides no name" },
  { cookie: " auth_token =t", isKept: false, because: "spaces around the name are no part of it" },
  { cookie: "visitor=7", isKept: true, because: "its name speaks of no login" },
  { cookie: "lang=user", isKept: true, because: "the name counts, not the value" },
  { cookie: "_ga_session_id=1", isKept: false, because: "a pattern of the harmless ones covers no such name" },
  {
    cookie: "connect.sid=s1",
    isKept: true,
    because: "the route is public",
    options: { audience: "public" },
  },
  {
    cookie: "connect.sid=s1",
    isKept: true,
    because: "the response is for one user, whose id is in the key",
    options: { audience: () => "ann" },
  },
  {
    cookie: "connect.sid=s1",
    isKept: false,
    because: "without an id the response is for all",
    options: { audience: () => undefined },
  },
  {
    cookie: "_csrf=secret",
    isKept: true,
    because: "it is declared harmless",
    identity: { harmlessCookies: ["_csrf"] },
  },
];

describe.each(Object.entries(ADAPTERS))("%s", (_name, serve) => {
  onEachStore("node-redis", (kind) => {
    it.each(ROWS)("$cookie set in front, kept: $isKept, because $because", async (row) => {
      let sent = 0;
      const cookie = (): string => row.cookie.replace("=", `=${++sent}-`);
      const { get } = await startWorld(kind, row.identity === undefined ? {} : { identity: row.identity }, (cache) =>
        serve(cache, { expire: "1h", ...row.options }, cookie),
      );

      const received = [await get("/"), await get("/")];

      expect(received.map(hitOrMiss)).toEqual(["Miss", row.isKept ? "Hit" : "Miss"]);
      // Each client has its own cookie, and no freshness beside it.
      for (const [at, { headers }] of received.entries()) {
        expect(linesOf(received[at]!, "set-cookie")).toEqual([row.cookie.replace("=", `=${at + 1}-`).trim()]);
        expect([headers["expires"], headers["cdn-cache-control"]]).toEqual([undefined, undefined]);
        expect(headers["cache-control"] ?? "").not.toMatch(/max-age/);
      }
      if (!row.isKept) expect(cacheStatusOf(received[0]!)).toContain("detail=set-cookie");
    });
  });
});

describe.each([
  { name: "Express 5", express: express5 },
  { name: "Express 4", express: express4 },
])("$name", ({ express }) => {
  it.each(["_csrf", "_c", "nonce", "guard"])(
    "csurf with the cookie %s in front: every visitor's own token works",
    async (key) => {
      const app = express();
      app.use(cookies, express.urlencoded({ extended: false }), csurf({ cookie: { key } }) as RequestHandler);
      const world = await startWorld(memoryKind, {}, (cache) => {
        app.get("/form", expressCache(cache)({ expire: "1m", audience: "public" }), (request, response) => {
          response.send((request as unknown as { csrfToken(): string }).csrfToken());
        });
        app.post("/form", (_request, response) => void response.send("taken"));
        return listen(app);
      });

      const tokens = new Set<string>();
      for (let visitor = 0; visitor < 2; visitor++) {
        const form = await world.get("/form");
        expect(cacheStatusOf(form)).toContain("detail=csrf-token");
        tokens.add(form.text);
        const posted = await world.send("/form", {
          method: "POST",
          headers: {
            Cookie: linesOf(form, "set-cookie")[0]!.split(";", 1)[0]!,
            "Content-Type": "application/x-www-form-urlencoded",
          },
          body: `_csrf=${encodeURIComponent(form.text)}`,
        });
        expect([posted.status, posted.text]).toEqual([200, "taken"]);
      }
      expect(tokens.size).toBe(2);
    },
  );

  it("a token that is asked for while the page streams keeps it out of the store", async () => {
    const app = express();
    app.use(cookies, csurf({ cookie: { key: "guard" } }) as RequestHandler);
    const world = await startWorld(memoryKind, {}, (cache) => {
      app.get("/", expressCache(cache)("1m"), (request, response) => {
        response.write("form ");
        response.end((request as unknown as { csrfToken(): string }).csrfToken());
      });
      return listen(app);
    });

    const received = [await world.get("/"), await world.get("/")];
    expect(received.map(hitOrMiss)).toEqual(["Miss", "Miss"]);
    expect(received[0]!.text).not.toBe(received[1]!.text);
  });
});

/** What `cookie-parser` does, as far as csurf needs it. */
const cookies: RequestHandler = (request, _response, next) => {
  const pairs = (request.headers.cookie ?? "").split("; ").map((pair) => pair.split("="));
  request.cookies = Object.fromEntries(pairs.map(([name, ...value]) => [name, decodeURIComponent(value.join("="))]));
  next();
};
