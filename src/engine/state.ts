import { LRUCache } from "lru-cache";
import type { NoVarySearch } from "../rfc9111/no-vary-search.ts";
import type { CacheStore, PurgeLog } from "../http.ts";
import type { Flight } from "./fill/flight.ts";
import type { CacheEvent } from "./cache-events.ts";
import { FirstWarnings } from "./request/first-warnings.ts";
import type { IdentityRules } from "./request/identity.ts";
import { KnownQueries } from "./request/known-queries.ts";
import { PurgeFence } from "./purge-fence.ts";
import { KnownRoutes } from "./write/known-routes.ts";
import type { LookUps } from "./lookup/pending-look-ups.ts";
import type { VarySpec } from "./lookup/selected.ts";

/** What one cache owns while it runs. Everything that is remembered is bounded. */
export interface Engine {
  /** Namespace of every key. */
  readonly prefix: string;
  /** False: no request takes part, not even one that would invalidate something. */
  readonly enabled: boolean;
  readonly store: CacheStore;
  /** The store's purge log or, where it keeps none, one of this process. */
  readonly purges: PurgeLog;
  readonly fence: PurgeFence;
  /** Milliseconds since 1970; read once per request. */
  readonly now: () => number;
  /** Strong content hash as URL-safe text, of `context` and `bytes`. */
  readonly contentHash: (context: string, bytes: Uint8Array) => string;
  /** Lower-case name of the hit/miss field. */
  readonly responseHeader: string;
  readonly fillDeadlineMs: number;
  /** How long a request waits for another process to fill its key. */
  readonly collapseDeadlineMs: number;
  /** Busy responses are renewed shortly before they turn stale; only where processes share the store. */
  readonly refreshesEarly: boolean;
  /** From 0 to 1: for what processes should not all do at the same moment. */
  readonly random: () => number;
  /** False where a request must not wait for another one, nor use what it made: Workers. */
  readonly collapses: boolean;
  /** Binds a function to the async context of this moment. */
  readonly bindContext: BindContext;
  /** Knows which requests a handler makes while it answers one: they must not wait for that one. */
  readonly ownRuns: OwnRuns;
  readonly maxVariants: number;
  /** The application's languages, by which `Accept-Language` is read; `undefined` compares it as it is. */
  readonly languages: readonly string[] | undefined;
  /** What tells of a user. */
  readonly identity: IdentityRules;
  /** Mistakes that only show at request time. */
  readonly warnings: FirstWarnings;
  /** True once a route may store `Set-Cookie`; until then nothing in the store has a right to one. */
  takesSetCookie: boolean;
  /** Tells the developer something once for each `key`. Never throws. */
  readonly warnOnce: (key: string, message: string) => void;
  /** True where what only helps a developer is told. Read at each use. */
  readonly isDevelopment: () => boolean;
  /** Set while anything listens; otherwise events are not even built. */
  readonly report: ((event: CacheEvent) => void) | undefined;
  /** Forwarded requests whose response others may wait for, by the key it will be stored under. */
  readonly flights: Map<string, Flight>;
  /** Keys whose last response could not be shared, and until when their requests do not queue behind each other. */
  readonly hitForMiss: LRUCache<string, number>;
  /** Look-ups a store has not answered yet, by primary key. */
  readonly lookUps: Map<string, LookUps>;
  /** The `No-Vary-Search` of resources met by this process, by URI without query. */
  readonly searchRules: LRUCache<string, NoVarySearch>;
  /** Names and patterns of the routes of this process, as far as they are known. */
  readonly knownRoutes: KnownRoutes;
  /** What the routes of this cache have of a query in their keys. */
  readonly knownQueries: KnownQueries;
  /** The `Vary` of resources met by this process, so that a hit needs one look-up. */
  readonly varySpecs: LRUCache<string, VarySpec>;
}

type BindContext = <Args extends unknown[], Result>(fn: (...args: Args) => Result) => (...args: Args) => Result;

interface OwnRuns {
  /** Calls `run`; what it starts comes from it until the function that `ends` is given is called. */
  runUntil(owner: object, key: string, ends: (end: () => void) => void, run: () => void): void;
  /** True for what comes from a run of `owner` for `key` that has not ended. */
  isInside(owner: object, key: string): boolean;
}

const NO_RUNS: OwnRuns = { runUntil: (_owner, _key, _ends, run) => run(), isInside: () => false };

export const HIT_FOR_MISS_MS = 10_000;
const REMEMBERED_KEYS = 10_000;
/** Keys can be as long as a head of a request. */
const REMEMBERED_CHARACTERS: number = 8 * 1024 * 1024;

/** What the shell around the engine provides. */
export interface EngineParts extends Omit<
  Engine,
  | "report"
  | "fence"
  | "takesSetCookie"
  | "bindContext"
  | "ownRuns"
  | "collapses"
  | "flights"
  | "lookUps"
  | "hitForMiss"
  | "searchRules"
  | "varySpecs"
  | "knownRoutes"
  | "knownQueries"
  | "warnings"
> {
  /** The listener at this moment, if there is one. */
  readonly report: () => Engine["report"];
  /** Default true. */
  readonly collapses?: boolean;
  /** Default false. */
  readonly takesSetCookie?: boolean;
  /** Left out where the runtime has no async context. */
  readonly bindContext?: BindContext;
  /** Left out likewise. */
  readonly ownRuns?: OwnRuns;
}

export function createEngine(parts: EngineParts): Engine {
  return {
    prefix: parts.prefix,
    enabled: parts.enabled,
    store: parts.store,
    purges: parts.purges,
    fence: new PurgeFence(parts.purges, parts.prefix),
    now: parts.now,
    contentHash: parts.contentHash,
    responseHeader: parts.responseHeader,
    fillDeadlineMs: parts.fillDeadlineMs,
    collapseDeadlineMs: parts.collapseDeadlineMs,
    refreshesEarly: parts.refreshesEarly && parts.store.leases !== undefined,
    random: parts.random,
    collapses: parts.collapses ?? true,
    bindContext: parts.bindContext ?? ((fn) => fn),
    ownRuns: parts.ownRuns ?? NO_RUNS,
    maxVariants: parts.maxVariants,
    languages: parts.languages,
    identity: parts.identity,
    warnings: new FirstWarnings({
      warn: (message) => parts.warnOnce(message, message),
      isDevelopment: parts.isDevelopment,
    }),
    takesSetCookie: parts.takesSetCookie ?? false,
    warnOnce: parts.warnOnce,
    isDevelopment: parts.isDevelopment,
    get report() {
      return parts.report();
    },
    flights: new Map(),
    lookUps: new Map(),
    hitForMiss: remembered(),
    searchRules: remembered(),
    varySpecs: remembered(),
    knownRoutes: new KnownRoutes(),
    knownQueries: new KnownQueries(),
  };
}

function remembered<Value extends object | number>(): LRUCache<string, Value> {
  return new LRUCache<string, Value>({
    max: REMEMBERED_KEYS,
    maxSize: REMEMBERED_CHARACTERS,
    sizeCalculation: (_, key) => key.length + 1,
  });
}
