import { Hono } from "hono";
import { afterEach, describe, expect, it, vi } from "vitest";

import { honoCache } from "../src/adapters/hono.ts";
import { createCache } from "../src/cache.ts";
import type { CacheOptions } from "../src/options.ts";
import { sharedStore } from "./engine/shared-store.ts";

afterEach(() => vi.unstubAllEnvs());

async function world(options: CacheOptions = {}) {
  const warnings: string[] = [];
  const logger = { debug: () => {}, info: () => {}, warn: (line: string) => void warnings.push(line) };
  const cache = createCache({ logger, ...options });
  const cached = honoCache(cache);
  const app = new Hono();
  app.get("/api/users/:userId", cached(), (context) => context.text("user"));
  app.get("/list", cached({ name: "list" }), (context) => context.text("list"));
  app.put("/list", cached.purges({ route: "/api/user/:userId" }), (context) => context.text("written"));
  await (await app.request("http://a.test/api/users/7")).text();
  return { cache, warnings, app };
}

describe("a purge by a route that is not known", () => {
  it.each<{ route: string; says: string }>([
    { route: "/api/user/:userId", says: 'Did you mean "/api/users/:userId"?' },
    { route: "/api/users/:id", says: 'Did you mean "/api/users/:userId"?' },
    { route: "/users/:userId", says: 'Did you mean "/api/users/:userId"?' },
    { route: "lists", says: 'Did you mean "list"?' },
    { route: "/something/else", says: 'Known so far: "list", "/api/users/:userId".' },
  ])("$route is warned of once: $says", async ({ route, says }) => {
    const { cache, warnings } = await world();
    await cache.purge({ route });
    await cache.purge({ route });
    expect(warnings).toEqual([expect.stringContaining(says)]);
    expect(warnings[0]).toContain(`purge({ route: "${route.toLowerCase()}" })`);
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
