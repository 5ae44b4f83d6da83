import { asError } from "../errors.ts";
import { asksToBypass, requestDirectives } from "../rfc9111/directives.ts";
import { isSafeMethod } from "../rfc9111/invalidation.ts";
import { decideReuse } from "../rfc9111/reuse.ts";
import { matchesVary } from "../rfc9111/vary.ts";
import type { CacheRequest, ForwardReason, Lease, Outcome } from "../types.ts";
import { identityOf, mustReachOrigin } from "./bypass.ts";
import { Flight, type FlightEnd } from "./collapse.ts";
import { isDueEarly } from "./early.ts";
import type { Engine } from "./engine.ts";
import type { Exchange } from "./exchange.ts";
import { ForwardedRequest } from "./forward.ts";
import type { RouteRules } from "./route.ts";
import { UnsafeRequest, type WriteRules } from "./invalidate.ts";
import { keyParts, primaryKeyOf } from "./key.ts";
import { leadNow, leadOrFollow, type Led, type Wanted } from "./lead.ts";
import { beginLookUp, chain, endLookUp, select, withPart, type Selected } from "./select.ts";
import { hitReply, outcomeFields, prepareHit, storedPartReply, storedReply, type Freshness } from "./serve.ts";
import type { LiveResponse } from "./stored-entry.ts";
import { freshnessOf, isShareable, subjectOf } from "./write.ts";

const NOTHING: readonly string[] = [];

/** After so many leaders were broken off by their clients, a request no longer waits for another. */
const MAX_LEADERS = 3;
const TAKEN_PAUSE_MS = 100;
/** The times of another machine are converted anew at each look-up, and rounded. */
const SAME_TIME_MS = 10;

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
    report(engine, request, { hit: false, forwarded: "bypass", stored: false, collapsed: false, detail: "request" });
    return exchange.pass(NOTHING);
  }
  let primary: string | undefined;
  let detail: string | undefined;
  try {
    detail = whyBypassed(engine, route, request, exchange.native);
    if (detail === undefined) primary = primaryKeyOf(engine, route, request, exchange.native);
  } catch (error) {
    reportFault(engine, request, error);
    detail = "callback-failed";
  }
  if (primary === undefined) return bypass(engine, request, exchange, detail);
  lookUp({ engine, route, request, exchange, primary, leaders: 0, begun: false });
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
  const { primary, request } = turn;
  const lookUps = beginLookUp(engine, primary);
  selected
    .then((found) => decide(turn, endLookUp(engine, primary, request, lookUps, found), engine.now()))
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

function leaveToHandler(turn: Turn, error: unknown): void {
  // Once it has begun, it is the handler that throws.
  if (turn.begun) throw error;
  reportFault(turn.engine, turn.request, error);
  turn.begun = true;
  turn.exchange.pass(NOTHING);
}

/** One request on its way, until it is answered. */
interface Turn {
  readonly engine: Engine;
  readonly route: RouteRules;
  readonly request: CacheRequest;
  readonly exchange: Exchange;
  readonly primary: string;
  /** How many requests it waited for that were broken off. */
  leaders: number;
  /** True once the client's answer, or the handler's run, has begun. */
  begun: boolean;
}

/** What a forwarded request owes to others: those who wait in this process, and in other processes. */
interface Rights {
  readonly flight: Flight | undefined;
  readonly lease: Lease | undefined;
}

const NOBODY_WAITS: Rights = { flight: undefined, lease: undefined };

/** Why the origin has to be asked, and what there is to fall back on. */
interface Need {
  readonly selected: Selected;
  readonly because: ForwardReason;
  readonly stale: LiveResponse | undefined;
  readonly mayServeOnError: boolean;
  readonly mayServeOnFailure: boolean;
}

function whyBypassed(engine: Engine, route: RouteRules, request: CacheRequest, native: unknown): string | undefined {
  const untouched = mustReachOrigin(request);
  if (untouched !== undefined) return untouched;
  if (route.audience === undefined) {
    const identity = identityOf(request, engine.identity, route);
    if (identity !== undefined) return identity;
  }
  return route.when === undefined || route.when(native) ? undefined : "when";
}

function bypass(engine: Engine, request: CacheRequest, exchange: Exchange, detail: string | undefined): void {
  const outcome: Outcome = {
    hit: false,
    forwarded: "bypass",
    stored: false,
    collapsed: false,
    ...(detail === undefined ? {} : { detail }),
  };
  report(engine, request, outcome);
  exchange.pass(outcomeFields(engine, outcome));
}

function act(turn: Turn, selected: Selected, nowMs: number): void {
  const { engine, route, request, exchange } = turn;
  const { live, part } = selected;
  if (part !== undefined && sendPart(turn, part, nowMs)) return;
  const found = { stored: live?.stored, varyMiss: selected.varyMiss };
  const decision = decideReuse(request, found, route.requestDirectives, nowMs);
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

/**
 * Starts the one revalidation of a stale response while it is still served (RFC 5861 §3).
 * False when nobody can do it but this request itself.
 */
function revalidateInBackground(turn: Turn, need: Need): boolean {
  const { engine, exchange, request } = turn;
  const { key } = need.selected;
  if (engine.flights.has(key) || request.method === "HEAD") return true;
  const run = exchange.forwardInBackground;
  if (run === undefined) return false;
  const flight = new Flight(engine.flights, key, engine.fillDeadlineMs);
  const go = (lease: Lease | undefined): void =>
    run.call(exchange, forwarded(turn, need, engine.now(), { flight, lease }, undefined));
  const { leases } = engine.store;
  // The client's answer goes out first: the handler may keep this thread busy.
  if (leases === undefined) setTimeout(() => go(undefined), 0);
  else
    void leadNow(engine, leases, wanted(turn, need)).then((led) => {
      if (led !== "taken" && led.type === "fill") return go(led.lease);
      // Another process renews it, or just did. For a moment nobody here need ask again.
      setTimeout(() => flight.settle({ type: "aborted" }), TAKEN_PAUSE_MS);
    });
  return true;
}

/** Asks the origin, or waits for one who already does (request collapsing). */
function forward(turn: Turn, need: Need, nowMs: number): void {
  const { engine } = turn;
  const { key } = need.selected;
  if (!mayStore(turn) || turn.leaders >= MAX_LEADERS || isApart(engine, need.selected, nowMs)) {
    return goForward(turn, need, nowMs, NOBODY_WAITS);
  }
  const leading = engine.flights.get(key);
  if (leading !== undefined) return leading.join((end) => land(turn, need, end));
  const flight = new Flight(engine.flights, key, engine.fillDeadlineMs);
  const { leases } = engine.store;
  if (leases === undefined) return goForward(turn, need, nowMs, { flight, lease: undefined });
  void leadOrFollow(engine, leases, wanted(turn, need)).then((led) => {
    try {
      lead(turn, need, flight, led);
    } catch (error) {
      leaveToHandler(turn, error);
    }
  });
}

function wanted({ primary, request }: Turn, { selected, stale }: Need): Wanted {
  const knownSinceMs = stale?.stored.receivedAtMs ?? -Infinity;
  const isNews = ({ live }: Selected): boolean =>
    live !== undefined && Math.abs(live.stored.receivedAtMs - knownSinceMs) > SAME_TIME_MS;
  return { primary, key: selected.key, request, isNews };
}

/** Nobody should wait for the response of this request, or it for theirs. */
function isApart(engine: Engine, selected: Selected, nowMs: number): boolean {
  return selected.isApart === true || (engine.hitForMiss.get(selected.key) ?? 0) > nowMs;
}

/** The one request of this process that asked for the right to fill has it, or does not need it any more. */
function lead(turn: Turn, need: Need, flight: Flight, led: Led): void {
  const { engine } = turn;
  const nowMs = engine.now();
  switch (led.type) {
    case "fill":
      return goForward(turn, need, nowMs, { flight, lease: led.lease });
    case "found": {
      const { selected } = led;
      if (selected.key !== need.selected.key) {
        // Its responses turned out to vary: all look for their own.
        flight.settle({ type: "aborted" });
        return again(turn);
      }
      if (selected.live === undefined || !isShareable(selected.live, nowMs)) break;
      flight.settle({ type: "stored", live: selected.live });
      return share(turn, need, selected.live, {}, nowMs);
    }
    case "overdue":
  }
  flight.settle({ type: "unshareable" });
  goForward(turn, need, nowMs, NOBODY_WAITS);
}

function goForward(turn: Turn, need: Need, nowMs: number, rights: Rights): void {
  const fill = forwarded(turn, need, nowMs, rights, turn.exchange);
  turn.begun = true;
  turn.exchange.forward(fill);
}

function mayStore({ route, request }: Turn): boolean {
  if (request.method === "HEAD") return false;
  return route.requestDirectives !== "rfc9111" || !requestDirectives(request.fields).noStore;
}

function forwarded(
  turn: Turn,
  need: Need,
  requestedAtMs: number,
  { flight, lease }: Rights,
  exchange: Exchange | undefined,
): ForwardedRequest {
  const { engine, route, request, primary } = turn;
  const { because, stale, mayServeOnError, mayServeOnFailure } = need;
  return new ForwardedRequest({
    engine,
    route,
    request,
    exchange,
    native: turn.exchange.native,
    pattern: turn.exchange.pattern,
    primary,
    key: need.selected.key,
    leaseKey: need.selected.key,
    part: need.selected.part,
    isApart: isApart(engine, need.selected, requestedAtMs),
    because,
    requestedAtMs,
    generation: engine.purges.generation(engine.prefix),
    lease,
    storable: mayStore(turn),
    stale,
    mayServeOnError,
    mayServeOnFailure,
    flight,
  });
}

/** The request this one waited for has ended. */
function land(turn: Turn, need: Need, end: FlightEnd): void {
  try {
    goOn(turn, need, end);
  } catch (error) {
    leaveToHandler(turn, error);
  }
}

function goOn(turn: Turn, need: Need, end: FlightEnd): void {
  const nowMs = turn.engine.now();
  switch (end.type) {
    case "stored":
      if (!matchesVary(end.live.stored.varyFields, turn.request.fields, turn.engine.languages)) return again(turn);
      return share(turn, need, end.live, { originStatus: end.live.stored.status }, nowMs);
    case "aborted":
      return again(turn);
    case "origin-error": {
      const mayStandIn = end.originStatus === undefined ? need.mayServeOnFailure : need.mayServeOnError;
      if (need.stale === undefined || !mayStandIn) return alone(turn, need, nowMs);
      const status = end.originStatus === undefined ? {} : { originStatus: end.originStatus };
      return share(turn, need, need.stale, { ...status, detail: "stale-if-error" }, nowMs);
    }
    case "unshareable":
      return alone(turn, need, nowMs);
  }
}

/** Answers with what another request brought. */
function share(turn: Turn, need: Need, live: LiveResponse, more: Partial<Outcome>, nowMs: number): void {
  const { engine, route, request, exchange } = turn;
  const freshness = freshnessOf(live, nowMs);
  const { ttlSeconds } = freshness;
  const outcome: Outcome = { hit: false, forwarded: need.because, stored: false, collapsed: true, ttlSeconds, ...more };
  const reply = storedReply({ engine, route, stored: live.stored, freshness, nowMs, outcome }, request);
  turn.begun = true;
  exchange.send(reply);
  report(engine, request, outcome);
}

/** Starts over: the store may have the answer by now, or this request goes first. */
function again(turn: Turn): void {
  turn.leaders += 1;
  lookUp(turn);
}

/** Asks the origin without waiting for anybody and without making anybody wait. */
function alone(turn: Turn, need: Need, nowMs: number): void {
  turn.leaders = MAX_LEADERS;
  forward(turn, need, nowMs);
}

function report(engine: Engine, request: CacheRequest, outcome: Outcome): void {
  if (engine.report === undefined) return;
  engine.report({ type: "outcome", method: request.method, url: request.path, outcome });
}

function reportFault(engine: Engine, request: CacheRequest, error: unknown): void {
  engine.report?.({ type: "callback-failed", callback: "route", subject: subjectOf(request), error: asError(error) });
}
