/** Requests that an application makes of itself with the bindings of a client's request: layouts, fragments, look-ups. */

import { getRequestListener } from "@hono/node-server";
import { Hono, type Context } from "hono";
import { describe, expect, it, onTestFinished } from "vitest";

import { honoCache } from "../../src/adapters/hono/index.ts";
import { fetchCache } from "../../src/adapters/fetch/index.ts";
import { createCache } from "../../src/index.ts";
import { send, type Received } from "./contract/http-client.ts";
import { listen } from "./contract/listen.ts";
import { until } from "./contract/world.ts";
import { byFetch, onNode, site, status, type Build, type Kind } from "./hono-sites.ts";

const onNodeWithApp: Kind = { ...onNode, name: `${onNode.name}, with { app }`, entry: byFetch.entry };

const stale = { expire: 10, staleWhileRevalidate: "1h" } as const;

describe.each([onNode, onNodeWithApp, byFetch])("Hono $name: middleware asks the app itself", (kind) => {
  /** The texts of a page: stored, stale while it is renewed, and renewed. */
  async function texts(build: Build, path: string): Promise<string[]> {
    const { get, advance, events } = await site(kind, build);
    const seen = [await (await get(path)).text()];
    await until(() => events.some(({ type }) => type === "stored"));
    advance(11);
    events.length = 0;
    seen.push(await (await get(path)).text());
    await until(() => events.some(({ type }) => type === "stored" || type === "revalidation-failed"));
    seen.push(await (await get(path)).text());
    return seen;
  }

  it("for another page of the route that is renewed", async () => {
    const seen = await texts((app, cached) => {
      app.use("/users/:id", async (context, next) => {
        if (context.req.param("id") !== "boss") await app.request("/users/boss", {}, context.env);
        await next();
      });
      app.get("/users/:id", cached(stale), (context) => context.text(`salary of ${context.req.param("id")}`));
    }, "/users/ann");

    expect(seen).toEqual(["salary of ann", "salary of ann", "salary of ann"]);
  });

  it.each([
    ["without fields", () => ({})],
    ["with the fields of the client", (context: Context) => ({ headers: context.req.raw.headers })],
  ])("for a page of another route: %s", async (_, init) => {
    let runs = 0;
    const seen = await texts((app, cached) => {
      app.get("/nav", cached(stale), (context) => context.text("nav"));
      app.use("/page", async (context, next) => {
        await app.request("/nav", init(context), context.env);
        await next();
      });
      app.get("/page", cached(stale), (context) => context.text(`page ${++runs}`));
    }, "/page");

    expect(seen).toEqual(["page 1", "page 1", "page 2"]);
  });

  it("for the page that is renewed, as another reader", async () => {
    const seen = await texts((app, cached) => {
      app.use("/page", async (context, next) => {
        if (context.req.header("x-reader") === undefined) {
          const headers = new Headers(context.req.raw.headers);
          headers.set("x-reader", "app");
          await app.request(new Request(context.req.raw, { headers }), {}, context.env);
        }
        await next();
      });
      app.get("/page", cached({ ...stale, vary: ["x-reader"] }), (context) =>
        context.text(`page for ${context.req.header("x-reader") ?? "all"}`),
      );
    }, "/page");

    expect(seen).toEqual(["page for all", "page for all", "page for all"]);
  });

  it("its stale answer is renewed by its own request", async () => {
    let navs = 0;
    let pages = 0;
    let clients = 0;
    const { get, advance } = await site(kind, (app, cached) => {
      app.get("/nav", cached(stale), (context) => context.text(`nav ${++navs}`));
      app.get("/page", async (context) => {
        pages += 1;
        return context.text(await (await app.request("/nav", {}, context.env)).text());
      });
    });

    const text = async (): Promise<string> => {
      clients += 1;
      return (await get("/page")).text();
    };

    expect([await text(), await text()]).toEqual(["nav 1", "nav 1"]);
    advance(11);
    expect(await text()).toMatch(/^nav [12]$/);
    await until(async () => (await text()) === "nav 2");
    // Each run of the page was asked for by a client.
    expect([navs, pages]).toEqual([2, clients]);
  });
});

describe("a fragment that a page asks the app for", () => {
  const pages: Readonly<Record<string, (context: Context, fragment: () => Promise<Response>) => Promise<Response>>> = {
    "/vary": async (context, fragment) =>
      context.text(`page with ${await (await fragment()).text()}`, 200, { Vary: "X-Y" }),
    "/no-store": async (context, fragment) =>
      context.text(`page with ${await (await fragment()).text()}`, 200, { "Cache-Control": "no-store" }),
    "/missing": async (context, fragment) => context.text(`none with ${await (await fragment()).text()}`, 404),
    "/etag": async (context, fragment) =>
      context.text(`page with ${await (await fragment()).text()}`, 200, { ETag: '"page"' }),
    "/cookie": async (context, fragment) =>
      context.text(`page with ${await (await fragment()).text()}`, 200, { "Set-Cookie": "a=b" }),
    "/unread": async (context, fragment) => context.text(`page ${(await fragment()).status}`),
  };

  it.each([onNode, onNodeWithApp])("Hono $name: leaves no field on the page, and is stored", async (kind) => {
    let navs = 0;
    const { get } = await site(kind, (app, cached) => {
      app.get("/nav", cached("1h"), (context) => {
        navs += 1;
        return context.text("nav", 200, { Vary: "Accept-Language" });
      });
      for (const [path, page] of Object.entries(pages))
        app.get(path, (context) => page(context, async () => app.request(`/nav?of=${path.slice(1)}`, {}, context.env)));
    });
    const plain = await site(kind, (app) => {
      app.get("/nav", (context) => context.text("nav", 200, { Vary: "Accept-Language" }));
      for (const [path, page] of Object.entries(pages))
        app.get(path, (context) => page(context, async () => app.request("/nav", {}, context.env)));
    });

    for (const path of Object.keys(pages)) {
      for (const round of [1, 2, 3]) {
        const [now, without] = [await get(path), await plain.get(path)];
        expect([now.status, await now.text(), fieldsOf(now)], `${path} ${round}`).toEqual([
          without.status,
          await without.text(),
          fieldsOf(without),
        ]);
      }
    }
    expect(navs).toBe(Object.keys(pages).length);
  });

  function fieldsOf({ headers }: Response): unknown {
    return Object.fromEntries([...headers].filter(([name]) => name !== "date" && name !== "connection"));
  }

  it("of a cached page: both are hits", async () => {
    let navs = 0;
    const { get } = await site(onNode, (app, cached) => {
      app.get("/nav", cached("1h"), (context) => context.text(`nav ${++navs}`));
      app.get("/page", cached({ expire: "1m", browser: "5s" }), async (context) =>
        context.text(`page with ${await (await app.request("/nav", {}, context.env)).text()}`),
      );
    });

    for (const outcome of ["stored", "hit", "hit"]) {
      const response = await get("/page");
      expect([await response.text(), response.headers.get("cache-control")]).toEqual(["page with nav 1", "max-age=5"]);
      expect(status(response)).toContain(outcome);
    }
  });
});

describe("a fetch handler on @hono/node-server", () => {
  type Handler = (request: Request, bindings: unknown) => Response | Promise<Response>;

  async function serve(build: (cached: ReturnType<typeof fetchCache>) => Handler) {
    let nowMs = Date.UTC(2026, 2, 1, 12);
    const cache = createCache({ now: () => nowMs });
    onTestFinished(() => cache.close());
    const handler = build(fetchCache(cache));
    const { url, ...served } = await listen(getRequestListener(handler));
    onTestFinished(() => served.close());
    return {
      get: (path: string): Promise<Received> => send(url + path),
      advance: (seconds: number) => void (nowMs += seconds * 1000),
    };
  }

  it("asks a cached handler for a fragment with its bindings: no field of that is on the page", async () => {
    let navs = 0;
    const { get } = await serve((cached) => {
      const nav = cached("1h", () => new Response(`nav ${++navs}`, { headers: { "X-Nav": "1" } }));
      return async (_request: Request, bindings: unknown) => {
        const fragment = await nav(new Request("http://inside.example/nav"), bindings);
        return new Response(`page with ${await fragment.text()}`, { headers: { Vary: "X-Y", ETag: '"page"' } });
      };
    });

    for (const round of [1, 2]) {
      const { text, headers } = await get("/page");
      expect([text, headers.vary, headers.etag, headers["cache-status"]], String(round)).toEqual([
        "page with nav 1",
        "X-Y",
        '"page"',
        undefined,
      ]);
      await new Promise((resolve) => setTimeout(resolve, 600));
    }
  });

  it("asks its own URL while it is renewed, as another reader: the page stays as it is for all", async () => {
    let runs = 0;
    const { get, advance } = await serve((cached) => {
      const page = cached({ ...stale, vary: ["x-reader"] }, (request: Request) => {
        runs += 1;
        return new Response(`page for ${request.headers.get("x-reader") ?? "all"}`);
      });
      return async (request: Request, bindings: unknown) => {
        const headers = new Headers(request.headers);
        headers.set("x-reader", "app");
        await (await page(new Request(request.url, { headers }), bindings)).text();
        return page(request, bindings);
      };
    });

    expect((await get("/page")).text).toBe("page for all");
    await new Promise((resolve) => setTimeout(resolve, 20));
    advance(11);
    expect((await get("/page")).text).toBe("page for all");
    await until(() => runs >= 4);
    for (const _ of [1, 2]) expect((await get("/page")).text).toBe("page for all");
  });
});

describe("what layers put in the place of the server's request is the client's", () => {
  it.each([
    ["a copy", (request: Request) => new Request(request)],
    [
      "one with a field more",
      (request: Request) => {
        const headers = new Headers(request.headers);
        headers.set("x-tenant", "a");
        return new Request(request.url, { headers });
      },
    ],
  ])("%s: a late cookie of the layer counts, and a renewal reaches its route", async (_, wrapped) => {
    let nowMs = Date.UTC(2026, 2, 1, 12);
    let runs = 0;
    const cache = createCache({ now: () => nowMs });
    onTestFinished(() => cache.close());
    const app = new Hono();
    const cached = honoCache(cache);
    app.get("/page", cached(stale), (context) => context.text(`page ${++runs}`));
    app.get("/visit", cached("1h"), (context) => context.text(`visit ${++runs}`));
    const { url, ...served } = await listen(
      getRequestListener(async (request, bindings) => {
        const response = await app.fetch(wrapped(request), bindings);
        if (request.url.endsWith("/visit")) response.headers.append("Set-Cookie", "sid=a");
        return response;
      }),
    );
    onTestFinished(() => served.close());

    for (const run of [1, 2]) expect((await send(`${url}/visit`)).text).toBe(`visit ${run}`);
    expect((await send(`${url}/page`)).text).toBe("page 3");
    nowMs += 11_000;
    expect((await send(`${url}/page`)).text).toBe("page 3");
    await until(async () => (await send(`${url}/page`)).text === "page 4");
  });
});
