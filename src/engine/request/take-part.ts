import type { CacheRequest } from "../../http.ts";
import { reportFault } from "../request-context.ts";
import type { RouteRules } from "../route-rules.ts";
import type { Engine } from "../state.ts";
import { decideRequest, type RequestDecision } from "./decide-request.ts";
import { primaryKeyOf } from "./key.ts";

/** Why a request does not take part. */
export type NoPart = Exclude<RequestDecision, { readonly action: "take-part" }>;

const CALLBACK_FAILED: NoPart = { action: "bypass", detail: "callback-failed" };

/** The primary key of a request that takes part, or why it does not. A callback of the developer that throws is reported. */
export function takePart(engine: Engine, route: RouteRules, request: CacheRequest, native: unknown): string | NoPart {
  try {
    const decision = decideRequest(request, route, engine, native);
    return decision.action === "take-part" ? primaryKeyOf(engine, route, request, native, decision.member) : decision;
  } catch (error) {
    reportFault(engine, request, error);
    return CALLBACK_FAILED;
  }
}
