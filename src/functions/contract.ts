import type { Duration } from "../duration.ts";
import type { CacheStore, PurgeLog } from "../types.ts";

/** What wrapping a function needs of a cache. One object per cache: names are unique within it. */
export interface FunctionCacheContext {
  /** Namespace of every key, without a space: `myapi-cache`. */
  readonly prefix: string;
  readonly store: CacheStore;
  readonly purges: PurgeLog;
  /** Classes whose instances never enter a key. */
  readonly ignoreArgTypes: readonly AnyClass[];
  /** Wall clock in milliseconds. */
  readonly now: () => number;
  /** After this many milliseconds a call that is still running stops collecting other callers. */
  readonly fillDeadlineMs: number;
  readonly report: (event: FunctionEvent) => void;
  /** Parses a `Duration` into seconds; throws an error that starts with `where`. */
  readonly durationSeconds: (value: unknown, where: string) => number;
}

/** A class, abstract or not, as `instanceof` takes it. */
export type AnyClass = abstract new (...args: never[]) => unknown;

/** What happened to the stored value of one call. */
export type FunctionEvent =
  /** A stored value was returned. `ttlSeconds` is negative when it was stale. */
  | { readonly type: "found"; readonly key: string; readonly name: string; readonly ttlSeconds: number }
  | { readonly type: "stored"; readonly key: string; readonly name: string; readonly freshnessLifetimeSeconds: number }
  | {
      readonly type: "not-stored";
      readonly key: string;
      readonly name: string;
      readonly because: NotStoredReason;
      readonly error?: Error;
    }
  | {
      readonly type: "store-failed";
      readonly operation: "get" | "put" | "purge";
      readonly key: string;
      readonly error: Error;
    };

/**
 * Why a result was not kept.
 *
 * - `threw`: the function threw or rejected
 * - `not-serializable`: the result has a part that would not come back as it was
 * - `store-when`: `storeWhen` said no, or threw
 * - `tags`: the `tags` function threw or gave something else than texts
 * - `purged`: the call was purged while it ran
 * - `superseded`: a call that began later has stored its result already
 * - `store-unavailable`: the store keeps nothing at the moment
 * - `store-failed`: the store had trouble with it
 * - `arguments-changed`: an argument was changed between the call and the run of the function
 */
export type NotStoredReason =
  | "threw"
  | "not-serializable"
  | "store-when"
  | "tags"
  | "purged"
  | "superseded"
  | "store-unavailable"
  | "store-failed"
  | "arguments-changed";

/**
 * How the results of one function are cached.
 *
 * @example
 * cache.wrap("rates", fetchRates, { expire: "10m", tags: (currency) => [`rates:${currency}`] })
 */
export interface FunctionOptions<Args extends readonly unknown[], Result> {
  /** Freshness lifetime of a result. Default: one year. */
  readonly expire?: Duration;
  /** For this long after that, a stale result is returned at once and renewed in the background. */
  readonly staleWhileRevalidate?: Duration;
  /** For this long after that, a stale result is returned where the function throws or exceeds the deadline. */
  readonly staleIfError?: Duration;
  /** Tags to purge a result by: `cache.purge({ tag })`. A function of the arguments is called before the cached function runs. */
  readonly tags?: readonly string[] | ((...args: Args) => readonly string[]);
  /** Arguments left out of the key: positions counted from 0, or a test of each argument. */
  readonly ignoreArgs?: readonly number[] | ((value: unknown, index: number) => boolean);
  /** Classes whose instances are left out of the key, besides the cache's own. Looks at the arguments, not inside them. */
  readonly ignoreArgTypes?: readonly AnyClass[];
  /** The key of a call instead of its arguments. Two calls with equal keys share one result. */
  readonly key?: (...args: Args) => unknown;
  /** `false`: this call takes no part, its result is neither looked up nor stored. */
  readonly when?: (...args: Args) => boolean;
  /** `false`: this result is not stored, nor given to callers who waited for it. */
  readonly storeWhen?: (result: Result) => boolean;
}

/** A function whose results are cached. It always returns a promise, and each caller gets a copy of its own. */
export interface CachedFunction<Args extends unknown[], Result> {
  (...args: Args): Promise<Result>;
  /**
   * Purges the stored result of the call with these arguments, in every process that shares the store. A run that began
   * before does not put its result back.
   *
   * @throws `ERR_PURGE_NOT_ACKNOWLEDGED` when the store did not acknowledge it: until it does, others may still be given
   * the old result
   */
  purge(...args: Args): Promise<void>;
  /**
   * Runs the function now, purges the old result in every process that shares the store, stores the new one and returns it.
   * What the function throws is thrown, and the old result stays. Where the store does not acknowledge the purge, the new
   * result is returned and not stored.
   */
  refresh(...args: Args): Promise<Result>;
  /** The key of the call with these arguments, readable: `myapi-cache Users.getUser(7)`. */
  keyOf(...args: Args): string;
  readonly cacheName: string;
}
