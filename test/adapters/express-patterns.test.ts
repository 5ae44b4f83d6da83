/** What `purge({ route })` calls the routes of Express, however routers and apps are mounted. */

import express5, { type Express, type RequestHandler } from "express";
import express4 from "express4";
import { describe, expect, it } from "vitest";

import { serveExpress } from "./contract/express-driver.ts";
import { memoryKind } from "./contract/stores.ts";
import { hitOrMiss, onEachStore, until, type World } from "./contract/world.ts";

type Cached = Parameters<Parameters<typeof serveExpress>[2]>[1];
type Framework = typeof express5;

interface Row {
  readonly mount: string;
  readonly build: (app: Express, cached: Cached, express: Framework) => void;
  /** A request that is cached. */
  readonly path: string;
  /** Each purges it. */
  readonly routes: readonly string[];
  /** None of these does. */
  readonly spared?: readonly string[];
  /** Not all routes of the application can be read, so that no pattern is refused. */
  readonly isUnreadable?: boolean;
  readonly only?: "Express 4" | "Express 5";
}

const page: RequestHandler = (_request, response) => void response.send(String(Math.random()));

const ROWS: readonly Row[] = [
  {
    mount: "a route of the app",
    build: (app, cached) => app.get("/users/:id", cached(), page),
    path: "/users/7",
    routes: ["/users/:id", "/users/:id/", "/Users/:id"],
    spared: ["/users", "/users/7", "/users/:id/x"],
  },
  {
    mount: "a route with a closing slash",
    build: (app, cached) => app.get("/users/:id/", cached(), page),
    path: "/users/7",
    routes: ["/users/:id", "/users/:id/"],
  },
  {
    mount: "app.route()",
    build: (app, cached) => app.route("/users/:id").all(cached()).get(page),
    path: "/users/7",
    routes: ["/users/:id"],
  },
  {
    mount: "a router",
    build(app, cached, express) {
      const router = express.Router();
      router.get("/users/:id", cached(), page);
      app.use("/api", router);
    },
    path: "/api/users/7",
    routes: ["/api/users/:id", "/API/users/:id/"],
    spared: ["/users/:id", "/api"],
  },
  {
    mount: "a router by another case than it was mounted on",
    build(app, cached, express) {
      const router = express.Router();
      router.get("/", cached(), page);
      app.use("/Api/", router);
    },
    path: "/aPI",
    routes: ["/Api", "/api/"],
  },
  {
    mount: "a router on a path with parameters",
    build(app, cached, express) {
      const router = express.Router();
      router.get("/posts/:post", cached(), page);
      app.use("/users/:id", router);
    },
    path: "/users/users/posts/posts",
    routes: ["/users/:id/posts/:post"],
    spared: ["/users/users/posts/:post", "/users/:id"],
  },
  {
    mount: "routers in routers, with mergeParams",
    build(app, cached, express) {
      const inner = express.Router({ mergeParams: true });
      inner.get("/:c", cached(), page);
      const middle = express.Router({ mergeParams: true });
      middle.use("/:b", inner);
      app.use("/:a", middle);
    },
    path: "/x/x/x",
    routes: ["/:a/:b/:c"],
  },
  {
    mount: "a router on two paths, in front of another with the same one",
    build(app, cached, express) {
      const router = express.Router();
      router.get("/x", cached(), page);
      app.use("/other/:id", express.Router());
      app.use(["/one/:id", "/two/:name"], router);
    },
    path: "/two/7/x",
    routes: ["/two/:name/x"],
    spared: ["/one/:id/x", "/other/:id/x"],
    only: "Express 5",
  },
  {
    mount: "a router on two paths",
    build(app, cached, express) {
      const router = express.Router();
      router.get("/x", cached(), page);
      app.use(["/one/:id", "/two/:name"], router);
    },
    path: "/two/7/x",
    routes: ["/two/:name/x"],
  },
  {
    mount: "a sub-app on a path with parameters, in a sub-app",
    // No request has come through the app beside it.
    isUnreadable: true,
    build(app, cached, express) {
      const inner = express();
      inner.get("/posts", cached(), page);
      const middle = express();
      middle.use("/users/:id", inner);
      const beside = express();
      app.use("/tenants/:tenant", beside);
      app.use("/tenants/:tenant", middle);
    },
    path: "/tenants/a/users/7/posts",
    routes: ["/tenants/:tenant/users/:id/posts"],
  },
  {
    mount: "a router in a sub-app",
    build(app, cached, express) {
      const router = express.Router();
      router.get("/x/:y", cached(), page);
      const inner = express();
      inner.use("/r/:id", router);
      app.use("/sub", inner);
    },
    path: "/sub/r/7/x/8",
    routes: ["/sub/r/:id/x/:y"],
  },
  {
    mount: "several paths of one route",
    build: (app, cached) => app.get(["/a/:id", ["/b/:id", "/c"]] as unknown as string[], cached(), page),
    path: "/b/7",
    routes: ["/b/:id", "/a/:id", "/c"],
  },
  {
    mount: "a regular expression",
    build: (app, cached) => app.get(/^\/item\/(\d+)$/, cached(), page),
    path: "/item/7",
    routes: [String.raw`/^\/item\/(\d+)$/`, String.raw`^\/item\/(\d+)$`],
    spared: ["/item/7"],
  },
  {
    mount: "a regular expression in a router",
    build(app, cached, express) {
      const router = express.Router();
      router.get(/^\/item/, cached(), page);
      app.use("/:shop", router);
    },
    path: "/a/item",
    routes: [String.raw`/:shop/^\/item/`, String.raw`/:shop^\/item`],
  },
  {
    mount: "a router on a regular expression",
    build(app, cached, express) {
      const router = express.Router();
      router.get("/x", cached(), page);
      app.use(/^\/v\d+/, router);
    },
    path: "/v1/x",
    routes: [String.raw`/^\/v\d+//x`],
  },
  {
    mount: "app.use() on all paths",
    build(app, cached) {
      app.use(cached());
      app.get("/users/:id", page);
    },
    path: "/users/7",
    routes: ["/users/:id"],
    spared: ["/"],
  },
  {
    mount: "app.use() on a path",
    build(app, cached, express) {
      const router = express.Router();
      router.get("/users/:id", page);
      app.use("/api/:v", cached(), router);
    },
    path: "/api/1/users/7",
    routes: ["/api/:v", "/api/:v/users/:id"],
    spared: ["/users/:id", "/api/1"],
  },
  {
    mount: "router.use()",
    build(app, cached, express) {
      const router = express.Router();
      router.use("/users", cached());
      router.get("/users/:id", page);
      app.use("/api", router);
    },
    path: "/api/users/7",
    routes: ["/api/users", "/api/users/:id"],
  },
  {
    mount: "a line of its own, and a route behind it",
    build(app, cached) {
      app.get("/users/:any", cached());
      app.get("/users/:id", page);
    },
    path: "/users/7",
    routes: ["/users/:any", "/users/:id"],
  },
  {
    mount: "two on one route",
    build: (app, cached) => app.get("/users/:id", cached({ when: () => false }), cached(), page),
    path: "/users/7",
    routes: ["/users/:id"],
  },
  {
    mount: "a parameter with a limit",
    build(app, cached, express) {
      const router = express.Router();
      router.get(String.raw`/x/:y(\d+)`, cached(), page);
      app.use(String.raw`/users/:id(\d+)`, router);
    },
    path: "/users/7/x/8",
    routes: ["/users/:id/x/:y", String.raw`/users/:id(\d+)/x/:y(\d+)`],
    only: "Express 4",
  },
  {
    mount: "a wildcard",
    build(app, cached, express) {
      const router = express.Router();
      router.get("/x", cached(), page);
      app.use("/files/:id/end", router);
      app.get("/all/*rest", cached(), page);
    },
    path: "/all/a/b",
    routes: ["/all/*rest"],
    only: "Express 5",
  },
];

const UNKNOWN = { code: "ERR_UNKNOWN_ROUTE" };

describe.each([
  { name: "Express 5", express: express5 },
  { name: "Express 4", express: express4 },
])("$name", ({ name, express }) => {
  const rows = ROWS.filter(({ only }) => only === undefined || only === name);

  it.each(rows)("$mount", async ({ build, path, routes, spared = [] }) => {
    const world = await serveExpress(express, memoryKind, (app, cached) => build(app, cached, express));
    await untilHit(world, path);
    for (const route of spared) {
      // In development it may be refused, because no route has this pattern.
      await world.cache.purge({ route }).catch((error: unknown) => expect(error).toMatchObject(UNKNOWN));
      expect(hitOrMiss(await world.get(path)), route).toBe("Hit");
    }
    for (const route of routes) {
      await world.cache.purge({ route });
      expect(hitOrMiss(await world.get(path)), route).toBe("Miss");
      await untilHit(world, path);
    }
  });

  it.each(rows)("$mount: no pattern of it is refused before it has answered", async ({ build, routes }) => {
    const world = await serveExpress(express, memoryKind, (app, cached) => {
      app.get("/warm", cached(), page);
      build(app, cached, express);
    });
    await untilHit(world, "/warm");
    for (const route of ["/warm", ...routes]) await world.cache.purge({ route });
  });

  it.each(rows.filter(({ isUnreadable }) => isUnreadable !== true))(
    "$mount: a pattern that no route has is an error",
    async ({ build, path }) => {
      const world = await serveExpress(express, memoryKind, (app, cached) => build(app, cached, express));
      await untilHit(world, path);
      await expect(world.cache.purge({ route: "/no/such/:route" })).rejects.toMatchObject(UNKNOWN);
    },
  );

  it.each<{ way: string; build: Row["build"] }>([
    {
      way: "a function of the application calls the middleware",
      build(app, cached) {
        const middleware = cached();
        app.get("/hidden/:id", (...call) => middleware(...call), page);
      },
    },
    {
      way: "a function of the application calls the router",
      build(app, cached, framework) {
        const router = framework.Router();
        router.get("/hidden/:id", cached(), page);
        app.use((...call) => router(...call));
      },
    },
    {
      way: "it stands in an app that is mounted and has not answered",
      build(app, cached, framework) {
        const inner = framework();
        inner.get("/:id", cached(), page);
        app.use("/hidden", inner);
      },
    },
  ])("a pattern is not refused while routes may be hidden: $way", async ({ build }) => {
    const world = await serveExpress(express, memoryKind, (app, cached) => {
      app.get("/warm", cached(), page);
      build(app, cached, express);
    });
    await untilHit(world, "/warm");
    await world.cache.purge({ route: "/hidden/:id" });
  });

  onEachStore("ioredis", (kind) => {
    it("a renewed response keeps the names of its routes", async () => {
      let run = 0;
      const world = await serveExpress(express, kind, (app, cached) => {
        app.use(cached({ expire: 10, staleWhileRevalidate: 60, requestDirectives: "ignore" }));
        app.get("/users/:id", (_request, response) => void response.send(`run ${++run}`));
      });
      await untilHit(world, "/users/7");
      world.advance(20);
      await until(async () => (await world.get("/users/7")).text === "run 2");
      await untilHit(world, "/users/7");
      await world.cache.purge({ route: "/users/:id" });
      expect((await world.get("/users/7")).text).toBe("run 3");
    });
  });
});

describe("Express 5 before 5.3, whose layers do not keep their path", () => {
  it.each<{ mounts: readonly string[]; path: string; base: string }>([
    { mounts: ["/users/:id"], path: "/users/users", base: "/users/:id" },
    { mounts: ["/:a/:b", "/c"], path: "/c/c/c", base: "/:a/:b/c" },
    { mounts: ["/files/*rest"], path: "/files/a/b", base: "/files/*rest" },
    { mounts: ["/plain/", "/x"], path: "/plain/x", base: "/plain/x" },
  ])("$mounts → $base", async ({ mounts, path, base }) => {
    const world = await serveExpress(express5, memoryKind, (app, cached) => {
      const inner = express5.Router();
      inner.get("/", cached(), page);
      const outer = mounts.toReversed().reduce((router, mount) => express5.Router().use(mount, router), inner);
      app.use(outer);
      forgetPaths(app.router);
    });
    await untilHit(world, path);
    await world.cache.purge({ route: base });
    expect(hitOrMiss(await world.get(path))).toBe("Miss");
  });
});

function forgetPaths(router: unknown): void {
  for (const layer of (router as { stack?: { rawPath?: unknown; handle: unknown }[] }).stack ?? []) {
    delete layer.rawPath;
    forgetPaths(layer.handle);
  }
}

async function untilHit(world: World, path: string): Promise<void> {
  await until(async () => hitOrMiss(await world.get(path)) === "Hit");
}
