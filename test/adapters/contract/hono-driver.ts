import { getRequestListener } from "@hono/node-server";
import { type Context, Hono, type MiddlewareHandler } from "hono";
import type { ContentfulStatusCode } from "hono/utils/http-status";

import { honoCache } from "../../../src/adapters/hono/index.ts";
import type { Cache } from "../../../src/index.ts";
import type { AnyCached, Driver, Given, HeaderOf, RouteSpec, Seen } from "./driver.ts";
import { makeRoute, METHODS } from "./driver.ts";
import { listen } from "./listen.ts";
import { streamOf } from "./web-response.ts";

export const honoDriver: Driver = {
  name: "Hono",
  make: handlersOf,
  async start(cache, routes, around) {
    const app = new Hono();
    app.onError((_, context) => context.text("failed", 500));
    if (around !== undefined) app.use((context, next) => around((name) => context.req.header(name), next));
    for (const spec of routes) app.on([...METHODS], [spec.path], ...handlersOf(cache, spec));
    return listen(getRequestListener(app.fetch));
  },
};

function handlersOf(cache: Cache, spec: RouteSpec): MiddlewareHandler[] {
  const handler: MiddlewareHandler = async (context) => write(context, await spec.handler(seenBy(context)));
  if (spec.isCached === false) return [handler];
  const cached = honoCache(cache) as unknown as AnyCached;
  const header: HeaderOf = (native, name) => (native as Context).req.header(name);
  const outer = spec.outer === undefined ? [] : [cached(spec.outer) as MiddlewareHandler];
  return [...outer, makeRoute(cached, spec, header, []) as MiddlewareHandler, handler];
}

function seenBy(context: Context): Seen {
  const { req } = context;
  return {
    native: context,
    method: req.method,
    url: req.url.replace(/^\w+:\/\/[^/]*/, ""),
    query: (name) => req.query(name),
    header: (name) => req.header(name),
  };
}

function write(context: Context, given: Given): Response | Promise<Response> {
  const status = (given.status ?? 200) as ContentfulStatusCode;
  for (const [name, value] of Object.entries(given.headers ?? {})) {
    for (const line of typeof value === "string" ? [value] : value) context.header(name, line, { append: true });
  }
  context.status(status);
  if ("json" in given) return context.json(given.json as object);
  if ("text" in given) return context.text(given.text);
  if ("html" in given) return context.html(given.html);
  if ("bytes" in given) return context.body(given.bytes as Uint8Array<ArrayBuffer>);
  if ("empty" in given) return context.body(null);
  return context.body(streamOf(given.stream()));
}
