/** What surrounds a cached handler in Hono: layers that act late, fields they set, other cached routes. */

import { AsyncLocalStorage } from "node:async_hooks";
import { setTimeout as pause } from "node:timers/promises";
import { type Context, Hono, type MiddlewareHandler } from "hono";
import { compress } from "hono/compress";
import { setCookie } from "hono/cookie";
import { etag } from "hono/etag";
import { describe, expect, it } from "vitest";

import { honoCache } from "../../src/adapters/hono/index.ts";
import { createCache, isRenewal } from "../../src/index.ts";
import { gate, until } from "./contract/world.ts";
import { byFetch, hitOrMiss, onNode, site, status } from "./hono-sites.ts";

/** Ways in which a layer sets a cookie after the handler has answered. */
const LATE_COOKIES: readonly (readonly [string, (context: Context, value: string) => void])[] = [
  ["setCookie", (context, value) => setCookie(context, "sid", value)],
  ["c.header", (context, value) => context.header("Set-Cookie", `sid=${value}`, { append: true })],
  ["c.res.headers.append", (context, value) => context.res.headers.append("Set-Cookie", `sid=${value}`)],
  ["c.res.headers.set", (context, value) => context.res.headers.set("Set-Cookie", `sid=${value}`)],
  [
    "c.res.headers, once c.finalized is read",
    (context, value) => {
      if (context.finalized) context.res.headers.append("Set-Cookie", `sid=${value}`);
    },
  ],
  [
    "setCookie, once c.finalized and c.res are read",
    (context, value) => {
      if (context.finalized && context.res.ok) setCookie(context, "sid", value);
    },
  ],
  [
    "another c.res",
    (context, value) => {
      const response = new Response(context.res.body, context.res);
      response.headers.append("Set-Cookie", `sid=${value}`);
      context.res = undefined;
      context.res = response;
    },
  ],
];

describe.each([onNode, byFetch])("Hono $name", (kind) => {
  describe.each(LATE_COOKIES)("a cookie that an outer layer sets late, by %s", (_, set) => {
    it.each([
      ["at once", async () => {}],
      ["later", () => pause(20)],
    ])("%s: its page is not stored, not shared, and promises no freshness", async (_when, wait) => {
      let visitors = 0;
      const { get } = await site(kind, (app, cached) => {
        app.use(async (context, next) => {
          const visitor = String(++visitors);
          context.set("visitor" as never, visitor as never);
          await next();
          await wait();
          set(context, visitor);
        });
        app.get("/", cached({ expire: "1h", cdn: "1d" }), async (context) => {
          await pause(5);
          return context.text(`token of ${String(context.get("visitor" as never))}`);
        });
      });

      const together = await Promise.all([get("/"), get("/")]);
      for (const response of [...together, await get("/")]) {
        const visitor = response.headers.getSetCookie().map((cookie) => /sid=(\d)/.exec(cookie)?.[1]);
        expect(await response.text()).toBe(`token of ${visitor.join()}`);
        expect(hitOrMiss(response)).toBe("Miss");
        expect(status(response)).toContain("detail=set-cookie");
        for (const name of ["cache-control", "expires", "cdn-cache-control"])
          expect(response.headers.get(name)).toBe(null);
      }
    });
  });

  it.each(["private", "no-store"])("Cache-Control: %s that an outer layer sets late counts", async (directive) => {
    let runs = 0;
    const { get } = await site(kind, (app, cached) => {
      app.use(async (context, next) => {
        await next();
        await pause(5);
        context.header("Cache-Control", directive);
      });
      app.get("/", cached("1h"), (context) => context.text(`run ${++runs}`));
    });

    for (const run of [1, 2]) {
      const response = await get("/");
      expect(await response.text()).toBe(`run ${run}`);
      expect(status(response)).toContain(`detail=${directive}`);
      expect(response.headers.get("cache-control")).toBe(directive);
      expect(response.headers.get("expires")).toBe(null);
    }
  });

  it.each([
    ["compress()", compress({ threshold: 1 })],
    ["etag()", etag()],
  ] as [string, MiddlewareHandler][])("%s reads the body before an outer layer sets its cookie", async (_, reader) => {
    let runs = 0;
    const { get } = await site(kind, (app, cached) => {
      app.use(async (context, next) => {
        await next();
        await pause(20);
        setCookie(context, "sid", "a");
      });
      app.use(reader);
      app.get("/", cached("1h"), (context) => context.text(`run ${++runs} `.repeat(50)));
    });

    for (const run of [1, 2]) {
      const response = await get("/", { "Accept-Encoding": "gzip" });
      expect(response.status).toBe(200);
      await response.arrayBuffer();
      expect(runs).toBe(run);
    }
  });

  it("a streamed body waits for the departure, too", async () => {
    let runs = 0;
    const { get } = await site(kind, (app, cached) => {
      app.use(async (context, next) => {
        await next();
        await pause(10);
        setCookie(context, "sid", "a");
      });
      app.get("/", cached("1h"), () => {
        const run = String(++runs);
        return new Response(
          new ReadableStream({
            async start(controller) {
              controller.enqueue(new TextEncoder().encode(run));
              await pause(30);
              controller.close();
            },
          }),
        );
      });
    });

    expect(await (await get("/")).text()).toBe("1");
    expect(await (await get("/")).text()).toBe("2");
  });

  it("a late layer that sets no cookie takes nothing from caching", async () => {
    const { get } = await site(kind, (app, cached) => {
      app.use(async (context, next) => {
        await next();
        await pause(10);
        context.header("X-Time", "1");
        context.res.headers.set("X-Time-Too", "1");
      });
      app.get("/", cached("1h"), (context) => context.text("page"));
    });

    for (const outcome of ["Miss", "Hit", "Hit"]) {
      const response = await get("/");
      expect([await response.text(), hitOrMiss(response), response.headers.get("x-time")]).toEqual([
        "page",
        outcome,
        "1",
      ]);
    }
  });

  it("a response whose body is never read is stored", async () => {
    const { get } = await site(kind, (app, cached) => {
      app.get("/", cached("1h"), (context) => context.text("page"));
      app.get("/moved", cached("1h"), (context) => context.redirect("/", 301));
    });

    for (const path of ["/", "/moved"]) {
      expect([hitOrMiss(await get(path)), hitOrMiss(await get(path))], path).toEqual(["Miss", "Hit"]);
    }
  });

  it("fields of outer layers: the handler removes, changes and keeps them, on misses and on hits", async () => {
    let nonce = 0;
    const { get } = await site(kind, (app, cached) => {
      app.use(async (context, next) => {
        context.header("X-Frame-Options", "SAMEORIGIN");
        context.header("X-Mode", "outer");
        context.header("Content-Security-Policy", `script-src 'nonce-${++nonce}'`);
        await next();
      });
      app.get("/", cached("1h"), (context) => {
        context.header("X-Frame-Options", undefined);
        context.header("X-Mode", "handler");
        return context.text("widget");
      });
    });

    for (const run of [1, 2, 3]) {
      const { headers } = await get("/");
      expect(headers.get("x-frame-options")).toBe(null);
      expect(headers.get("x-mode")).toBe("handler");
      expect(headers.get("content-security-policy")).toBe(`script-src 'nonce-${run}'`);
    }
  });

  it.each([
    ["c.header before", (context: Context) => context.header("X-Outer", "1")],
    ["c.res before", (context: Context) => context.res.headers.set("X-Outer", "1")],
    ["a cookie before", (context: Context) => setCookie(context, "a", "1")],
  ])("a raw Response of the handler is as without the cache: %s", async (_, outer) => {
    const answers = async (isCached: boolean): Promise<unknown[]> => {
      const { get } = await site(kind, (app, cached) => {
        app.use(async (context, next) => {
          outer(context);
          await next();
        });
        const handler = (): Response => new Response("raw", { headers: { "X-Own": "1", "Content-Type": "text/css" } });
        if (isCached) app.get("/", cached("1h"), handler);
        else app.get("/", handler);
      });
      const seen: unknown[] = [];
      for (let round = 0; round < 3; round++) {
        const response = await get("/");
        const names = ["x-outer", "x-own", "content-type", "set-cookie"];
        seen.push([await response.text(), ...names.map((name) => response.headers.get(name))]);
      }
      return seen;
    };

    expect(await answers(true)).toEqual(await answers(false));
  });

  it("a cookie of an outer layer before the handler: no freshness beside it, on misses and on hits", async () => {
    let visitors = 0;
    const { get } = await site(kind, (app, cached) => {
      app.use(async (context, next) => {
        setCookie(context, "visitor", `v${++visitors}`);
        await next();
      });
      app.get("/", cached({ expire: "1h", cdn: "1d" }), (context) => context.text("page"));
    });

    for (const outcome of ["Miss", "Hit"]) {
      const response = await get("/");
      expect([hitOrMiss(response), response.headers.getSetCookie()]).toEqual([
        outcome,
        [`visitor=v${visitors}; Path=/`],
      ]);
      for (const name of ["cache-control", "expires", "cdn-cache-control"])
        expect(response.headers.get(name)).toBe(null);
    }
  });

  it("the options of the inner of two cached routes hold, on misses and on hits", async () => {
    let runs = 0;
    const { get, advance } = await site(kind, (app, cached) => {
      app.use(cached({ expire: "1h" }));
      app.get("/x", cached({ expire: 10, browser: 3 }), (context) => context.text(`run ${++runs}`));
      const sub = new Hono();
      sub.use(cached({ expire: "30m" }));
      sub.get("/y", cached({ expire: 10, browser: 3 }), (context) => context.text(`run ${++runs}`));
      app.route("/sub", sub);
    });

    for (const path of ["/x", "/sub/y"]) {
      const before = runs;
      for (const outcome of ["Miss", "Hit", "Hit"]) {
        const response = await get(path);
        expect([await response.text(), hitOrMiss(response)], path).toEqual([`run ${before + 1}`, outcome]);
        expect(response.headers.get("cache-control"), path).toBe("max-age=3");
      }
      advance(11);
      expect(await (await get(path)).text(), path).toBe(`run ${before + 2}`);
    }
  });

  it("the outer of two cached routes leaves what the inner one says, where it takes no part itself", async () => {
    const { get } = await site(kind, (app, cached) => {
      app.use(cached({ expire: "1h", when: () => false }));
      app.get("/", cached("1m"), (context) => context.text("page"));
    });

    const [miss, hit] = [await get("/"), await get("/")];
    expect([miss, hit].map(status)).toEqual(["reprise; fwd=uri-miss; fwd-status=200; stored", "reprise; hit; ttl=60"]);
    expect([miss, hit].map(hitOrMiss)).toEqual(["Miss", "Hit"]);
  });

  it("conditions of the client reach the inner of two cached routes", async () => {
    const { get } = await site(kind, (app, cached) => {
      app.use(cached("1h"));
      app.get("/x", cached("1m"), (context) => context.text("x", 200, { ETag: '"v1"' }));
    });

    for (let round = 0; round < 3; round++) expect((await get("/x", { "If-None-Match": '"v1"' })).status).toBe(304);
    expect(await (await get("/x")).text()).toBe("x");
  });

  it("a renewal goes through everything around the handler", async () => {
    const context = new AsyncLocalStorage<string>();
    const seen: boolean[] = [];
    let runs = 0;
    const { get, advance, events } = await site(kind, (app, cached) => {
      app.use((c, next) => {
        seen.push(isRenewal(c));
        return context.run(`visit ${seen.length}`, next);
      });
      app.use(async (c, next) => {
        c.setRenderer((content) => c.html(`<main>${content as string}</main>`));
        await next();
      });
      app.get("/:id", cached({ expire: 10, staleWhileRevalidate: "1h" }), async (c) => {
        await pause(1);
        return c.render(`${c.req.param("id")} run ${++runs} in ${context.getStore()}`);
      });
    });

    expect(await (await get("/a?q=1")).text()).toBe("<main>a run 1 in visit 1</main>");
    advance(11);
    expect(await (await get("/a?q=1")).text()).toBe("<main>a run 1 in visit 1</main>");
    await until(() => events.filter(({ type }) => type === "stored").length === 2);
    expect(await (await get("/a?q=1")).text()).toBe("<main>a run 2 in visit 3</main>");
    expect(seen).toEqual([false, false, true, false]);
  });

  it("a renewal that a layer answers is a failure with its cause, and the stale response stays", async () => {
    let isOpen = true;
    const { get, advance, events } = await site(kind, (app, cached) => {
      app.use((c, next) => (isOpen ? next() : c.text("no", 401)) as Promise<void>);
      app.use(async (c, next) => {
        if (!isRenewal(c)) isOpen = true;
        await next();
        isOpen = false;
      });
      app.get("/", cached({ expire: 10, staleWhileRevalidate: "1h" }), (c) => c.text("page"));
    });

    await (await get("/")).text();
    isOpen = true;
    advance(11);
    expect(await (await get("/")).text()).toBe("page");
    await until(() => events.some(({ type }) => type === "revalidation-failed"));
    const failed = events.find((event) => event.type === "revalidation-failed");
    expect(failed?.type === "revalidation-failed" && failed.error.message).toBe(
      "the renewal was answered with 401 before it reached cached()",
    );
  });

  it("a renewal beside which a layer sets a cookie late is not stored", async () => {
    let isLate = false;
    let runs = 0;
    const { get, advance, events } = await site(kind, (app, cached) => {
      app.use(async (c, next) => {
        await next();
        await pause(5);
        if (isLate && isRenewal(c)) setCookie(c, "sid", "a");
      });
      app.get("/", cached({ expire: 10, staleWhileRevalidate: "1h" }), (c) => c.text(`run ${++runs}`));
    });

    await (await get("/")).text();
    isLate = true;
    advance(11);
    expect(await (await get("/")).text()).toBe("run 1");
    await until(() => events.some((event) => event.type === "not-stored" && event.because === "set-cookie"));
    expect(runs).toBe(2);
  });

  it("a renewal of the inner of two cached routes", async () => {
    let runs = 0;
    const { get, advance, events } = await site(kind, (app, cached) => {
      app.use(cached("1h"));
      app.get("/", cached({ expire: 10, staleWhileRevalidate: "1h" }), (c) => c.text(`run ${++runs}`));
    });

    await (await get("/")).text();
    advance(11);
    expect(await (await get("/")).text()).toBe("run 1");
    await until(() => events.filter(({ type }) => type === "stored").length === 2);
    const renewed = await get("/");
    expect([await renewed.text(), hitOrMiss(renewed), runs]).toEqual(["run 2", "Hit", 2]);
  });

  it("a validation that failed is followed by a full request of the same client", async () => {
    let runs = 0;
    const { get, advance } = await site(kind, (app, cached) => {
      app.use(async (context, next) => {
        context.header("X-Visit", String(++runs));
        await next();
      });
      app.get("/", cached.byHeaders(), (context) => {
        const condition = context.req.header("if-none-match");
        if (condition !== undefined) return context.body(null, 304, { ETag: '"other"' });
        return context.text(`run ${runs}`, 200, { ETag: '"mine"', "Cache-Control": "max-age=10, must-revalidate" });
      });
    });

    expect(await (await get("/")).text()).toBe("run 1");
    advance(11);
    const response = await get("/");
    expect([response.status, await response.text(), response.headers.get("x-visit")]).toEqual([200, "run 3", "2"]);
  });

  it("layers further out see the request as it came once the handler has answered", async () => {
    const seen: (string | undefined)[] = [];
    const { get } = await site(kind, (app, cached) => {
      app.use(async (context, next) => {
        await next();
        seen.push(context.req.header("if-none-match"));
      });
      app.get("/", cached("1h"), (context) => context.text(context.req.header("if-none-match") ?? "none"));
    });

    expect(await (await get("/", { "If-None-Match": '"a"' })).text()).toBe("none");
    expect(seen).toEqual(['"a"']);
  });

  it("a handler that asks its own URL for another representation does not wait for itself", async () => {
    const { get } = await site(kind, (app, cached) => {
      app.get("/", cached("1h"), async (context) => {
        context.header("Vary", "Accept");
        if (context.req.header("accept") === "application/json") return context.json({ name: "ann" });
        const response = await app.request("/", { headers: { Accept: "application/json" } }, context.env);
        const { name } = (await response.json()) as { name: string };
        return context.html(`<p>${name}`);
      });
    });

    for (const outcome of ["Miss", "Hit"]) {
      const response = await get("/", { Accept: "text/html" });
      expect([await response.text(), hitOrMiss(response)]).toEqual(["<p>ann", outcome]);
    }
  });

  it("a handler that asks another URL, whose handler asks the first, waits for neither", async () => {
    const { get } = await site(kind, (app, cached) => {
      const ask = async (context: Context, path: string): Promise<string> => {
        const depth = Number(context.req.header("x-depth") ?? 0);
        if (depth === 2) return "end";
        return (await app.request(path, { headers: { "X-Depth": String(depth + 1) } })).text();
      };
      app.get("/a", cached("1h"), async (context) => context.text(`a ${await ask(context, "/b")}`));
      app.get("/b", cached("1h"), async (context) => context.text(`b ${await ask(context, "/a")}`));
    });

    expect(await (await get("/a")).text()).toBe("a b a end");
  });

  it("requests that wait go on in their own async context", async () => {
    const user = new AsyncLocalStorage<string>();
    const opened = gate();
    const { get } = await site(kind, (app, cached) => {
      app.use((context, next) => user.run(context.req.header("x-user") ?? "", next));
      app.get("/", cached("1h"), async (context) => {
        await opened.opened;
        context.header("Cache-Control", "private");
        return context.text(`hello ${user.getStore()}`);
      });
    });

    const answers = ["ann", "bob", "eve"].map((name) =>
      get("/", { "X-User": name }).then((response) => response.text()),
    );
    await pause(20);
    opened.open();
    expect(await Promise.all(answers)).toEqual(["hello ann", "hello bob", "hello eve"]);
  });
});

it("a renewal on Node runs in the async context of no other request", async () => {
  const user = new AsyncLocalStorage<string>();
  const seen: (string | undefined)[] = [];
  const { get, advance, events } = await site(onNode, (app, cached) => {
    // Only a client's request is given a user; a renewal shows the context in which it came in.
    app.use((c, next) => (isRenewal(c) ? next() : user.run(c.req.header("x-user") ?? "", next)));
    app.get("/", cached({ expire: 10, staleWhileRevalidate: "1h" }), (c) => {
      seen.push(user.getStore());
      return c.text(`run ${seen.length}`);
    });
  });
  await get("/", { "X-User": "ann" });
  for (const [count, name] of ["bob", "eve"].entries()) {
    advance(11);
    await get("/", { "X-User": name });
    await until(() => events.filter(({ type }) => type === "stored").length === count + 2);
  }

  expect(seen).toEqual(["ann", undefined, undefined]);
});

describe("Hono without a way in", () => {
  it("one reader waits for the renewal, and a warning names the cure once", async () => {
    let nowMs = Date.UTC(2026, 2, 1, 12);
    const warnings: string[] = [];
    const logger = { debug() {}, info() {}, warn: (message: string) => void warnings.push(message) };
    const cache = createCache({ now: () => nowMs, logger });
    const app = new Hono();
    let runs = 0;
    app.get("/:id", honoCache(cache)({ expire: 10, staleWhileRevalidate: "1h" }), (c) => c.text(`run ${++runs}`));
    for (const run of [1, 2, 3]) {
      expect(await (await app.request("/a")).text()).toBe(`run ${run}`);
      nowMs += 11_000;
    }

    const cure = "Give the outermost app: honoCache(cache, { app }).";
    expect(warnings.filter((line) => line.includes(cure))).toEqual([
      `GET /:id: a reader waits for each renewal, because there is no way in for a second request. ${cure}`,
    ]);
  });

  it.each([{ app: 1 }, { app: null }, { application: {} }])("wrong options throw: %o", (options) => {
    expect(() => honoCache(createCache(), options as never)).toThrow(/honoCache\(cache, /);
  });
});

describe("Hono and other protocols", () => {
  it("a handshake passes untouched: the handler gets the same request, and nothing is added to its response", async () => {
    const app = new Hono();
    let seen: Request | undefined;
    app.get("/", honoCache(createCache())("1h"), (context) => {
      seen = context.req.raw;
      return context.text("ignored");
    });
    const sent = new Request("http://api.example/", { headers: { Upgrade: "websocket", "If-None-Match": '"a"' } });
    const response = await app.request(sent);

    expect(seen).toBe(sent);
    expect([...response.headers.keys()]).toEqual(["content-type"]);
  });
});
