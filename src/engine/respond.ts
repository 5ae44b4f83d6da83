import type { Freshness } from "./reply/prepared-reply.ts";
import { isSafeMethod } from "../rfc9111/invalidation.ts";
import { decideReuse } from "../rfc9111/reuse.ts";
import type { CacheRequest, ForwardReason, Outcome, ReuseDecision } from "../http.ts";
import { forward, revalidateInBackground, type OriginNeed } from "./fill/ask-origin.ts";
import { warnOfIdentity } from "./request/identity-warnings.ts";
import { takePart, type NoPart } from "./request/take-part.ts";
import { identityVaryFields } from "./reply/advertised-fields.ts";
import { isDueEarly } from "./reply/early-refresh.ts";
import type { Engine } from "./state.ts";
import type { Exchange, Fill } from "./exchange.ts";
import { withoutRefusal } from "./lookup/refusals.ts";
import type { RouteRules } from "./route-rules.ts";
import { UnsafeRequest, type WriteRules } from "./write/unsafe-request.ts";
import { keyParts } from "./request/key.ts";
import { beginLookUp, endLookUp } from "./lookup/pending-look-ups.ts";
import { selectWithPart } from "./lookup/select.ts";
import type { Selected } from "./lookup/selected.ts";
import { hitReply, outcomeFields, prepareHit, statusFields, storedPartReply } from "./reply/serve.ts";
import type { LiveResponse } from "./lookup/stored-entry.ts";
import { leaveToHandler, NOTHING, report, reportFault, type RequestContext } from "./request-context.ts";

/**
 * Answers one request: from what is stored, or by letting the handler run and keeping a copy.
 *
 * Ends in exactly one answer to the client, given through `exchange`. With a store that answers at once, a hit is
 * complete when this returns.
 */
export function respond(engine: Engine, route: RouteRules, received: CacheRequest, exchange: Exchange): void {
  const depth = exchange.within === undefined ? 0 : takeOver(engine, exchange.within);
  const request = depth === 0 ? received : { ...received, depth };
  const part = takePart(engine, route, request, exchange.native);
  if (typeof part !== "string") return takeNoPart(engine, route, request, exchange, part);
  const arrivalMs = engine.fence.arrivalMs();
  lookUp({ engine, route, request, exchange, primary: part, arrivalMs, startOver: lookUp, leaders: 0, begun: false });
}

/**
 * Makes the cached routes of this cache that the request came through leave its response to this one, whose options hold.
 * Gives how many there are.
 */
function takeOver(engine: Engine, innermost: Fill): number {
  let depth = 0;
  for (let fill: Fill | undefined = innermost; fill !== undefined; fill = fill.within) {
    if (fill.owner !== engine) continue;
    depth += 1;
    fill.giveWay();
  }
  return depth;
}

function takeNoPart(engine: Engine, route: RouteRules, request: CacheRequest, exchange: Exchange, part: NoPart): void {
  switch (part.action) {
    case "bypass":
      if (part.identity !== undefined) warnOfIdentity(engine.warnings, route, request, part.identity);
      return bypass(engine, route, request, exchange, part.detail);
    case "pass":
      return part.isUnsafe ? passWatched(engine, route, request, exchange, undefined) : exchange.pass(NOTHING);
  }
}

/** Answers one request to a route that writes: by its handler always, and a success of an unsafe method purges. */
export function respondToWrite(
  engine: Engine,
  route: RouteRules,
  request: CacheRequest,
  exchange: Exchange,
  writes: WriteRules,
): void {
  // A read that purged would empty the cache by itself, and for anybody who can send one (RFC 9110 §9.2.1).
  if (!engine.enabled || isSafeMethod(request.method)) return exchange.pass(NOTHING);
  passWatched(engine, route, request, exchange, writes);
}

/** The unsafe methods are watched: what succeeds invalidates (RFC 9111 §4.4). */
function passWatched(
  engine: Engine,
  route: RouteRules,
  request: CacheRequest,
  exchange: Exchange,
  writes: WriteRules | undefined,
): void {
  let parts: readonly string[] | undefined;
  try {
    parts = keyParts(engine, route, request, exchange.native);
  } catch (error) {
    reportFault(engine, request, error);
    return exchange.pass(NOTHING);
  }
  exchange.forward(new UnsafeRequest({ engine, route, request, exchange, parts, writes }));
}

/** Finds what is stored, then decides: in the same tick where the store answers at once. */
function lookUp(context: RequestContext): void {
  const { engine } = context;
  const selected = selectWithPart(engine, context.route, context.primary, context.request);
  // The clock is read when the answer is there: a slow store must not make a response look younger.
  if (!(selected instanceof Promise)) return decide(context, selected, engine.now());
  const { primary, request, arrivalMs } = context;
  const begun = beginLookUp(engine, primary);
  selected
    .then((found) => decide(context, endLookUp(engine, primary, request, begun, found, arrivalMs), engine.now()))
    // Nothing catches what is thrown once an answer has begun; it must not end the process.
    .catch((error: unknown) => reportFault(engine, request, error));
}

/** Decides and acts. A fault of ours leaves the handler to answer, as if there were no cache. */
function decide(context: RequestContext, selected: Selected, nowMs: number): void {
  try {
    act(context, selected, nowMs);
  } catch (error) {
    leaveToHandler(context, error);
  }
}

function bypass(
  engine: Engine,
  route: RouteRules,
  request: Pick<CacheRequest, "method" | "path">,
  exchange: Exchange,
  detail: string,
): void {
  const outcome: Outcome = { hit: false, forwarded: "bypass", stored: false, collapsed: false, detail };
  report(engine, request, outcome);
  // A client that asks for a response without a cache gets no hit/miss field.
  const told = detail === "request" ? statusFields(outcome) : outcomeFields(engine, outcome);
  exchange.pass([...told, ...identityVaryFields(engine, route)]);
}

/** Why an adapter cannot answer a request from a cache. */
export type Keyless = "host" | "target" | "head-sent";

function warnOfBegun(engine: Engine, route: RouteRules, { method }: Pick<CacheRequest, "method">): void {
  engine.warnings.inDevelopment(
    route,
    "head-sent",
    () =>
      `a response to ${method} is not cached: middleware in front of cached() has sent its head already (writeHead, write or ` +
      "flushHeaders before next()). Put cached() in front of it.",
  );
}

/**
 * Answers a request that an adapter cannot answer from a cache: its handler does, and `Cache-Status` says why.
 *
 * @param detail `"host"` for a `Host` that is missing or malformed, `"target"` for a target that is no path, `"head-sent"`
 *   for a response that has begun in front of the route
 */
export function respondWithoutKey(
  engine: Engine,
  route: RouteRules,
  request: Pick<CacheRequest, "method" | "path">,
  exchange: Exchange,
  detail: Keyless,
): void {
  const { method } = request;
  if (method !== "GET" && method !== "HEAD") return exchange.pass(NOTHING);
  if (detail === "head-sent") warnOfBegun(engine, route, request);
  bypass(engine, route, request, exchange, detail);
}

function act(context: RequestContext, found: Selected, nowMs: number): void {
  const { engine, route, request } = context;
  const selected = withoutRefusal(engine, request, found);
  const { live, part } = selected;
  const stored = { stored: live?.stored, part: part?.stored, varyMiss: selected.varyMiss };
  const decision = decideReuse(request, stored, route.requestDirectives, nowMs);
  switch (decision.action) {
    case "reuse":
      if (live === undefined) return;
      if (isDueEarly(engine, live.stored, decision.ttlSeconds))
        revalidateInBackground(context, renewal(selected, live));
      return hit(context, live, decision, nowMs);
    case "reuse-and-revalidate": {
      if (live === undefined) return;
      const need = renewal(selected, live);
      if (!revalidateInBackground(context, need)) return forward(context, need, nowMs);
      return hit(context, live, decision, nowMs);
    }
    case "reuse-part":
      if (part !== undefined) sendPart(context, part, decision, nowMs);
      return;
    case "revalidate": {
      const { because, mayServeOnError, ttlSeconds } = decision;
      const mayServeOnFailure = mayServeOnError || isWithinGrace(route, live, ttlSeconds);
      return forward(context, { selected, because, stale: live, mayServeOnError, mayServeOnFailure }, nowMs);
    }
    case "forward":
      return forward(context, missed(selected, decision.because), nowMs);
    case "gateway-timeout":
      return sendGatewayTimeout(context);
  }
}

/** The client wants a stored response or none (RFC 9111 §5.2.1.7). */
function sendGatewayTimeout(context: RequestContext): void {
  const { engine, request, exchange } = context;
  const outcome: Outcome = { hit: false, stored: false, collapsed: false, detail: "only-if-cached" };
  context.begun = true;
  void exchange.send({ status: 504, fields: [...outcomeFields(engine, outcome), "content-length", "0"], body: null });
  report(engine, request, outcome);
}

function renewal(selected: Selected, live: LiveResponse): OriginNeed {
  return { selected, because: "stale", stale: live, mayServeOnError: true, mayServeOnFailure: true };
}

/** Answers with what a stored part holds of the range that is asked for. */
function sendPart(
  context: RequestContext,
  { stored }: LiveResponse,
  { part, ageSeconds, ttlSeconds }: ReuseDecision & { readonly action: "reuse-part" },
  nowMs: number,
): void {
  const { engine, route, request, exchange } = context;
  const outcome: Outcome = { hit: true, stored: false, collapsed: false, ttlSeconds };
  context.begun = true;
  const serving = { engine, route, stored, freshness: { ageSeconds, ttlSeconds }, nowMs, outcome };
  void exchange.send(storedPartReply(serving, part));
  report(engine, request, outcome);
}

function missed(selected: Selected, because: ForwardReason): OriginNeed {
  return { selected, because, stale: undefined, mayServeOnError: false, mayServeOnFailure: false };
}

/** RFC 9111 §4.2.4: a cache that is cut off from the origin may serve stale, unless the response forbids it. */
function isWithinGrace(route: RouteRules, live: LiveResponse | undefined, ttlSeconds: number): boolean {
  if (live === undefined || !live.stored.mayServeStale) return false;
  return -ttlSeconds < route.failureGraceSeconds;
}

function hit(context: RequestContext, live: LiveResponse, freshness: Freshness, nowMs: number): void {
  const { engine, route, request, exchange } = context;
  const prepared = prepareHit(engine, route, live, freshness, nowMs);
  const reply = hitReply(engine, request, live, prepared, nowMs);
  context.begun = true;
  void exchange.send(reply);
  report(engine, request, prepared.outcome);
}
