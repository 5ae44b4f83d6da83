import type { PurgeFence } from "../engine/purge-fence.ts";
import type { Duration } from "../duration.ts";
import type { CacheStore, PurgeLog } from "../http.ts";

/** What wrapping a function needs of a cache. One object per cache: names are unique within it. */
export interface FunctionCacheContext {
  /** Namespace of every key, without a space: `myapi-cache`. */
  readonly prefix: string;
  readonly store: CacheStore;
  readonly purges: PurgeLog;
  /** The purge log's word on whether a result may be kept and shared. */
  readonly fence: PurgeFence;
  /** Classes whose instances never enter a key. */
  readonly ignoreArgTypes: readonly AnyClass[];
  /** Wall clock in milliseconds. */
  readonly now: () => number;
  /** After this many milliseconds a call that is still running stops collecting other callers. */
  readonly fillDeadlineMs: number;
  readonly report: (event: FunctionEvent) => void;
  /** Tells a developer something once; silent in production. A second call with the same `key` does nothing. */
  readonly warn: (key: string, message: string) => void;
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
  /** A callback of the options threw, or answered what is no answer: the call is served without the cache. */
  | {
      readonly type: "callback-failed";
      readonly callback: string;
      readonly key: string;
      readonly name: string;
      readonly error: Error;
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
 * - `store-when`: `storeWhen` said no, threw, or answered neither true nor false
 * - `tags`: the `tags` function threw or gave something else than texts
 * - `purged`: the call was purged while it ran
 * - `superseded`: a call that began later has stored its result already
 * - `store-unavailable`: the store keeps nothing at the moment
 * - `store-failed`: the store had trouble with it, or it is too large for the store
 * - `arguments-changed`: an argument was changed between the call and the end of the function
 * - `class`: the class of `this` cannot be told from another one by its name
 * - `replaced`: another function was wrapped under this name later
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
  | "arguments-changed"
  | "class"
  | "replaced";

/**
 * How the results of one function are cached. Callbacks are called with the `this` of the call.
 *
 * @example
 * cache.wrap("rates", fetchRates, { expire: "10m", tags: (currency) => [`rates:${currency}`] })
 */
// Callbacks of functions that do not declare their `this` may read what they know of it.
// oxlint-disable-next-line typescript/no-explicit-any
export interface FunctionOptions<Args extends readonly unknown[], Result, This = any> {
  /** Freshness lifetime of a result. Default: one year. `0`, `"0s"`: not cached. */
  readonly expire?: Duration;
  /** `false`: not cached, as with `expire: 0`, for tests and development. The function runs for each call. Default true. */
  readonly enabled?: boolean;
  /** For this long after that, a stale result is returned at once and renewed in the background. */
  readonly staleWhileRevalidate?: Duration;
  /** For this long after that, a stale result is returned where the function throws or exceeds the deadline. */
  readonly staleIfError?: Duration;
  /** Tags to purge a result by: `cache.purge({ tag })`. A function of the arguments is called before the cached function runs. */
  readonly tags?: readonly string[] | ((this: This, ...args: Args) => readonly string[]);
  /**
   * Arguments that are not in the key: positions counted from 0, or a test of each argument. In front of another argument,
   * `_` stands for an ignored one.
   */
  readonly ignoreArgs?: readonly number[] | ((this: This, value: unknown, index: number) => boolean);
  /** Classes whose instances are not in the key, besides the cache's own. Looks at the arguments, not inside them. */
  readonly ignoreArgTypes?: readonly AnyClass[];
  /**
   * The key of a call instead of its arguments. Two calls with equal keys share one result. `undefined` and promises are
   * refused.
   *
   * @example key(id) { return [this.tenant, id]; } // not an arrow function, which has no `this` of the call
   */
  readonly key?: (this: This, ...args: Args) => unknown;
  /**
   * `false`: this call takes no part, its result is neither looked up nor stored. Anything but true and false counts as
   * `false` and is a `callback-failed` event; so is a promise.
   */
  readonly when?: (this: This, ...args: Args) => boolean;
  /** `false`, and anything else but `true`: this result is not stored, nor given to callers who waited for it. */
  readonly storeWhen?: (this: This, result: Result) => boolean;
}

/** What can be done about the results of a cached function. */
export interface FunctionHandle<Args extends readonly unknown[], Result> {
  /**
   * Purges the stored result of the call with these arguments, in every process that shares the store. A run that began
   * before does not put its result back. Covers the calls on objects of all classes; a `key` that reads `this` is given the
   * object of `purge.call(object, …)` or, without one, the only object that the function was called on.
   *
   * @throws `ERR_PURGE_NOT_ACKNOWLEDGED` when the store did not acknowledge it: until it does, others may still be given
   * the old result
   */
  purge(this: unknown, ...args: Args): Promise<void>;
  /**
   * Purges all stored results of the function, in every process that shares the store. Costs the same however many there are.
   *
   * @throws `ERR_PURGE_NOT_ACKNOWLEDGED` as `purge()`
   */
  purgeAll(this: unknown): Promise<void>;
  /**
   * Runs the function now, purges the old result in every process that shares the store, stores the new one if it may be
   * stored, and returns it. Once it has resolved, no process is given the old result. What the function throws is thrown,
   * and the old result stays. Where `when` says no, it only runs the function.
   *
   * The function runs with the `this` of `refresh.call(object, …)` or, without one, of the only object that it was called on.
   *
   * @throws `ERR_PURGE_NOT_ACKNOWLEDGED` when the store did not acknowledge the purge. The new result is the error's
   * `result`, and is not stored.
   * @throws `ERR_UNKNOWN_THIS` when the function reads `this` and was called on several objects
   */
  refresh(this: unknown, ...args: Args): Promise<Result>;
  /** The key of the call with these arguments, readable: `myapi-cache Users.getUser(7)`. */
  keyOf(this: unknown, ...args: Args): string;
  readonly cacheName: string;
}

/** A function whose results are cached. It always returns a promise, and each caller gets a copy of its own. */
export interface CachedFunction<Args extends readonly unknown[], Result, This = unknown> extends FunctionHandle<
  Args,
  Result
> {
  (this: This, ...args: Args): Promise<Result>;
}

/**
 * What `wrap()` returns for a function: its own type, with type parameters, overloads and properties, where every overload
 * gives a promise (the last eight count). Otherwise each of the last four overloads gives a promise of what it gave; type parameters are lost, and
 * overloads before these four cannot be called.
 */
export type Cached<F extends CallableFunction> =
  GivesPromises<F> extends true
    ? F &
        Omit<FunctionHandle<ArgumentsOf<F>, Awaited<ResultsOf<F>>>, "refresh"> & {
          readonly refresh: OmitThisParameter<F>;
        }
    : IsOverloaded<F> extends true
      ? FunctionHandle<ArgumentsOf<F>, Awaited<ResultsOf<F>>> & PromisingOverloads<F>
      : CachedFunction<ArgumentsOf<F>, Awaited<ResultOf<F>>, ThisParameterType<F>>;

/** The options of `wrap()` for a function. Of several overloads, callbacks have the parameters of the last. */
export type OptionsOf<F extends CallableFunction> = FunctionOptions<
  LastArgumentsOf<F>,
  Awaited<ResultOf<F>>,
  ThisParameterType<F>
>;

/** A function whose parameters are not known. */
export type AnyFunction = (this: unknown, ...args: never[]) => unknown;

// What parameters are inferred from must take any.
// oxlint-disable typescript/no-explicit-any
/** The arguments of a function, of the last four of its overloads. */
export type ArgumentsOf<F> = F extends {
  (this: any, ...args: infer A1 extends readonly any[]): unknown;
  (this: any, ...args: infer A2 extends readonly any[]): unknown;
  (this: any, ...args: infer A3 extends readonly any[]): unknown;
  (this: any, ...args: infer A4 extends readonly any[]): unknown;
}
  ? A1 | A2 | A3 | A4
  : never;

/** What the last four overloads of a function return. */
type ResultsOf<F> = F extends {
  (this: any, ...args: any): infer R1;
  (this: any, ...args: any): infer R2;
  (this: any, ...args: any): infer R3;
  (this: any, ...args: any): infer R4;
}
  ? R1 | R2 | R3 | R4
  : never;

/** True where each of the last eight overloads gives a promise. */
type GivesPromises<F> = F extends {
  (this: any, ...args: any): infer R1;
  (this: any, ...args: any): infer R2;
  (this: any, ...args: any): infer R3;
  (this: any, ...args: any): infer R4;
  (this: any, ...args: any): infer R5;
  (this: any, ...args: any): infer R6;
  (this: any, ...args: any): infer R7;
  (this: any, ...args: any): infer R8;
}
  ? false extends
      | GivesPromise<R1>
      | GivesPromise<R2>
      | GivesPromise<R3>
      | GivesPromise<R4>
      | GivesPromise<R5>
      | GivesPromise<R6>
      | GivesPromise<R7>
      | GivesPromise<R8>
    ? false
    : true
  : false;

/** True where the last overload does not say what all of them take and give. */
type IsOverloaded<F> = [ArgumentsOf<F>, ResultsOf<F>] extends [LastArgumentsOf<F>, ResultOf<F>] ? false : true;

/** The last four overloads, and one that takes what any of them takes. */
type PromisingOverloads<F> = F extends {
  (this: infer T1, ...args: infer A1 extends readonly any[]): infer R1;
  (this: infer T2, ...args: infer A2 extends readonly any[]): infer R2;
  (this: infer T3, ...args: infer A3 extends readonly any[]): infer R3;
  (this: infer T4, ...args: infer A4 extends readonly any[]): infer R4;
}
  ? {
      (this: T1, ...args: A1): Promise<Awaited<R1>>;
      (this: T2, ...args: A2): Promise<Awaited<R2>>;
      (this: T3, ...args: A3): Promise<Awaited<R3>>;
      (this: T4, ...args: A4): Promise<Awaited<R4>>;
      (this: T1 & T2 & T3 & T4, ...args: A1 | A2 | A3 | A4): Promise<Awaited<R1 | R2 | R3 | R4>>;
    }
  : never;

type LastArgumentsOf<F> = F extends (this: any, ...args: infer A extends readonly any[]) => unknown ? A : never;

/** What a function returns. */
export type ResultOf<F> = F extends (this: any, ...args: any) => infer Result ? Result : never;
// oxlint-enable typescript/no-explicit-any

/** True for `Promise<X>`; a subclass of `Promise` is not what the cache gives, nor is a type that may be none. */
type GivesPromise<Result> = 0 extends 1 & Result
  ? false
  : [Result] extends [Promise<unknown>]
    ? [Promise<Awaited<Result>>] extends [Result]
      ? true
      : false
    : false;
