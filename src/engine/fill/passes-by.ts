import type { CacheRequest } from "../../http.ts";
import { requestDirectives } from "../../rfc9111/directives.ts";
import type { RouteRules } from "../route-rules.ts";

/** Why the response to a request only passes by. */
export type PassesBy = "method" | "request-no-store" | "range";

/** Why nothing that the handler answers to this request may be stored, whatever it is; `undefined` where it may be. */
export function whyPassesBy(
  request: CacheRequest,
  { requestDirectives: mode, storing }: Pick<RouteRules, "requestDirectives" | "storing">,
  hasStale: boolean,
): PassesBy | undefined {
  if (request.method === "HEAD") return "method";
  if (mode === "rfc9111" && requestDirectives(request.fields).noStore) return "request-no-store";
  return showsRange(request, storing, hasStale) ? "range" : undefined;
}

/** A part of what is not stored: the handler knows best how to answer that, and for this client alone. */
export function showsRange(request: CacheRequest, storing: RouteRules["storing"], hasStale: boolean): boolean {
  if (request.fields["range"] === undefined || request.method !== "GET") return false;
  return !hasStale && storing.allowPartial !== true;
}
