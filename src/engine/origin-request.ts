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
  /** False: the response only passes by, and so does the request. */
  readonly storable: boolean;
  /** The stale response a revalidation is about. */
  readonly stale: LiveResponse | undefined;
  /** The resource could not be shared a moment ago: the client's conditions and range are left to the origin. */
  readonly isApart?: boolean;
}

const NO_FIELDS: Fields = Object.freeze({});
const NOTHING: readonly string[] = [];
const CONDITIONS: readonly string[] = ["if-none-match", "if-modified-since"];
/** The whole response is asked for: conditions are answered from it, and ranges where it gets stored. */
const NOT_FOR_ORIGIN: readonly string[] = [...CONDITIONS, "range", "if-range"];

/** What the handler sees: nothing that is neither in the key nor in `Vary`, as far as the key rules say. */
export function originRequest({ route, request, stale, isApart, storable }: OriginRequestPlan): OriginRequest {
  if (!storable) return { path: request.path, otherPaths: request.otherPaths, without: NOTHING, plus: NO_FIELDS };
  const plus = stale === undefined ? NO_FIELDS : conditionalFields(stale.stored);
  const without = withheld(route, stale, isApart === true);
  const { searchRule, keyRules } = route;
  // With every parameter in the key, the handler may as well see them as they were sent.
  const isWhole = searchRule === undefined && (keyRules.query === "all" || keyRules.query === "as-sent");
  if (isWhole) return { path: request.path, otherPaths: request.otherPaths, without, plus };
  const otherPaths = request.otherPaths?.map((other) => keyedPath(route, other));
  return { path: keyedPath(route, request.path), otherPaths, without, plus };
}

/** What of the client's own conditions and range the origin is not shown. */
function withheld(route: RouteRules, stale: LiveResponse | undefined, isApart: boolean): readonly string[] {
  if (route.storing.allowPartial === true) return CONDITIONS;
  // Nothing that will be stored is expected; what the client asked for is best answered by the origin itself.
  return isApart && stale === undefined ? NOTHING : NOT_FOR_ORIGIN;
}
