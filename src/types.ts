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
  readonly fields: Fields;
  /** The whole content of a QUERY whose responses are cached (RFC 10008). */
  readonly content?: Uint8Array;
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
  /** RFC 9111 §4.2.3. */
  readonly correctedInitialAgeSeconds: number;
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
  readonly tags: readonly string[];
  /** Position in the purge log before the origin request was sent; empty where a store keeps no log. */
  readonly generation: string;
}

/** Name of a nominated request field and the value presented, normalised; `null` when absent (absent is not empty). */
export type VaryField = readonly [name: string, value: string | null];

/** RFC 9211 §2.2: why a request went to the origin. */
export type ForwardReason = "bypass" | "method" | "uri-miss" | "vary-miss" | "miss" | "request" | "stale" | "partial";

/** What to do with a request, given what is stored. A value: deciding does nothing. */
export type ReuseDecision =
  | { readonly action: "reuse"; readonly ageSeconds: number; readonly ttlSeconds: number }
  | { readonly action: "reuse-and-revalidate"; readonly ageSeconds: number; readonly ttlSeconds: number }
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

/** How the caller's request directives count. See `docs` on `requestDirectives`. */
export type RequestDirectiveMode = "bypass" | "rfc9111" | "ignore";

/** The end of every path: what happened, in the words of RFC 9211. */
export interface Outcome {
  readonly hit: boolean;
  /** Why the origin was asked; absent on a hit. */
  readonly forwarded?: ForwardReason;
  /** Status of the origin's response, when it was asked and answered. */
  readonly originStatus?: number;
  /** True when the origin's response was (or, while it streams, will be) stored. */
  readonly stored: boolean;
  /** True when this request waited for another one's response. */
  readonly collapsed: boolean;
  /** Freshness lifetime left; negative when a stale response was served. */
  readonly ttlSeconds?: number;
  /** A short token that says why: `set-cookie`, `authorization`, `too-large`, … */
  readonly detail?: string;
}

/** Plain data a store keeps beside the body: whatever JSON can carry. */
export type StoreMeta = { readonly [name: string]: unknown };

/** What a store keeps under one key. It knows no HTTP: text, bytes and times only. */
export interface StoreEntry {
  readonly meta: StoreMeta;
  readonly body: Uint8Array;
  /**
   * The owner's own decoded form of this entry. A store that keeps objects keeps it, so nothing is decoded on a hit;
   * a store that keeps bytes drops it.
   */
  live?: unknown;
}

/** What a store tells the cache about itself. */
export type StoreEvent =
  | { readonly type: "connecting"; readonly store: string; readonly address: string }
  | { readonly type: "connected"; readonly store: string; readonly address: string }
  | { readonly type: "connection-failed"; readonly store: string; readonly address: string; readonly error: Error }
  | { readonly type: "operation-failed"; readonly store: string; readonly operation: string; readonly error: Error };

/**
 * The contract of a store. `storeContract()` of `reprise/testing` is its test suite.
 *
 * A key is text of the form `<prefix> <name>`: the prefix has no space, the name is any text.
 * Each method may answer at once or with a promise; a store that can answer at once should.
 * A store must bound what it keeps and must not return an entry past its retention.
 *
 * `get` and `put` should not throw or reject for trouble in the store: they report an `operation-failed` event and count
 * as "nothing found" and "not kept". The engine survives those that do.
 */
export interface CacheStore {
  /** A word for logs: `memory`, `redis`. */
  readonly name: string;
  /** Called once by each cache that uses the store; a store that connects starts to do so here. */
  open?(report: (event: StoreEvent) => void): void;
  /** False while the store keeps nothing, because it is not connected, say. Left out: it always keeps what it can. */
  isAvailable?(): boolean;
  get(key: string): StoreEntry | undefined | Promise<StoreEntry | undefined>;
  /** Keeps `entry` for at most `retainMs`, replacing what was there. */
  put(key: string, entry: StoreEntry, retainMs: number): void | Promise<void>;
  delete(key: string): void | Promise<void>;
  /** Releases connections and timers. A store the user made the client of leaves that client open. */
  close?(): void | Promise<void>;
}

/** Anything with these three; `console` and pino both fit. */
export interface Logger {
  debug(message: string): void;
  info(message: string): void;
  warn(message: string): void;
}
