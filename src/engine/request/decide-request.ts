import type { CacheRequest } from "../../http.ts";
import { asksToBypass } from "../../rfc9111/directives.ts";
import { isSafeMethod } from "../../rfc9111/invalidation.ts";
import type { RouteRules } from "../route-rules.ts";
import { mustReachOrigin } from "./bypass.ts";
import { sharersOf, type Identity, type IdentityRules, type SharedIdentities } from "./identity.ts";

/** What of a route decides whether a request takes part. */
export type RequestRules = SharedIdentities & Pick<RouteRules, "enabled" | "requestDirectives" | "when" | "audience">;

/** What of a cache decides it. */
export interface CacheWideRules {
  /** False: the cache is off, so that nothing is stored that a write could invalidate. */
  readonly enabled: boolean;
  readonly identity: IdentityRules;
}

/** Whether a request takes part in caching. */
export type RequestDecision =
  /** Its response is looked up. `member`: the part of the key that tells who shares it. */
  | { readonly action: "take-part"; readonly member: string }
  /** The handler answers, and `Cache-Status` says why. `identity`: for whose sake, where it is that. */
  | { readonly action: "bypass"; readonly detail: string; readonly identity?: Identity }
  /** Its method is not cached: the handler answers. `isUnsafe`: what it invalidates is purged. */
  | { readonly action: "pass"; readonly isUnsafe: boolean };

/**
 * Decides whether a request takes part (RFC 9111 §3 and §4). It returns a value and does nothing, but for calling the route's
 * `when` and `audience` with `native`, which may throw.
 */
export function decideRequest(
  request: CacheRequest,
  route: RequestRules,
  cache: CacheWideRules,
  native: unknown,
): RequestDecision {
  const { method } = request;
  const isRead = method === "GET" || method === "HEAD" || method === "QUERY";
  if (!route.enabled) {
    // Another route may have stored what a write here invalidates.
    return isRead ? DISABLED : cache.enabled ? passed(method) : PASSED;
  }
  if (!isRead || (method === "QUERY" && request.content === undefined)) return passed(method);
  if (route.requestDirectives === "bypass" && asksToBypass(request.fields)) return ASKED;
  const untouched = mustReachOrigin(request);
  if (untouched !== undefined) return { action: "bypass", detail: untouched };
  if (route.when !== undefined && !route.when(native)) return UNWANTED;
  const sharers = sharersOf(request, cache.identity, route, native);
  if ("member" in sharers) return sharers.member === "" ? FOR_ALL : { action: "take-part", member: sharers.member };
  const { unshared } = sharers;
  const detail = route.audience === undefined ? unshared.detail : "audience";
  return { action: "bypass", detail, identity: unshared };
}

const FOR_ALL: RequestDecision = { action: "take-part", member: "" };
const DISABLED: RequestDecision = { action: "bypass", detail: "disabled" };
const ASKED: RequestDecision = { action: "bypass", detail: "request" };
const UNWANTED: RequestDecision = { action: "bypass", detail: "when" };
const PASSED: RequestDecision = { action: "pass", isUnsafe: false };
const WATCHED: RequestDecision = { action: "pass", isUnsafe: true };

function passed(method: string): RequestDecision {
  return isSafeMethod(method) ? PASSED : WATCHED;
}
