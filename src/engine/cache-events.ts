import type { CacheRequest, Outcome, PurgeTarget, StoreEvent } from "../http.ts";

/** What a cache reports. Logs, `cache.events`, `node:diagnostics_channel` and metrics all read these and nothing else. */
export type CacheEvent =
  | OutcomeEvent
  | StoredEvent
  | NotStoredEvent
  | RevalidationFailedEvent
  | CallbackFailedEvent
  | FunctionFoundEvent
  | PurgedEvent
  | PurgeFailedEvent
  | StoreEvent;

/** A request reached its end. One for each request that took part. */
export interface OutcomeEvent {
  readonly type: "outcome";
  readonly method: string;
  /** Path and query of the request. */
  readonly url: string;
  readonly outcome: Outcome;
}

/** A response or a function's value was handed to the store. */
export interface StoredEvent {
  readonly type: "stored";
  /** `GET /users/7` or `Users.getUser(7)`. */
  readonly subject: string;
  /** Absent for a function's value. */
  readonly status?: number;
  /** Absent for a function's value. */
  readonly bodyBytes?: number;
  readonly freshnessLifetimeSeconds: number;
}

/** A response or value was not kept, and why (`set-cookie`, `status`, `too-large`, …). */
export interface NotStoredEvent {
  readonly type: "not-stored";
  readonly subject: string;
  readonly because: string;
  readonly error?: Error;
}

/** A revalidation in the background failed; the stored response stays as it was. */
export interface RevalidationFailedEvent {
  readonly type: "revalidation-failed";
  readonly subject: string;
  readonly error: Error;
}

/** A callback of the developer (`tags`, `when`, `key`, …) threw; the request took no part in caching. */
export interface CallbackFailedEvent {
  readonly type: "callback-failed";
  readonly callback: string;
  readonly subject: string;
  readonly error: Error;
}

/** A stored function value was used. */
export interface FunctionFoundEvent {
  readonly type: "found";
  readonly subject: string;
  readonly ttlSeconds: number;
}

/** The store acknowledged a purge. */
export interface PurgedEvent {
  readonly type: "purged";
  readonly targets: readonly PurgeTarget[];
  readonly soft: boolean;
}

/** The store did not acknowledge a purge that a request led to. It is tried again before the store is next read. */
export interface PurgeFailedEvent {
  readonly type: "purge-failed";
  readonly targets: readonly PurgeTarget[];
  readonly error: Error;
}

/** What events call a request: `GET /users/7`. */
export function subjectOf({ method, path }: Pick<CacheRequest, "method" | "path">): string {
  return `${method} ${path}`;
}
