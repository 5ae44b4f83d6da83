/** Fields that layers in front of a cached route set in Hono: what they set is there as without the cache. */

import { setTimeout as pause } from "node:timers/promises";
import type { Context, MiddlewareHandler } from "hono";
import { compress } from "hono/compress";
import { describe, expect, it } from "vitest";

import { until } from "./contract/world.ts";
import { byFetch, hitOrMiss, onNode, site, status, type Kind } from "./hono-sites.ts";

/** A layer that puts a response of its own in the place of the page, as CORS by hand does. */
function replacing(response: (context: Context) => Response | Promise<Response>): MiddlewareHandler {
  return async (context, next) => {
    await next();
    context.res = await response(context);
  };
}

const LAYERS: readonly (readonly [string, MiddlewareHandler])[] = [
  [
    "another head with the same body",
    replacing(
      ({ res }) =>
        new Response(res.body, {
          status: res.status,
          headers: { "content-type": "text/plain", vary: "Origin", etag: '"layer"', "x-layer": "1" },
        }),
    ),
  ],
  [
    "the fields of the page and an ETag",
    replacing(
      ({ res }) =>
        new Response(res.body, {
          status: res.status,
          headers: { ...Object.fromEntries(res.headers), etag: '"layer"' },
        }),
    ),
  ],
  [
    "another body with an ETag",
    replacing(
      async ({ res }) =>
        new Response(`${await res.text()}!`, {
          headers: { etag: '"layer"', "cache-control": "max-age=5", "last-modified": "Mon, 01 Jan 2024 00:00:00 GMT" },
        }),
    ),
  ],
  [
    "an Age",
    replacing(({ res }) => new Response(res.body, { status: res.status, headers: { age: "7", etag: '"layer"' } })),
  ],
];

const COMPARED = ["etag", "last-modified", "x-layer", "age"] as const;

async function answers(kind: Kind, layer: MiddlewareHandler, isCached: boolean, byHeaders = false): Promise<unknown[]> {
  const { get } = await site(kind, (app, cached) => {
    app.use(layer);
    const route = byHeaders ? cached.byHeaders() : cached("1h");
    const fields = { "Cache-Control": "max-age=60" };
    app.get("/", isCached ? route : (_, next) => next(), (context) => context.text("page", 200, fields));
  });
  const seen: unknown[] = [];
  for (const headers of [{ Authorization: "Bearer t" }, {}, {}, {}]) {
    const response = await get("/", headers);
    const vary = (response.headers.get("vary") ?? "").split(/, */);
    const own = vary.filter((name) => !/^(?:cookie|authorization|)$/i.test(name));
    seen.push([await response.text(), own, ...COMPARED.map((name) => response.headers.get(name))]);
    if (isCached) for (const name of ["Cookie", "Authorization"]) expect(vary).toContain(name);
  }
  return seen;
}

describe.each([onNode, byFetch])("Hono $name", (kind) => {
  it.each(LAYERS)("a layer that gives %s: its own fields leave, on bypasses, misses and hits", async (_, layer) => {
    expect(await answers(kind, layer, true)).toEqual(await answers(kind, layer, false));
    if (!LAYERS[3]?.includes(layer)) return;
    expect(await answers(kind, layer, true, true)).toEqual(await answers(kind, layer, false));
  });

  it("the page's ETag leaves where no layer sets one: weak for a body that a layer has coded", async () => {
    const { get } = await site(kind, (app, cached) => {
      app.use(compress({ threshold: 1 }));
      app.get("/", cached("1h"), (context) => context.text("page ".repeat(100)));
    });

    const tags: (string | null)[] = [];
    for (const coding of ["identity", "identity", "gzip"]) {
      const response = await get("/", { "Accept-Encoding": coding });
      await response.arrayBuffer();
      tags.push(response.headers.get("etag"));
    }
    const [tag = ""] = tags;
    expect(tag).toMatch(/^"/);
    expect(tags).toEqual([tag, tag, `W/${tag}`]);
    const notModified = await get("/", { "If-None-Match": tag ?? "" });
    expect([notModified.status, notModified.headers.get("etag")]).toEqual([304, tag]);
  });

  it.each(["private", "no-store", "no-cache", "private, max-age=5"])(
    "Cache-Control: %s that a layer sets before next() wins on every way a hit leaves",
    async (directives) => {
      let runs = 0;
      const { get, advance } = await site(kind, (app, cached) => {
        app.use(async (context, next) => {
          if (context.req.header("x-restricted") !== undefined) context.header("Cache-Control", directives);
          await next();
        });
        const options = { expire: 10, staleWhileRevalidate: "1h", browser: "5m", cdn: "1d" } as const;
        app.get("/:page?", cached(options), async (context) => {
          runs += 1;
          await pause(100);
          return context.text("page");
        });
      });
      const leading = get("/a");
      await until(() => runs === 1);
      const [first, waiter] = await Promise.all([leading, get("/a", { "X-Restricted": "1" })]);
      expect([await first.text(), await waiter.text()]).toEqual(["page", "page"]);
      expect(status(waiter)).toContain("collapsed");
      expect(waiter.headers.get("cache-control")).toBe(directives);
      for (const name of ["expires", "cdn-cache-control"]) expect(waiter.headers.get(name)).toBe(null);
      const plain = await get("/");
      await plain.text();
      const etag = plain.headers.get("etag") ?? "";
      expect(plain.headers.get("cache-control")).toContain("max-age");

      const ways: readonly (readonly [Record<string, string>, string, number])[] = [
        [{}, "GET", 200],
        [{}, "HEAD", 200],
        [{ "If-None-Match": etag }, "GET", 304],
        [{ Range: "bytes=0-1" }, "GET", 206],
      ];
      for (const [headers, method, wanted] of ways) {
        const response = await get("/", { ...headers, "X-Restricted": "1" }, method);
        await response.text();
        expect([response.status, hitOrMiss(response)]).toEqual([wanted, "Hit"]);
        expect(response.headers.get("cache-control")).toBe(directives);
        for (const name of ["expires", "cdn-cache-control"]) expect(response.headers.get(name)).toBe(null);
      }
      advance(11);
      const stale = await get("/", { "X-Restricted": "1" });
      await stale.text();
      expect(status(stale)).toContain("hit; ttl=-");
      expect(stale.headers.get("cache-control")).toBe(directives);
      for (const name of ["expires", "cdn-cache-control"]) expect(stale.headers.get(name)).toBe(null);
    },
  );

  const OWN = { "Access-Control-Allow-Origin": "https://shop.example", Vary: "Origin" };
  it.each<[string, (context: Context) => Response]>([
    [
      "c.header",
      (context) => {
        context.header("Access-Control-Allow-Origin", "https://shop.example");
        return context.text("page");
      },
    ],
    ["the fields of c.text", (context) => context.text("page", 200, OWN)],
    ["the init of c.json", (context) => context.json({}, { headers: new Headers(OWN) })],
    ["the init of c.newResponse", (context) => context.newResponse("page", { headers: OWN })],
  ])("a field that the handler sets itself by %s is its own, also with the value of a layer", async (_, handler) => {
    const { get } = await site(kind, (app, cached) => {
      app.use(async (context, next) => {
        context.header("Access-Control-Allow-Origin", context.req.header("origin") ?? "none");
        context.header("X-Visitor", context.req.header("origin") ?? "none");
        await next();
      });
      app.get("/", cached("1h"), handler);
    });

    for (const origin of ["https://shop.example", "https://evil.example", "https://shop.example"]) {
      const { headers } = await get("/", { Origin: origin });
      expect(headers.get("access-control-allow-origin")).toBe("https://shop.example");
      expect(headers.get("x-visitor")).toBe(origin);
    }
  });
});
