import type { CacheRequest, RequestDirectiveMode, ReuseDecision, StoredResponse } from "../http.ts";
import { requestDirectives } from "./directives.ts";
import type { RequestDirectives } from "./directives.ts";
import { currentAgeSeconds } from "./freshness.ts";
import { partialReply } from "./partial-content.ts";

const NO_DIRECTIVES: RequestDirectives = Object.freeze({ noStore: false, noCache: false, onlyIfCached: false });

/** What is stored for a request. */
export interface SelectedResponses {
  readonly stored: StoredResponse | undefined;
  /** A stored part of the resource (RFC 9111 §3.3); it counts where the whole is not stored. */
  readonly part?: StoredResponse | undefined;
  /** The resource is stored, but not for the fields this request presents. */
  readonly varyMiss: boolean;
}

/**
 * What to do with a request, given what was selected for it (RFC 9111 §3.3 and §4). It returns a value and does nothing.
 *
 * Only mode `"rfc9111"` looks at the request's directives; for `"bypass"` ask `asksToBypass` before the lookup. They count for
 * a stored part as for a whole response, and a part that may not be used as it is leads to the origin. A response is fresh
 * while its lifetime is greater than its age; both ends of a stale window count as inside.
 *
 * @example
 * decideReuse(request, { stored: undefined, varyMiss: false }, "rfc9111", Date.now())
 * // { action: "forward", because: "uri-miss" }
 */
export function decideReuse(
  request: CacheRequest,
  selected: SelectedResponses,
  mode: RequestDirectiveMode,
  nowMs: number,
): ReuseDecision {
  const { stored, part } = selected;
  if (stored !== undefined) return decideWhole(request, stored, mode, nowMs);
  if (part?.rangeField !== undefined && request.method === "GET") {
    return decidePart(request, { ...part, rangeField: part.rangeField }, mode, nowMs);
  }
  if (mode === "rfc9111" && requestDirectives(request.fields).onlyIfCached) return GATEWAY_TIMEOUT; // §5.2.1.7
  return selected.varyMiss ? VARY_MISS : URI_MISS;
}

function decidePart(
  request: CacheRequest,
  part: StoredResponse & { readonly rangeField: string },
  mode: RequestDirectiveMode,
  nowMs: number,
): ReuseDecision {
  const reply = partialReply(request.fields, part, nowMs);
  const decision = reply === undefined ? undefined : decideWhole(request, part, mode, nowMs);
  if (reply !== undefined && decision?.action === "reuse") return { ...decision, action: "reuse-part", part: reply };
  if (mode === "rfc9111" && requestDirectives(request.fields).onlyIfCached) return GATEWAY_TIMEOUT;
  if (decision === undefined) return { action: "forward", because: "partial" };
  return { action: "forward", because: decision.action === "revalidate" ? decision.because : "stale" };
}

function decideWhole(
  request: CacheRequest,
  stored: StoredResponse,
  mode: RequestDirectiveMode,
  nowMs: number,
): ReuseDecision {
  const ageSeconds = currentAgeSeconds(stored, nowMs);
  const ttlSeconds = stored.freshnessLifetimeSeconds - ageSeconds;
  if (mode !== "rfc9111") {
    if (ttlSeconds > 0 && !stored.requiresRevalidation) return { action: "reuse", ageSeconds, ttlSeconds };
    return decideStored(stored, NO_DIRECTIVES, ageSeconds, ttlSeconds);
  }

  const directives = requestDirectives(request.fields);
  const decision = decideStored(stored, directives, ageSeconds, ttlSeconds);
  return decision.action === "revalidate" && directives.onlyIfCached ? GATEWAY_TIMEOUT : decision;
}

const GATEWAY_TIMEOUT: ReuseDecision = Object.freeze({ action: "gateway-timeout" });
const URI_MISS: ReuseDecision = Object.freeze({ action: "forward", because: "uri-miss" });
const VARY_MISS: ReuseDecision = Object.freeze({ action: "forward", because: "vary-miss" });

function decideStored(
  stored: StoredResponse,
  directives: RequestDirectives,
  ageSeconds: number,
  ttlSeconds: number,
): ReuseDecision {
  if (stored.requiresRevalidation) return revalidate("stale", stored, ageSeconds, ttlSeconds); // §5.2.2.4
  if (directives.noCache || !isRecentEnough(directives, ageSeconds, ttlSeconds)) {
    return revalidate("request", stored, ageSeconds, ttlSeconds); // §5.2.1
  }
  if (ttlSeconds > 0) return { action: "reuse", ageSeconds, ttlSeconds }; // §4.2

  const staleSeconds = -ttlSeconds;
  const { maxAgeSeconds, maxStaleSeconds } = directives;
  // A client that limits the age wants nothing stale, unless it says how stale (§5.2.1.1).
  if (maxAgeSeconds !== undefined && maxStaleSeconds === undefined) {
    return revalidate("stale", stored, ageSeconds, ttlSeconds);
  }
  if (isWithin(staleSeconds, stored.staleWhileRevalidateSeconds)) {
    return { action: "reuse-and-revalidate", ageSeconds, ttlSeconds }; // RFC 5861 §3
  }
  if (maxStaleSeconds !== undefined && stored.mayServeStale && staleSeconds <= maxStaleSeconds) {
    return { action: "reuse", ageSeconds, ttlSeconds }; // §5.2.1.2
  }
  return revalidate("stale", stored, ageSeconds, ttlSeconds);
}

function isRecentEnough(directives: RequestDirectives, ageSeconds: number, ttlSeconds: number): boolean {
  const { maxAgeSeconds, minFreshSeconds } = directives;
  // 0 is how browsers ask for a reload, and an age of 0 is one rounded down: even that is too old.
  if (maxAgeSeconds !== undefined && (maxAgeSeconds === 0 || ageSeconds > maxAgeSeconds)) return false; // §5.2.1.1
  return minFreshSeconds === undefined || ttlSeconds >= minFreshSeconds; // §5.2.1.3
}

function revalidate(
  because: "stale" | "request",
  stored: StoredResponse,
  ageSeconds: number,
  ttlSeconds: number,
): ReuseDecision {
  const mayServeOnError = !stored.requiresRevalidation && isWithin(-ttlSeconds, stored.staleIfErrorSeconds); // RFC 5861 §4
  return { action: "revalidate", because, ageSeconds, ttlSeconds, mayServeOnError };
}

/** A window of 0 seconds is no window, not even for a response that turned stale this second. */
function isWithin(staleSeconds: number, windowSeconds: number): boolean {
  return windowSeconds > 0 && staleSeconds <= windowSeconds;
}
