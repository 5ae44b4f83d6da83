import { Readable } from "node:stream";

import express5, { type Express, type NextFunction, type Request, type RequestHandler, type Response } from "express";
import express4 from "express4";

import { expressCache } from "../../../src/adapters/express/index.ts";
import {
  type AnyCached,
  type Driver,
  type Given,
  type Handler,
  makeRoute,
  type RouteSpec,
  type Seen,
} from "./driver.ts";
import { listen } from "./listen.ts";
import type { StoreKind } from "./stores.ts";
import { startWorld, type World } from "./world.ts";

type Cached = ReturnType<typeof expressCache>;

/** An application of that version of Express, which the test builds, over a store of that kind. */
export function serveExpress(
  express: typeof express5,
  kind: StoreKind,
  build: (app: Express, cached: Cached) => void,
): Promise<World> {
  return startWorld(kind, {}, (cache) => {
    const app = express();
    app.set("env", "test");
    build(app, expressCache(cache));
    return listen(app);
  });
}

export const express5Driver: Driver = expressDriver("Express 5", express5);
export const express4Driver: Driver = expressDriver("Express 4", express4);

function expressDriver(name: string, express: typeof express5): Driver {
  return {
    name,
    make: (cache, spec) => handlersOf(expressCache(cache), spec),
    start(cache, routes, around) {
      const app = express();
      // Failures are part of some tests; Express would print each.
      app.set("env", "test");
      const cached = expressCache(cache) as unknown as AnyCached;
      if (around !== undefined) app.use((request, _response, next) => around((name) => request.get(name), next));
      for (const spec of routes) {
        const handlers = handlersOf(cached, spec);
        for (const method of ["get", "post", "put", "patch", "delete"] as const) app[method](spec.path, ...handlers);
      }
      return listen(app);
    },
  };
}

function handlersOf(cached: AnyCached, spec: RouteSpec): RequestHandler[] {
  const handler = expressHandler(spec.handler);
  if (spec.isCached === false) return [handler];
  const middleware = makeRoute(cached, spec, (native, field) => (native as Request).get(field), []);
  const outer = spec.outer === undefined ? [] : [cached(spec.outer) as RequestHandler];
  return [...outer, middleware as RequestHandler, handler];
}

/** `next(error)` as Express 4 needs it; a handler that throws at once throws. */
function expressHandler(handler: Handler): RequestHandler {
  return (request, response, next) => {
    const given = handler(seenBy(request));
    if (given instanceof Promise) void writeLate(response, given, next);
    else write(response, given);
  };
}

async function writeLate(response: Response, given: Promise<Given>, next: NextFunction): Promise<void> {
  try {
    write(response, await given);
  } catch (error) {
    next(error);
  }
}

function seenBy(request: Request): Seen {
  return {
    native: request,
    method: request.method,
    url: request.originalUrl,
    query: (name) => {
      const value = request.query[name];
      return value === undefined || typeof value === "string" ? value : JSON.stringify(value);
    },
    header: (name) => request.get(name),
  };
}

function write(response: Response, given: Given): void {
  if (given.status !== undefined) response.status(given.status);
  for (const [name, value] of Object.entries(given.headers ?? {})) response.set(name, value as string | string[]);
  if ("json" in given) response.json(given.json);
  else if ("text" in given) response.type("text").send(given.text);
  else if ("html" in given) response.send(given.html);
  else if ("bytes" in given) response.send(Buffer.from(given.bytes));
  else if ("stream" in given) {
    const source = Readable.from(given.stream(), { objectMode: false });
    source.on("error", () => response.destroy());
    source.pipe(response);
  } else response.end();
}
