import { asksToBypass } from "../rfc9111/directives.ts";
import { isSafeMethod } from "../rfc9111/invalidation.ts";
import { decideReuse } from "../rfc9111/reuse.ts";
import type { CacheRequest, ForwardReason, Outcome } from "../types.ts";
import { forward, revalidateInBackground, type Need } from "./ask.ts";
import { mustReachOrigin } from "./bypass.ts";
import { isDueEarly } from "./early.ts";
import type { Engine } from "./engine.ts";
import type { Exchange } from "./exchange.ts";
import { sharersOf } from "./identity.ts";
import { withoutRefusal } from "./refusals.ts";
import type { RouteRules } from "./route.ts";
import { UnsafeRequest, type WriteRules } from "./invalidate.ts";
import { keyParts, primaryKeyOf } from "./key.ts";
import { beginLookUp, chain, endLookUp, select, withPart, type Selected } from "./select.ts";
import { identityVaryFields } from "./downstream.ts";
import { hitReply, outcomeFields, prepareHit, statusFields, storedPartReply, type Freshness } from "./serve.ts";
import type { LiveResponse } from "./stored-entry.ts";
import { leaveToHandler, NOTHING, report, reportFault, type Turn } from "./turn.ts";
import { freshnessOf } from "./write.ts";

/**
 * Answers one request: from what is stored, or by letting the handler run and keeping a copy.
 *
 * Ends in exactly one answer to the client, given through `exchange`. With a store that answers at once, a hit is
 * complete when this returns.
 */
export function respond(engine: Engine, route: RouteRules, request: CacheRequest, exchange: Exchange): void {
  const { method, fields } = request;
  const isCachedMethod = method === "GET" || method === "HEAD" || (method === "QUERY" && request.content !== undefined);
  if (!isCachedMethod) return passUncached(engine, route, request, exchange);
  if (route.requestDirectives === "bypass" && asksToBypass(fields)) {
    const outcome = bypassOf("request");
    report(engine, request, outcome);
    // The client asked for a response without a cache: no hit/miss field, no lifetime.
    return exchange.pass([...statusFields(outcome), ...identityVaryFields(engine, route)]);
  }
  let primary: string | undefined;
  let detail: string | undefined;
  try {
    detail = whyBypassed(route, request, exchange.native);
    if (detail === undefined) {
      const sharers = sharersOf(engine, route, request, exchange.native);
      detail = sharers.bypass;
      if (detail === undefined) primary = primaryKeyOf(engine, route, request, exchange.native, sharers.member);
    }
  } catch (error) {
    reportFault(engine, request, error);
    detail = "callback-failed";
  }
  if (primary === undefined) return bypass(engine, route, request, exchange, detail);
  // Where every purge is known at once there is nothing to compare it with.
  const sinceMs = engine.knowsAllPurges ? 0 : performance.now();
  lookUp({ engine, route, request, exchange, primary, sinceMs, startOver: lookUp, leaders: 0, begun: false });
}

/** Answers one request to a route that writes: by its handler always, and a success purges. */
export function respondToWrite(
  engine: Engine,
  route: RouteRules,
  request: CacheRequest,
  exchange: Exchange,
  writes: WriteRules,
): void {
  passWatched(engine, route, request, exchange, writes);
}

/** Other methods reach the handler as they are; the unsafe ones among them are watched (RFC 9111 §4.4). */
function passUncached(engine: Engine, route: RouteRules, request: CacheRequest, exchange: Exchange): void {
  if (isSafeMethod(request.method)) return exchange.pass(NOTHING);
  passWatched(engine, route, request, exchange, undefined);
}

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
function lookUp(turn: Turn): void {
  const { engine } = turn;
  const found = select(engine, turn.primary, turn.request);
  const selected =
    turn.route.storing.allowPartial === true ? chain(found, (whole) => withPart(engine, turn.request, whole)) : found;
  // The clock is read when the answer is there: a slow store must not make a response look younger.
  if (!(selected instanceof Promise)) return decide(turn, selected, engine.now());
  const { primary, request, sinceMs } = turn;
  const begun = beginLookUp(engine, primary);
  selected
    .then((found) => decide(turn, endLookUp(engine, primary, request, begun, found, sinceMs), engine.now()))
    // What is thrown once an answer has begun has nobody to catch it any more, and must not end the process.
    .catch((error: unknown) => reportFault(engine, request, error));
}

/** Decides and acts. A fault of ours leaves the handler to answer, as if there were no cache. */
function decide(turn: Turn, selected: Selected, nowMs: number): void {
  try {
    act(turn, selected, nowMs);
  } catch (error) {
    leaveToHandler(turn, error);
  }
}

function whyBypassed(route: RouteRules, request: CacheRequest, native: unknown): string | undefined {
  const untouched = mustReachOrigin(request);
  if (untouched !== undefined) return untouched;
  return route.when === undefined || route.when(native) ? undefined : "when";
}

function bypass(
  engine: Engine,
  route: RouteRules,
  request: Pick<CacheRequest, "method" | "path">,
  exchange: Exchange,
  detail: string | undefined,
): void {
  const outcome = bypassOf(detail);
  report(engine, request, outcome);
  exchange.pass([...outcomeFields(engine, outcome), ...identityVaryFields(engine, route)]);
}

function bypassOf(detail: string | undefined): Outcome {
  const outcome: Outcome = { hit: false, forwarded: "bypass", stored: false, collapsed: false };
  return detail === undefined ? outcome : { ...outcome, detail };
}

/**
 * Answers a request that an adapter cannot make a key of: its handler does, and `Cache-Status` says why.
 *
 * @param detail `"host"` for a `Host` that is missing or malformed, `"target"` for a target that is no path
 */
export function respondWithoutKey(
  engine: Engine,
  route: RouteRules,
  request: Pick<CacheRequest, "method" | "path">,
  exchange: Exchange,
  detail: "host" | "target",
): void {
  const { method } = request;
  if (method !== "GET" && method !== "HEAD") return exchange.pass(NOTHING);
  bypass(engine, route, request, exchange, detail);
}

function act(turn: Turn, found: Selected, nowMs: number): void {
  const { engine, route, request, exchange } = turn;
  const selected = withoutRefusal(engine, request, found);
  const { live, part } = selected;
  if (part !== undefined && sendPart(turn, part, nowMs)) return;
  const known = { stored: live?.stored, varyMiss: selected.varyMiss };
  const decision = decideReuse(request, known, route.requestDirectives, nowMs);
  switch (decision.action) {
    case "reuse":
      if (live === undefined) return;
      if (isDueEarly(engine, live.stored, decision.ttlSeconds)) revalidateInBackground(turn, renewal(selected, live));
      return hit(turn, live, decision, nowMs);
    case "reuse-and-revalidate": {
      if (live === undefined) return;
      const need = renewal(selected, live);
      if (!revalidateInBackground(turn, need)) return forward(turn, need, nowMs);
      return hit(turn, live, decision, nowMs);
    }
    case "revalidate": {
      const { because, mayServeOnError, ttlSeconds } = decision;
      const mayServeOnFailure = mayServeOnError || isWithinGrace(route, live, ttlSeconds);
      return forward(turn, { selected, because, stale: live, mayServeOnError, mayServeOnFailure }, nowMs);
    }
    case "forward":
      return forward(turn, missed(selected, decision.because), nowMs);
    case "gateway-timeout": {
      const outcome: Outcome = { hit: false, stored: false, collapsed: false, detail: "only-if-cached" };
      turn.begun = true;
      exchange.send({ status: 504, fields: [...outcomeFields(engine, outcome), "content-length", "0"], body: null });
      return report(engine, request, outcome);
    }
  }
}

function renewal(selected: Selected, live: LiveResponse): Need {
  return { selected, because: "stale", stale: live, mayServeOnError: true, mayServeOnFailure: true };
}

/** Answers from a stored part, if it is fresh and holds all that is asked for. */
function sendPart(turn: Turn, part: LiveResponse, nowMs: number): boolean {
  const { engine, route, request, exchange } = turn;
  const freshness = freshnessOf(part, nowMs);
  if (freshness.ttlSeconds <= 0 || part.stored.requiresRevalidation) return false;
  const outcome: Outcome = { hit: true, stored: false, collapsed: false, ttlSeconds: freshness.ttlSeconds };
  const reply = storedPartReply({ engine, route, stored: part.stored, freshness, nowMs, outcome }, request);
  if (reply === undefined) return false;
  turn.begun = true;
  exchange.send(reply);
  report(engine, request, outcome);
  return true;
}

function missed(selected: Selected, because: ForwardReason): Need {
  return { selected, because, stale: undefined, mayServeOnError: false, mayServeOnFailure: false };
}

/** RFC 9111 §4.2.4: a cache that is cut off from the origin may serve stale, unless the response forbids it. */
function isWithinGrace(route: RouteRules, live: LiveResponse | undefined, ttlSeconds: number): boolean {
  if (live === undefined || !live.stored.mayServeStale) return false;
  return -ttlSeconds < route.failureGraceSeconds;
}

function hit(turn: Turn, live: LiveResponse, freshness: Freshness, nowMs: number): void {
  const { engine, route, request, exchange } = turn;
  const prepared = prepareHit(engine, route, live, freshness, nowMs);
  const reply = hitReply(request, prepared, nowMs);
  turn.begun = true;
  exchange.send(reply);
  report(engine, request, prepared.serving.outcome);
}
