/** Renewals of fetch handlers: through the code around them, where the cache knows a way in. */

import { getRequestListener } from "@hono/node-server";
import { serve } from "h3";
import { describe, expect, it, onTestFinished } from "vitest";

import { fetchCache, type FetchCacheOptions } from "../../src/adapters/fetch/index.ts";
import { createCache, type CacheEvent, isRenewal } from "../../src/index.ts";
import { send } from "./contract/http-client.ts";
import { listen } from "./contract/listen.ts";
import { until } from "./contract/world.ts";

type Handler = (request: Request, ...rest: unknown[]) => Response | Promise<Response>;
type Get = (path: string) => Promise<string>;

interface Kind {
  readonly name: string;
  readonly options?: (outermost: Handler) => FetchCacheOptions;
  readonly start: (handler: Handler) => Promise<Get>;
  /** What tells a renewal in code around the cached handler. */
  readonly shown: (request: Request, rest: readonly unknown[]) => unknown;
}

const kinds: readonly Kind[] = [
  {
    name: "on srvx, the server of h3",
    start: async (fetch) => {
      const server = serve({ fetch } as never, { port: 0, hostname: "127.0.0.1", silent: true });
      await server.ready();
      onTestFinished(() => server.close(true));
      return async (path) => (await send(new URL(path, server.url).href, {})).text;
    },
    shown: (request) => request,
  },
  {
    name: "on @hono/node-server",
    start: async (fetch) => {
      const { url, ...served } = await listen(getRequestListener(fetch));
      onTestFinished(() => served.close());
      return async (path) => (await send(url + path, {})).text;
    },
    shown: (_, [env]) => ({ env }),
  },
  {
    name: "by the outermost handler",
    options: (outermost) => ({ fetch: outermost }),
    start: async (fetch) => async (path) => {
      const response = await fetch(new Request(`http://api.example${path}`), "env");
      return response.text();
    },
    shown: (request) => request,
  },
];

interface Site {
  readonly get: Get;
  readonly events: CacheEvent[];
  readonly advance: (seconds: number) => void;
}

async function site({ options, start }: Kind, handler: Handler, around: (inner: Handler) => Handler): Promise<Site> {
  let nowMs = Date.UTC(2026, 2, 1, 12);
  const cache = createCache({ now: () => nowMs });
  const events: CacheEvent[] = [];
  cache.events.on("*", (event) => events.push(event));
  onTestFinished(() => cache.close());
  const outermost: Handler = (request, ...rest) => whole(request, ...rest);
  const cached = fetchCache(cache, options?.(outermost));
  const whole = around(cached({ expire: 10, staleWhileRevalidate: "1h" }, handler));
  return { get: await start(whole), events, advance: (seconds) => void (nowMs += seconds * 1000) };
}

describe.each(kinds)("a renewal $name", (kind) => {
  it("goes through the code around the handler, with the same further arguments", async () => {
    const outer: unknown[] = [];
    const inner: unknown[] = [];
    let runs = 0;
    const { get, advance, events } = await site(
      kind,
      (request) => {
        inner.push(isRenewal(request));
        return new Response(`run ${++runs}`);
      },
      (next) =>
        async (request, ...rest) => {
          outer.push([isRenewal(kind.shown(request, rest)), rest.length]);
          return next(request, ...rest);
        },
    );

    expect(await get("/a")).toBe("run 1");
    advance(11);
    expect(await get("/a")).toBe("run 1");
    await until(() => events.filter(({ type }) => type === "stored").length === 2);
    expect(await get("/a")).toBe("run 2");
    const args = (outer[0] as unknown[])[1];
    expect(outer).toEqual([false, false, true, false].map((isCopy) => [isCopy, args]));
    expect(inner).toEqual([false, true]);
  });

  it.each([
    ["a cookie", "Set-Cookie", "sid=a", "set-cookie"],
    ["private", "Cache-Control", "private", "private"],
  ])("is not stored beside %s that the code around sets late", async (_, name, value, because) => {
    let isLate = false;
    let runs = 0;
    const { get, advance, events } = await site(
      kind,
      () => new Response(`run ${++runs}`),
      (next) =>
        async (request, ...rest) => {
          const response = await next(request, ...rest);
          if (isLate) response.headers.append(name, value);
          return response;
        },
    );

    await get("/a");
    isLate = true;
    advance(11);
    expect(await get("/a")).toBe("run 1");
    await until(() => events.some((event) => event.type === "not-stored" && event.because === because));
    expect(runs).toBe(2);
  });

  it("that the code around answers is a failure with its cause, and the stale response stays", async () => {
    let isOpen = true;
    let runs = 0;
    const { get, advance, events } = await site(
      kind,
      () => new Response(`run ${++runs}`),
      (next) =>
        async (request, ...rest) => {
          const isCopy = isRenewal(kind.shown(request, rest));
          return isCopy && !isOpen ? new Response("no", { status: 401 }) : next(request, ...rest);
        },
    );

    await get("/a");
    isOpen = false;
    advance(11);
    expect(await get("/a")).toBe("run 1");
    await until(() => events.some(({ type }) => type === "revalidation-failed"));
    const failed = events.find((event) => event.type === "revalidation-failed");
    expect(failed?.type === "revalidation-failed" && failed.error.message).toBe(
      "the renewal was answered with 401 before it reached cached()",
    );
    expect([await get("/a"), runs]).toEqual(["run 1", 1]);
  });

  it("is for the URL that is stale, where a page is made of several", async () => {
    const asked: string[] = [];
    const { get, advance, events } = await site(
      kind,
      (request) => {
        const { pathname } = new URL(request.url);
        asked.push(pathname);
        return new Response(`${pathname} ${asked.length}`);
      },
      (next) =>
        async (request, ...rest) => {
          if (!new URL(request.url).pathname.startsWith("/page")) return next(request, ...rest);
          const texts: string[] = [];
          for (const part of ["/one", "/two"]) {
            const response = await next(new Request(new URL(part, request.url)), ...rest);
            texts.push(await response.text());
          }
          return new Response(texts.join());
        },
    );

    expect(await get("/page")).toBe("/one 1,/two 2");
    await until(() => events.filter(({ type }) => type === "stored").length === 2);
    advance(11);
    expect(await get("/page")).toBe("/one 1,/two 2");
    await until(() => events.filter(({ type }) => type === "stored").length === 4);
    expect(await get("/page")).toMatch(/^\/one [34],\/two [34]$/);
    expect(asked.toSorted()).toEqual(["/one", "/one", "/two", "/two"]);
  });
});

it("without a way in the handler alone is renewed", async () => {
  let around = 0;
  let runs = 0;
  const kind = kinds[2] as Kind;
  const { get, advance, events } = await site(
    { name: kind.name, start: kind.start, shown: kind.shown },
    () => new Response(`run ${++runs}`),
    (next) =>
      (request, ...rest) => {
        around++;
        return next(request, ...rest);
      },
  );
  await get("/a");
  advance(11);
  await get("/a");
  await until(() => events.filter(({ type }) => type === "stored").length === 2);

  expect([around, runs]).toEqual([2, 2]);
});

it.each([{ fetch: 1 }, { fetch: null }, { app: () => new Response() }, null])("wrong options throw: %o", (options) => {
  expect(() => fetchCache(createCache(), options as never)).toThrow(/fetchCache\(cache, /);
});
