import type { CacheRequest, StoredResponse } from "../../http.ts";
import { responseDirectives, type ResponseDirectives } from "../../rfc9111/directives.ts";
import { announcedLength } from "../../rfc9111/partial-content.ts";
import { whyNotStored, type NotStoredReason } from "../../rfc9111/storing.ts";
import { effectiveDirectives } from "../../rfc9111/targeted.ts";
import { validates } from "../../rfc9111/validation.ts";
import type { LateChanges, OwnedByClient, ReportedHead } from "../exchange.ts";
import type { RouteRules } from "../route-rules.ts";
import { declaredLength, isEndless } from "./response-head.ts";

/** Why a response is not kept, decided at its head. */
export type RefusalReason = NotStoredReason | LateReason | "other-request" | "event-stream" | "too-large";

/** Why what outer layers did to a response keeps it out of the store. */
export type LateReason = OwnedByClient | "replaced" | "set-cookie" | "late-vary" | "no-store" | "private" | "no-cache";

/** What is known of a forwarded request when its response comes. */
export interface Forwarded {
  readonly request: CacheRequest;
  /** False: the response only passes by. */
  readonly storable: boolean;
  /** The handler was shown the client's `Range`: what it answers is for this client. */
  readonly showsRange: boolean;
  /** The handler ran for a request that came back with another key. */
  readonly isOtherRequest: boolean;
  /** The handler threw, and the framework made this response of it. */
  readonly hasThrown: boolean;
  /** The stale response a revalidation is about. */
  readonly stale: StoredResponse | undefined;
  /** The handler runs once more, because its first 304 was about another response than the stored one. */
  readonly isSecondRun: boolean;
  /** The stale response may stand in for a 500, 502, 503 or 504. */
  readonly mayServeOnError: boolean;
  /** A cookie by which middleware in front gave the client a session that the page may show. */
  readonly newLogin: string | undefined;
}

/** What of a route decides about a response. */
export type ResponseRules = Pick<RouteRules, "storing" | "targets" | "maxBodyBytes">;

/** What becomes of a response of the origin. */
export type ResponseDecision =
  /** The answer to what the handler threw, with a status that looks like a page: the origin failed. */
  | { readonly action: "failed" }
  /** A 304 about the stored response: it gets the new fields and times (RFC 9111 §4.3.4). */
  | { readonly action: "freshen" }
  /** A 304 about another response than the stored one: the whole has to be asked for. */
  | { readonly action: "ask-again" }
  /** A 304 to a request without a condition. */
  | { readonly action: "unvalidated" }
  /** An error of the origin, in place of which the stale response is served (RFC 5861 §4). */
  | { readonly action: "stand-in" }
  /** It goes to its client. `fillsWhole`: it is a part of what could be stored as a whole. */
  | { readonly action: "pass"; readonly detail: "range" | undefined; readonly fillsWhole: boolean }
  /** It goes to its client, and what is stored of the resource goes. `newLogin`: the cookie that is the reason. */
  | { readonly action: "refuse"; readonly because: RefusalReason; readonly newLogin?: string }
  /** It goes to its client, and a copy is stored if its body comes to a complete end. */
  | { readonly action: "keep"; readonly directives: ResponseDirectives; readonly declaredBytes: number | undefined };

/** RFC 5861 §4: the only answers of an origin that a stale response may stand in for. */
const ORIGIN_ERRORS: ReadonlySet<number> = new Set([500, 502, 503, 504]);

export function isOriginError(status: number): boolean {
  return ORIGIN_ERRORS.has(status);
}

/**
 * Decides at the head of a response what becomes of it. It returns a value and does nothing.
 *
 * @param bodyBytes length of the body where it came with the head
 * @param variesBy names that the route itself adds to `Vary`, in lower case
 */
export function decideResponse(
  forwarded: Forwarded,
  head: ReportedHead,
  bodyBytes: number | undefined,
  route: ResponseRules,
  variesBy: readonly string[],
): ResponseDecision {
  const { request, storable, stale } = forwarded;
  if (forwarded.hasThrown && head.status < 400) return FAILED;
  if (storable && head.status === 304) {
    if (stale !== undefined) return validates(stale, head) ? FRESHEN : ASK_AGAIN;
    if (forwarded.isSecondRun) return UNVALIDATED;
  }
  if (stale !== undefined && forwarded.mayServeOnError && isOriginError(head.status)) return STAND_IN;
  if (!storable) {
    const { showsRange } = forwarded;
    const fillsWhole = showsRange && isPartOfStorable(request, head, route);
    return { action: "pass", detail: showsRange ? "range" : undefined, fillsWhole };
  }
  if (forwarded.isOtherRequest) return { action: "refuse", because: "other-request" };
  const { directives } = effectiveDirectives(head.fields, route.targets);
  const because = whyNotStored(request, head, directives, route.storing) ?? whyRefusedLate(head.late, route, variesBy);
  if (because !== undefined) return { action: "refuse", because };
  if (head.shows !== undefined) return { action: "refuse", because: head.shows };
  const { newLogin } = forwarded;
  if (newLogin !== undefined) return { action: "refuse", because: "set-cookie", newLogin };
  if (isEndless(head.fields)) return { action: "refuse", because: "event-stream" };
  const declaredBytes = declaredLength(head.fields);
  if ((bodyBytes ?? declaredBytes ?? 0) > route.maxBodyBytes) return { action: "refuse", because: "too-large" };
  return { action: "keep", directives, declaredBytes };
}

const FAILED: ResponseDecision = { action: "failed" };
const FRESHEN: ResponseDecision = { action: "freshen" };
const ASK_AGAIN: ResponseDecision = { action: "ask-again" };
const UNVALIDATED: ResponseDecision = { action: "unvalidated" };
const STAND_IN: ResponseDecision = { action: "stand-in" };

/** Why what outer layers did after the handler forbids keeping the response; `undefined` where nothing does. */
export function whyRefusedLate(
  changes: LateChanges | undefined,
  { storing }: Pick<ResponseRules, "storing">,
  variesBy: readonly string[],
): LateReason | undefined {
  if (changes === undefined) return undefined;
  if (changes.shows !== undefined) return changes.shows;
  if (changes.replacedBy !== undefined) return "replaced";
  if (changes.setsCookie && storing.allowSetCookie !== true) return "set-cookie";
  // Requests that share the response do not carry a field that the route names.
  if (changes.vary?.some((name) => !variesBy.includes(name)) === true) return "late-vary";
  if (changes.cacheControl === undefined) return undefined;
  const directives = responseDirectives({ "cache-control": changes.cacheControl });
  if (directives.noStore) return "no-store";
  if (directives.private !== false) return "private";
  return directives.noCache !== false && storing.lifetimeFrom === "route" ? "no-cache" : undefined;
}

/** True where a client asked for a part of what could be stored as a whole. */
function isPartOfStorable(request: CacheRequest, { status, fields }: ReportedHead, route: ResponseRules): boolean {
  if (status !== 200 && status !== 206) return false;
  const lengthBytes = status === 206 ? announcedLength(fields) : (declaredLength(fields) ?? 0);
  if (lengthBytes === undefined || lengthBytes > route.maxBodyBytes || isEndless(fields)) return false;
  const { "content-range": _, ...whole } = fields;
  const { directives } = effectiveDirectives(whole, route.targets);
  return whyNotStored(request, { status: 200, fields: whole }, directives, route.storing) === undefined;
}
