import { Hono } from "hono";
import { afterEach, describe, expect, it, vi } from "vitest";

import { honoCache } from "../../../src/adapters/hono/index.ts";
import { createCache } from "../../../src/cache.ts";
import type { CacheOptions } from "../../../src/options/cache-options.ts";
import { sharedStore } from "../shared-store.ts";

afterEach(() => vi.unstubAllEnvs());

type Build = (app: Hono, cached: ReturnType<typeof honoCache>) => void;

async function world(options: CacheOptions = {}, build: Build = () => {}, isAppGiven = false) {
  const warnings: string[] = [];
  const logger = { debug: () => {}, info: () => {}, warn: (line: string) => void warnings.push(line) };
  const cache = createCache({ logger, ...options });
  const app = new Hono();
  const cached = honoCache(cache, isAppGiven ? { app } : {});
  app.get("/api/users/:userId", cached(), (context) => context.text("user"));
  app.get("/list", cached({ name: "list" }), (context) => context.text("list"));
  app.put("/list", cached.purges({ route: "/api/user/:userId" }), (context) => context.text("written"));
  build(app, cached);
  await (await app.request("http://a.test/api/users/7")).text();
  return { cache, warnings, app };
}

const rareRoutes: Build = (app, cached) => {
  app.get("/rare/:id", cached(), (context) => context.text("rare"));
  app.route(
    "/sub",
    new Hono().get("/deep", cached(), (context) => context.text("deep")),
  );
};

describe("a purge by a route that is not known", () => {
  it.each(["/api/users/:id", "/API/users/:user/"])(
    "%s is an error: a route differs in the name of a parameter",
    async (route) => {
      const { cache, warnings } = await world();
      const error = await cache.purge({ route }).catch((thrown: unknown) => thrown);
      expect(error).toMatchObject({ code: "ERR_UNKNOWN_ROUTE" });
      expect(String(error)).toContain('Did you mean "/api/users/:userId"?');
      expect(warnings).toEqual([]);
    },
  );

  it.each<{ route: string; says: string }>([
    { route: "/api/user/:userId", says: 'Did you mean "/api/users/:userId"?' },
    { route: "/users/:userId", says: 'Did you mean "/api/users/:userId"?' },
    { route: "lists", says: 'Did you mean "list"?' },
    { route: "/something/else", says: 'Known routes: "list", "/api/users/:userId".' },
  ])("$route is warned of once: $says", async ({ route, says }) => {
    const { cache, warnings } = await world();
    await cache.purge({ route });
    await cache.purge({ route });
    expect(warnings).toEqual([expect.stringContaining(says)]);
    expect(warnings[0]).toContain(`purge({ route: "${route.toLowerCase()}" })`);
  });

  it.each<{ route: string; says: string }>([
    { route: "/api/user/:userId", says: 'Did you mean "/api/users/:userId"?' },
    { route: "/rare/:it", says: 'Did you mean "/rare/:id"?' },
    {
      route: "/something/else",
      says: 'Known routes: "list", "/api/users/:userId", "/list", "/rare/:id", "/sub/deep".',
    },
  ])("$route is an error where the app is given: $says", async ({ route, says }) => {
    const { cache, warnings } = await world({}, rareRoutes, true);
    const error = await cache.purge({ route }).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: "ERR_UNKNOWN_ROUTE" });
    expect(String(error)).toContain(says);
    expect(warnings).toEqual([]);
  });

  it.each(["/rare/:id", "/sub/deep", "list"])(
    "%s is no error where the app is given, though it has not answered yet",
    async (route) => {
      const { cache, warnings } = await world({}, rareRoutes, true);
      await cache.purge({ route });
      expect(warnings).toEqual([]);
    },
  );

  it.each<{ route: string; says: string }>([
    { route: "/items", says: 'Did you mean "/api/v1/items"?' },
    { route: "items", says: 'Did you mean "/api/v1/items"?' },
    { route: "/Items/", says: 'Did you mean "/api/v1/items"?' },
    { route: "/v1/items/:item", says: 'Did you mean "/api/v1/items/:id"?' },
    { route: "/itemz", says: 'Did you mean "/item"?' },
  ])("$route is more likely a pattern without the path of its router: $says", async ({ route, says }) => {
    const { cache, app, warnings } = await world({}, (routes, cached) => {
      for (const path of ["/item", "/api/v1/items", "/api/v1/items/:id"])
        routes.get(path, cached(), (context) => context.text("items"));
    });
    for (const path of ["/list", "/item", "/api/v1/items", "/api/v1/items/7"])
      await (await app.request(`http://a.test${path}`)).text();
    const told = await cache.purge({ route }).then(
      () => warnings.join(),
      (error: unknown) => String(error),
    );
    expect(told).toContain(says);
  });

  it("is an error that needs no catch", async () => {
    const { cache } = await world();
    void cache.purge({ route: "/api/users/:id" });
    await new Promise((resolve) => {
      setTimeout(resolve, 10);
    });
  });

  it("is warned of where a route that writes names it, and the write goes on", async () => {
    const { warnings, app } = await world();
    const response = await app.request("http://a.test/list", { method: "PUT" });
    expect(await response.text()).toBe("written");
    expect(warnings).toEqual([expect.stringContaining('Did you mean "/api/users/:userId"?')]);
  });

  it("is nothing wrong in production", async () => {
    vi.stubEnv("NODE_ENV", "production");
    const { cache, warnings } = await world();
    await cache.purge({ route: "/api/user/:id" });
    expect(warnings).toEqual([]);
  });

  it("is nothing wrong while no route is known", async () => {
    const cache = createCache();
    const warned = vi.spyOn(process, "emitWarning").mockImplementation(() => {});
    await cache.purge({ route: "/users/:id" });
    expect(warned).not.toHaveBeenCalled();
    warned.mockRestore();
  });

  it("may be a route of another process, where the store is shared, unless it is like one of this process", async () => {
    const { cache, warnings } = await world({ store: sharedStore(Date.now) });
    await cache.purge({ route: "/something/else" });
    expect(warnings).toEqual([]);
    await cache.purge({ route: "/api/user/:userid" });
    expect(warnings).toHaveLength(1);
  });

  it.each(["list", "/api/users/:userId", "/API/users/:userid/"])("%s is known", async (route) => {
    const { cache, warnings } = await world();
    await cache.purge({ route });
    expect(warnings).toEqual([]);
  });
});
