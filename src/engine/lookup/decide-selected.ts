import { partialReply } from "../../rfc9111/partial-content.ts";
import type { RangeReply } from "../../rfc9111/ranges.ts";
import { decideReuse } from "../../rfc9111/reuse.ts";
import type { CacheRequest, ReuseDecision } from "../../http.ts";
import type { RouteRules } from "../route-rules.ts";
import type { Selected } from "./select.ts";

/** THE decision of a request, for `respond()` and `explain()` alike. */
export interface Decided {
  readonly decision: ReuseDecision;
  /** What a stored part answers; then the decision is to reuse it. */
  readonly part?: RangeReply;
}

/**
 * What to do with a request, given what is stored of it: a whole response or a part (RFC 9111 §3.3 and §4). The request's
 * directives count for both alike. A part that may not be used as it is leads to the origin, which is asked for the range.
 */
export function decideSelected(route: RouteRules, request: CacheRequest, selected: Selected, nowMs: number): Decided {
  const { live, part, varyMiss } = selected;
  const mode = route.requestDirectives;
  const decision = decideReuse(request, { stored: live?.stored, varyMiss }, mode, nowMs);
  const rangeField = part?.stored.rangeField;
  if (part === undefined || rangeField === undefined || live !== undefined || request.method !== "GET") {
    return { decision };
  }
  const { fields, body, receivedAtMs } = part.stored;
  const reply = partialReply(request.fields, { fields, body, receivedAtMs, rangeField }, nowMs);
  const ofPart = reply && decideReuse(request, { stored: part.stored, varyMiss: false }, mode, nowMs);
  if (reply !== undefined && ofPart?.action === "reuse") return { decision: ofPart, part: reply };
  if (decision.action === "gateway-timeout") return { decision };
  if (ofPart === undefined) return { decision: { action: "forward", because: "partial" } };
  return { decision: { action: "forward", because: ofPart.action === "revalidate" ? ofPart.because : "stale" } };
}
