import type { CacheRequest, Fields, ResponseHead } from "../http.ts";
import type { ResponseDirectives } from "./directives.ts";
import { fieldLines, fieldValue, hasField, listMembers } from "./fields.ts";
import { freshnessLifetimeSeconds, HEURISTIC_STATUSES } from "./freshness.ts";
import { announcesPart } from "./partial-content.ts";
import { varyNames } from "./vary.ts";

/** How a route or a proxy decides what may be stored. */
export interface StoringRules {
  /**
   * `"route"`: the developer gave a lifetime, and it covers `statuses`.
   * `"fields"`: the response must state its own lifetime, or `heuristic` must allow one.
   */
  readonly lifetimeFrom: "route" | "fields";
  /**
   * With `"route"`: every status that may be stored. With `"fields"`: the statuses from 400 up that may be, and 204 or
   * 205 where a response without content should be stored too; other final statuses need no mention.
   */
  readonly statuses: ReadonlySet<number>;
  /** True when the route declared who shares its responses, so a request with `Authorization` may be stored. */
  readonly sharedByDeclaration: boolean;
  /** True for a request with a login that counts as `Authorization` does. Default: only that field does. */
  readonly carriesLogin?: (request: CacheRequest) => boolean;
  /** Lower-case names of request fields that are in the key already. */
  readonly keyedFields: ReadonlySet<string>;
  /** True allows a lifetime guessed from `Last-Modified` (RFC 9111 §4.2.2). */
  readonly heuristic: boolean;
  /** True stores a response with `Set-Cookie`, which RFC 9111 §7.3 leaves to the origin's `Cache-Control`. */
  readonly allowSetCookie?: boolean;
  /** With `"fields"`: true lets every final status be stored but 206 and 304, `statuses` or not (RFC 9111 §3). */
  readonly allowAnyFinalStatus?: boolean;
  /**
   * True stores what varies by `Cookie` or `Authorization`, or allows one CORS origin without saying so in `Vary`, as
   * RFC 9111 does.
   */
  readonly allowVaryIdentity?: boolean;
  /** With `"fields"`: true stores a 206 that answers a `Range` and says which part it is (RFC 9111 §3.3). */
  readonly allowPartial?: boolean;
}

/** Why a response is not stored: the `detail` of its `Cache-Status`. */
export type NotStoredReason =
  | "method"
  | "status"
  | "no-store"
  | "private"
  | "no-cache"
  | "set-cookie"
  | "vary-any"
  | "vary-identity"
  | "origin-unkeyed"
  | "authorization"
  | "no-lifetime"
  | "partial"
  | "trailer"
  | "must-understand";

/** Final statuses of RFC 9110 §15: those whose caching we know of, for `must-understand` (RFC 9111 §5.2.2.3). */
const UNDERSTOOD_STATUSES: ReadonlySet<number> = new Set([
  200, 201, 202, 203, 204, 205, 206, 300, 301, 302, 303, 305, 307, 308, 400, 401, 402, 403, 404, 405, 406, 407, 408,
  409, 410, 411, 412, 413, 414, 415, 416, 417, 421, 422, 426, 500, 501, 502, 503, 504, 505,
]);

/**
 * Why a shared cache may not store this response, or `undefined` when it may (RFC 9111 §3).
 *
 * Stricter than the RFC where sharing would leak: a response with `Set-Cookie`, one that varies by an identity, or one
 * that allows a single CORS origin is stored only if the key tells its readers apart; `Set-Cookie` never. The `allow…`
 * rules lift that. `directives` are those that decide: see `effectiveDirectives`.
 *
 * @example
 * const head = { status: 200, fields: { "cache-control": "PRIVATE" } };
 * whyNotStored(request, head, responseDirectives(head.fields), rules) // "private"
 */
export function whyNotStored(
  request: CacheRequest,
  head: ResponseHead,
  directives: ResponseDirectives,
  rules: StoringRules,
): NotStoredReason | undefined {
  const { status, fields } = head;
  if (request.method !== "GET" && !isCachedQuery(request)) return "method"; // RFC 9110 §9.2.3
  if (isPartial(request, head, rules) && !isStorablePart(request, head, rules)) return "partial"; // §3.3
  if (!coversStatus(status, rules)) return "status"; // §3

  if (directives.mustUnderstand && !UNDERSTOOD_STATUSES.has(status)) return "must-understand"; // §5.2.2.3
  // A cache that understands the status ignores the no-store beside must-understand (§5.2.2.3).
  if (directives.noStore && !directives.mustUnderstand) return "no-store"; // §5.2.2.5
  // The qualified form would allow storing the rest; we do not store in part (§5.2.2.7).
  if (directives.private !== false) return "private";
  if (directives.noCache !== false && rules.lifetimeFrom === "route") return "no-cache"; // §5.2.2.4
  if (hasField(fields, "set-cookie") && rules.allowSetCookie !== true) return "set-cookie"; // §7.3
  if (hasField(fields, "trailer")) return "trailer"; // RFC 9110 §6.5

  const varies = varyNames(fields);
  if (varies.includes("*")) return "vary-any"; // §4.1
  if (rules.allowVaryIdentity !== true) {
    if (variesByIdentity(varies, rules.keyedFields) && !isForAnonymous(request, fields)) return "vary-identity";
    if (leavesOriginUnkeyed(fields, varies, rules.keyedFields)) return "origin-unkeyed";
  }

  const isDeclared = rules.sharedByDeclaration || permitsAuthorization(directives);
  if (!isDeclared && isAuthorized(request, rules)) return "authorization"; // §3.5
  if (rules.lifetimeFrom === "fields" && !hasLifetime(head, directives, rules)) return "no-lifetime"; // §3
  return undefined;
}

/** True when a shared cache may store this response: {@link whyNotStored} has nothing against it. */
export function mayStore(
  request: CacheRequest,
  head: ResponseHead,
  directives: ResponseDirectives,
  rules: StoringRules,
): boolean {
  return whyNotStored(request, head, directives, rules) === undefined;
}

function isPartial(request: CacheRequest, { status, fields }: ResponseHead, rules: StoringRules): boolean {
  if (status === 206) return true;
  if (!hasField(fields, "content-range")) return false;
  // Only 206 and 416 give the field a meaning (RFC 9110 §14.4). Where no part was asked for, it is none.
  return status === 416 || rules.lifetimeFrom === "route" || hasField(request.fields, "range");
}

/** RFC 10008 §2.7: a QUERY may be stored where its content is in the key, so only with content that is known. */
function isCachedQuery({ method, content }: CacheRequest): boolean {
  return method === "QUERY" && content !== undefined;
}

function isValidatable({ status, fields }: ResponseHead): boolean {
  return HEURISTIC_STATUSES.has(status) && (hasField(fields, "etag") || hasField(fields, "last-modified"));
}

function isStorablePart(request: CacheRequest, head: ResponseHead, rules: StoringRules): boolean {
  if (rules.allowPartial !== true || rules.lifetimeFrom === "route") return false;
  return head.status === 206 && hasField(request.fields, "range") && announcesPart(head.fields);
}

function coversStatus(status: number, rules: StoringRules): boolean {
  if (status < 200 || status === 304) return false;
  const { lifetimeFrom, statuses } = rules;
  if (lifetimeFrom === "fields" && rules.allowAnyFinalStatus === true) return true;
  if (status === 204 || status === 205) return lifetimeFrom === "fields" && statuses.has(status);
  if (lifetimeFrom === "fields" && status < 400) return true;
  return statuses.has(status);
}

function variesByIdentity(varies: readonly string[], keyedFields: ReadonlySet<string>): boolean {
  return varies.some((name) => (name === "cookie" || name === "authorization") && !keyedFields.has(name));
}

/**
 * True for what a Reprise behind this cache gave to a request without cookies or authorization. It says `Vary: Cookie,
 * Authorization` because it answers other requests apart, and this response is for all that carry neither.
 */
function isForAnonymous(request: CacheRequest, fields: Fields): boolean {
  if (hasField(request.fields, "cookie") || hasField(request.fields, "authorization")) return false;
  return listMembers(fieldLines(fields, "cache-status")).some((member) => /^reprise\s*(?:;|$)/i.test(member));
}

function leavesOriginUnkeyed(fields: Fields, varies: readonly string[], keyedFields: ReadonlySet<string>): boolean {
  const allowed = fieldValue(fields, "access-control-allow-origin");
  if (allowed === undefined || allowed === "*") return false;
  return !varies.includes("origin") && !keyedFields.has("origin");
}

function isAuthorized(request: CacheRequest, { keyedFields, carriesLogin }: StoringRules): boolean {
  if (hasField(request.fields, "authorization") && !keyedFields.has("authorization")) return true;
  return carriesLogin?.(request) === true;
}

function permitsAuthorization(directives: ResponseDirectives): boolean {
  return directives.public || directives.mustRevalidate || directives.sMaxageSeconds !== undefined;
}

function hasLifetime(head: ResponseHead, directives: ResponseDirectives, rules: StoringRules): boolean {
  const { heuristic } = rules;
  // Without a lifetime, but with a validator to reuse it by: each reuse asks the origin first (§5.2.2.4).
  if (directives.noCache !== false && rules.allowAnyFinalStatus === true && isValidatable(head)) return true;
  // Which lifetime it is depends on the time, whether there is one does not.
  return freshnessLifetimeSeconds(head, directives, { heuristic, nowMs: 0 }) !== undefined;
}
