/**
 * HTTP response caching for TypeScript servers: one line on a route.
 *
 * @packageDocumentation
 */

export { createCache } from "./cache.ts";
export type { Cache, Route } from "./cache.ts";
export type { Duration, DurationFields } from "./duration.ts";
export type {
  CacheEvent,
  CallbackFailedEvent,
  FunctionFoundEvent,
  NotStoredEvent,
  OutcomeEvent,
  PurgedEvent,
  PurgeFailedEvent,
  RevalidationFailedEvent,
  StoredEvent,
} from "./engine/cache-events.ts";
export type {
  Exchange,
  Fill,
  HeadAction,
  LastLook,
  LateChanges,
  OriginRequest,
  Reply,
  ReportedHead,
} from "./engine/exchange.ts";
export type {
  ExplainOptions,
  Explanation,
  FoundResponse,
  LifetimeExplanation,
  ResponseExplanation,
  Rule,
} from "./engine/explain.ts";
export { HARMLESS_COOKIES } from "./engine/request/harmless-cookies.ts";
export { LOGIN_FIELDS } from "./engine/request/login-fields.ts";
export { isRenewal } from "./engine/fill/renewals.ts";
export type { CandidateResponse } from "./engine/route-rules.ts";
export type { CodedError } from "./errors.ts";
export type { CacheEvents, DiagnosticsMessage } from "./event-hub.ts";
export type {
  AnyClass,
  AnyFunction,
  ArgumentsOf,
  Cached,
  CachedFunction,
  FunctionHandle,
  FunctionOptions,
} from "./functions/contract.ts";
export type { CacheOptions, IdentityOptions } from "./options/cache-options.ts";
export type { PurgeOptions, PurgeSelection, PurgesOptions } from "./options/purge-options.ts";
export type { ReadyOptions } from "./ready.ts";
export type { RouteOptions } from "./options/route-options.ts";
export { memoryStore } from "./stores/memory/index.ts";
export type { MemoryStoreOptions } from "./stores/memory/index.ts";
export type {
  CacheRequest,
  CacheStore,
  Fields,
  ForwardReason,
  FoundEntry,
  Lease,
  Leases,
  LiveForm,
  Logger,
  Outcome,
  Purgeable,
  PurgeLog,
  PurgeReceipt,
  PurgeTarget,
  PurgeVerdict,
  PutResult,
  RequestDirectiveMode,
  ResponseHead,
  ReuseDecision,
  StoredResponse,
  StoreEntry,
  StoreEvent,
  StoreMeta,
} from "./http.ts";
