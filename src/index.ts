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
} from "./engine/events.ts";
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
export { HARMLESS_COOKIES } from "./engine/harmless-cookies.ts";
export { LOGIN_FIELDS } from "./engine/login-fields.ts";
export { isRenewal } from "./engine/renewals.ts";
export type { CandidateResponse } from "./engine/route.ts";
export type { CodedError } from "./errors.ts";
export type { CacheEvents, DiagnosticsMessage } from "./events.ts";
export type {
  AnyClass,
  AnyFunction,
  ArgumentsOf,
  Cached,
  CachedFunction,
  FunctionHandle,
  FunctionOptions,
} from "./functions/contract.ts";
export type { CacheOptions, IdentityOptions } from "./options.ts";
export type { PurgeOptions, PurgeSelection, PurgesOptions } from "./purge.ts";
export type { ReadyOptions } from "./ready.ts";
export type { RouteOptions } from "./route-options.ts";
export { memoryStore } from "./stores/memory.ts";
export type { MemoryStoreOptions } from "./stores/memory.ts";
export type {
  CacheRequest,
  CacheStore,
  Fields,
  ForwardReason,
  Lease,
  Leases,
  Logger,
  Outcome,
  PurgeLog,
  PurgeReceipt,
  PurgeTarget,
  PurgeVerdict,
  RequestDirectiveMode,
  ResponseHead,
  ReuseDecision,
  StoredResponse,
  StoreEntry,
  StoreEvent,
  StoreMeta,
} from "./types.ts";
