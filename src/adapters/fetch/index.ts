import type { Cache, Route } from "../../cache.ts";
import type { Fill } from "../../engine/exchange.ts";
import { markRenewal, renewalOf, type Renewal } from "../../engine/fill/renewals.ts";
import { shareTags } from "../../engine/request/request-tags.ts";
import { invalidOption } from "../../errors.ts";
import { refuseUnknown } from "../../options/known-options.ts";
import { cachedFamily, type Cached } from "../shared/cached.ts";
import { withAddress } from "../web/client-address.ts";
import { exitOfCopy, nodeEntry, nodePairOf, sendThrough, type Entry } from "../web/entry.ts";
import { hasTargetOf, incomingOf, markedOf } from "../web/from-server.ts";
import { againRequest, handlersRequest, sentPath } from "../web/request.ts";
import { noteShown } from "../web/shown.ts";
import { nodeExit, outgoingOf, waitUntilOf } from "../web/server.ts";
import {
  isPromise,
  isSameRequest,
  renewAlone,
  respondOnWeb,
  runFor,
  type Client,
  type WebCall,
} from "../web/respond.ts";

export type { Cached, RouteArgument } from "../shared/cached.ts";

/** A handler from `Request` to `Response`; it may take further arguments, as those of Deno and of workers do. */
export type FetchHandler = (request: Request, ...rest: never[]) => Response | Promise<Response>;

/** What a cached handler is: fit for every server that calls handlers; further arguments are handed through. */
export type CachedFetchHandler = (request: Request, ...rest: unknown[]) => Response | Promise<Response>;

/** Options of {@link fetchCache}. */
export interface FetchCacheOptions {
  /**
   * The outermost handler: where the cache sends a request again to renew a stored response in the background
   * (`staleWhileRevalidate`). It gets a copy of the request that the cached handler was given, and the same further
   * arguments. On servers of `node:http` that give Node's request (srvx, h3, `@hono/node-server`) the cache finds the way in
   * by itself; elsewhere the cached handler alone is renewed unless this is given, without the code around it.
   *
   * @example
   * const cached = fetchCache(cache, { fetch: (request, ...rest) => handler(request, ...rest) });
   */
  readonly fetch?: FetchHandler | undefined;
}

/**
 * Caching for handlers from `Request` to `Response`: give `cached` your options and the handler, and get a handler back.
 *
 * @example
 * const cached = fetchCache(createCache());
 * Deno.serve(cached("5m", (request) => Response.json({ path: new URL(request.url).pathname })));
 */
export function fetchCache(
  cache: Cache,
  options: FetchCacheOptions = {},
): Cached<Request, [handler: FetchHandler], CachedFetchHandler> {
  const outermost = checkedFetch(options);
  return cachedFamily(cache, (route: Route, handler: FetchHandler): CachedFetchHandler => {
    if (typeof handler !== "function") {
      throw invalidOption(
        "cached(options, handler)",
        "a handler (request) => Response",
        handler,
        "The handler comes after the options.",
      );
    }
    return function cachedHandler(this: unknown, request, ...rest) {
      // A server that calls the handler as its method (`export default { fetch }`) is its `this`.
      const answer: FetchHandler = (...args) => handler.apply(this, args);
      return respondOnWeb(route, callOf(route, answer, outermost, request, rest));
    };
  });
}

function checkedFetch(options: FetchCacheOptions): FetchHandler | undefined {
  refuseUnknown("fetchCache(cache, options)", options, { fetch: true }, "{ fetch }");
  const { fetch } = options;
  if (fetch === undefined || typeof fetch === "function") return fetch;
  throw invalidOption(
    "fetchCache(cache, { fetch })",
    "the outermost handler (request) => Response",
    fetch,
    "For example { fetch: (request, ...rest) => handler(request, ...rest) }.",
  );
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

function callOf(
  route: Route,
  handler: FetchHandler,
  outermost: FetchHandler | undefined,
  given: Request,
  rest: readonly unknown[],
): WebCall {
  const known = runs.get(given);
  // A handler is not inside itself: this is one more request, made with the same object.
  const run = known?.route === route ? undefined : known;
  const request = run?.original ?? given;
  const sent = sentPath(rest[0], request.url);
  const marked = markedOf(given, incomingOf(request, ...rest));
  let entry: Entry | undefined;
  const call: WebCall = {
    request,
    otherPaths: sent === undefined ? undefined : [sent],
    native: request,
    env: rest[0],
    within: run?.fill,
    marked,
    get exit() {
      const outgoing = outgoingOf(request, ...rest);
      return outgoing === undefined ? exitOfCopy(marked) : nodeExit(outgoing);
    },
    waitUntil: waitUntilOf(...rest, request),
    run(shown, fill) {
      shareTags(shown, request);
      const renewal = renewalOf(marked);
      if (renewal !== undefined) markRenewal(shown, renewal);
      const answer = (): Response | Promise<Response> => handler(shown, ...(rest as never[]));
      return fill === undefined ? answer() : runUnder({ fill, route, original: request }, shown, answer);
    },
    // Read first while the client is there: some servers forget its address with it.
    get runAgain() {
      entry ??= entryOf(outermost, request, rest);
      return (fill: Fill, client: Client | undefined) => {
        if (client !== undefined && isSameRequest(route, call, fill))
          return void runFor(client, call, fill, handlersRequest(request, fill, route.authority));
        const renewal: Renewal = { fill, route, skips: 0, isClaimed: false };
        if (entry === undefined) return renewHandler(renewal);
        void entry(request, renewal);
      };
    },
  };
  const renewHandler = (renewal: Renewal): void => {
    const { fill } = renewal;
    if (!isSameRequest(route, call, fill)) return;
    const again = handlersRequest(againRequest(request), fill, route.authority);
    markRenewal(again, { ...renewal, isClaimed: true });
    void renewAlone(call, fill, again);
  };
  return call;
}

/**
 * Where the copy goes in: the server of `node:http` with the client's own request, the handler that was given, or
 * `undefined` for the cached handler alone.
 */
function entryOf(outermost: FetchHandler | undefined, request: Request, rest: readonly unknown[]): Entry | undefined {
  const pair = nodePairOf(request, ...rest);
  // Code of the application may ask the cached handler for something else than its client asked for.
  if (pair !== undefined && hasTargetOf(request, pair.request)) return nodeEntry(pair);
  if (outermost === undefined) return undefined;
  const copysRest = rest.map((beside) => withAddress(beside, request));
  return (original, renewal) => sendThrough(original, renewal, (copy) => outermost(copy, ...(copysRest as never[])));
}

/** Remembers the run while the handler answers. */
function runUnder(run: Run, shown: Request, answer: () => Response | Promise<Response>): Response | Promise<Response> {
  const before = runs.get(shown);
  noteShown(shown);
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
