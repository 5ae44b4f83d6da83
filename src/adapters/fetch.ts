import type { Cache, Route } from "../cache.ts";
import type { Fill } from "../engine/exchange.ts";
import { markRenewal } from "../engine/renewals.ts";
import { shareTags } from "../engine/request-tags.ts";
import { invalidOption } from "../errors.ts";
import { cachedFamily, type Cached } from "./_cached.ts";
import { againRequest, handlersRequest, sentPath } from "./_web-request.ts";
import { nodeExit, outgoingOf, waitUntilOf } from "./_web-server.ts";
import { isPromise, renewAlone, respondOnWeb, runFor, type WebCall } from "./_web.ts";

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
    return (request, ...rest) => respondOnWeb(route, callOf(route, handler, request, rest));
  });
}

/** The run of a handler to which a request was given: a cached handler further out has started it. */
interface Run {
  readonly fill: Fill;
  readonly route: Route;
  /** The request as the client sent it. */
  readonly original: Request;
}

/** Runs that are under way, by the request their handler was given. */
const runs = new WeakMap<Request, Run>();

function callOf(route: Route, handler: FetchHandler, given: Request, rest: readonly unknown[]): WebCall {
  const known = runs.get(given);
  // A handler is not inside itself: this is one more request, made with the same object.
  const run = known?.route === route ? undefined : known;
  const request = run?.original ?? given;
  const sent = sentPath(rest[0], request.url);
  const outgoing = outgoingOf(request, ...rest);
  const call: WebCall = {
    request,
    otherPaths: sent === undefined ? undefined : [sent],
    native: request,
    env: rest[0],
    within: run?.fill,
    marked: given,
    exit: outgoing === undefined ? undefined : nodeExit(outgoing),
    waitUntil: waitUntilOf(...rest, request),
    run(shown, fill) {
      shareTags(shown, request);
      const answer = (): Response | Promise<Response> => handler(shown, ...(rest as never[]));
      return fill === undefined ? answer() : runUnder({ fill, route, original: request }, shown, answer);
    },
    runAgain(fill, client) {
      if (client !== undefined) return void runFor(client, call, fill, handlersRequest(request, fill, route.authority));
      const again = handlersRequest(againRequest(request), fill, route.authority);
      markRenewal(again, { fill, route, skips: 0, isClaimed: true });
      void renewAlone(call, fill, again);
    },
  };
  return call;
}

/** Remembers the run while the handler answers. */
function runUnder(run: Run, shown: Request, answer: () => Response | Promise<Response>): Response | Promise<Response> {
  const before = runs.get(shown);
  runs.set(shown, run);
  const ended = (): void => {
    if (runs.get(shown) !== run) return;
    if (before === undefined) runs.delete(shown);
    else runs.set(shown, before);
  };
  let answered: Response | Promise<Response>;
  try {
    answered = answer();
  } catch (error) {
    ended();
    throw error;
  }
  if (!isPromise(answered)) ended();
  else void answered.then(ended, ended);
  return answered;
}
