import { AsyncLocalStorage } from "node:async_hooks";
import { createHash, createHmac } from "node:crypto";
import { durationSeconds } from "./duration.ts";
import { createEngine, type Engine } from "./engine/state.ts";
import type { CacheEvent } from "./engine/cache-events.ts";
import type { Exchange } from "./engine/exchange.ts";
import { explain, type ExplainOptions, type Explanation } from "./engine/explain.ts";
import type { WriteRules } from "./engine/write/unsafe-request.ts";
import { withKeyedUris } from "./engine/request/purge-names.ts";
import { tagRequest } from "./engine/request/request-tags.ts";
import { respond, respondToWrite, respondWithoutKey, type Keyless } from "./engine/respond.ts";
import type { RouteRules } from "./engine/route-rules.ts";
import { asError } from "./errors.ts";
import { EventHub, type CacheEvents } from "./event-hub.ts";
import type { Cached, FunctionCacheContext, FunctionEvent, OptionsOf } from "./functions/contract.ts";
import { isInside, runUntil } from "./functions/own-runs.ts";
import { wrapFunction } from "./functions/wrap.ts";
import { logEvent } from "./log.ts";
import { refuseUnknown, requireOptions } from "./options/known-options.ts";
import { requireBoolean } from "./options/checks.ts";
import { resolveCacheOptions, type CacheOptions } from "./options/cache-options.ts";
import {
  purgeTargets,
  resolveWrites,
  tagTarget,
  type PurgeOptions,
  type PurgeSelection,
  type PurgesOptions,
} from "./options/purge-options.ts";
import { storeReady, type ReadyOptions } from "./ready.ts";
import { resolveRouteOptions, type RouteOptions } from "./options/route-options.ts";
import { withPurgeLog } from "./stores/purging/judged-store.ts";
import type { CacheRequest, CacheStore, PurgeTarget } from "./http.ts";
import { refuseUnknownRoutes, warnOfUnknownRoutes } from "./engine/write/unknown-routes.ts";
import { createWarnings, isDevelopment, type WarnOnce } from "./warnings.ts";

/** A cache: one store, one namespace, any number of routes and functions. */
export interface Cache {
  /** Namespace of every key, as given to `createCache()`. */
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
   * A function whose results are cached under `name` and its arguments. `name` is unique in the cache and the same in all
   * processes that share the store. Another function that is wrapped under a name in use, as after a hot reload, replaces the
   * first one, which is no longer cached.
   *
   * @example
   * const rates = cache.wrap("rates", fetchRates, { expire: "10m" });
   * await rates("EUR");
   * await rates.purge("EUR");
   */
  wrap<F extends CallableFunction>(name: string, fn: F, options?: OptionsOf<F>): Cached<F>;
  /**
   * A route that writes, for adapters: `cached.purges(options)` of a framework calls this. Its handler always runs; when it
   * has answered an unsafe method with 2xx or 3xx, its own URL and what the options name are purged before the client has
   * the end of the response. What the store does not acknowledge in time is a `purge-failed` event, and the response is
   * sent all the same.
   */
  routeOfWrites<Request = unknown>(options?: PurgesOptions<Request>): Route;
  /**
   * A route that writes through, for adapters: `cached.refresh(options)` of a framework calls this, with the options of the
   * GET route. After a 2xx or 3xx its URL and its tags are purged, and a 200 is stored as the response to GET.
   */
  routeOfRefresh<Request = unknown>(options: RouteOptions<Request>): Route;
  /**
   * For adapters: where the patterns of all routes of the application can be read, so that a purge by a pattern that no route
   * has is an error in development. `read` gives `undefined` while some of the patterns cannot be read.
   */
  patternsFrom(read: () => readonly string[] | undefined): void;
  /**
   * Purges stored responses and function results. Costs the same whatever it covers. When it resolves, no reader in any
   * process that shares the store is given what was asked for before; with `tiered()`, none of this process, and of the
   * others none after `maxStalenessMs`.
   *
   * @throws `ERR_PURGE_NOT_ACKNOWLEDGED` when the store did not acknowledge it; it is then tried again before the store is
   * next read. Or when the selection is wrong, naming property, value and cure. In development also, with
   * `ERR_UNKNOWN_ROUTE`, for a `route` that no route has, where all routes can be read, or one that differs from a known
   * route only in the names of its parameters.
   * @example
   * await cache.purge({ tag: "user:7" });
   * await cache.purge({ prefix: "/users" }, { soft: true });
   */
  purge(what: "all" | PurgeSelection, options?: PurgeOptions): Promise<void>;
  /**
   * Adds tags to the response of a request from inside its handler. `request` is what the handler was given: Express's or
   * Node's request, Hono's context, a `Request`.
   */
  tag(request: object, ...tags: string[]): void;
  /**
   * Everything the cache does, as it happens.
   *
   * @example cache.events.on("purge-failed", ({ error }) => console.error(error.message));
   */
  readonly events: CacheEvents;
  /**
   * Resolves when the store answers: at once in memory, and in Redis when a command was answered and the purge log is read.
   * A server need not wait for it; a test or a script that wants its first look-up to hit does. Every client family, Cluster
   * and Sentinel alike.
   *
   * @throws `ERR_STORE_NOT_READY` with the reason when that takes longer than `timeoutMs` (default 10,000)
   * @example
   * await cache.ready({ timeoutMs: 2000 });
   */
  ready(options?: ReadyOptions): Promise<void>;
  /**
   * Waits for the writes that are under way, releases what the store holds open, and ends the clients it made; a client of
   * yours stays open. Once per cache, at the end.
   */
  close(): Promise<void>;
}

/** One route of a cache, as an adapter uses it. */
export interface Route {
  /** Which cache it belongs to. */
  readonly owner: object;
  /** The authority all keys use instead of the request's `Host`, if the cache was given one. */
  readonly authority: string | undefined;
  /** Adapters read the content of a QUERY up to this size before they ask; 0: they do not. */
  readonly queryContentBytes: number;
  /** Answers one request through `exchange`. */
  respond(request: CacheRequest, exchange: Exchange): void;
  /** Lets the handler answer a request that has no key, because of its `Host` or its target, and says so. */
  respondWithoutKey(request: Pick<CacheRequest, "method" | "path">, exchange: Exchange, detail: Keyless): void;
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
  const { prefix, logger, authority } = resolved;
  const { enabled } = resolved;
  const { store, purges } = withPurgeLog(enabled ? resolved.store : noStore());
  const events = new EventHub(prefix);
  if (logger !== undefined) events.on("*", (event) => logEvent(logger, event));
  const warnOnce = createWarnings(logger);
  if (enabled && isDevelopment()) warnOfDeclaredLogins(warnOnce, resolved.declaredLogins);
  const engine = createEngine({
    ...resolved,
    store,
    purges,
    random: Math.random,
    bindContext,
    ownRuns: { runUntil, isInside },
    collapses: !isWorkers(),
    contentHash,
    warnOnce,
    isDevelopment,
    // Read at each use: without a listener there is nothing to call.
    report: () => events.report,
  });
  let isClosed = false;
  // A store that other caches use as well goes on to report.
  store.open?.((event) => {
    if (!isClosed) events.report?.(event);
  }, resolved.now);
  const functions = functionContext(engine, resolved, events);
  const hashOfId = identityHash(resolved.identityKey);
  const byRoute = <Request>(routeOptions: RouteOptions<Request>): RouteRules =>
    resolveRouteOptions(routeOptions, resolved, "route", hashOfId);
  const plainRules = byRoute({});
  return {
    prefix,
    events,
    route: (routeOptions = {}) => routeOf(engine, authority, byRoute(routeOptions)),
    routeByHeaders: (routeOptions = {}) =>
      routeOf(engine, authority, resolveRouteOptions(routeOptions, resolved, "fields", hashOfId)),
    routeOfWrites: (options = {}) => {
      const resolvedWrites = resolveWrites(options);
      const writes: WriteRules = {
        ...resolvedWrites,
        targets(native) {
          const targets = resolvedWrites.targets(native);
          warnOfUnknownRoutes(engine, targets);
          return targets;
        },
      };
      const rules = options.query === undefined ? plainRules : byRoute({ query: options.query });
      return { ...routeOf(engine, authority, rules), respond: answerWrites(engine, rules, writes) };
    },
    routeOfRefresh: (routeOptions) => {
      const rules = byRoute(routeOptions);
      return { ...routeOf(engine, authority, rules), respond: answerWrites(engine, rules, refreshing(rules)) };
    },
    purge: (what, options = {}) => {
      const purged = purgeNow(engine, what, options);
      // Awaited, a failure throws. Not awaited, it is in the events, and must not end the process.
      purged.catch(() => {});
      return purged;
    },
    patternsFrom: (read) => engine.knownRoutes.readFrom(read),
    tag: (request, ...tags) => tagRequest(request, tags),
    wrap: (name, fn, functionOptions) => {
      // Before its options are copied: a promise would be none.
      if (functionOptions !== undefined)
        requireOptions(`wrap(${JSON.stringify(name)}, …)`, functionOptions, '{ expire: "5m" }');
      return wrapFunction(functions, name, fn, enabled ? functionOptions : { ...functionOptions, enabled: false });
    },
    ready: (options = {}) => storeReady(store, prefix, options),
    close: async () => {
      await store.close?.();
      isClosed = true;
    },
  };
}

/** No error: a page may show nothing of the login, and the cookie may be called so and hold none. */
function warnOfDeclaredLogins(warnOnce: WarnOnce, cookies: readonly string[]): void {
  for (const cookie of cookies) {
    warnOnce(
      `declared login ${cookie}`,
      `createCache({ identity: { harmlessCookies: [${cookie}] } }): this may be the cookie of a login. Requests with it share ` +
        "one response, so a page that shows what middleware in front read of it (req.session, req.user, res.locals) goes " +
        "to everyone. For one response per user remove it, and give the route cached({ audience: (req) => req.user?.id }).",
    );
  }
}

/** What a cache that is switched off has for a store. */
function noStore(): CacheStore {
  return {
    name: "none",
    get: () => undefined,
    put: () => "failed",
    delete() {},
    isAvailable: () => false,
    async ready() {},
  };
}

function routeOf(engine: Engine, authority: string | undefined, rules: RouteRules): Route {
  if (rules.storing.allowSetCookie === true) engine.takesSetCookie = true;
  engine.knownQueries.add(rules);
  if (rules.name !== undefined) engine.knownRoutes.add(rules.name);
  return {
    owner: engine,
    authority,
    queryContentBytes: rules.queryContentBytes,
    respond: (request, exchange) => respond(engine, rules, request, exchange),
    respondWithoutKey: (request, exchange, detail) => respondWithoutKey(engine, rules, request, exchange, detail),
    explain: (request, options) => explain(engine, rules, request, options),
  };
}

function answerWrites(engine: Engine, rules: RouteRules, writes: WriteRules): Route["respond"] {
  return (request, exchange) => respondToWrite(engine, rules, request, exchange, writes);
}

/** The tags of what is written are purged, and the response to the write is stored in place of the old one. */
function refreshing(rules: RouteRules): WriteRules {
  const targets = (native: unknown): readonly PurgeTarget[] =>
    (rules.tags?.(native) ?? []).map((tag) => tagTarget("cached.refresh({ tags })", tag));
  return { targets, soft: false, through: rules.enabled };
}

async function purgeNow(engine: Engine, what: "all" | PurgeSelection, options: PurgeOptions): Promise<void> {
  refuseUnknown("purge(what, options)", options, { soft: true });
  requireBoolean("purge(what, { soft })", options.soft, "True keeps what is purged as stale.");
  const targets = withKeyedUris(engine, purgeTargets("purge", what));
  if (targets.length === 0 || !engine.enabled) return;
  refuseUnknownRoutes(engine, targets);
  const soft = options.soft === true;
  try {
    await engine.purges.purge(engine.prefix, targets, { soft });
  } catch (error) {
    engine.report?.({ type: "purge-failed", targets, error: asError(error) });
    throw error;
  }
  engine.report?.({ type: "purged", targets, soft });
}

function functionContext(
  engine: Engine,
  resolved: ReturnType<typeof resolveCacheOptions>,
  events: EventHub,
): FunctionCacheContext {
  const { prefix, ignoreArgTypes, now, fillDeadlineMs } = resolved;
  const { store, purges, fence } = engine;
  const report = (event: FunctionEvent): void => events.report?.(functionEvent(engine, event));
  const warn = (key: string, message: string): void => {
    if (isDevelopment()) engine.warnOnce(key, message);
  };
  return { prefix, store, purges, fence, ignoreArgTypes, now, fillDeadlineMs, report, warn, durationSeconds };
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
    case "callback-failed":
      return { type: "callback-failed", callback: event.callback, subject: subjectOf(event.key), error: event.error };
    case "store-failed":
      return { type: "operation-failed", store: engine.store.name, operation: event.operation, error: event.error };
  }
}

/** `Users.getUser(7)` of `myapi-cache Users.getUser(7)`. */
function subjectOf(key: string): string {
  return key.slice(key.indexOf(" ") + 1);
}

/** On Workers a request must not wait for what another one does, nor use the streams and promises it made. */
function isWorkers(): boolean {
  const { navigator } = globalThis as { readonly navigator?: { readonly userAgent?: string } | undefined };
  return navigator?.userAgent === "Cloudflare-Workers";
}

/** A request that waits for another one goes on in its own async context. */
function bindContext<Args extends unknown[], Result>(fn: (...args: Args) => Result): (...args: Args) => Result {
  return AsyncLocalStorage.bind(fn);
}

function contentHash(context: string, bytes: Uint8Array): string {
  return createHash("sha256").update(context).update("\0").update(bytes).digest("base64url").slice(0, 27);
}

/** Makes an id unreadable before it enters a key. Without a secret, who knows an id can recognise it. */
function identityHash(key: string | Uint8Array | undefined): (id: string) => string {
  if (key === undefined) return (id) => createHash("sha256").update(id).digest("base64url").slice(0, 27);
  return (id) => createHmac("sha256", key).update(id).digest("base64url").slice(0, 27);
}
