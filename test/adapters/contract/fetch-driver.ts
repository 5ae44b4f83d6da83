import { getRequestListener } from "@hono/node-server";

import { fetchCache } from "../../../src/adapters/fetch/index.ts";
import type { Cache } from "../../../src/index.ts";
import {
  type AnyCached,
  type Driver,
  type HeaderOf,
  makeRoute,
  pathPattern,
  type RouteSpec,
  type Seen,
} from "./driver.ts";
import { listen } from "./listen.ts";
import { responseOf } from "./web-response.ts";

type Handle = (request: Request, ...rest: unknown[]) => Response | Promise<Response>;

export const fetchDriver: Driver = {
  name: "fetch handler",
  make: routeOf,
  async start(cache, routes, around = (_header, next) => next()) {
    const table = routes.map((spec) => ({ pattern: pathPattern(spec.path), run: routeOf(cache, spec) }));
    const fetch = async (request: Request, env: unknown): Promise<Response> => {
      const route = table.find(({ pattern }) => pattern.test(new URL(request.url).pathname));
      if (route === undefined) return new Response(null, { status: 404 });
      try {
        return await around(
          (name) => request.headers.get(name) ?? undefined,
          () => route.run(request, env),
        );
      } catch {
        return new Response("failed", { status: 500 });
      }
    };
    return listen(getRequestListener(fetch));
  },
};

function routeOf(cache: Cache, spec: RouteSpec): Handle {
  // Not at once: what is answered at once is streamed, without an `ETag` of the cache. See `fetch-at-once.test.ts`.
  const handler: Handle = async (request) => responseOf(await spec.handler(seenBy(request)));
  if (spec.isCached === false) return handler;
  const cached = fetchCache(cache) as unknown as AnyCached;
  const header: HeaderOf = (native, name) => (native as Request).headers.get(name) ?? undefined;
  const route = makeRoute(cached, spec, header, [handler]);
  return (spec.outer === undefined ? route : cached(spec.outer, route)) as Handle;
}

function seenBy(request: Request): Seen {
  const { pathname, search, searchParams } = new URL(request.url);
  return {
    native: request,
    method: request.method,
    url: pathname + search,
    query: (name) => searchParams.get(name) ?? undefined,
    header: (name) => request.headers.get(name) ?? undefined,
  };
}
