import { subjectOf } from "../cache-events.ts";
import { asError } from "../../errors.ts";
import { type ResponseDirectives } from "../../rfc9111/directives.ts";
import { combinePartials } from "../../rfc9111/partial-content.ts";
import { isUnmodified } from "../../rfc9111/preconditions.ts";
import type { CacheRequest, Fields, ForwardReason, Lease, Outcome, StoreEntry } from "../../http.ts";
import { Capture } from "./capture.ts";
import type { Flight, FlightEnd } from "./flight.ts";
import { HIT_FOR_MISS_MS, type Engine } from "../state.ts";
import type {
  Exchange,
  Fill,
  HeadAction,
  LastLook,
  LateChanges,
  OriginRequest,
  ReportedHead,
  Reply,
} from "../exchange.ts";
import { renewalOfAnother } from "./renewals.ts";
import { takePart } from "../request/take-part.ts";
import { learnSearch, primaryKeyOf } from "../request/key.ts";
import { newLoginOf } from "../request/identity.ts";
import { warnOfNewLogin } from "../request/identity-warnings.ts";
import { decideResponse, isOriginError, whyRefusedLate, type Forwarded, type LateReason } from "./decide-response.ts";
import { identityVaryFields, streamedDownstreamFields } from "../reply/advertised-fields.ts";
import { isTagged, purgeUris } from "../request/purge-names.ts";
import { originRequest, type OriginRequestPlan } from "./origin-request.ts";
import { describesStored, upstreamStatus } from "./response-head.ts";
import { newReply, outcomeFields, passedNotModified, storedReply } from "../reply/serve.ts";
import { releaseLease } from "../lookup/store-access.ts";
import { hitForMissEntry, liveResponse, type LiveResponse } from "../lookup/stored-entry.ts";
import { reportFault } from "../request-context.ts";
import {
  deleteStored,
  freshenedResponse,
  freshnessOf,
  isShareable,
  putUnderLease,
  storedResponse,
  storeResponse,
  whyNotKept,
  type Kept,
} from "./store-response.ts";

const ANSWERED: HeadAction = { answered: true };
const UNTOUCHED: HeadAction = { answered: false, fields: [] };

/** One request that goes to the origin, and everything that was known when it went. */
export interface ForwardPlan extends OriginRequestPlan {
  readonly engine: Engine;
  /** Absent for a revalidation in the background. */
  readonly exchange: Exchange | undefined;
  readonly native: unknown;
  readonly primary: string;
  readonly key: string;
  readonly because: ForwardReason;
  readonly requestedAtMs: number;
  /** Position of the purge log before the request went. */
  readonly generation: string;
  readonly patterns: () => readonly string[];
  readonly lease: Lease | undefined;
  /** What the lease is for: `key` as it was before the response came. */
  readonly leaseKey: string;
  /** Set for a second run: the first was answered 304 about another response than this one. */
  readonly unvalidated?: LiveResponse | undefined;
  /** Keeps a write that has not ended from being ended with the request. */
  readonly keepAlive?: ((work: Promise<unknown>) => void) | undefined;
  /** A stored part of the resource, to be completed. */
  readonly part?: LiveResponse | undefined;
  /** The stale response may stand in for a 500, 502, 503 or 504. */
  readonly mayServeOnError: boolean;
  /** It may stand in for an origin that gives no answer at all. */
  readonly mayServeOnFailure: boolean;
  readonly flight: Flight | undefined;
  /** Where errors of the handler go that are not reported to this run. */
  readonly unseenErrors?: string | undefined;
  /** The client's `Range` is shown to the handler: whatever it answers is for this client alone. */
  readonly showsRange?: boolean;
  /** Asks for the whole of a resource of which the handler has just given a part. */
  readonly fillWhole?: (() => void) | undefined;
  /** Runs the handler once more for another fill; absent where the adapter cannot, and for a second run. */
  readonly runAgain?: ((fill: Fill) => void) | undefined;
}

/**
 * Follows one response of the origin: decides at its head what the client gets and whether a copy is kept, and stores the
 * copy only at a complete end. Revalidation in the foreground and in the background are both this.
 */
export class ForwardedRequest implements Fill {
  readonly origin: OriginRequest;
  readonly owner: object;
  readonly within: Fill | undefined;
  #plan: ForwardPlan;
  #head: ReportedHead | undefined;
  #directives: ResponseDirectives | undefined;
  #receivedAtMs = 0;
  #capture: Capture | undefined;
  #declaredBytes: number | undefined;
  /** What is stored instead of the received part. */
  #combination: LiveResponse | undefined;
  #answered = false;
  #finished = false;
  /** The client's own second run came back with another key. */
  #isOtherRequest = false;
  /** What the handler failed with, where the framework answered for it. */
  #error: Error | undefined;
  /** Gives the client an answer that waits for the end of the handler's body. */
  #answerAtEnd: (() => void) | undefined;

  constructor(plan: ForwardPlan) {
    this.#plan = plan;
    this.origin = originRequest(plan);
    this.owner = plan.engine;
    this.within = plan.exchange?.within;
  }

  giveWay(): void {
    if (this.#finished || this.#head !== undefined) return;
    this.#finished = true;
    const { engine, key, lease } = this.#plan;
    engine.hitForMiss.set(key, engine.now() + HIT_FOR_MISS_MS);
    if (lease !== undefined) releaseLease(engine, lease);
    this.#settle({ type: "unshareable" });
  }

  reached(copy: CacheRequest | undefined, native: unknown): boolean {
    const { engine, route, request, primary, exchange } = this.#plan;
    if (copy !== undefined) {
      const shown = request.depth === undefined ? copy : { ...copy, depth: request.depth };
      if (takePart(engine, route, shown, native) === primary) {
        // What is in `Vary`, and what the tags are made of, is what this run of the handler sees.
        this.#plan = {
          ...this.#plan,
          native,
          request: { ...request, fields: withConditions(copy.fields, request.fields) },
        };
        return true;
      }
    }
    if (exchange !== undefined) {
      this.#isOtherRequest = true;
      return true;
    }
    this.fail(renewalOfAnother());
    return false;
  }

  head(head: ReportedHead, body?: Uint8Array): HeadAction {
    // Its client has left: a handler that noticed may answer with less than the whole.
    if (this.#finished) return UNTOUCHED;
    try {
      return this.#decide(head, body);
    } catch (error) {
      // A fault of ours is not the response's.
      this.#giveUp(error);
      return this.#answered ? ANSWERED : UNTOUCHED;
    }
  }

  #decide(head: ReportedHead, body: Uint8Array | undefined): HeadAction {
    const { engine, route, request, stale, unvalidated } = this.#plan;
    this.#receivedAtMs = engine.now();
    const decision = decideResponse(this.#forwarded(head), head, body?.byteLength, route, this.#variesBy());
    switch (decision.action) {
      case "freshen":
        return stale === undefined ? UNTOUCHED : this.#freshen(stale, head);
      case "ask-again":
        return stale === undefined ? UNTOUCHED : this.#askAgain(stale);
      case "unvalidated":
        return unvalidated === undefined ? UNTOUCHED : this.#serveUnvalidated(unvalidated);
      case "failed":
        return this.#answerError(head, head.thrown ?? this.#error);
      case "stand-in":
        return this.#serveOnError(head.status);
      case "pass": {
        this.#freshenByHead(head);
        const action = this.#pass(head, decision.detail);
        // With the whole body here no end will be told.
        if (body !== undefined) this.#finish(this.#outcome(false));
        if (decision.fillsWhole) this.#plan.fillWhole?.();
        return action;
      }
      case "refuse":
        if (decision.newLogin !== undefined) warnOfNewLogin(engine.warnings, route, request, decision.newLogin);
        return this.#refuse(head, decision.because);
      case "keep":
        this.#declaredBytes = decision.declaredBytes;
        this.#head = head;
        this.#directives = decision.directives;
        this.#learnSearch(head);
        return body === undefined ? this.#stream(head) : this.#complete(head, body);
    }
  }

  /**
   * The handler threw, and an error handler answered with a status that looks like a page: nothing of that is kept. A
   * redirect goes out, since some applications throw those on purpose; a stored response stands in for anything else.
   */
  #answerError(head: ReportedHead, error: Error = new Error("the handler failed")): HeadAction {
    const standsIn = head.status < 300 && this.#mayStandIn(undefined);
    const action = standsIn ? ANSWERED : this.#pass(head, "origin-error");
    this.fail(error);
    return action;
  }

  #forwarded({ outerCookies, thrown }: ReportedHead): Forwarded {
    const { engine, route, request, native, storable, stale, unvalidated, mayServeOnError, showsRange } = this.#plan;
    const mayShowLogin = storable && outerCookies !== undefined && route.storing.allowSetCookie !== true;
    return {
      request,
      storable,
      showsRange: showsRange === true,
      isOtherRequest: this.#isOtherRequest,
      hasThrown: (thrown ?? this.#error) !== undefined,
      stale: stale?.stored,
      isSecondRun: unvalidated !== undefined,
      mayServeOnError,
      newLogin: mayShowLogin ? newLoginOf(outerCookies, engine.identity, route, native) : undefined,
    };
  }

  /** Names that the route itself adds to `Vary`, in lower case. */
  #variesBy(): readonly string[] {
    const { engine, route } = this.#plan;
    return route.variesByIdentity ? engine.identity.varyNames.map((name) => name.toLowerCase()) : [];
  }

  #whyRefusedLate(changes: LateChanges): LateReason | undefined {
    return whyRefusedLate(changes, this.#plan.route, this.#variesBy());
  }

  /** What the response says of its query may put it under another key than the one it was asked for with. */
  #learnSearch(head: ReportedHead): void {
    const { engine, route, request, native } = this.#plan;
    if (!learnSearch(engine, route, request, head.fields)) return;
    const primary = primaryKeyOf(engine, route, request, native);
    this.#plan = { ...this.#plan, primary, key: primary };
  }

  chunk(bytes: Uint8Array): void {
    if (this.#capture === undefined || this.#capture.push(bytes)) return;
    this.#capture = undefined;
    this.#answerNow();
    this.#forgo("too-large");
  }

  #answerNow(): void {
    const answer = this.#answerAtEnd;
    this.#answerAtEnd = undefined;
    answer?.();
  }

  end(endBytes?: number): void {
    if (this.#finished) return;
    try {
      if (this.#head !== undefined) this.#head = { ...this.#head, endBytes };
      this.#closeBody();
    } catch (error) {
      this.#giveUp(error);
    }
  }

  #closeBody(): void {
    this.#answerNow();
    if (this.#finished) return;
    const capture = this.#capture;
    if (capture === undefined) return this.#finish(this.#outcome(false));
    const body = capture.body();
    const why = this.#whyBodyRefused(body);
    if (why !== undefined) return this.#forgo(why);
    const live = this.#build(body);
    if (live === undefined) return this.#forgo("callback-failed");
    this.#keep(live);
  }

  fail(error: Error): boolean {
    if (this.#finished) return false;
    this.#capture = undefined;
    this.#answerNow();
    if (this.#head === undefined && this.#mayStandIn(undefined)) {
      if (this.#plan.exchange !== undefined) this.#reportNotStored("origin-error", error);
      this.#serveOnError(undefined, error);
      return true;
    }
    this.#settle({ type: "origin-error", originStatus: undefined });
    this.#reportNotStored("origin-error", error);
    this.#finish(this.#outcome(false, "origin-error"), error);
    return false;
  }

  abort(): void {
    if (this.#finished) return;
    this.#capture = undefined;
    this.#answerNow();
    this.#settle({ type: "aborted" });
    this.#reportNotStored("incomplete");
    this.#finish(this.#outcome(false, "incomplete"));
  }

  #answer(reply: Reply, lastLook?: LastLook): Promise<void> | undefined {
    this.#answered = true;
    return this.#plan.exchange?.send(reply, lastLook) ?? undefined;
  }

  #giveUp(error: unknown): void {
    this.#capture = undefined;
    this.#settle({ type: "unshareable" });
    this.#reportNotStored("internal-error", asError(error));
    this.#finish(this.#outcome(false, "internal-error"));
  }

  #mayStandIn(originStatus: number | undefined): boolean {
    const { stale, mayServeOnError, mayServeOnFailure } = this.#plan;
    if (stale === undefined) return false;
    return originStatus === undefined ? mayServeOnFailure : mayServeOnError && isOriginError(originStatus);
  }

  /** A 304 about another response than the stored one, which has to be asked for (RFC 9111 §4.3.4). */
  #askAgain(stale: LiveResponse): HeadAction {
    this.#evict();
    this.#reportNotStored("not-validated");
    const { engine, runAgain } = this.#plan;
    if (runAgain === undefined) return this.#serveUnvalidated(stale);
    this.#finished = true;
    runAgain(
      new ForwardedRequest({
        ...this.#plan,
        requestedAtMs: engine.now(),
        generation: engine.fence.take(),
        stale: undefined,
        unvalidated: stale,
        mayServeOnError: false,
        mayServeOnFailure: false,
        runAgain: undefined,
      }),
    );
    return ANSWERED;
  }

  /** Where the handler cannot be asked again, or answers 304 to no condition: a 304 says at least that the client may have a stale response, this once. */
  #serveUnvalidated(stale: LiveResponse): HeadAction {
    const { engine, route, request, because } = this.#plan;
    const nowMs = this.#receivedAtMs;
    const freshness = freshnessOf(stale, nowMs);
    const { ttlSeconds } = freshness;
    const detail = "not-validated";
    const outcome = { hit: false, forwarded: because, originStatus: 304, stored: false, collapsed: false, detail };
    const { mayServeStale, requiresRevalidation } = stale.stored;
    if (mayServeStale && !requiresRevalidation) {
      const serving = { engine, route, stored: stale.stored, freshness, nowMs, outcome: { ...outcome, ttlSeconds } };
      void this.#answer(storedReply(serving, request));
    } else {
      const fields = [...outcomeFields(engine, outcome), "content-length", "0"];
      void this.#answer({ status: 504, fields, body: null });
    }
    this.#settle({ type: "unshareable" });
    this.#finish(outcome);
    return ANSWERED;
  }

  /** The stored response is valid; it gets the new fields and the new times. */
  #freshen(stale: LiveResponse, head: ReportedHead): HeadAction {
    const { engine, route, request } = this.#plan;
    const nowMs = this.#receivedAtMs;
    const { live, because } = freshenedResponse(this.#plan, stale, head, nowMs);
    const kept = because === undefined ? storeResponse(this.#plan, live) : undefined;
    const notKept = because ?? kept?.notKept;
    const freshness = freshnessOf(live, nowMs);
    const outcome: Outcome = {
      hit: false,
      forwarded: this.#plan.because,
      originStatus: 304,
      stored: notKept === undefined,
      collapsed: false,
      ttlSeconds: freshness.ttlSeconds,
      ...(notKept === undefined ? {} : { detail: notKept }),
    };
    void this.#answer(newReply({ engine, route, stored: live.stored, freshness, nowMs, outcome }, request));
    if (because !== undefined) this.#evict();
    if (kept !== undefined) this.#share(live, kept.isClear);
    else this.#settle({ type: "unshareable" });
    if (notKept !== undefined) this.#reportNotStored(notKept);
    this.#finish(outcome);
    return ANSWERED;
  }

  /** RFC 9111 §4.3.5: what a HEAD says of the stored response of GET. */
  #freshenByHead(head: ReportedHead): void {
    const { request, route, stale } = this.#plan;
    if (request.method !== "HEAD" || stale === undefined || head.status !== 200) return;
    if (route.storing.lifetimeFrom !== "fields") return;
    if (!describesStored(head.fields, stale.stored)) return this.#evict();
    const context = { ...this.#plan, request: { ...request, method: "GET" } };
    const { live, because } = freshenedResponse(context, stale, head, this.#receivedAtMs);
    if (because === undefined) storeResponse(context, live);
    else this.#evict();
  }

  /** RFC 5861 §4. */
  #serveOnError(originStatus: number | undefined, error?: Error): HeadAction {
    const { engine, route, request, stale, because } = this.#plan;
    const nowMs = engine.now();
    if (stale !== undefined) {
      const freshness = freshnessOf(stale, nowMs);
      const outcome: Outcome = {
        hit: false,
        forwarded: because,
        ...(originStatus === undefined ? {} : { originStatus }),
        stored: false,
        collapsed: false,
        ttlSeconds: freshness.ttlSeconds,
        detail: "stale-if-error",
      };
      void this.#answer(storedReply({ engine, route, stored: stale.stored, freshness, nowMs, outcome }, request));
      this.#settle({ type: "origin-error", originStatus });
      this.#finish(outcome, error);
    }
    return ANSWERED;
  }

  #pass(head: ReportedHead, detail: string | undefined): HeadAction {
    this.#head = head;
    const { engine, route, exchange } = this.#plan;
    if (exchange === undefined) return ANSWERED;
    const fields = outcomeFields(engine, this.#outcome(false, detail), upstreamStatus(head));
    fields.push(...identityVaryFields(engine, route, head.fields));
    const notModified = this.#notModified(head, fields);
    if (notModified === undefined) return { answered: false, fields };
    void this.#answer(notModified);
    return ANSWERED;
  }

  /** The 304 to a client whose condition holds for the handler's response. */
  #notModified(head: ReportedHead, fields: readonly string[], freshness?: readonly string[]): Reply | undefined {
    const { exchange, request, storable } = this.#plan;
    if (exchange === undefined || !storable) return undefined;
    if (!isUnmodified(request.fields, head, head.frameworkEtag, this.#receivedAtMs)) return undefined;
    return passedNotModified(head, fields, freshness);
  }

  /** The response goes to its client and nowhere else. */
  #refuse(head: ReportedHead, because: string): HeadAction {
    this.#head = head;
    const action = this.#pass(head, because);
    this.#keepNothing(head, because);
    return action;
  }

  #keepNothing(head: ReportedHead, because: string): void {
    if (isOriginError(head.status)) {
      this.#settle({ type: "origin-error", originStatus: head.status });
    } else {
      // A stored response that its origin no longer stands by must not be served again.
      if (because !== "incomplete") this.#evict();
      this.#markHitForMiss();
    }
    this.#reportNotStored(because);
    this.#finish(this.#outcome(false, because));
  }

  #stream(head: ReportedHead): HeadAction {
    const { engine, route, exchange } = this.#plan;
    this.#capture = new Capture(route.maxBodyBytes);
    const lastLook: LastLook = (changes) => {
      const because = this.#whyRefusedLate(changes);
      if (because === undefined || this.#finished) return [];
      this.#capture = undefined;
      this.#keepNothing(head, because);
      return outcomeFields(engine, this.#outcome(false, because), upstreamStatus(head));
    };
    if (exchange === undefined) return { answered: true, lastLook };
    // Said ahead of the body: it may still be cut off.
    const notKept = engine.store.isAvailable?.() === false ? "store-unavailable" : undefined;
    const fields = outcomeFields(engine, this.#outcome(notKept === undefined, notKept), upstreamStatus(head));
    const isTaggedHead = isTagged(this.#plan, head.fields);
    const told = streamedDownstreamFields(engine, route, head, this.#receivedAtMs, isTaggedHead);
    fields.push(...told.always);
    const { freshness } = told;
    const notModified = this.#notModified(head, fields, freshness);
    if (notModified === undefined) return { answered: false, fields, freshness, lastLook };
    // Not before the body is here: handlers stop writing when their client has its answer.
    this.#answerAtEnd = () => void this.#answer(notModified, lastLook);
    return ANSWERED;
  }

  /** The whole response is here at once: the client is answered from what will be stored, exactly as a hit will be. */
  #complete(head: ReportedHead, body: Uint8Array): HeadAction {
    const { engine, route, request } = this.#plan;
    const why = this.#whyBodyRefused(body);
    if (why !== undefined) return this.#refuse(head, why);
    const live = this.#build(body);
    if (live === undefined) return this.#refuse(head, "callback-failed");
    const nowMs = this.#receivedAtMs;
    const outcome = this.#outcomeOf(whyNotKept(this.#plan, this.#combination ?? live));
    const freshness = freshnessOf(live, nowMs);
    let refused: string | undefined;
    const lastLook: LastLook = (changes) => {
      refused = this.#whyRefusedLate(changes);
      return refused === undefined ? [] : outcomeFields(engine, this.#outcome(false, refused), upstreamStatus(head));
    };
    const conclude = (): void => {
      if (refused === undefined) this.#keep(live);
      else this.#keepNothing(head, refused);
    };
    const leaving = this.#answer(
      newReply({ engine, route, stored: live.stored, freshness, nowMs, outcome }, request),
      lastLook,
    );
    const { flight } = this.#plan;
    if (leaving !== undefined && flight !== undefined) flight.isAnswered = true;
    if (leaving === undefined) conclude();
    else void leaving.then(conclude).catch((error: unknown) => this.#giveUp(error));
    return ANSWERED;
  }

  /** Stores the response, and gives it to the requests that wait for it. */
  #keep(live: LiveResponse): void {
    const { notKept, isClear } = this.#store(live);
    this.#share(live, isClear);
    this.#finish(this.#outcomeOf(notKept));
  }

  #whyBodyRefused(body: Uint8Array): string | undefined {
    if (this.#declaredBytes !== undefined && this.#declaredBytes !== body.byteLength) return "incomplete";
    const { route } = this.#plan;
    const head = this.#head;
    if (route.storeWhen === undefined || head === undefined) return undefined;
    try {
      return route.storeWhen({ status: head.status, fields: head.fields, body }) ? undefined : "store-when";
    } catch (error) {
      this.#reportCallback("storeWhen", error);
      return "callback-failed";
    }
  }

  #build(body: Uint8Array): LiveResponse | undefined {
    if (this.#head === undefined || this.#directives === undefined) return undefined;
    try {
      const received = liveResponse(storedResponse(this.#plan, this.#head, this.#directives, body, this.#receivedAtMs));
      return this.#combined(received);
    } catch (error) {
      this.#reportCallback("tags", error);
      return undefined;
    }
  }

  /** A received part together with the one that is stored (RFC 9111 §3.4); the whole, once no byte is missing. */
  #combined(received: LiveResponse): LiveResponse {
    const { part } = this.#plan;
    if (received.stored.rangeField === undefined || part === undefined) return received;
    const union = combinePartials(part.stored, received.stored);
    if (union === undefined) return received;
    const { rangeField, ...rest } = received.stored;
    const { status, fields, body } = union;
    this.#combination = liveResponse(
      status === 200 ? { ...rest, status, fields, body } : { ...rest, rangeField, status, fields, body },
    );
    return received;
  }

  #store(live: LiveResponse): Kept {
    const kept = storeResponse(this.#plan, this.#combination ?? live);
    if (kept.notKept !== undefined) this.#reportNotStored(kept.notKept);
    return kept;
  }

  /** Gives the response to the requests that wait, if it may answer them without a validation (RFC 9111 §4). */
  #share(live: LiveResponse, isClear: boolean): void {
    // A request that came after a purge must not get what was asked for before it: one waiting request asks again.
    if (!isClear) return this.#settle({ type: "aborted" });
    if (live.stored.rangeField !== undefined) return this.#settle({ type: "unshareable" });
    if (!isShareable(live, this.#receivedAtMs)) return this.#markHitForMiss();
    this.#plan.engine.hitForMiss.delete(this.#plan.key);
    this.#settle({ type: "stored", live });
  }

  /** The requests that wait ask on their own, and for a while no request waits for another (hit-for-miss). */
  #markHitForMiss(): void {
    const { engine, key, lease } = this.#plan;
    engine.hitForMiss.set(key, this.#receivedAtMs + HIT_FOR_MISS_MS);
    if (lease !== undefined) void putUnderLease(engine, lease, this.#hitForMissEntry(), HIT_FOR_MISS_MS);
    this.#settle({ type: "unshareable" });
  }

  /** The client has its response, but no copy will be kept after all. */
  #forgo(because: string): void {
    if (because !== "incomplete") this.#evict();
    this.#markHitForMiss();
    this.#reportNotStored(because);
    this.#finish(this.#outcome(false, because));
  }

  /** For the other processes. */
  #hitForMissEntry(): StoreEntry {
    const { engine, route, request, generation } = this.#plan;
    return hitForMissEntry(purgeUris(engine, route, request), generation);
  }

  #evict(): void {
    if (this.#plan.stale !== undefined) deleteStored(this.#plan.engine, this.#plan.key);
  }

  #settle(end: FlightEnd): void {
    try {
      this.#plan.flight?.settle(end);
    } catch (error) {
      // It is about another request, which has begun to be answered.
      reportFault(this.#plan.engine, this.#plan.request, error);
    }
  }

  #outcomeOf(notKept: string | undefined): Outcome {
    return this.#outcome(notKept === undefined, notKept);
  }

  #outcome(stored: boolean, detail?: string): Outcome {
    return {
      hit: false,
      forwarded: this.#plan.because,
      ...(this.#head === undefined ? {} : { originStatus: this.#head.status }),
      stored,
      collapsed: false,
      ...(detail === undefined ? {} : { detail }),
    };
  }

  #finish(outcome: Outcome, error?: Error): void {
    if (this.#finished) return;
    this.#finished = true;
    const { engine, request, exchange, lease } = this.#plan;
    if (lease !== undefined) releaseLease(engine, lease);
    // Nothing of it is left to wait for.
    this.#settle({ type: "unshareable" });
    if (engine.report === undefined) return;
    if (exchange !== undefined) engine.report({ type: "outcome", method: request.method, url: request.path, outcome });
    else if (!outcome.stored) {
      engine.report({
        type: "revalidation-failed",
        subject: subjectOf(request),
        error: error ?? this.#failureOf(outcome),
      });
    }
  }

  noteError(error: Error): void {
    this.#error ??= error;
  }

  #failureOf({ originStatus }: Outcome): Error {
    if (this.#error !== undefined) return this.#error;
    const { unseenErrors } = this.#plan;
    const isError = originStatus !== undefined && originStatus >= 500;
    const hint =
      isError && unseenErrors !== undefined ? `; if its handler failed, the error went to ${unseenErrors}` : "";
    return new Error(`the origin answered ${originStatus ?? "nothing"}${hint}`);
  }

  #reportNotStored(because: string, error?: Error): void {
    const { engine, request } = this.#plan;
    engine.report?.({
      type: "not-stored",
      subject: subjectOf(request),
      because,
      ...(error === undefined ? {} : { error }),
    });
  }

  #reportCallback(callback: string, error: unknown): void {
    const { engine, request } = this.#plan;
    engine.report?.({ type: "callback-failed", callback, subject: subjectOf(request), error: asError(error) });
  }
}

/** Fields of a request that ask for less than the whole response. A copy of the request does not have them. */
const CONDITIONS = ["if-none-match", "if-modified-since", "range", "if-range"] as const;

function withConditions(fields: Fields, original: Fields): Fields {
  const all: Record<string, Fields[string]> = { ...fields };
  for (const name of CONDITIONS) if (original[name] !== undefined) all[name] = original[name];
  return all;
}
