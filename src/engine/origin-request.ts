import { conditionalFields } from "../rfc9111/validation.ts";
import type { CacheRequest, Fields } from "../types.ts";
import type { OriginRequest } from "./exchange.ts";
import { keyedPath } from "./key.ts";
import type { RouteRules } from "./route.ts";
import type { LiveResponse } from "./stored-entry.ts";

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
  /** The resource could not be shared a moment ago: the client's range is left to the origin. */
  readonly isApart?: boolean;
}

const NO_FIELDS: Fields = Object.freeze({});
const NOTHING: readonly string[] = [];
const CONDITIONS: readonly string[] = ["if-none-match", "if-modified-since"];
/** The whole response is asked for: conditions and ranges are answered from it. */
const NOT_FOR_ORIGIN: readonly string[] = [...CONDITIONS, "range", "if-range"];
const COOKIE: readonly string[] = ["cookie"];

/** What the handler sees: nothing that is neither in the key nor in `Vary`, as far as the key rules say. */
export function originRequest(plan: OriginRequestPlan): OriginRequest {
  const { route, request, stale, isApart, storable } = plan;
  // A HEAD is not stored, but it may freshen what is.
  const hidden = (storable || request.method === "HEAD") && hidesCookies(plan) ? COOKIE : NOTHING;
  if (!storable) return { path: request.path, without: hidden, plus: NO_FIELDS };
  const plus = stale === undefined ? NO_FIELDS : conditionalFields(stale.stored);
  const asksForParts = isApart === true || route.storing.allowPartial === true;
  const without = asksForParts ? CONDITIONS : NOT_FOR_ORIGIN;
  const { searchRule, keyRules } = route;
  // With every parameter in the key, the handler may as well see them as they were sent.
  const isWhole = searchRule === undefined && (keyRules.query === "all" || keyRules.query === "as-sent");
  const path = isWhole ? request.path : keyedPath(route, request.path);
  return { path, without: hidden === NOTHING ? without : [...without, ...hidden], plus };
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
