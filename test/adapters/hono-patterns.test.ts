/** What `purge({ route })` calls the routes of Hono, however apps are mounted. */

import { getRequestListener } from "@hono/node-server";
import { Hono } from "hono";
import { describe, expect, it } from "vitest";

import { honoCache } from "../../src/adapters/hono/index.ts";
import { listen } from "./contract/listen.ts";
import { memoryKind } from "./contract/stores.ts";
import { hitOrMiss, startWorld, until, type World } from "./contract/world.ts";

type Cached = ReturnType<typeof honoCache>;

interface Row {
  readonly mount: string;
  readonly build: (app: Hono, cached: Cached) => unknown;
  readonly path: string;
  readonly routes: readonly string[];
  readonly spared?: readonly string[];
}

const page = (): Response => new Response(String(Math.random()));

const ROWS: readonly Row[] = [
  {
    mount: "a route of the app",
    build: (app, cached) => app.get("/users/:id", cached(), page),
    path: "/users/7",
    routes: ["/users/:id", "/users/:id/"],
    spared: ["/users", "/users/7"],
  },
  {
    mount: "an app in an app on a path with parameters",
    build: (app, cached) => app.route("/users/:id", new Hono().get("/posts/:post", cached(), page)),
    path: "/users/7/posts/8",
    routes: ["/users/:id/posts/:post"],
    spared: ["/posts/:post", "/users/:id"],
  },
  {
    mount: "an app with an error handler of its own, twice nested",
    build: (app, cached) => {
      const inner = new Hono().get("/x", cached(), page);
      inner.onError((_, context) => context.text("failed", 500));
      app.route("/a", new Hono().route("/:b", inner));
    },
    path: "/a/1/x",
    routes: ["/a/:b/x"],
  },
  {
    mount: "basePath()",
    build: (app, cached) => app.basePath("/api/:v").get("/x", cached(), page),
    path: "/api/1/x",
    routes: ["/api/:v/x"],
  },
  {
    mount: "several paths",
    build: (app, cached) => app.on(["GET"], ["/a/:id", "/b/:id"], cached(), page),
    path: "/b/7",
    routes: ["/b/:id"],
    spared: ["/a/:id"],
  },
  {
    mount: "a parameter with a limit",
    build: (app, cached) => app.get("/x/:id{[0-9]+}", cached(), page),
    path: "/x/7",
    routes: ["/x/:id{[0-9]+}", "/x/:id"],
  },
  {
    mount: "app.use() on all paths",
    build: (app, cached) => app.use(cached()).get("/users/:id", page),
    path: "/users/7",
    routes: ["/users/:id", "/*"],
  },
  {
    mount: "app.use() on a path",
    build: (app, cached) => app.use("/api/*", cached()).route("/api", new Hono().get("/users/:id", page)),
    path: "/api/users/7",
    routes: ["/api/users/:id", "/api/*"],
    spared: ["/users/:id"],
  },
];

describe("Hono", () => {
  it.each(ROWS)("$mount", async ({ build, path, routes, spared = [] }) => {
    const world = await startWorld(memoryKind, {}, (cache) => {
      const app = new Hono();
      build(app, honoCache(cache));
      return listen(getRequestListener(app.fetch));
    });
    await untilHit(world, path);
    for (const route of spared) {
      await world.cache.purge({ route });
      expect(hitOrMiss(await world.get(path)), route).toBe("Hit");
    }
    for (const route of routes) {
      await world.cache.purge({ route });
      expect(hitOrMiss(await world.get(path)), route).toBe("Miss");
      await untilHit(world, path);
    }
  });
});

async function untilHit(world: World, path: string): Promise<void> {
  await until(async () => hitOrMiss(await world.get(path)) === "Hit");
}
