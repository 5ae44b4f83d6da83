import type { Context, MiddlewareHandler, Next } from "hono";
import type { Cache, Route } from "../../cache.ts";
import type { Fill } from "../../engine/exchange.ts";
import { markRenewal, renewalOf, type Renewal } from "../../engine/fill/renewals.ts";
import { invalidOption } from "../../errors.ts";
import { refuseUnknown } from "../../options/known-options.ts";
import { cachedFamily, type Cached } from "../shared/cached.ts";
import { entryOf, executionContext, type Entry, type HonoApp } from "./entry.ts";
import { honoExit } from "./exit.ts";
import { OuterHeaders } from "./outer-headers.ts";
import { allPatterns, otherPaths, patternsOf } from "./paths.ts";
import { incomingOf, markedOf } from "../web/from-server.ts";
import { property } from "../web/property.ts";
import { isShown } from "../web/shown.ts";
import { waitUntilOf } from "../web/server.ts";
import { awaitRenewal, respondOnWeb, type WebCall } from "../web/respond.ts";

export type { Cached, RouteArgument } from "../shared/cached.ts";
export type { HonoApp } from "./entry.ts";

/** Options of {@link honoCache}. */
export interface HonoCacheOptions {
  /**
   * The outermost app, or a function that gives it: where the cache sends a request again to renew a stored response in
   * the background (`staleWhileRevalidate`). On `@hono/node-server` the cache finds the way in by itself; on Bun, Deno and
   * Workers, and in tests with `app.request()`, one reader waits for each renewal unless the app is given. With it, a purge
   * by a pattern that no route has is an error in development.
   *
   * @example
   * const app = new Hono();
   * const cached = honoCache(cache, { app });
   */
  readonly app?: HonoApp | (() => HonoApp) | undefined;
}

/**
 * Caching for Hono: middleware in front of a handler, a route or an app. Callbacks (`tags`, `key`, …) get the context.
 *
 * @example
 * const cached = honoCache(createCache());
 * app.get("/users/:id", cached({ expire: "1h", tags: (c) => [`user:${c.req.param("id")}`] }), getUser);
 *
 * @throws when an option is wrong, naming option, value and cure
 */
export function honoCache(cache: Cache, options: HonoCacheOptions = {}): Cached<Context, [], MiddlewareHandler> {
  const app = checkedApp(options);
  const attach = (route: Route): MiddlewareHandler => {
    return async (context, next) => {
      let own: Response | undefined;
      const response = await respondOnWeb(
        route,
        callOf(route, context, app, async (given, run) => {
          own = await runNext(context, next, given, run);
          return own;
        }),
      );
      // The handler's own response is where it belongs.
      if (response === undefined || response === own) return undefined;
      // Without this Hono would lay the handler's own headers over ours.
      context.res = undefined;
      context.res = response;
      return undefined;
    };
  };
  return cachedFamily(cache, attach, () => allPatterns(typeof app === "function" ? app() : app));
}

function checkedApp(options: HonoCacheOptions): HonoCacheOptions["app"] {
  refuseUnknown("honoCache(cache, options)", options, { app: true });
  const { app } = options;
  if (app === undefined || typeof app === "function" || typeof property(app, "fetch") === "function") return app;
  throw invalidOption(
    "honoCache(cache, { app })",
    "a Hono app, or a function that gives it",
    app,
    "For example { app }.",
  );
}

/** The run of a handler inside which a context is at the moment: a cached route further out has started it. */
interface Run {
  readonly fill: Fill;
  readonly route: Route;
  /** The request as the client sent it. */
  readonly original: Request;
  readonly outer: Run | undefined;
}

const runs = new WeakMap<Context, Run>();

function callOf(
  route: Route,
  context: Context,
  app: HonoCacheOptions["app"],
  handle: (given: Request, run: Run | undefined) => Promise<Response>,
): WebCall {
  const run = runs.get(context);
  const { raw } = context.req;
  const request = run?.original ?? raw;
  const outer = new OuterHeaders(context);
  const index = context.req.routeIndex;
  const errorBefore = context.error;
  let entry: Entry | undefined;
  const call: WebCall = {
    request,
    native: context,
    env: context.env as unknown,
    otherPaths: otherPaths(context, request),
    patterns: () => patternsOf(context, index),
    within: run?.fill,
    isRead: isShown(raw) || isReadFurtherOut(run, route),
    marked: markedOf(raw, incomingOf(raw, context.env)),
    outer,
    dropsHeadBody: true,
    isOutermost: index === 0 && run === undefined,
    get thrown() {
      // Hono keeps what a handler threw and goes on with the answer of `onError`.
      return context.error === errorBefore ? undefined : context.error;
    },
    get exit() {
      return honoExit(context, request);
    },
    run(given, fill) {
      if (fill === undefined) return handle(given, undefined);
      outer.watch();
      return handle(given, { fill, route, original: request, outer: run });
    },
    get waitUntil() {
      return waitUntilOf(executionContext(context));
    },
    missingEntry: "Give the outermost app: honoCache(cache, { app }).",
    // Read first while the client is there: some servers forget its address with it.
    get runAgain() {
      entry ??= entryOf(context, request, app);
      return entry === undefined ? undefined : againBy(entry, route, context, call);
    },
  };
  return call;
}

function isReadFurtherOut(run: Run | undefined, route: Route): boolean {
  for (let at = run; at !== undefined; at = at.outer) if (at.route.owner !== route.owner) return true;
  return false;
}

async function runNext(context: Context, next: Next, given: Request, run: Run | undefined): Promise<Response> {
  const { req } = context;
  const shown = req.raw;
  if (run === undefined) {
    await next();
    return answerOf(context);
  }
  if (given !== shown) {
    const renewal = renewalOf(shown);
    if (renewal !== undefined) markRenewal(given, renewal);
    req.raw = given;
  }
  runs.set(context, run);
  try {
    await next();
  } finally {
    // Layers further out see the request as it came.
    req.raw = shown;
    if (run.outer === undefined) runs.delete(context);
    else runs.set(context, run.outer);
  }
  return answerOf(context);
}

/** The response, or nothing where the handler gave none: then Hono says what it says without the cache. */
function answerOf(context: Context): Response {
  // In this order: after `finalized` the next that is read may be taken for the end of the context.
  const { res } = context;
  return context.finalized ? res : (undefined as unknown as Response);
}

/** Sends the request in once more; its run of the handler reports to `fill`. */
function againBy(entry: Entry, route: Route, context: Context, call: WebCall): NonNullable<WebCall["runAgain"]> {
  return (fill, client) => {
    const renewal: Renewal = { fill, route, skips: timesInFront(route, context), isClaimed: false };
    awaitRenewal(renewal, client);
    void entry(call.request, renewal);
  };
}

/** How often the route stands in front of itself on the way of this request. */
function timesInFront(route: Route, context: Context): number {
  let times = 0;
  for (let run = runs.get(context); run !== undefined; run = run.outer) if (run.route === route) times++;
  return times;
}
