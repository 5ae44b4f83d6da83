import { conditionalFields } from "../../rfc9111/validation.ts";
import type { CacheRequest, Fields } from "../../http.ts";
import type { OriginRequest } from "../exchange.ts";
import { keyedPath } from "../request/keyed-path.ts";
import type { RouteRules } from "../route-rules.ts";
import type { LiveResponse } from "../lookup/stored-entry.ts";

/** What decides how a request goes to the handler. */
export interface OriginRequestPlan {
  readonly route: RouteRules;
  readonly request: CacheRequest;
  /** The framework's request. */
  readonly native: unknown;
  /** False: the response only passes by, and so does the request. */
  readonly storable: boolean;
  /** The stale response a revalidation is about. */
  readonly stale: LiveResponse | undefined;
  /** The resource could not be shared a moment ago: the client's conditions and range are left to the origin. */
  readonly isHitForMiss?: boolean;
}

const NO_FIELDS: Fields = Object.freeze({});
const NOTHING: readonly string[] = [];
const CONDITIONS: readonly string[] = ["if-none-match", "if-modified-since"];
/** The whole response is asked for: conditions are answered from it, and ranges where it gets stored. */
const NOT_FOR_ORIGIN: readonly string[] = [...CONDITIONS, "range", "if-range"];
const COOKIE: readonly string[] = ["cookie"];

/** What the handler sees: nothing that is neither in the key nor in `Vary`, as far as the key rules say. */
export function originRequest(plan: OriginRequestPlan): OriginRequest {
  const { route, request, stale, isHitForMiss, storable } = plan;
  const { path: sent, otherPaths: others } = request;
  // A HEAD is not stored, but it may freshen what is.
  const hidden = (storable || request.method === "HEAD") && hidesCookies(plan) ? COOKIE : NOTHING;
  if (!storable) return { path: sent, otherPaths: others, without: hidden, plus: NO_FIELDS };
  const plus = stale === undefined ? NO_FIELDS : conditionalFields(stale.stored);
  const without = withheld(route, stale, isHitForMiss === true);
  const { searchRule, keyRules } = route;
  // With every parameter in the key, the handler may as well see them as they were sent.
  const isWhole = searchRule === undefined && (keyRules.query === "all" || keyRules.query === "as-sent");
  const shownWithout = hidden === NOTHING ? without : [...without, ...hidden];
  if (isWhole) return { path: sent, otherPaths: others, without: shownWithout, plus };
  const otherPaths = others?.map((other) => keyedPath(route, other));
  return { path: keyedPath(route, sent), otherPaths, without: shownWithout, plus };
}

/** What of the client's own conditions and range the origin is not shown. */
function withheld(route: RouteRules, stale: LiveResponse | undefined, isHitForMiss: boolean): readonly string[] {
  if (route.storing.allowPartial === true) return CONDITIONS;
  // Nothing that will be stored is expected; what the client asked for is best answered by the origin itself.
  return isHitForMiss && stale === undefined ? NOTHING : NOT_FOR_ORIGIN;
}

/**
 * True where the response is for others too, whatever their cookies. Without an `audience` all cookies of such a request are
 * harmless ones; on a public route a handler that read a session would publish one user's page.
 */
function hidesCookies({ route, request, native }: OriginRequestPlan): boolean {
  if (request.fields["cookie"] === undefined || route.sharesSessions || route.vary.includes("cookie")) return false;
  if (typeof route.audience !== "function") return true;
  try {
    return route.audience(native) === undefined;
  } catch {
    return true;
  }
}
