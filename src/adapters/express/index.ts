import type { IncomingMessage, ServerResponse } from "node:http";
import type { Express, Request, RequestHandler } from "express";
import type { Cache, Route } from "../../cache.ts";
import { isRenewal } from "../../engine/fill/renewals.ts";
import { cachedFamily, type Cached } from "../shared/cached.ts";
import { watchErrors } from "./errors.ts";
import { isSamePlace, patternsAt, placeOf, type Place } from "./patterns.ts";
import { ExpressRoutes } from "./routes.ts";
import { respondOnNode } from "../node/respond.ts";

export type { Cached, RouteArgument } from "../shared/cached.ts";

/**
 * Caching for Express 4 and 5: middleware in front of a handler, a router or an app.
 *
 * @example
 * const cached = expressCache(createCache());
 * app.get("/users/:id", cached({ expire: "1h" }), getUser);
 */
export function expressCache(cache: Cache): Cached<Request, [], RequestHandler> {
  const routes = new ExpressRoutes();
  const attach = (route: Route): RequestHandler => {
    const middleware: RequestHandler = (request, response, next) => {
      routes.noteApp(request.app);
      let here: Place | undefined;
      const { next: nextHere } = request;
      respondOnNode(route, {
        request,
        response,
        url: request.originalUrl,
        shownUrl: shownUrl(request),
        replaced: replacedQuery(request),
        run(fill) {
          // Afterwards the request goes on, to another router and another route perhaps.
          if (fill !== undefined) here = placeOf(request);
          if (fill !== undefined && isRenewal(request)) watchErrors(request, response, fill);
          next();
        },
        // To the error handlers behind the handler, which may stand in a router further in.
        onLateError: (error) => (request.next === nextHere ? next : (request.next ?? next))(error),
        // Up to Express 5.2 nothing in front of the handler hears of its error.
        unseenErrors: "the application's error handler",
        rewriteTarget,
        takeFrameworkEtag,
        patterns() {
          const there = placeOf(request);
          const own = patternsAt(here ?? there, middleware);
          return here === undefined || isSamePlace(here, there) ? own : [...own, ...patternsAt(there)];
        },
        // light-my-request makes each response it injects a prototype of the app's: no other one works beside it.
        entry: "_lightMyRequest" in response ? undefined : (copy, quiet) => outermostApp(request)(copy, quiet),
      });
    };
    routes.noteMiddleware(middleware);
    return middleware;
  };
  return cachedFamily(cache, attach, () => routes.read());
}

/** Express adds a weak tag of its own to what `send` writes. It is not the handler's, so ours, which is strong, goes out. */
function takeFrameworkEtag(fields: Record<string, string | readonly string[]>): string | undefined {
  const etag = fields["etag"];
  if (typeof etag !== "string" || !/^W\/"[0-9a-f]+-[A-Za-z0-9+/]{27}"$/.test(etag)) return undefined;
  delete fields["etag"];
  return etag;
}

/** Path and query as the router and the handler see them, where middleware made them others than the client sent. */
function shownUrl({ baseUrl, url, originalUrl }: Request): string | undefined {
  const cutOff = originalUrl.length - url.length;
  if (originalUrl.endsWith(url) && cutOff === baseUrl.length && originalUrl.startsWith(baseUrl)) return undefined;
  // Where a router has cut off the whole path, it puts a slash in its place.
  const withoutSlash = url.slice(1);
  return originalUrl === baseUrl + withoutSlash ? undefined : baseUrl + url;
}

/** The query as text, if middleware put another one in place of the one in the URL; `null` where it has no text. */
function replacedQuery(request: Request): string | null | undefined {
  // Express 4 has parsed the query before us; Express 5 parses it at each access.
  if (!Object.hasOwn(request, "query")) return undefined;
  const { query, originalUrl, url } = request;
  if (!originalUrl.includes("?") && isEmpty(query)) return undefined;
  const own = textOf(query);
  return own === textOf(parsedQuery(request, originalUrl)) || own === textOf(parsedQuery(request, url))
    ? undefined
    : own;
}

function isEmpty(query: unknown): boolean {
  return typeof query === "object" && query !== null && Object.keys(query).length === 0;
}

function textOf(query: unknown): string | null {
  try {
    return (
      JSON.stringify(query, (_, value: unknown) => (typeof value === "bigint" ? `${value}n` : value)) ?? "undefined"
    );
  } catch {
    return null;
  }
}

function parsedQuery(request: Request, url: string): Request["query"] | undefined {
  const parse = request.app.get("query parser fn") as ((text: string) => Request["query"]) | undefined;
  const mark = url.indexOf("?");
  return typeof parse === "function" ? parse(mark === -1 ? "" : url.slice(mark + 1)) : undefined;
}

/** A query that middleware put in place of the one in the URL stays: it is in the key as a whole. */
function rewriteTarget(message: IncomingMessage, sent: string, shown: string): void {
  const request = message as Request;
  const { originalUrl } = request;
  request.originalUrl = sent;
  if (!Object.hasOwn(request, "query")) return;
  const own = textOf(request.query);
  const isOf = (url: string): boolean => own === textOf(parsedQuery(request, url));
  const query = isOf(originalUrl)
    ? parsedQuery(request, sent)
    : isOf(request.url)
      ? parsedQuery(request, shown)
      : undefined;
  // Middleware may have made the property one that cannot be set.
  if (query !== undefined) Reflect.set(request, "query", query);
}

/** The app that the app of this request is mounted in, if it is. */
function outermostApp(request: Request): (request: IncomingMessage, response: ServerResponse) => void {
  let app = request.app as Express & { parent?: Express };
  while (app.parent !== undefined) app = app.parent;
  return app;
}
