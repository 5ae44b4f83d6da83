import { fieldValue } from "../rfc9111/fields.ts";
import { currentAgeSeconds } from "../rfc9111/freshness.ts";
import { decideReuse } from "../rfc9111/reuse.ts";
import { effectiveDirectives } from "../rfc9111/targeted.ts";
import type { CacheRequest, ResponseHead, ReuseDecision, StoredResponse } from "../http.ts";
import { decideResponse, type RefusalReason } from "./fill/decide-response.ts";
import { whyPassesBy } from "./fill/passes-by.ts";
import { storedResponse } from "./fill/store-response.ts";
import { withoutRefusal } from "./lookup/refusals.ts";
import { selectWithPart } from "./lookup/select.ts";
import { decideRequest, type RequestDecision } from "./request/decide-request.ts";
import { primaryKeyOf } from "./request/key.ts";
import { reportFault } from "./request-context.ts";
import type { RouteRules } from "./route-rules.ts";
import {
  lifetimeOf,
  whyBypassed,
  whyDecided,
  whyNotKept,
  whyPassed,
  whyStale,
  whyValidated,
  whyVaries,
  type ExplainedDecision,
  type LifetimeExplanation,
  type NotKeptReason,
  type Rule,
} from "./rules-in-words.ts";
import type { Engine } from "./state.ts";

export type { LifetimeExplanation, Rule } from "./rules-in-words.ts";

/** What a cache would do with a request, and why. Plain data: `JSON.stringify` keeps all of it. */
export interface Explanation {
  /** `"bypass"`: the request takes no part. `"pass"`: its method is not cached. Others: see {@link ReuseDecision}. */
  readonly action: "bypass" | "pass" | ExplainedDecision["action"];
  readonly because: Rule;
  /** Of a bypass: the `detail` of its `Cache-Status`. */
  readonly detail?: string;
  /** The key without what `Vary` adds; absent where nothing is looked up. */
  readonly key?: string;
  /** The stored response that was selected, if there is one. */
  readonly found?: FoundResponse;
  readonly decision?: ExplainedDecision;
  /** What would become of the response head that was given. */
  readonly response?: ResponseExplanation;
}

/** A stored response and its times (RFC 9111 §4.2). */
export interface FoundResponse {
  readonly status: number;
  readonly ageSeconds: number;
  readonly freshnessLifetimeSeconds: number;
  /** Lifetime minus age; negative when it is stale. */
  readonly ttlSeconds: number;
  /** Of a stored part, where the whole response is not stored: which part it is, as its `Content-Range` says. */
  readonly contentRange?: string;
}

/** Whether a response would be stored, and what would follow from that. */
export interface ResponseExplanation {
  readonly status: number;
  readonly stored: boolean;
  /** Of a response that is not stored: the `detail` of its `Cache-Status`. */
  readonly detail?: string;
  readonly because: Rule;
  readonly lifetime: LifetimeExplanation;
  /** How old it is when it arrives (RFC 9111 §4.2.3). */
  readonly ageSeconds: number;
  /** Request fields that select among the responses under one key, with the value presented; `null` is absent. */
  readonly vary: { readonly fields: Readonly<Record<string, string | null>>; readonly because: Rule };
  readonly validators: { readonly etag?: string; readonly lastModified?: string; readonly because: Rule };
  readonly stale: {
    readonly whileRevalidateSeconds: number;
    readonly ifErrorSeconds: number;
    readonly because: Rule;
  };
  /** What the same request would get right after, if the response is stored. */
  readonly next?: { readonly decision: ExplainedDecision; readonly because: Rule };
}

/** What {@link explain} may be told besides the request. */
export interface ExplainOptions {
  /** The framework's own request, for the callbacks of the route. */
  readonly native?: unknown;
  /** A response head of the origin to judge. */
  readonly head?: ResponseHead;
  /** When that response was asked for, in milliseconds since 1970. Default: now. */
  readonly requestedAtMs?: number;
}

/**
 * Says what `respond()` would do, without running the handler, storing anything or reporting that a response was found.
 *
 * It takes the same decisions: `decideRequest`, `decideReuse` and, for a head, `decideResponse`. Callbacks of the route (`when`,
 * `key`, `audience`) do run; `storeWhen` and `tags` do not, because there is no body.
 */
export async function explain(
  engine: Engine,
  route: RouteRules,
  request: CacheRequest,
  options: ExplainOptions = {},
): Promise<Explanation> {
  const { native, head, requestedAtMs = engine.now() } = options;
  const { decision: part, key } = partOf(engine, route, request, native);
  const response =
    head === undefined ? {} : { response: explainResponse(engine, route, request, part, head, requestedAtMs) };
  if (part.action === "bypass") return { ...part, because: whyBypassed(part.detail), ...response };
  if (part.action === "pass") return { action: "pass", because: whyPassed(request.method), ...response };

  const selected = withoutRefusal(engine, request, await selectWithPart(engine, route, key, request));
  const nowMs = engine.now();
  const stored = selected.live?.stored;
  const found = stored ?? selected.part?.stored;
  const responses = { stored, part: selected.part?.stored, varyMiss: selected.varyMiss };
  const decision = plain(decideReuse(request, responses, route.requestDirectives, nowMs));
  return {
    action: decision.action,
    because: whyDecided(decision, request, found),
    key,
    ...(found === undefined ? {} : { found: foundResponse(found, nowMs) }),
    decision,
    ...response,
  };
}

/** Whether a request takes part, and its key if it does. */
function partOf(
  engine: Engine,
  route: RouteRules,
  request: CacheRequest,
  native: unknown,
): { readonly decision: RequestDecision; readonly key: string } {
  try {
    const decision = decideRequest(request, route, engine, native);
    if (decision.action === "take-part")
      return { decision, key: primaryKeyOf(engine, route, request, native, decision.member) };
    // The identity behind a bypass is a name of the client's: its detail tells enough.
    return {
      decision: decision.action === "bypass" ? { action: "bypass", detail: decision.detail } : decision,
      key: "",
    };
  } catch (error) {
    reportFault(engine, request, error);
    return { decision: { action: "bypass", detail: "callback-failed" }, key: "" };
  }
}

/** An explanation is plain data: which bytes of a part are reused does not matter. */
function plain(decision: ReuseDecision): ExplainedDecision {
  if (decision.action !== "reuse-part") return decision;
  const { ageSeconds, ttlSeconds } = decision;
  return { action: "reuse", ageSeconds, ttlSeconds };
}

function foundResponse(stored: StoredResponse, nowMs: number): FoundResponse {
  const { status, freshnessLifetimeSeconds } = stored;
  const ageSeconds = currentAgeSeconds(stored, nowMs);
  const ttlSeconds = freshnessLifetimeSeconds - ageSeconds;
  const contentRange = stored.rangeField === undefined ? undefined : fieldValue(stored.fields, "content-range");
  return {
    status,
    ageSeconds,
    freshnessLifetimeSeconds,
    ttlSeconds,
    ...(contentRange === undefined ? {} : { contentRange }),
  };
}

const NOT_SENT = { generation: "", patterns: () => [], lease: undefined, leaseKey: "" } as const;

function explainResponse(
  engine: Engine,
  route: RouteRules,
  request: CacheRequest,
  part: RequestDecision,
  head: ResponseHead,
  requestedAtMs: number,
): ResponseExplanation {
  const nowMs = engine.now();
  const { directives } = effectiveDirectives(head.fields, route.targets);
  const context = { engine, route, request, native: undefined, primary: "", key: "", requestedAtMs, ...NOT_SENT };
  const stored = storedResponse(context, head, directives, new Uint8Array(0), nowMs, []);
  const detail = whyNotStoredNow(route, request, part, head, nowMs);
  const decision = plain(decideReuse(request, { stored, varyMiss: false }, route.requestDirectives, nowMs));
  return {
    status: head.status,
    stored: detail === undefined,
    ...(detail === undefined
      ? { because: { rule: "Nothing forbids to store it.", section: "RFC 9111 §3" } }
      : { detail, because: whyNotKept(detail) }),
    lifetime: lifetimeOf(route, head, directives, nowMs),
    ageSeconds: stored.correctedInitialAgeSeconds,
    vary: { fields: Object.fromEntries(stored.varyFields), because: whyVaries(head, stored) },
    validators: validatorsOf(head, stored),
    stale: {
      whileRevalidateSeconds: stored.staleWhileRevalidateSeconds,
      ifErrorSeconds: stored.staleIfErrorSeconds,
      because: whyStale(route, directives, stored),
    },
    ...(detail === undefined ? { next: { decision, because: whyDecided(decision, request, stored) } } : {}),
  };
}

/** Why a response of the origin to a request for which nothing is stored would not be stored. */
function whyNotStoredNow(
  route: RouteRules,
  request: CacheRequest,
  part: RequestDecision,
  head: ResponseHead,
  nowMs: number,
): NotKeptReason | undefined {
  if (part.action === "bypass") return "bypass";
  if (part.action === "pass") return "method";
  const passesBy = whyPassesBy(request, route, false);
  if (passesBy === "method") return passesBy;
  const reuse = decideReuse(request, { stored: undefined, varyMiss: false }, route.requestDirectives, nowMs);
  if (reuse.action === "gateway-timeout") return "only-if-cached";
  return passesBy ?? refusalOf(route, request, head);
}

function refusalOf(route: RouteRules, request: CacheRequest, head: ResponseHead): RefusalReason | undefined {
  const forwarded = {
    request,
    storable: true,
    showsRange: false,
    isOtherRequest: false,
    hasThrown: false,
    stale: undefined,
    isSecondRun: false,
    mayServeOnError: false,
    newLogin: undefined,
  };
  const decision = decideResponse(forwarded, head, undefined, route, []);
  return decision.action === "refuse" ? decision.because : undefined;
}

function validatorsOf(head: ResponseHead, stored: StoredResponse): ResponseExplanation["validators"] {
  const etag = fieldValue(head.fields, "etag");
  const lastModified = fieldValue(head.fields, "last-modified");
  return {
    ...(etag === undefined ? {} : { etag }),
    ...(lastModified === undefined ? {} : { lastModified }),
    because: whyValidated(stored),
  };
}
