import type { Cache, Route } from "../../cache.ts";
import {
  ONE_DAY_SECONDS,
  ONE_HOUR_SECONDS,
  ONE_MINUTE_SECONDS,
  ONE_MONTH_SECONDS,
  ONE_WEEK_SECONDS,
  ONE_YEAR_SECONDS,
  type Duration,
} from "../../duration.ts";
import type { ReadPatterns } from "../../engine/write/known-routes.ts";
import { invalidOption } from "../../errors.ts";
import { requireOptions } from "../../options/known-options.ts";
import type { PurgesOptions } from "../../options/purge-options.ts";
import type { RouteOptions } from "../../options/route-options.ts";

/** Options, or a lifetime alone: `"5m"` is short for `{ expire: "5m" }`. */
export type RouteArgument<Request> = RouteOptions<Request> | Duration;

/**
 * Makes cached routes, in every style: `cached()` (one year), `cached("5m")`, `cached({ expire: "1h", … })`,
 * `cached.oneDay()`, `cached.with({ expire: "2h" })()` and `cached.byHeaders()`.
 *
 * `Rest` are what the framework's form needs besides the options, `Result` what it gives.
 */
export interface Cached<Request, Rest extends unknown[], Result> {
  (options?: RouteArgument<Request>, ...rest: Rest): Result;
  /** Fresh for 60 seconds. */
  oneMinute(options?: RouteOptions<Request>, ...rest: Rest): Result;
  /** Fresh for an hour. */
  oneHour(options?: RouteOptions<Request>, ...rest: Rest): Result;
  /** Fresh for 24 hours. */
  oneDay(options?: RouteOptions<Request>, ...rest: Rest): Result;
  /** Fresh for 7 days. */
  oneWeek(options?: RouteOptions<Request>, ...rest: Rest): Result;
  /** Fresh for 30 days. */
  oneMonth(options?: RouteOptions<Request>, ...rest: Rest): Result;
  /** Fresh for 365 days. */
  oneYear(options?: RouteOptions<Request>, ...rest: Rest): Result;
  /**
   * The same with options of your own as defaults.
   *
   * @example const cachedTwoHours = cached.with({ expire: "2h" });
   */
  with(defaults: RouteArgument<Request>): Cached<Request, Rest, Result>;
  /**
   * For routes that write: the handler always runs, and after its 2xx or 3xx its own URL and what the options name are
   * purged, before the client has the end of the response. Without options it is its own URL alone. Safe methods (GET,
   * HEAD, OPTIONS, TRACE, QUERY) purge nothing, so it can stand in front of a whole router. What the store does not
   * acknowledge in time is a `purge-failed` event, and the response is sent all the same.
   *
   * @example cached.purges({ tags: (request) => [`user:${request.params.id}`] })
   */
  purges(options?: PurgesOptions<Request>, ...rest: Rest): Result;
  /**
   * For routes that write and answer with the new representation: like `purges` for its own URL and the `tags` given, and a
   * 200 is stored as the response to GET of the same URL, so that the next reader hits. Give it the options of the GET route.
   * If the store does not acknowledge the purge, `purge-failed` is reported, the response is sent, and it is not stored.
   */
  refresh(options?: RouteArgument<Request>, ...rest: Rest): Result;
  /** The response's own `Cache-Control` and `Expires` decide (RFC 9111), not a lifetime of the route. */
  byHeaders(options?: RouteOptions<Request>, ...rest: Rest): Result;
}

/**
 * Builds `cached` of one framework from the one function in which frameworks differ.
 *
 * @param readPatterns the patterns of all routes of the application; none where the framework has no patterns
 */
export function cachedFamily<Request, Rest extends unknown[], Result>(
  cache: Cache,
  attach: (route: Route, ...rest: Rest) => Result,
  readPatterns: ReadPatterns = noPatterns,
  defaults: RouteOptions<Request> = {},
): Cached<Request, Rest, Result> {
  requireCache(cache);
  cache.patternsFrom(readPatterns);
  const make = (options: RouteArgument<Request> = {}, ...rest: Rest): Result => {
    refuseRequest("cached", options, 'cached() or cached("5m")');
    return attach(cache.route({ ...defaults, ...asOptions(options) }), ...rest);
  };
  const lasting =
    (name: string, expire: number) =>
    (options: RouteOptions<Request> = {}, ...rest: Rest): Result => {
      refuseRequest(`cached.${name}`, options);
      requireOptions(`cached.${name}()`, options, '{ tags: ["users"] }');
      return make({ ...options, expire }, ...rest);
    };
  return Object.assign(make, {
    oneMinute: lasting("oneMinute", ONE_MINUTE_SECONDS),
    oneHour: lasting("oneHour", ONE_HOUR_SECONDS),
    oneDay: lasting("oneDay", ONE_DAY_SECONDS),
    oneWeek: lasting("oneWeek", ONE_WEEK_SECONDS),
    oneMonth: lasting("oneMonth", ONE_MONTH_SECONDS),
    oneYear: lasting("oneYear", ONE_YEAR_SECONDS),
    with(more: RouteArgument<Request>): Cached<Request, Rest, Result> {
      refuseRequest("cached.with", more, 'cached.with({ expire: "2h" })()');
      const merged = { ...defaults, ...asOptions(more) };
      // A wrong default is an error here, not at the first route that uses it.
      cache.route(merged);
      return cachedFamily(cache, attach, readPatterns, merged);
    },
    purges(options: PurgesOptions<Request> = {}, ...rest: Rest): Result {
      refuseRequest("cached.purges", options);
      return attach(cache.routeOfWrites(options), ...rest);
    },
    refresh(options: RouteArgument<Request> = {}, ...rest: Rest): Result {
      refuseRequest("cached.refresh", options);
      return attach(cache.routeOfRefresh({ ...defaults, ...asOptions(options) }), ...rest);
    },
    byHeaders(options: RouteOptions<Request> = {}, ...rest: Rest): Result {
      refuseRequest("cached.byHeaders", options);
      requireOptions("cached.byHeaders()", options, '{ profile: "proxy" }');
      const { expire: _, ...others } = defaults;
      return attach(cache.routeByHeaders({ ...others, ...options }), ...rest);
    },
  });
}

function noPatterns(): readonly string[] {
  return [];
}

/**
 * Refuses what a framework calls middleware with: a route was given the function itself in place of what it returns, and its
 * requests would never be answered.
 */
function refuseRequest(name: string, argument: unknown, call = `${name}()`): void {
  if (!isRequest(argument)) return;
  throw invalidOption(`${name}()`, "options", argument, `Write ${call} where the route is made, not ${name} alone.`);
}

/** A request or a context of any framework; a plain object is options, whatever is in it. */
function isRequest(argument: unknown): boolean {
  if (typeof argument !== "object" || argument === null) return false;
  if (typeof (argument as { on?: unknown }).on === "function") return true;
  return Object.getPrototypeOf(argument) !== Object.prototype && ("headers" in argument || "req" in argument);
}

function asOptions<Request>(argument: RouteArgument<Request>): RouteOptions<Request> {
  if (typeof argument === "number" || typeof argument === "string") return { expire: argument };
  if (typeof argument === "object" && argument !== null && isDuration(argument)) return { expire: argument };
  requireOptions("cached()", argument, '{ expire: "5m" }', 'options or a duration such as "5m"');
  return argument;
}

const DURATION_FIELDS = ["years", "months", "weeks", "days", "hours", "minutes", "seconds", "milliseconds"];

/** `{ hours: 1 }` and a `Temporal.Duration`, whose fields are getters, have no option of a route among their names. */
function isDuration(argument: object): argument is Exclude<Duration, number | string> {
  return DURATION_FIELDS.some((name) => name in argument);
}

function requireCache(cache: unknown): asserts cache is Cache {
  if (typeof cache === "object" && cache !== null && typeof (cache as Partial<Cache>).route === "function") return;
  throw invalidOption("cached", "a cache made by createCache()", cache, "For example expressCache(createCache()).");
}
