import { subjectOf } from "../cache-events.ts";
import { asError } from "../../errors.ts";
import { setTimeout } from "../../real-time.ts";
import { matchesVary } from "../../rfc9111/vary.ts";
import type { ForwardReason, Lease, Outcome } from "../../http.ts";
import { Flight, type FlightEnd } from "./flight.ts";
import { HIT_FOR_MISS_MS, type Engine } from "../state.ts";
import type { Exchange, Fill } from "../exchange.ts";
import { ForwardedRequest } from "./forward.ts";
import { showsRange, whyPassesBy } from "./passes-by.ts";
import { leadNow, leadOrFollow, type FillRight, type FillClaim } from "./across-processes.ts";
import { purgeUris } from "../request/purge-names.ts";
import type { Selected } from "../lookup/selected.ts";
import { isRefusalFor } from "../lookup/refusals.ts";
import { newReply, storedReply } from "../reply/serve.ts";
import { releaseLease } from "../lookup/store-access.ts";
import type { LiveResponse } from "../lookup/stored-entry.ts";
import { leaveToHandler, report, reportFault, type RequestContext } from "../request-context.ts";
import { freshnessOf, isShareable } from "./store-response.ts";

/** After so many leaders were broken off by their clients, a request no longer waits for another. */
const MAX_LEADERS = 3;
const TAKEN_PAUSE_MS = 100;
/** The times of another machine are converted anew at each look-up, and rounded. */
const SAME_TIME_MS = 10;

/** Why the origin has to be asked, and what there is to fall back on. */
export interface OriginNeed {
  readonly selected: Selected;
  readonly because: ForwardReason;
  readonly stale: LiveResponse | undefined;
  readonly mayServeOnError: boolean;
  readonly mayServeOnFailure: boolean;
}

/** Who waits for a forwarded request: requests of this process (`flight`), and of other processes (`lease`). */
interface Rights {
  readonly flight: Flight | undefined;
  readonly lease: Lease | undefined;
}

const NO_RIGHTS: Rights = { flight: undefined, lease: undefined };

/**
 * Starts the one revalidation of a stale response while it is still served (RFC 5861 §3).
 * False when only this request itself can do it.
 */
export function revalidateInBackground(context: RequestContext, need: OriginNeed): boolean {
  const { engine, exchange, request } = context;
  const { key } = need.selected;
  if (isUnderWay(engine, key) || request.method === "HEAD") return true;
  const run = exchange.forwardInBackground;
  if (run === undefined) {
    warnOfWaiting(context);
    return false;
  }
  const flight = new Flight(engine.flights, key, engine.fillDeadlineMs);
  exchange.keepAlive?.(new Promise<void>((resolve) => flight.join(() => resolve())));
  const failed = (error: unknown): void => {
    engine.report?.({ type: "revalidation-failed", subject: subjectOf(request), error: asError(error) });
    flight.settle({ type: "unshareable" });
  };
  const go = (lease: Lease | undefined): void => {
    try {
      run.call(exchange, forwarded(context, need, engine.now(), { flight, lease }, undefined));
    } catch (error) {
      failed(error);
    }
  };
  const { leases } = engine.store;
  // The client's answer goes out first: the handler may keep this thread busy.
  if (leases === undefined) setTimeout(() => go(undefined), 0);
  else
    leadNow(engine, leases, claimOf(context, need))
      .then((right) => {
        if (right !== "taken" && right.type === "fill") return go(right.lease);
        // Another process renews it, or just did: this process need not ask again for a moment.
        setTimeout(() => flight.settle({ type: "aborted" }), TAKEN_PAUSE_MS);
      })
      .catch(failed)
      .catch((error: unknown) => reportFault(engine, request, error));
  return true;
}

/** Tells once for a route that its readers wait for renewals, where that can be helped. */
function warnOfWaiting({ engine, exchange, request }: RequestContext): void {
  const { missingEntry } = exchange;
  if (missingEntry === undefined || request.method !== "GET") return;
  const pattern = exchange.patterns?.().at(-1) ?? request.path;
  const text = `${request.method} ${pattern}: a reader waits for each renewal, because there is no way in for a second request.`;
  engine.warnOnce(`no-entry ${pattern}`, `${text} ${missingEntry}`);
}

/** A flight whose request the runtime has ended cannot end by itself. */
function isUnderWay(engine: Engine, key: string): boolean {
  const flight = engine.flights.get(key);
  return flight !== undefined && performance.now() - flight.beganAtMs < engine.fillDeadlineMs;
}

/** Stores the whole of a resource of which a client has just been given a part, so that the next part is a hit. */
function fillWhole(context: RequestContext, need: OriginNeed): void {
  const { request, engine } = context;
  if (mayNotStore(context) || isHitForMiss(engine, need.selected, engine.now())) return;
  const { range: _, "if-range": __, "if-none-match": ___, "if-modified-since": ____, ...fields } = request.fields;
  revalidateInBackground({ ...context, request: { ...request, fields } }, { ...need, because: "partial" });
}

function runAgain(original: Exchange, client: Exchange | undefined): ((fill: Fill) => void) | undefined {
  const again = client === undefined ? original.forwardInBackground : original.forwardAgain;
  return again === undefined ? undefined : (fill) => again.call(original, fill);
}

/** Asks the origin, or waits for a request that already does (request collapsing). */
export function forward(context: RequestContext, need: OriginNeed, nowMs: number): void {
  const { engine, request } = context;
  const { key } = need.selected;
  if (!engine.collapses || (isShownRange(context, need) && !engine.flights.has(key)))
    return goForward(context, need, nowMs, NO_RIGHTS);
  if (mayNotStore(context) || context.leaders >= MAX_LEADERS || isHitForMiss(engine, need.selected, nowMs)) {
    return goForward(context, need, nowMs, NO_RIGHTS);
  }
  const leading = engine.flights.get(key);
  if (leading !== undefined) {
    // The handler of that request waits for this one.
    if (engine.ownRuns.isInside(leading, key)) return goForward(context, need, nowMs, NO_RIGHTS);
    const { isAnswered } = leading;
    return leading.join(
      engine.bindContext((end: FlightEnd) => land({ ...context, comesAfter: isAnswered }, need, leading, end)),
    );
  }
  const flight = new Flight(engine.flights, key, engine.fillDeadlineMs);
  const { leases } = engine.store;
  if (leases === undefined) return goForward(context, need, nowMs, { flight, lease: undefined });
  leadOrFollow(engine, leases, claimOf(context, need))
    .then((right) => lead(context, need, flight, right))
    .catch((error: unknown) => giveUp(context, flight, error))
    // Nothing catches what is thrown once an answer has begun; it must not end the process.
    .catch((error: unknown) => reportFault(engine, request, error));
}

/** A fault before the origin was asked: waiting requests are let go, and the handler answers. */
function giveUp(context: RequestContext, flight: Flight, error: unknown): void {
  try {
    if (!context.begun) flight.settle({ type: "unshareable" });
  } finally {
    leaveToHandler(context, error);
  }
}

function claimOf({ primary, request }: RequestContext, { selected, stale }: OriginNeed): FillClaim {
  const knownSinceMs = stale?.stored.receivedAtMs ?? -Infinity;
  const isNews = ({ live }: Selected): boolean =>
    live !== undefined && Math.abs(live.stored.receivedAtMs - knownSinceMs) > SAME_TIME_MS;
  return { primary, key: selected.key, request, isNews };
}

/** True while requests for this key do not wait for each other. */
function isHitForMiss(engine: Engine, selected: Selected, nowMs: number): boolean {
  const untilMs = engine.hitForMiss.get(selected.key) ?? 0;
  // A time further off was set before the clock was set back.
  return selected.isHitForMiss === true || (untilMs > nowMs && untilMs <= nowMs + HIT_FOR_MISS_MS);
}

/** The one request of this process that asked for the right to fill has it, or does not need it any more. */
function lead(context: RequestContext, need: OriginNeed, flight: Flight, right: FillRight): void {
  const { engine } = context;
  const nowMs = engine.now();
  switch (right.type) {
    case "fill":
      return goForward(context, need, nowMs, { flight, lease: right.lease });
    case "found": {
      const { selected, generation } = right;
      // The key changed or a purge happened since we looked: every waiter looks up again.
      if (selected.key !== need.selected.key || generation !== engine.fence.take()) {
        flight.settle({ type: "aborted" });
        return again(context);
      }
      if (selected.live === undefined || !isShareable(selected.live, nowMs)) break;
      if (isRefusalFor(engine, context.request, selected.live)) break;
      flight.settle({ type: "stored", live: selected.live });
      return share(context, selected.live, { forwarded: need.because }, nowMs);
    }
    case "overdue":
  }
  flight.settle({ type: "unshareable" });
  goForward(context, need, nowMs, NO_RIGHTS);
}

function goForward(context: RequestContext, need: OriginNeed, nowMs: number, rights: Rights): void {
  let fill: ForwardedRequest;
  try {
    fill = forwarded(context, need, nowMs, rights, context.exchange);
  } catch (error) {
    // There is no fill that could settle the flight.
    rights.flight?.settle({ type: "unshareable" });
    throw error;
  }
  context.begun = true;
  const { flight } = rights;
  if (flight === undefined) return context.exchange.forward(fill);
  const ends = (end: () => void): void => flight.join(end);
  context.engine.ownRuns.runUntil(flight, need.selected.key, ends, () => context.exchange.forward(fill));
}

function isShownRange({ request, route }: RequestContext, { stale }: OriginNeed): boolean {
  return showsRange(request, route.storing, stale !== undefined);
}

/** A range apart, nothing that the handler answers may be stored. */
function mayNotStore({ request, route }: RequestContext): boolean {
  return whyPassesBy(request, route, true) !== undefined;
}

function forwarded(
  context: RequestContext,
  need: OriginNeed,
  requestedAtMs: number,
  { flight, lease }: Rights,
  exchange: Exchange | undefined,
): ForwardedRequest {
  const { engine, route, request, primary } = context;
  const { because, mayServeOnError, mayServeOnFailure } = need;
  const generation = engine.fence.take();
  // Past its deadline the handler keeps no other process waiting either. Once something was put, there is no lease to end.
  if (lease !== undefined) flight?.join(() => releaseLease(engine, lease));
  return new ForwardedRequest({
    engine,
    route,
    request,
    exchange,
    native: context.exchange.native,
    patterns: () => context.exchange.patterns?.() ?? [],
    primary,
    key: need.selected.key,
    leaseKey: need.selected.key,
    keepAlive: keepAliveOf(context.exchange),
    part: clear(context, need.selected.part),
    isHitForMiss: isHitForMiss(engine, need.selected, requestedAtMs),
    because,
    requestedAtMs,
    generation,
    lease,
    storable: whyPassesBy(request, route, need.stale !== undefined) === undefined,
    showsRange: isShownRange(context, need),
    fillWhole: () => fillWhole(context, need),
    runAgain: runAgain(context.exchange, exchange),
    unseenErrors: context.exchange.unseenErrors,
    stale: clear(context, need.stale),
    mayServeOnError,
    mayServeOnFailure,
    flight,
  });
}

/** What was purged since it was looked up is not asked about: a 304 would bring it back as new. */
function clear(
  { engine, route, request, primary }: RequestContext,
  live: LiveResponse | undefined,
): LiveResponse | undefined {
  if (live === undefined) return undefined;
  const { names, generation } = live.stored;
  const purgeable = { names, uri: purgeUris(engine, route, request), generation };
  return engine.fence.isPurged(primary, purgeable) ? undefined : live;
}

/** The request this one waited for has ended. */
function land(context: RequestContext, need: OriginNeed, flight: Flight, end: FlightEnd): void {
  try {
    goOn(context, need, flight, end);
  } catch (error) {
    leaveToHandler(context, error);
  }
}

function goOn(context: RequestContext, need: OriginNeed, flight: Flight, end: FlightEnd): void {
  const nowMs = context.engine.now();
  switch (end.type) {
    case "stored":
      if (!matchesVary(end.live.stored.varyFields, context.request.fields, context.engine.languages))
        return again(context);
      // One waiting request asks again for all: that is after all of them came.
      if (!context.engine.fence.maySharePast(context.arrivalMs, flight.beganAtMs)) return again(context);
      if (isRefusalFor(context.engine, context.request, end.live)) return alone(context, need, nowMs);
      if (context.comesAfter === true) return share(context, end.live, { hit: true, collapsed: false }, nowMs);
      return share(context, end.live, { forwarded: need.because, originStatus: end.live.stored.status }, nowMs);
    case "aborted":
      return again(context);
    case "origin-error": {
      const mayStandIn = end.originStatus === undefined ? need.mayServeOnFailure : need.mayServeOnError;
      if (need.stale === undefined || !mayStandIn) return alone(context, need, nowMs);
      const status = end.originStatus === undefined ? {} : { originStatus: end.originStatus };
      return share(context, need.stale, { forwarded: need.because, ...status, detail: "stale-if-error" }, nowMs);
    }
    case "unshareable":
      return alone(context, need, nowMs);
  }
}

/** Answers with what another request brought. */
function share(context: RequestContext, live: LiveResponse, more: Partial<Outcome>, nowMs: number): void {
  const { engine, route, request, exchange } = context;
  const freshness = freshnessOf(live, nowMs);
  const { ttlSeconds } = freshness;
  const outcome: Outcome = { hit: false, stored: false, collapsed: true, ttlSeconds, ...more };
  const isReused = outcome.hit || outcome.detail === "stale-if-error";
  const serving = { engine, route, stored: live.stored, freshness, nowMs, outcome };
  const reply = isReused ? storedReply(serving, request) : newReply(serving, request);
  context.begun = true;
  void exchange.send(reply);
  report(engine, request, outcome);
}

/** Starts over: the store may have the answer by now, or this request goes first. */
function again(context: RequestContext): void {
  context.leaders += 1;
  context.startOver(context);
}

/** Asks the origin without waiting for anybody and without making anybody wait. */
function alone(context: RequestContext, need: OriginNeed, nowMs: number): void {
  context.leaders = MAX_LEADERS;
  forward(context, need, nowMs);
}

function keepAliveOf(exchange: Exchange): ((work: Promise<unknown>) => void) | undefined {
  return exchange.keepAlive === undefined ? undefined : (work) => exchange.keepAlive?.(work);
}
