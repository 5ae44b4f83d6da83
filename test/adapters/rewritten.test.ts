/** Requests that reach a handler of Hono, `node:http` or fetch under another URL than the client sent. */

import { type IncomingMessage, type ServerResponse } from "node:http";

import { getRequestListener } from "@hono/node-server";
import { Hono } from "hono";
import { describe, expect, it } from "vitest";

import { fetchCache } from "../../src/adapters/fetch/index.ts";
import { honoCache } from "../../src/adapters/hono/index.ts";
import { nodeCache } from "../../src/adapters/node/index.ts";
import type { Cache } from "../../src/index.ts";
import { listen } from "./contract/listen.ts";
import type { StoreKind } from "./contract/stores.ts";
import { hitOrMiss, onEachStore, startWorld, until, type World } from "./contract/world.ts";

type Fetch = (request: Request, environment: object) => Response | Promise<Response>;

function serveWeb(kind: StoreKind, build: (cache: Cache) => Fetch): Promise<World> {
  return startWorld(kind, {}, (cache) => {
    const fetch = build(cache);
    return listen(getRequestListener((request, environment) => fetch(request, environment)));
  });
}

async function untilHit(world: World, path: string, headers: Record<string, string> = {}): Promise<string> {
  let text = "";
  await until(async () => {
    const received = await world.get(path, headers);
    text = received.text;
    return hitOrMiss(received) === "Hit";
  });
  return text;
}

const OWN = { "x-own": "1" };

describe("Hono", () => {
  onEachStore("node-redis", (kind) => {
    it("keeps apart the routes that see one URL because middleware replaced the request", async () => {
      const world = await serveWeb(kind, (cache) => {
        const cached = honoCache(cache);
        const app = new Hono();
        app.use(async (context, next) => {
          if (context.req.header("x-own") !== undefined) {
            const url = new URL(context.req.url);
            url.pathname = "/target";
            context.req.raw = new Request(url, context.req.raw);
          }
          await next();
        });
        app.get("/home", cached("5m"), (context) => context.text(`home ${new URL(context.req.url).pathname}`));
        app.get("/target", cached("5m"), (context) => context.text("target"));
        return app.fetch;
      });
      expect(await untilHit(world, "/home", OWN)).toBe("home /target");
      expect(await untilHit(world, "/target")).toBe("target");
      expect(await untilHit(world, "/home")).toBe("home /home");
      expect(await untilHit(world, "/home?a=1", OWN)).toBe("home /target");

      await world.cache.purge({ url: "/home?a=1" });
      expect(hitOrMiss(await world.get("/home", OWN))).toBe("Hit");
      expect(hitOrMiss(await world.get("/home?a=1", OWN))).toBe("Miss");
      await world.cache.purge({ url: "/home" });
      expect(hitOrMiss(await world.get("/target"))).toBe("Hit");
      expect(hitOrMiss(await world.get("/home", OWN))).toBe("Miss");
      expect(hitOrMiss(await world.get("/home"))).toBe("Miss");
      await untilHit(world, "/home", OWN);
      await world.cache.purge({ url: "/target" });
      expect(hitOrMiss(await world.get("/home", OWN))).toBe("Miss");
    });

    it("keeps apart two apps that are mounted on paths, and purges them by what the client sent", async () => {
      const world = await serveWeb(kind, (cache) => {
        const cached = honoCache(cache);
        const sub = (name: string): Hono => new Hono().get("/x", cached("5m"), (context) => context.text(name));
        const app = new Hono();
        // Its successor, of hono/mount, is not in the oldest version we support.
        for (const [path, name] of Object.entries({ "/v1": "one", "/v2": "two" })) {
          // oxlint-disable-next-line typescript/no-deprecated
          app.mount(path, sub(name).fetch);
        }
        return app.fetch;
      });
      expect(await untilHit(world, "/v1/x")).toBe("one");
      expect(await untilHit(world, "/v2/x")).toBe("two");
      await world.cache.purge({ url: "/v1/x" });
      expect(hitOrMiss(await world.get("/v2/x"))).toBe("Hit");
      expect(hitOrMiss(await world.get("/v1/x"))).toBe("Miss");
    });

    it("has the path of getPath in the key", async () => {
      const world = await serveWeb(kind, (cache) => {
        const cached = honoCache(cache);
        const getPath = (request: Request): string =>
          `/${request.headers.get("x-own") ?? "0"}${new URL(request.url).pathname}`;
        const app = new Hono({ getPath });
        for (const tenant of ["0", "1"]) app.get(`/${tenant}/x`, cached("5m"), (context) => context.text(tenant));
        return app.fetch;
      });
      expect(await untilHit(world, "/x", OWN)).toBe("1");
      expect(await untilHit(world, "/x")).toBe("0");
    });

    it.each(["/caf%C3%A9", "/a%2Fb", "/a%25b", "/a%zzb", "/a%FFb", "/plain/", "/plain?a=%C3%A9"])(
      "does not take the decoded path of %s for another one",
      async (path) => {
        const world = await serveWeb(kind, (cache) => {
          const app = new Hono({ strict: false });
          app.get("/:id", honoCache(cache)("5m"), (context) => context.text(context.req.param("id")));
          return app.fetch;
        });
        await untilHit(world, path);
        await world.cache.purge({ url: path });
        expect(hitOrMiss(await world.get(path))).toBe("Miss");
      },
    );
  });
});

describe("a fetch handler", () => {
  onEachStore("ioredis", (kind) => {
    it("keeps apart what is mounted on two paths, where the server tells what the client sent", async () => {
      const world = await serveWeb(kind, (cache) => {
        const cached = fetchCache(cache);
        const handler = (name: string): Fetch => cached("5m", () => new Response(name));
        const mounted = new Map([
          ["/v1", handler("one")],
          ["/v2", handler("two")],
        ]);
        return (request, environment) => {
          const url = new URL(request.url);
          const run = mounted.get(url.pathname.slice(0, 3));
          url.pathname = url.pathname.slice(3);
          return run?.(new Request(url, request), environment) ?? new Response(null, { status: 404 });
        };
      });
      expect(await untilHit(world, "/v1/x")).toBe("one");
      expect(await untilHit(world, "/v2/x")).toBe("two");
      await world.cache.purge({ prefix: "/v1" });
      expect(hitOrMiss(await world.get("/v2/x"))).toBe("Hit");
      expect(hitOrMiss(await world.get("/v1/x"))).toBe("Miss");
    });
  });
});

describe("node:http", () => {
  onEachStore("ioredis", (kind) => {
    it("keys by the URL that the handler gets", async () => {
      const world = await startWorld(kind, {}, (cache) => {
        const handler = nodeCache(cache)("5m", (request, response) => void response.end(request.url));
        return listen((request, response) => {
          if (request.headers["x-own"] !== undefined) request.url = `/de${request.url ?? ""}`;
          return handler(request, response);
        });
      });
      expect(await untilHit(world, "/home", OWN)).toBe("/de/home");
      expect(await untilHit(world, "/home")).toBe("/home");
      await world.cache.purge({ url: "/de/home" });
      expect(hitOrMiss(await world.get("/home", OWN))).toBe("Miss");
    });

    it("keeps apart two handlers that a router such as Connect mounts on paths", async () => {
      const world = await startWorld(kind, {}, (cache) => {
        const cached = nodeCache(cache);
        const query = ["lang"];
        const handler = (name: string) =>
          cached({ query }, (request, response) => {
            const { originalUrl, url } = request as IncomingMessage & { originalUrl: string };
            response.end(`${name} ${originalUrl} ${url ?? ""}`);
          });
        const mounted = new Map([
          ["/v1", handler("one")],
          ["/v2", handler("two")],
        ]);
        return listen((request: IncomingMessage & { originalUrl?: string }, response: ServerResponse) => {
          request.originalUrl = request.url ?? "/";
          request.url = request.originalUrl.slice(3);
          return mounted.get(request.originalUrl.slice(0, 3))?.(request, response);
        });
      });
      expect(await untilHit(world, "/v1/x")).toBe("one /v1/x /x");
      expect(await untilHit(world, "/v2/x")).toBe("two /v2/x /x");
      expect(await untilHit(world, "/v2/x?session=1&lang=en")).toBe("two /v2/x?lang=en /x?lang=en");
      await world.cache.purge({ url: "/v1/x" });
      expect(hitOrMiss(await world.get("/v2/x"))).toBe("Hit");
      expect(hitOrMiss(await world.get("/v1/x"))).toBe("Miss");
    });
  });
});
