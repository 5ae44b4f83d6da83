import { type IncomingMessage, type ServerResponse } from "node:http";
import { Readable } from "node:stream";

import { type NodeHandler, nodeCache } from "../../../src/adapters/node/index.ts";
import type { Cache } from "../../../src/index.ts";
import type { AnyCached, Driver, Given, Handler, HeaderOf, RouteSpec, Seen } from "./driver.ts";
import { makeRoute, pathPattern } from "./driver.ts";
import { listen } from "./listen.ts";

export const nodeDriver: Driver = {
  name: "node:http",
  make: routeOf,
  async start(cache, routes, around = (_header, next) => next()) {
    const table = routes.map((spec) => ({ pattern: pathPattern(spec.path), run: routeOf(cache, spec) }));
    return listen((request, response) => {
      const path = (request.url ?? "/").split("?", 1)[0] ?? "/";
      const route = table.find(({ pattern }) => pattern.test(path));
      if (route === undefined) {
        response.writeHead(404).end();
        return;
      }
      const header = (name: string): string | undefined => request.headers[name] as string | undefined;
      answerErrors(response, () => around(header, () => route.run(request, response)));
    });
  },
};

function routeOf(cache: Cache, spec: RouteSpec): NodeHandler {
  const handler = nodeHandler(spec.handler);
  if (spec.isCached === false) return handler;
  const cached = nodeCache(cache) as unknown as AnyCached;
  const header: HeaderOf = (native, name) => (native as IncomingMessage).headers[name] as string | undefined;
  const route = makeRoute(cached, spec, header, [handler]);
  return (spec.outer === undefined ? route : cached(spec.outer, route)) as NodeHandler;
}

/** What an application around the handler does: a failure is a 500. */
function answerErrors(response: ServerResponse, run: () => unknown): void {
  const fail = (): void => {
    response.writeHead(500, { "content-type": "text/plain" }).end("failed");
  };
  try {
    const result = run();
    if (result instanceof Promise) result.catch(fail);
  } catch {
    fail();
  }
}

function nodeHandler(handler: Handler): NodeHandler {
  return (request, response) => {
    const given = handler(seenBy(request));
    if (given instanceof Promise) return given.then((late) => write(response, late));
    return write(response, given);
  };
}

function seenBy(request: IncomingMessage): Seen {
  const url = request.url ?? "/";
  return {
    native: request,
    method: request.method ?? "GET",
    url,
    query: (name) => new URL(url, "http://test").searchParams.get(name) ?? undefined,
    header: (name) => request.headers[name] as string | undefined,
  };
}

function write(response: ServerResponse, given: Given): void {
  for (const [name, value] of Object.entries(given.headers ?? {})) response.setHeader(name, value);
  const status = given.status ?? 200;
  if ("json" in given)
    response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(given.json));
  else if ("text" in given) response.writeHead(status, { "Content-Type": "text/plain; charset=utf-8" }).end(given.text);
  else if ("html" in given) response.writeHead(status, { "content-type": "text/html" }).end(given.html);
  else if ("bytes" in given) response.writeHead(status).end(given.bytes);
  else if ("stream" in given) {
    response.statusCode = status;
    const source = Readable.from(given.stream(), { objectMode: false });
    source.on("error", () => response.destroy());
    source.pipe(response);
  } else {
    response.statusCode = status;
    response.end();
  }
}
