import { createHash } from "node:crypto";
import { durationSeconds } from "./duration.ts";
import { createEngine, type Engine } from "./engine/engine.ts";
import type { CacheEvent } from "./engine/events.ts";
import type { Exchange } from "./engine/exchange.ts";
import { explain, type ExplainOptions, type Explanation } from "./engine/explain.ts";
import { respond } from "./engine/respond.ts";
import { EventHub, type CacheEvents } from "./events.ts";
import type { CachedFunction, FunctionCacheContext, FunctionEvent, FunctionOptions } from "./functions/contract.ts";
import { wrapFunction } from "./functions/wrap.ts";
import { logEvent } from "./log.ts";
import { resolveCacheOptions, type CacheOptions } from "./options.ts";
import { resolveRouteOptions, type RouteOptions } from "./route-options.ts";
import type { CacheRequest } from "./types.ts";

/** A cache: one store, one namespace, any number of routes and functions. */
export interface Cache {
  readonly prefix: string;
  /**
   * A route whose lifetime the developer gives, for adapters: `cached(options)` of a framework calls this.
   *
   * @throws when an option is wrong, naming option, value and cure
   */
  route<Request = unknown>(options?: RouteOptions<Request>): Route;
  /** A route whose responses state their own lifetime (RFC 9111 §4.2.1). */
  routeByHeaders<Request = unknown>(options?: RouteOptions<Request>): Route;
  /**
   * A function whose results are cached under `name` and its arguments.
   *
   * @example
   * const rates = cache.wrap("rates", fetchRates, { expire: "10m" });
   * await rates("EUR");
   * await rates.purge("EUR");
   */
  wrap<Args extends unknown[], Result>(
    name: string,
    fn: (...args: Args) => Result,
    options?: FunctionOptions<Args, Awaited<Result>>,
  ): CachedFunction<Args, Awaited<Result>>;
  /** Everything the cache does, as it happens. */
  readonly events: CacheEvents;
  /** Releases what the store holds open. */
  close(): Promise<void>;
}

/** One route of a cache, as an adapter uses it. */
export interface Route {
  /** The authority all keys use instead of the request's `Host`, if the cache was given one. */
  readonly authority: string | undefined;
  /** Adapters read the content of a QUERY up to this size before they ask; 0: they do not. */
  readonly queryContentBytes: number;
  /** Answers one request through `exchange`. */
  respond(request: CacheRequest, exchange: Exchange): void;
  /**
   * What would be done with a request and, if `head` is given, with that response to it, each with its rule. The handler
   * does not run and nothing is stored; the store is asked.
   *
   * @example
   * const { action, because } = await route.explain({ method: "GET", scheme: "https", authority: "a.example", path: "/", fields: {} });
   * // "forward", { rule: "Nothing is stored under this key: the origin answers.", section: "RFC 9111 §4" }
   */
  explain(request: CacheRequest, options?: ExplainOptions): Promise<Explanation>;
}

export type { ExplainOptions, Explanation } from "./engine/explain.ts";

/**
 * Makes a cache.
 *
 * @example
 * const cache = createCache({ store: redisStore({ url: "redis://127.0.0.1:6379" }), prefix: "shop" });
 *
 * @throws when an option is wrong, naming option, value and cure
 */
export function createCache(options: CacheOptions = {}): Cache {
  const resolved = resolveCacheOptions(options);
  const { prefix, store, logger, authority } = resolved;
  const events = new EventHub(prefix);
  if (logger !== undefined) events.on("*", (event) => logEvent(logger, event));
  const engine = createEngine({
    ...resolved,
    contentHash,
    // Read at each use: while nobody listens there is nothing to call.
    report: () => events.report,
  });
  store.open?.((event) => events.report?.(event));
  const functions = functionContext(engine, resolved, events);
  return {
    prefix,
    events,
    route: (routeOptions = {}) =>
      routeOf(engine, authority, resolveRouteOptions(routeOptions, resolved, "route", shortHash)),
    routeByHeaders: (routeOptions = {}) =>
      routeOf(engine, authority, resolveRouteOptions(routeOptions, resolved, "fields", shortHash)),
    wrap: (name, fn, functionOptions) => wrapFunction(functions, name, fn, functionOptions),
    close: async () => store.close?.(),
  };
}

function routeOf(engine: Engine, authority: string | undefined, rules: ReturnType<typeof resolveRouteOptions>): Route {
  return {
    authority,
    queryContentBytes: rules.queryContentBytes,
    respond: (request, exchange) => respond(engine, rules, request, exchange),
    explain: (request, options) => explain(engine, rules, request, options),
  };
}

function functionContext(
  engine: Engine,
  resolved: ReturnType<typeof resolveCacheOptions>,
  events: EventHub,
): FunctionCacheContext {
  const { prefix, store, ignoreArgTypes, now, fillDeadlineMs } = resolved;
  const report = (event: FunctionEvent): void => events.report?.(functionEvent(engine, event));
  return { prefix, store, ignoreArgTypes, now, fillDeadlineMs, report, durationSeconds };
}

function functionEvent(engine: Engine, event: FunctionEvent): CacheEvent {
  switch (event.type) {
    case "found":
      return { type: "found", subject: subjectOf(event.key), ttlSeconds: event.ttlSeconds };
    case "stored":
      return {
        type: "stored",
        subject: subjectOf(event.key),
        freshnessLifetimeSeconds: event.freshnessLifetimeSeconds,
      };
    case "not-stored": {
      const { because, error } = event;
      return { type: "not-stored", subject: subjectOf(event.key), because, ...(error === undefined ? {} : { error }) };
    }
    case "store-failed":
      return { type: "operation-failed", store: engine.store.name, operation: event.operation, error: event.error };
  }
}

/** `Users.getUser(7)` of `myapi-cache Users.getUser(7)`. */
function subjectOf(key: string): string {
  return key.slice(key.indexOf(" ") + 1);
}

function contentHash(context: string, bytes: Uint8Array): string {
  return createHash("sha256").update(context).update("\0").update(bytes).digest("base64url").slice(0, 27);
}

function shortHash(text: string): string {
  return createHash("sha256").update(text).digest("base64url").slice(0, 27);
}
