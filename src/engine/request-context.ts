import { subjectOf } from "./cache-events.ts";
import { asError } from "../errors.ts";
import type { CacheRequest, Outcome } from "../http.ts";
import type { Engine } from "./state.ts";
import type { Exchange } from "./exchange.ts";
import type { RouteRules } from "./route-rules.ts";

export const NOTHING: readonly string[] = [];

/** One request on its way, until it is answered. */
export interface RequestContext {
  readonly engine: Engine;
  readonly route: RouteRules;
  readonly request: CacheRequest;
  readonly exchange: Exchange;
  readonly primary: string;
  /** When it came, as `PurgeFence` tells it: a purge acknowledged before that must hold for its answer. */
  readonly arrivalMs: number;
  /** Looks up and decides once more. */
  readonly startOver: (context: RequestContext) => void;
  /** It came when the request it waited for had been answered: what that brought is a hit for it. */
  readonly comesAfter?: boolean;
  /** How many requests it waited for in vain. */
  leaders: number;
  /** True once the client's answer, or the handler's run, has begun. */
  begun: boolean;
}

/** A fault of ours leaves the handler to answer, as if there were no cache. */
export function leaveToHandler(context: RequestContext, error: unknown): void {
  // Once it has begun, it is the handler that throws.
  if (context.begun) throw error;
  reportFault(context.engine, context.request, error);
  context.begun = true;
  context.exchange.pass(NOTHING);
}

export function report(engine: Engine, request: Pick<CacheRequest, "method" | "path">, outcome: Outcome): void {
  if (engine.report === undefined) return;
  engine.report({ type: "outcome", method: request.method, url: request.path, outcome });
}

export function reportFault(engine: Engine, request: CacheRequest, error: unknown): void {
  engine.report?.({ type: "callback-failed", callback: "route", subject: subjectOf(request), error: asError(error) });
}
