import type { Cache, Route } from "../cache.ts";
import { shareTags } from "../engine/request-tags.ts";
import { invalidOption } from "../errors.ts";
import { cachedFamily, type Cached } from "./_cached.ts";
import { respondOnWeb } from "./_web.ts";

export type { Cached, RouteArgument } from "./_cached.ts";

/** A handler from `Request` to `Response`; it may take further arguments, as those of Deno and of workers do. */
export type FetchHandler = (request: Request, ...rest: never[]) => Response | Promise<Response>;

/** What a cached handler is: fit for every server that calls handlers; further arguments are handed through. */
export type CachedFetchHandler = (request: Request, ...rest: unknown[]) => Response | Promise<Response>;

/**
 * Caching for handlers from `Request` to `Response`: give `cached` your options and the handler, and get a handler back.
 *
 * @example
 * const cached = fetchCache(createCache());
 * Deno.serve(cached("5m", (request) => Response.json({ path: new URL(request.url).pathname })));
 */
export function fetchCache(cache: Cache): Cached<Request, [handler: FetchHandler], CachedFetchHandler> {
  return cachedFamily(cache, (route: Route, handler: FetchHandler): CachedFetchHandler => {
    if (typeof handler !== "function") {
      throw invalidOption(
        "cached(options, handler)",
        "a handler (request) => Response",
        handler,
        "The handler comes after the options.",
      );
    }
    return (request, ...rest) => {
      const run = (given: Request): Response | Promise<Response> => {
        shareTags(given, request);
        return handler(given, ...(rest as never[]));
      };
      return respondOnWeb(route, { request, native: request, env: rest[0], run, rerun: run });
    };
  });
}
