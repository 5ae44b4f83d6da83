/**
 * The nouns every part of Reprise shares. Types only: nothing here runs.
 *
 * Times are wall-clock milliseconds (`…Ms`) or whole seconds (`…Seconds`); sizes are bytes (`…Bytes`).
 */

/**
 * HTTP fields by lower-case name. A name sent on several lines holds an array, one member per line.
 *
 * Read it with `fieldValue()` or `fieldLines()` of `reprise/rfc9111`, which never look up the prototype.
 */
export type Fields = Readonly<Record<string, string | readonly string[] | undefined>>;

/** What the cache knows of a request. Content counts for QUERY only; on GET it has no meaning (RFC 9110 §9.3.1). */
export interface CacheRequest {
  /** Upper-case method, as it came: `GET`. */
  readonly method: string;
  /** `http` or `https`. */
  readonly scheme: string;
  /** Host and port as one text, lower-case, already validated by the adapter. */
  readonly authority: string;
  /** Path and query exactly as sent: `/users/7?lang=en`. */
  readonly path: string;
  /**
   * Further paths, with their query, that the same request goes by: what the router matched or the handler is shown, where
   * something in front of the route rewrote it. They are in the key, and a purge of any of them reaches the response.
   */
  readonly otherPaths?: readonly string[] | undefined;
  /** What else was put in place of what the client sent, as text for the key: a parsed query that middleware replaced, a status that it set. */
  readonly replaced?: string | undefined;
  readonly fields: Fields;
  /** The whole content of a QUERY whose responses are cached (RFC 10008). */
  readonly content?: Uint8Array;
  /** How many cached routes of the same cache the request came through before this one. */
  readonly depth?: number;
  /** True when the client showed a certificate to the server that the request came to. */
  readonly clientCertificate?: boolean;
}

/** Status and fields of a response, before any of its body. */
export interface ResponseHead {
  readonly status: number;
  readonly fields: Fields;
}

/** One complete response as the cache keeps it (RFC 9111 §3). */
export interface StoredResponse {
  readonly status: number;
  /** End-to-end fields as the origin sent them, plus a generated `etag` if it sent none. */
  readonly fields: Fields;
  readonly body: Uint8Array;
  /** The fields its `Vary` nominates, with what the original request presented (RFC 9111 §4.1). */
  readonly varyFields: readonly VaryField[];
  /** When the request that produced it was sent to the origin. */
  readonly requestedAtMs: number;
  /** When its head arrived. */
  readonly receivedAtMs: number;
  /** Age when its head arrived (RFC 9111 §4.2.3). */
  readonly correctedInitialAgeSeconds: number;
  /** RFC 9111 §4.2.1. */
  readonly freshnessLifetimeSeconds: number;
  /** `"route"`: a developer's lifetime, so we answer as the origin; `"fields"`: the response's own, so we send `Age`. */
  readonly lifetimeFrom: "route" | "fields";
  /** How long after it turned stale it may still be served while it is revalidated (RFC 5861 §3). */
  readonly staleWhileRevalidateSeconds: number;
  /** How long after it turned stale it may be served instead of an error (RFC 5861 §4). */
  readonly staleIfErrorSeconds: number;
  /** False when `must-revalidate`, `proxy-revalidate` or `s-maxage` forbids serving it stale (RFC 9111 §4.2.4). */
  readonly mayServeStale: boolean;
  /** True when `no-cache` demands a revalidation before each reuse (RFC 9111 §5.2.2.4). */
  readonly requiresRevalidation: boolean;
  /** True when the validator came from the origin, so a conditional request to it makes sense. */
  readonly hasOriginValidator: boolean;
  /** For a stored 206: the `Range` it answered (RFC 9111 §3.3). */
  readonly rangeField?: string;
  /** The reason phrase, where the handler gave one of its own. */
  readonly reason?: string;
  /** Names of the fields that outer layers set on the response and the handler took away. */
  readonly removedFields?: readonly string[];
  /** The handler declared the length of its body by itself. */
  readonly declaresLength?: boolean;
  /** Where the handler gave its body in pieces: how many bytes of it came with the end. */
  readonly endBytes?: number;
  /** What it can be purged by besides its URI: tags, groups, route. */
  readonly names: readonly string[];
  /** Position in the purge log before the origin request was sent. */
  readonly generation: string;
}

/** Name of a nominated request field and the value presented, normalised; `null` when absent (absent is not empty). */
export type VaryField = readonly [name: string, value: string | null];

/** RFC 9211 §2.2: why a request went to the origin. */
export type ForwardReason = "bypass" | "method" | "uri-miss" | "vary-miss" | "miss" | "request" | "stale" | "partial";

/** What answers a request with `Range`. The fields have no prototype. */
export interface RangeReply {
  readonly status: 206 | 416;
  readonly fields: Fields;
  readonly body: Uint8Array;
}

/** What to do with a request, given what is stored. A value: deciding does nothing. */
export type ReuseDecision =
  | { readonly action: "reuse"; readonly ageSeconds: number; readonly ttlSeconds: number }
  | { readonly action: "reuse-and-revalidate"; readonly ageSeconds: number; readonly ttlSeconds: number }
  /** A stored part holds the range that is asked for (RFC 9111 §3.3). */
  | {
      readonly action: "reuse-part";
      readonly part: RangeReply;
      readonly ageSeconds: number;
      readonly ttlSeconds: number;
    }
  | {
      readonly action: "revalidate";
      readonly because: "stale" | "request";
      readonly ageSeconds: number;
      readonly ttlSeconds: number;
      /** True while an error of the origin may be answered with the stored response (RFC 5861 §4). */
      readonly mayServeOnError: boolean;
    }
  | { readonly action: "forward"; readonly because: ForwardReason }
  | { readonly action: "gateway-timeout" };

/**
 * How the `Cache-Control` of a request counts (RFC 9111 §5.2.1).
 *
 * - `bypass`: `no-cache` or `no-store` leaves the cache out for this request
 * - `rfc9111`: `no-cache` revalidates; `max-age`, `min-fresh`, `max-stale` and `only-if-cached` are obeyed
 * - `ignore`: clients cannot make the handler run
 */
export type RequestDirectiveMode = "bypass" | "rfc9111" | "ignore";

/** The end of every path: what happened, in the words of RFC 9211. */
export interface Outcome {
  readonly hit: boolean;
  /** Why the origin was asked; absent on a hit. */
  readonly forwarded?: ForwardReason;
  /** Status of the origin's response, when it was asked and answered. */
  readonly originStatus?: number;
  /**
   * True when the origin's response was handed to the store or, while it streams, is to be. No response waits for the
   * store's answer: whether it was kept is what the `stored` and `not-stored` events say.
   */
  readonly stored: boolean;
  /** True when this request waited for another one's response. */
  readonly collapsed: boolean;
  /** Freshness lifetime left, in seconds; negative when a stale response was served (RFC 9211 §2.4). */
  readonly ttlSeconds?: number;
  /** A short token that says why: `set-cookie`, `authorization`, `too-large`, … */
  readonly detail?: string;
}

/** Plain data a store keeps beside the body: whatever JSON can carry. */
export type StoreMeta = { readonly [name: string]: unknown };

/** What an entry can be purged by. */
export interface Purgeable {
  /** Names it can be purged by: `#user:7`. Absent: none. */
  readonly names?: readonly string[];
  /** The absolute URI it can be purged by, alone or with all that is below a path; a list where there are several. */
  readonly uri?: string | readonly string[];
  /**
   * `generation()` of the store's purge log before the content was asked for. A purge after that position holds against it,
   * whenever it is put, and by whichever process. Absent: it counts as older than every purge that names it.
   */
  readonly generation?: string;
}

/** The place for the cache's own decoded form of an entry. Only the cache reads and writes `value`. */
export interface LiveForm {
  value: unknown;
}

/** What is put under one key. It knows no HTTP: text, bytes and times only. */
export interface StoreEntry extends Purgeable {
  readonly meta: StoreMeta;
  readonly body: Uint8Array;
  /** A store that keeps objects keeps it with the entry, so that a hit decodes nothing; a store that keeps bytes drops it. */
  readonly live?: LiveForm;
}

/** What is found under a key: the entry as it was put, and what the store knows about it now. */
export interface FoundEntry extends StoreEntry {
  /** When a soft purge made it stale; absent while none has. */
  readonly outdatedAtMs?: number;
  /** To be added to the times in `meta`, because the clock of the machine that wrote them differs; absent: 0. */
  readonly clockShiftMs?: number;
  /** How much longer the entry is kept; absent where the store does not know. */
  readonly retainMs?: number;
}

/** What became of an entry that was put. A store that replies with anything else is taken not to have stored it. */
export type PutResult =
  /** A `get` finds it. */
  | "stored"
  /** It is not kept: it was purged, it is too large, it has no retention, or the store failed. */
  | "failed";

/** What a purge names. */
export type PurgeTarget =
  /** Everything under the prefix. */
  | { readonly kind: "all" }
  /** The entries with this name. */
  | { readonly kind: "name"; readonly text: string }
  /** The entry under this key. */
  | { readonly kind: "key"; readonly text: string }
  /** The entries with this URI: an absolute one, or path and query for any origin. */
  | { readonly kind: "uri"; readonly text: string }
  /** The entries whose path is this one or below it, of one origin (absolute) or any: `/users` covers `/users/7?x`, not `/usersAbc`. */
  | { readonly kind: "under"; readonly text: string };

/** The effect of purges on an entry. */
export type PurgeVerdict = "valid" | "purged" | { readonly outdatedAtMs: number };

/** Positions of the purge log right before and after the caller's own purge. */
export interface PurgeReceipt {
  readonly before: string;
  readonly after: string;
}

/**
 * A log of purges, not an index of entries: a purge costs the same whatever it covers, and holds against each entry whose
 * content was asked for before it, also if that entry is put later.
 */
export interface PurgeLog {
  /** The last proven position, to be kept with an entry; `""` while there is none. */
  generation(prefix: string): string;
  /** The effect of all purges known by now on an entry. */
  judge(prefix: string, key: string, entry: Purgeable): PurgeVerdict;
  /**
   * Purges; holds for every reader that starts after it returned or resolved.
   *
   * @throws (or rejects with) `ERR_PURGE_NOT_ACKNOWLEDGED` when the store did not acknowledge it; it is then tried again
   * before the store is next read.
   */
  purge(
    prefix: string,
    targets: readonly PurgeTarget[],
    options: { readonly soft: boolean },
  ): PurgeReceipt | Promise<PurgeReceipt>;
  /** When the position was last proven, on the clock of `performance.now()`; `Infinity` where it always is. */
  verifiedAtMs(prefix: string): number;
  /** Proves the position anew; false when that was not possible. */
  verify(prefix: string): boolean | Promise<boolean>;
}

/** The right of one process to fill a key, for a short time that is extended while the process lives. */
export interface Lease {
  /**
   * Keeps `entry` and ends the lease. `"lost"`: another process may have the lease by now, so nothing was kept. Never
   * rejects.
   */
  put(entry: StoreEntry, retainMs: number): Promise<PutResult | "lost">;
  /** Ends the lease without an entry: the next process that asks gets it. Does nothing after `put`. */
  release(): void;
}

/** Lets one of several processes fill a key while the others wait. */
export interface Leases {
  /** `"taken"`: another process fills the key. `undefined`: the store cannot say, so do not wait. Never rejects. */
  acquire(key: string): Promise<Lease | "taken" | undefined>;
}

/** An event of a store. The cache passes it on to its listeners and its log. */
export type StoreEvent =
  | { readonly type: "connecting"; readonly store: string; readonly address: string }
  | { readonly type: "connected"; readonly store: string; readonly address: string }
  | { readonly type: "connection-failed"; readonly store: string; readonly address: string; readonly error: Error }
  | { readonly type: "operation-failed"; readonly store: string; readonly operation: string; readonly error: Error };

/**
 * The contract of a store. `get`, `put` and `delete` are enough; `storeContract()` of `reprise/testing` tests them.
 *
 * A key is text of the form `<prefix> <name>`: the prefix has no space, the name is any text.
 * Each method may answer at once or with a promise; a store that can answer at once should.
 * A store must bound what it keeps and must not return an entry past its retention, nor one that its purge log has purged.
 *
 * `get` and `put` should not throw or reject when the store fails: they report an `operation-failed` event and return
 * `undefined` and `"failed"`. The cache survives a store that throws or rejects.
 *
 * @example
 * class MapStore implements CacheStore {
 *   readonly name = "map";
 *   readonly #kept = new Map<string, { entry: StoreEntry; untilMs: number }>();
 *
 *   get(key: string): FoundEntry | undefined {
 *     const kept = this.#kept.get(key);
 *     return kept !== undefined && kept.untilMs > Date.now() ? kept.entry : undefined;
 *   }
 *
 *   put(key: string, entry: StoreEntry, retainMs: number): PutResult {
 *     this.#kept.delete(key);
 *     if (!(retainMs > 0 && Number.isFinite(retainMs))) return "failed";
 *     const [oldest] = this.#kept.keys();
 *     if (oldest !== undefined && this.#kept.size >= 1000) this.#kept.delete(oldest);
 *     this.#kept.set(key, { entry, untilMs: Date.now() + retainMs });
 *     return "stored";
 *   }
 *
 *   delete(key: string): void {
 *     this.#kept.delete(key);
 *   }
 * }
 */
export interface CacheStore {
  /** A word for logs: `memory`, `redis`. */
  readonly name: string;
  /**
   * Called once by each cache that uses the store; a store that connects starts to do so here. `now` is the wall clock of the
   * cache: a store that reads one uses the clock of the first cache that opens it.
   */
  open?(report: (event: StoreEvent) => void, now?: () => number): void;
  /** False while the store keeps nothing, because it is not connected, say. Absent: it always keeps what it can. */
  isAvailable?(): boolean;
  /**
   * Resolves when the store finds and keeps what is under `prefix`; rejects with the reason when that takes longer than
   * `timeoutMs`. Absent: it does as soon as `isAvailable()` returns true.
   */
  ready?(options: { readonly prefix: string; readonly timeoutMs: number }): Promise<void>;
  /** What is kept under `key`; undefined when there is nothing, it is past its retention or purged, or the store fails. */
  get(key: string): FoundEntry | undefined | Promise<FoundEntry | undefined>;
  /**
   * Keeps `entry` for at most `retainMs` milliseconds, replacing what was there. An entry that was purged replaces nothing;
   * one that is too large, or has no retention, removes what was there.
   */
  put(key: string, entry: StoreEntry, retainMs: number): PutResult | Promise<PutResult>;
  /** Removes what is under `key`. This is no purge: an entry that is being put meanwhile may be stored after it. */
  delete(key: string): void | Promise<void>;
  /** Where entries can be purged. Absent: the cache keeps a log of its own, whose purges hold in its process only. */
  readonly purges?: PurgeLog;
  /** Absent: each process fills for itself. */
  readonly leases?: Leases;
  /** Waits for the writes under way, then releases connections and timers. A client that the user made stays open. */
  close?(): void | Promise<void>;
}

/** Where log lines go: anything with these three; `console` and pino both fit. */
export interface Logger {
  debug(message: string): void;
  info(message: string): void;
  warn(message: string): void;
}
