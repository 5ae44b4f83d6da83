import type { IncomingMessage, ServerResponse } from "node:http";
import type { Express, Request, RequestHandler } from "express";
import type { Cache, Route } from "../cache.ts";
import { cachedFamily, type Cached } from "./_cached.ts";
import { respondOnNode } from "./_node.ts";

export type { Cached, RouteArgument } from "./_cached.ts";

/**
 * Caching for Express 4 and 5: middleware in front of a handler, a router or an app.
 *
 * @example
 * const cached = expressCache(createCache());
 * app.get("/users/:id", cached({ expire: "1h" }), getUser);
 */
export function expressCache(cache: Cache): Cached<Request, [], RequestHandler> {
  return cachedFamily(cache, (route: Route): RequestHandler => (request, response, next) => {
    respondOnNode(route, {
      request,
      response,
      url: request.originalUrl,
      run: () => next(),
      rewriteTarget,
      takeFrameworkEtag,
      get pattern() {
        return patternOf(request);
      },
      entry: (copy, quiet) => outermostApp(request)(copy, quiet),
    });
  });
}

/** Express adds a weak tag of its own to what `send` writes. It is not the handler's, so ours, which is strong, goes out. */
function takeFrameworkEtag(fields: Record<string, string | readonly string[]>): string | undefined {
  const etag = fields["etag"];
  if (typeof etag !== "string" || !/^W\/"[0-9a-f]+-[A-Za-z0-9+/]{27}"$/.test(etag)) return undefined;
  delete fields["etag"];
  return etag;
}

/** Express 4 has parsed the query before us; Express 5 parses it at each access. */
function rewriteTarget(message: IncomingMessage, path: string): void {
  const request = message as Request;
  request.originalUrl = path;
  if (!Object.hasOwn(request, "query")) return;
  const parse = request.app.get("query parser fn") as ((text: string) => Request["query"]) | undefined;
  const mark = path.indexOf("?");
  if (typeof parse === "function") request.query = parse(mark === -1 ? "" : path.slice(mark + 1));
}

/** `/users/:id`, with the path the router is mounted on; a pattern that is no text has no name. */
function patternOf(request: Request): string | undefined {
  const path = (request.route as { path?: unknown } | undefined)?.path;
  return typeof path === "string" ? request.baseUrl + path : undefined;
}

/** The app that the app of this request is mounted in, if it is. */
function outermostApp(request: Request): (request: IncomingMessage, response: ServerResponse) => void {
  let app = request.app as Express & { parent?: Express };
  while (app.parent !== undefined) app = app.parent;
  return app;
}
