import type { CacheRequest } from "../../http.ts";
import { reportFault } from "../request-context.ts";
import type { RouteRules } from "../route-rules.ts";
import type { Engine } from "../state.ts";
import { mustReachOrigin } from "./bypass.ts";
import { sharersOf } from "./identity.ts";
import { primaryKeyOf } from "./key.ts";

/** The key of a request that takes part in caching, or the `detail` of its bypass. */
export type Part =
  | { readonly primary: string; readonly bypass?: undefined }
  | { readonly bypass: string; readonly primary?: undefined };

/** Tells whether a GET, HEAD or QUERY takes part, and under which key. A callback of the developer that throws is reported. */
export function takePart(engine: Engine, route: RouteRules, request: CacheRequest, native: unknown): Part {
  try {
    const untouched = mustReachOrigin(request);
    if (untouched !== undefined) return { bypass: untouched };
    if (route.when !== undefined && !route.when(native)) return { bypass: "when" };
    const sharers = sharersOf(engine, route, request, native);
    if (sharers.bypass !== undefined) return sharers;
    return { primary: primaryKeyOf(engine, route, request, native, sharers.member) };
  } catch (error) {
    reportFault(engine, request, error);
    return { bypass: "callback-failed" };
  }
}
