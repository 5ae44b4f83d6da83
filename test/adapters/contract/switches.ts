import { expect, it } from "vitest";

import type { CacheOptions, RouteOptions } from "../../../src/index.ts";
import { cacheStatusOf, counter, hitOrMiss, type Setup, untilStored } from "./world.ts";

const OFF: readonly { how: string; options: RouteOptions; cache: CacheOptions }[] = [
  { how: "expire: 0", options: { expire: 0 }, cache: {} },
  { how: 'expire: "0s"', options: { expire: "0s" }, cache: {} },
  { how: "expire: { seconds: 0 }", options: { expire: { seconds: 0 } }, cache: {} },
  { how: "enabled: false on the route", options: { expire: "1h", enabled: false }, cache: {} },
  { how: "enabled: false on the cache", options: { expire: "1h" }, cache: { enabled: false } },
];

/** The cache switched off: for one route, or whole. */
export function switches(setup: Setup): void {
  it.each(OFF)("$how: each request reaches the handler as it is, and Cache-Status says so", async (off) => {
    const seenFields: (string | undefined)[] = [];
    const { get, events } = await setup.serve(
      (seen) => {
        seenFields.push(seen.header("if-none-match"), seen.header("range"), seen.url);
        return { text: "x", headers: { "Cache-Control": "max-age=60", ETag: '"a"' } };
      },
      { query: ["a"], ...off.options },
      off.cache,
    );
    for (let round = 0; round < 2; round += 1) {
      const received = await get("/?b=1", { "If-None-Match": '"z"', Range: "bytes=0-0" });
      expect(cacheStatusOf(received)).toBe("reprise; fwd=bypass; detail=disabled");
      expect(received.headers["cache-control"]).toBe("max-age=60");
    }
    expect(seenFields).toEqual(['"z"', "bytes=0-0", "/?b=1", '"z"', "bytes=0-0", "/?b=1"]);
    expect(events.filter(({ type }) => type === "stored")).toEqual([]);
  });

  it("cached(0) is short for expire: 0", async () => {
    const handler = counter();
    const { get } = await setup.start([{ path: "/", ...handler, make: (cached, rest) => cached(0, ...rest) }]);
    await get("/");
    expect(cacheStatusOf(await get("/"))).toBe("reprise; fwd=bypass; detail=disabled");
    expect(handler.runs).toBe(2);
  });

  it("a route that is switched off does not touch others, and its writes still invalidate what they have stored", async () => {
    const on = counter();
    const { get, send, events } = await setup.start([
      { path: "/a", ...on, options: { expire: "1h" } },
      { path: "/b", ...counter(), options: { expire: 0 } },
    ]);
    await get("/a");
    await untilStored({ events }, 1);
    await get("/b");
    expect(hitOrMiss(await get("/a"))).toBe("Hit");
    await send("/a", { method: "POST" });
    expect((await get("/a")).text).toBe('{"run":3}');
  });

  it("enabled: false on the cache: writes, purges and functions go through, and nothing is asked of the store", async () => {
    const asked: string[] = [];
    const store = new Proxy(setup.kind.make(Date.now), {
      get(target, name) {
        const value: unknown = Reflect.get(target, name);
        return typeof value !== "function"
          ? value
          : (...args: unknown[]): unknown => {
              asked.push(String(name));
              return Reflect.apply(value, target, args) as unknown;
            };
      },
    });
    const { cache, get, send } = await setup.start(
      [
        { path: "/", ...counter() },
        { path: "/w", ...counter(), make: (cached, rest) => cached.purges({ prefix: "/" }, ...rest) },
      ],
      { enabled: false, store },
    );
    await cache.ready();
    await get("/");
    const written = await send("/w", { method: "POST" });
    expect([written.status, cacheStatusOf(written)]).toEqual([200, undefined]);
    let runs = 0;
    const run = cache.wrap("run", () => ({ run: ++runs }));
    const first = await run();
    expect([first, await run()]).toEqual([{ run: 1 }, { run: 2 }]);
    await expect(cache.purge("all")).resolves.toBeUndefined();
    await expect(cache.purge({ tags: ["a"] }, { soft: true })).resolves.toBeUndefined();
    await expect(cache.purge({ tag: 5 } as never)).rejects.toThrow("purge({ tag })");
    await run.purge();
    await cache.close();
    expect(asked).toEqual([]);
  });

  it("explain() says that it is off", async () => {
    const { cache } = await setup.serve(counter().handler);
    const request = { method: "GET", scheme: "http", authority: "a.example", path: "/", fields: {} };
    const { action, detail } = await cache.route({ expire: 0 }).explain(request);
    expect([action, detail]).toEqual(["bypass", "disabled"]);
  });
}
