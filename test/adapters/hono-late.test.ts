/** Middleware of Hono that changes a response after `next()`: as without the cache, on misses and on hits. */

import { setTimeout as pause } from "node:timers/promises";
import { type Context, type Hono, type MiddlewareHandler } from "hono";
import { setCookie } from "hono/cookie";
import { etag, RETAINED_304_HEADERS } from "hono/etag";
import { describe, expect, it } from "vitest";

import { honoCache } from "../../src/adapters/hono/index.ts";
import { createCache, isRenewal } from "../../src/index.ts";
import { until } from "./contract/world.ts";
import { byFetch, hitOrMiss, type Kind, onNode, site, status } from "./hono-sites.ts";

const none: MiddlewareHandler = async (_, next) => {
  await next();
};

/** What clients get with the cache and without it. */
async function bothWays(
  kind: Kind,
  build: (app: Hono, cached: MiddlewareHandler) => void,
  seen: (response: Response) => unknown,
  asked: readonly Record<string, string>[] = [{}, {}],
): Promise<{ readonly cached: unknown[]; readonly plain: unknown[] }> {
  const answers = async (isCached: boolean): Promise<unknown[]> => {
    const { get } = await site(kind, (app, cached) =>
      build(app, isCached ? cached({ expire: "1h", cdn: "1d" }) : none),
    );
    const all: unknown[] = [];
    for (const headers of asked) all.push(await seen(await get("/", headers)));
    return all;
  };
  return { cached: await answers(true), plain: await answers(false) };
}

/** The length on the wire, where there is a wire, and the content. */
async function content(response: Response): Promise<unknown> {
  const text = await response.text();
  const length = response.headers.get("content-length");
  return [response.status, text, length === null || Number(length) === text.length];
}

describe.each([onNode, byFetch])("Hono $name", (kind) => {
  const bodies: readonly (readonly [string, (context: Context) => Promise<void> | void])[] = [
    [
      "adds to the body",
      async (context) => {
        context.res = new Response(`${await context.res.text()} and more`, context.res);
      },
    ],
    [
      "cuts the body",
      async (context) => {
        context.res = new Response((await context.res.text()).slice(0, 2), context.res);
      },
    ],
  ];
  it.each(bodies)("a layer that %s: the length is that of its own body", async (_, change) => {
    const { cached, plain } = await bothWays(
      kind,
      (app, cache) => {
        app.use(async (context, next) => {
          await next();
          await change(context);
        });
        app.get("/", cache, (context) => context.html("a page"));
      },
      content,
    );

    expect(cached).toEqual(plain);
  });

  const replaced: readonly (readonly [string, (context: Context) => void])[] = [
    [
      "throws",
      () => {
        throw new Error("after next()");
      },
    ],
    [
      "denies",
      (context) => {
        context.res = new Response("denied", { status: 403 });
      },
    ],
    [
      "denies with a response alone",
      (context) => {
        context.res = undefined;
        context.res = context.text("denied", 403);
      },
    ],
    [
      "makes the response private",
      (context) => {
        const { body, status } = context.res;
        context.res = new Response(body, { status, headers: { "Cache-Control": "private" } });
      },
    ],
    [
      "answers with another page",
      (context) => {
        context.res = undefined;
        context.res = context.html("another");
      },
    ],
  ];
  it.each(replaced)("a layer that %s: nothing of the page before is promised with it", async (_, change) => {
    let denied = true;
    const build = (app: Hono, cache: MiddlewareHandler): void => {
      app.onError((error, context) => context.text(error.message, 500));
      app.use(async (context, next) => {
        await next();
        if (context.req.header("x-guest") !== undefined) change(context);
      });
      app.get("/", cache, (context) => context.html("a page"));
    };
    const names = ["cache-control", "expires", "cdn-cache-control", "last-modified"];
    const head = async (response: Response): Promise<unknown> => {
      // A page that is not replaced, and one whose body alone is the page's, keep what they are validated by.
      if (response.status !== 200) expect(response.headers.get("etag")).toBe(null);
      const isGuests = denied;
      const fields = names.map((name) => response.headers.get(name));
      return [response.status, await response.text(), isGuests ? fields : []];
    };
    const guests = { "X-Guest": "1" };
    const onMisses = await bothWays(kind, build, head, [guests, guests]);
    expect(onMisses.cached).toEqual(onMisses.plain);

    const { get } = await site(kind, (app, cached) => build(app, cached({ expire: "1h", cdn: "1d" })));
    denied = false;
    await head(await get("/"));
    denied = true;
    expect(await head(await get("/", guests))).toEqual(onMisses.plain[0]);
    const kept = await get("/");
    expect([hitOrMiss(kept), kept.headers.get("cache-control")]).toEqual(["Hit", "max-age=3600"]);
  });

  it("a page in whose place a layer gave another status is not kept, and Cache-Status says so", async () => {
    let runs = 0;
    const { get } = await site(kind, (app, cached) => {
      app.use(async (context, next) => {
        await next();
        context.res = new Response("denied", { status: 403 });
      });
      app.get("/", cached("1h"), (context) => context.text(`run ${++runs}`));
    });

    for (const run of [1, 2]) {
      expect(status(await get("/"))).toBe("reprise; fwd=uri-miss; fwd-status=200; detail=replaced");
      expect(runs).toBe(run);
    }
  });

  it("a 304 that a layer makes of the response keeps freshness and validator", async () => {
    const { get } = await site(kind, (app, cached) => {
      app.use(etag({ retainedHeaders: ["Cache-Status", ...RETAINED_304_HEADERS] }));
      app.use(async (context, next) => {
        context.header("X-Layer", "1");
        await next();
      });
      app.get("/", cached("1h"), (context) => context.text("page", 200, { ETag: '"v1"' }));
    });

    await (await get("/")).text();
    const response = await get("/", { "If-None-Match": 'W/"v1"' });
    expect([response.status, response.headers.get("etag"), response.headers.get("cache-control")]).toEqual([
      304,
      '"v1"',
      "max-age=3600",
    ]);
  });

  it.each(["Accept-Language", "Cookie, X-Tenant", "*"])("Vary: %s that a layer sets late counts", async (vary) => {
    let runs = 0;
    const { get } = await site(kind, (app, cached) => {
      app.use(async (context, next) => {
        await next();
        context.header("Vary", vary, { append: true });
      });
      app.get("/", cached("1h"), async (context) => {
        await pause(5);
        return context.text(`run ${++runs}`);
      });
    });

    const together = await Promise.all([get("/"), get("/")]);
    for (const response of [...together, await get("/")]) expect(status(response)).toContain("detail=late-vary");
    expect(runs).toBe(3);
  });

  const stacks: readonly (readonly [
    string,
    (app: Hono, cached: () => MiddlewareHandler, layer: MiddlewareHandler) => void,
  ])[] = [
    ["one cached()", (app, _, layer) => app.use(layer)],
    ["two of the same cache, the layer between them", (app, cached, layer) => app.use(cached(), layer)],
    ["two of the same cache, the layer in front of both", (app, cached, layer) => app.use(layer, cached())],
    ["two caches, the layer between them", (app, _, layer) => app.use(honoCache(createCache())("1h"), layer)],
    ["two caches, the layer in front of both", (app, _, layer) => app.use(layer, honoCache(createCache())("1h"))],
  ];
  describe.each(stacks)("Vary on a copy of the response: %s", (_, stack) => {
    it.each(["X-User", "*"])("%s counts, and leaves with it", async (vary) => {
      const { get } = await site(kind, (app, cached) => {
        stack(app, cached, async (context, next) => {
          await next();
          const copy = new Response(context.res.body, context.res);
          copy.headers.append("Vary", vary);
          context.res = copy;
        });
        app.get("/", cached("1h"), (context) => context.text(`page of ${context.req.header("x-user")}`));
      });
      for (const user of ["ann", "bob"]) {
        const response = await get("/", { "X-User": user });
        expect(response.headers.get("vary")?.split(", ")).toContain(vary);
        expect(await response.text()).toBe(`page of ${user}`);
      }
    });
  });

  it("a layer that makes another body: nothing of the page that is kept is promised with it", async () => {
    const { get } = await site(kind, (app, cached) => {
      app.use(async (context, next) => {
        await next();
        if (context.res.status !== 200) return;
        context.res = context.text((await context.res.text()).replace("you", context.req.header("x-user") ?? "you"));
      });
      app.get("/", cached({ expire: "1h", cdn: "1m" }), (context) => context.text("hello you"));
    });
    for (const user of ["ann", "bob"]) {
      const response = await get("/", { "X-User": user });
      expect(await response.text()).toBe(`hello ${user}`);
      for (const name of ["etag", "cache-control", "expires", "cdn-cache-control"])
        expect([name, response.headers.get(name)]).toEqual([name, null]);
    }
    expect(hitOrMiss(await get("/"))).toBe("Hit");
    const part = await get("/", { Range: "bytes=0-3" });
    expect([part.status, await part.text(), part.headers.get("content-range")]).toEqual([206, "hell", "bytes 0-3/9"]);
  });

  it("a layer that denies a part: nothing says that it is one", async () => {
    const { get } = await site(kind, (app, cached) => {
      app.use(async (context, next) => {
        await next();
        if (context.req.header("x-deny") !== undefined) context.res = new Response("denied", { status: 403 });
      });
      app.get("/", cached("1h"), (context) => context.text("0123456789"));
    });
    await get("/");
    const denied = await get("/", { Range: "bytes=0-3", "X-Deny": "1" });
    expect([denied.status, denied.headers.get("content-range")]).toEqual([403, null]);
  });

  it.each(["Origin", "accept-encoding", "Cookie", "Authorization"])(
    "Vary: %s that is set late takes nothing",
    async (vary) => {
      const { get } = await site(kind, (app, cached) => {
        app.use(async (context, next) => {
          await next();
          context.header("Vary", vary, { append: true });
        });
        app.get("/", cached("1h"), (context) => context.text("page"));
      });

      expect([hitOrMiss(await get("/")), hitOrMiss(await get("/"))]).toEqual(["Miss", "Hit"]);
    },
  );

  it.each([
    ["a cookie", (context: Context) => setCookie(context, "visitor", "new")],
    ["private", (context: Context) => context.header("Cache-Control", "private")],
  ])("no freshness beside %s that a layer sets late, on hits and for those who waited", async (_, set) => {
    const { get } = await site(kind, (app, cached) => {
      app.use(async (context, next) => {
        await next();
        await pause(1);
        if (context.req.header("x-visitor") === undefined) set(context);
      });
      app.get("/", cached({ expire: "1h", cdn: "1d" }), async (context) => {
        await pause(20);
        return context.text("page");
      });
    });
    const known = { "X-Visitor": "1" };
    const first = get("/", known);
    const waited = get("/");
    expect((await first).headers.get("cdn-cache-control")).toBe("max-age=3600");

    for (const response of [await waited, await get("/")]) {
      expect(status(response)).toMatch(/collapsed|hit/);
      const promised = ["expires", "cdn-cache-control"].map((name) => response.headers.get(name));
      expect(promised).toEqual([null, null]);
      expect([null, "private"]).toContain(response.headers.get("cache-control"));
    }
    expect((await get("/", known)).headers.get("cache-control")).toBe("max-age=3600");
  });

  it("a renewal that a layer replaces after next() is a failure with its cause, and the stale response stays", async () => {
    const { get, advance, events } = await site(kind, (app, cached) => {
      app.use(async (context, next) => {
        await next();
        if (isRenewal(context)) context.res = new Response("denied", { status: 403 });
      });
      app.get("/", cached({ expire: 10, staleWhileRevalidate: "1h" }), (context) => context.text("page"));
    });
    await (await get("/")).text();
    advance(11);
    expect(await (await get("/")).text()).toBe("page");
    await until(() => events.some(({ type }) => type === "revalidation-failed"));
    const failed = events.find((event) => event.type === "revalidation-failed");
    expect(failed?.type === "revalidation-failed" && failed.error.message).toBe(
      "the renewal was answered with 403 by middleware in front of cached()",
    );
    expect([await (await get("/")).text(), hitOrMiss(await get("/"))]).toEqual(["page", "Hit"]);
  });

  it("a response of a request that takes no part is the handler's own, with its length and type", async () => {
    const { cached, plain } = await bothWays(
      kind,
      (app, cache) => {
        app.use(async (context, next) => {
          await next();
          context.res.headers.set("X-Layer", "1");
        });
        app.get("/", cache, () => new Response("page", { headers: { "Content-Type": "text/css" } }));
      },
      ({ headers }) =>
        ["content-length", "transfer-encoding", "content-type", "x-layer"].map((name) => headers.get(name)),
      [{ Authorization: "Basic a" }],
    );

    expect(cached).toEqual(plain);
  });

  it("a response that the handler keeps is not changed by requests that take no part", async () => {
    const kept = new Response(null, { status: 404 });
    const { get } = await site(kind, (app, cached) => {
      app.get("/", cached("1h"), () => kept);
    });
    expect(status(await get("/", { Authorization: "Basic a" }))).toContain("bypass");
    expect([...kept.headers]).toEqual([]);
  });

  it("a handler that returns nothing is answered as without the cache, and nothing is stored", async () => {
    let runs = 0;
    const { cached, plain } = await bothWays(
      kind,
      (app, cache) => {
        app.onError((error, context) => context.text(error.message, 500));
        app.get("/", cache, (async (context: Context) => {
          runs++;
          context.text("not returned");
        }) as unknown as MiddlewareHandler);
      },
      async (response) => [response.status, await response.text(), status(response)],
    );

    expect(cached).toEqual(plain);
    expect(runs).toBe(4);
  });

  it("layers read the body of an answer to HEAD as that to GET, and no body leaves", async () => {
    const answers = async (isCached: boolean): Promise<unknown[]> => {
      const { get } = await site(kind, (app, cached) => {
        app.use(async (context, next) => {
          await next();
          const { items } = (await context.res.clone().json()) as { items: unknown[] };
          context.header("X-Total", String(items.length));
        });
        app.get("/", isCached ? cached("1h") : none, (context) => context.json({ items: [1, 2, 3] }));
      });
      const all: unknown[] = [];
      for (const method of ["HEAD", "GET", "HEAD"]) {
        const response = await get("/", {}, method);
        const names = ["x-total", "content-type", "content-length"];
        const fields = method === "GET" ? [] : names.map((name) => response.headers.get(name));
        all.push([response.status, fields, await response.text()]);
      }
      return all;
    };

    expect(await answers(true)).toEqual(await answers(false));
  });
});
