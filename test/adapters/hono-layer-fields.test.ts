/** Fields that layers around a cached route of Hono set: they stay as without the cache, on misses and on hits. */

import type { Context, Handler, MiddlewareHandler } from "hono";
import { compress } from "hono/compress";
import { etag } from "hono/etag";
import { describe, expect, it } from "vitest";

import { byFetch, onNode, site } from "./hono-sites.ts";

const pass: MiddlewareHandler = async (_, next) => next();

describe.each([onNode, byFetch])("Hono $name: an ETag that the cache makes up gives way to a layer's", (kind) => {
  const layers: Readonly<Record<string, MiddlewareHandler>> = {
    "on a copy": async (context, next) => {
      await next();
      context.res = new Response(context.res.body, { status: context.res.status, headers: { ETag: '"layer"' } });
    },
    "on a copy with all fields": async (context, next) => {
      await next();
      const headers = { ...Object.fromEntries(context.res.headers), etag: '"layer"' };
      context.res = new Response(context.res.body, { status: context.res.status, headers });
    },
    "on another body": async (context, next) => {
      await next();
      const text = await context.res.text();
      context.res = new Response(`${text}!`, {
        headers: { ETag: '"layer"', "Last-Modified": "Mon, 01 Jan 2024 00:00:00 GMT" },
      });
    },
    "set late": async (context, next) => {
      await next();
      context.header("ETag", '"layer"');
    },
    "set before the handler": async (context, next) => {
      context.header("ETag", '"layer"');
      await next();
    },
    "of hono/etag": etag(),
  };

  it.each(Object.keys(layers))("%s", async (name) => {
    const answers = async (isCached: boolean): Promise<unknown[]> => {
      const { get } = await site(kind, (app, cached) => {
        app.use(layers[name] ?? pass);
        app.get("/", isCached ? cached("1h") : pass, (context) => context.body("hello"));
      });
      const seen: unknown[] = [];
      for (const _ of [1, 2, 3]) {
        const { headers, ...response } = await answerOf(await get("/"));
        seen.push([response, headers.get("etag"), headers.get("last-modified")]);
      }
      const tag = (await get("/")).headers.get("etag") ?? "";
      seen.push((await get("/", { "If-None-Match": tag })).status);
      return seen;
    };

    const without = await answers(false);
    if (name !== "of hono/etag") without[3] = expect.any(Number);
    expect(await answers(true)).toEqual(without);
  });

  it("where no layer has one, it is there, and is weak on a body in another coding", async () => {
    const { get } = await site(kind, (app, cached) => {
      app.use(compress({ threshold: 1 }));
      app.get("/", cached("1h"), (context) => context.text("hello ".repeat(500)));
    });

    const coded = { "Accept-Encoding": "gzip" };
    const tags = [await get("/"), await get("/"), await get("/", coded)].map(({ headers }) => headers.get("etag"));
    expect(tags[0]).toMatch(/^"[\w-]+"$/);
    expect(tags).toEqual([tags[0], tags[0], `W/${tags[0]}`]);
    for (const tag of tags) {
      const response = await get("/", { "If-None-Match": tag ?? "", ...coded });
      expect([response.status, response.headers.get("etag")]).toEqual([304, tags[0]]);
    }
  });

  it("a layer's own Age stays", async () => {
    const { get, advance } = await site(kind, (app, cached) => {
      app.use(async (context, next) => {
        await next();
        if (context.req.query("old") === "1") context.res = new Response(context.res.body, { headers: { Age: "77" } });
      });
      app.get("/", cached.byHeaders({ query: "none" }), (context) =>
        context.text("page", 200, { "Cache-Control": "max-age=100" }),
      );
    });

    await (await get("/")).text();
    advance(9);
    expect((await get("/")).headers.get("age")).toBe("9");
    expect((await get("/?old=1")).headers.get("age")).toBe("77");
  });
});

describe.each([onNode, byFetch])("Hono $name: a restriction that a layer sets before the handler", (kind) => {
  const ways: Readonly<Record<string, { headers?: Record<string, string>; method?: string; ageSeconds?: number }>> = {
    "a hit": {},
    "a stale hit": { ageSeconds: 11 },
    "a stale response in the place of an error": { ageSeconds: 100 },
    "a 304": { headers: { "If-None-Match": '"own"' } },
    "a part": { headers: { Range: "bytes=0-1" } },
    "a range that cannot be": { headers: { Range: "bytes=99-" } },
    HEAD: { method: "HEAD" },
  };
  const promises = ["expires", "cdn-cache-control", "surrogate-control"];

  it.each(
    Object.keys(ways).flatMap((way) =>
      [
        ["private", {}],
        ["no-store", { "Cache-Control": "max-age=60", Expires: "Thu, 01 Jan 2099 00:00:00 GMT" }],
        ["no-cache", { "CDN-Cache-Control": "max-age=60", "Surrogate-Control": "max-age=60" }],
      ].map(([restriction, own]) => [way, restriction, own] as [string, string, Record<string, string>]),
    ),
  )("%s: %s wins, and no freshness is beside it", async (way, restriction, own) => {
    const { headers = {}, method = "GET", ageSeconds = 1 } = ways[way] ?? {};
    let isDown = false;
    const { get, advance } = await site(kind, (app, cached) => {
      app.use(async (context, next) => {
        if (context.req.header("x-restricted") !== undefined) context.header("Cache-Control", restriction);
        await next();
      });
      const options = { expire: 10, staleWhileRevalidate: 60, staleIfError: "1h", browser: "5s" } as const;
      app.get("/", cached({ ...options, ...("CDN-Cache-Control" in own ? {} : { cdn: "1h" }) }), (context) => {
        if (isDown) throw new Error("down");
        return context.text("hello", 200, { ETag: '"own"', ...own });
      });
    });
    await (await get("/")).text();
    expect((await get("/")).headers.get("cache-status")).toContain("hit");
    advance(ageSeconds);
    isDown = true;

    const response = await get("/", { ...headers, "X-Restricted": "1" }, method);
    expect(response.headers.get("cache-status")).toMatch(/hit|stale-if-error/);
    expect(response.headers.get("cache-control")).toBe(restriction);
    for (const name of promises) expect(response.headers.get(name), name).toBe(null);
    const other = await get("/", headers, method);
    if (other.status !== 416) expect(other.headers.get("cache-control")).toContain("max-age=");
  });

  it("a waiter gets its own", async () => {
    const { get } = await site(kind, (app, cached) => {
      app.use(async (context, next) => {
        const restriction = context.req.header("x-restricted");
        if (restriction !== undefined) context.header("Cache-Control", restriction);
        await next();
      });
      app.get("/", cached({ expire: "1h", cdn: "1d" }), async (context) => {
        await new Promise((resolve) => setTimeout(resolve, 50));
        return context.text("hello");
      });
    });

    const [first, waiter] = await Promise.all([
      get("/"),
      new Promise((resolve) => setTimeout(resolve, 20)).then(() => get("/", { "X-Restricted": "private" })),
    ]);
    expect(first.headers.get("cache-control")).toBe("max-age=3600");
    expect(waiter.headers.get("cache-status")).toContain("collapsed");
    expect(waiter.headers.get("cache-control")).toBe("private");
    for (const name of promises) expect(waiter.headers.get(name), name).toBe(null);
  });

  it("does not take away what keeps a response for one user", async () => {
    const { get } = await site(kind, (app, cached) => {
      app.use(async (context, next) => {
        if (context.req.header("x-restricted") !== undefined) context.header("Cache-Control", "no-cache");
        await next();
      });
      app.get("/", cached({ expire: "1h", audience: () => "ann" }), (context) => context.text("hello"));
    });

    await (await get("/")).text();
    const response = await get("/", { "X-Restricted": "1" });
    expect(response.headers.get("cache-status")).toContain("hit");
    expect(response.headers.get("cache-control")).toBe("no-cache, private");
  });
});

describe.each([onNode, byFetch])(
  "Hono $name: a field that the handler sets is its own, whatever a layer had set",
  (kind) => {
    const SHOP = "https://shop.example";
    const NAME = "Access-Control-Allow-Origin";
    const fields = { [NAME]: SHOP };

    const ways: Readonly<Record<string, Handler>> = {
      "c.header": (context) => {
        context.header(NAME, SHOP);
        return context.text("page");
      },
      "c.text with headers": (context) => context.text("page", 200, fields),
      "c.text with an init": (context) => context.text("page", { headers: fields }),
      "c.json with Headers": (context) => context.json({ a: 1 }, { headers: new Headers(fields) }),
      "c.html with pairs": (context) => context.html(Promise.resolve("page"), { headers: [[NAME, SHOP]] }),
      "c.body": (context) => context.body("page", 200, fields),
      "c.redirect": (context) => {
        context.header(NAME, SHOP);
        return context.redirect("/there", 301);
      },
      "c.newResponse": (context) => context.newResponse("page", { headers: fields }),
      "a response of its own": () => new Response("page", { headers: fields }),
      "a made response that is changed": (context) => {
        const response = context.text("page");
        response.headers.set(NAME, SHOP);
        return response;
      },
      "c.res.headers": (context) => {
        context.res.headers.set(NAME, SHOP);
        return context.text("page");
      },
      "not at all": (context) => context.text("page"),
      "by a copy of what was there": (context) => {
        const { headers } = context.res;
        context.res = undefined;
        return new Response("page", { headers });
      },
    };
    const outers: Readonly<Record<string, (context: Context, origin: string) => void>> = {
      "c.header": (context, origin) => context.header(NAME, origin),
      "c.res.headers": (context, origin) => context.res.headers.set(NAME, origin),
    };
    const cases = Object.keys(ways).flatMap((way) => Object.keys(outers).map((outer) => [way, outer] as const));

    it.each(cases)("by %s, where a layer reflects the origin by %s", async (way, outer) => {
      const answers = async (isCached: boolean): Promise<unknown[]> => {
        const { get } = await site(kind, (app, cached) => {
          app.use(async (context, next) => {
            outers[outer]?.(context, context.req.header("origin") ?? "none");
            await next();
          });
          app.get("/", isCached ? cached("1h") : pass, ways[way] ?? ((context) => context.text("none")));
        });
        const seen: unknown[] = [];
        for (const origin of [SHOP, SHOP, "https://evil.example", "https://other.example"]) {
          const { headers } = await get("/", { Origin: origin });
          seen.push(headers.get(NAME));
        }
        return seen;
      };

      expect(await answers(true)).toEqual(await answers(false));
    });

    it("its own type is stored, where a layer had set the same", async () => {
      const { get } = await site(kind, (app, cached) => {
        app.use(async (context, next) => {
          context.header("Content-Type", context.req.header("x-type") ?? "text/plain; charset=UTF-8");
          await next();
        });
        app.get("/", cached("1h"), (context) => context.text("page"));
      });

      for (const type of ["text/plain; charset=UTF-8", "text/weird"])
        expect((await get("/", { "X-Type": type })).headers.get("content-type")).toBe("text/plain; charset=UTF-8");
    });

    it("a cookie that it sets once more keeps the response out of the store", async () => {
      let runs = 0;
      const { get } = await site(kind, (app, cached) => {
        app.use(async (context, next) => {
          context.header("Set-Cookie", "theme=dark");
          await next();
        });
        app.get("/", cached("1h"), (context) => {
          context.header("Set-Cookie", "theme=dark", { append: true });
          return context.text(`run ${++runs}`);
        });
      });

      for (const run of [1, 2]) expect(await (await get("/")).text()).toBe(`run ${run}`);
    });
  },
);

async function answerOf(response: Response) {
  return { status: response.status, text: await response.text(), headers: response.headers };
}
