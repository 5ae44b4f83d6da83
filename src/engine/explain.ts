import { requestDirectives, type ResponseDirectives } from "../rfc9111/directives.ts";
import { fieldValue } from "../rfc9111/fields.ts";
import { currentAgeSeconds, freshnessLifetimeSeconds } from "../rfc9111/freshness.ts";
import { isSafeMethod } from "../rfc9111/invalidation.ts";
import { decideReuse } from "../rfc9111/reuse.ts";
import type { NotStoredReason } from "../rfc9111/storing.ts";
import { effectiveDirectives, targetedDirectives } from "../rfc9111/targeted.ts";
import { conditionalFields } from "../rfc9111/validation.ts";
import { varyNames } from "../rfc9111/vary.ts";
import type { CacheRequest, CacheStore, ForwardReason, ResponseHead, ReuseDecision, StoredResponse } from "../http.ts";
import { decideSelected } from "./lookup/decide-selected.ts";
import { createEngine, type Engine } from "./state.ts";
import type { Exchange, Fill } from "./exchange.ts";
import { primaryKeyOf } from "./request/key.ts";
import { withoutRefusal } from "./lookup/refusals.ts";
import { respond } from "./respond.ts";
import type { RouteRules } from "./route-rules.ts";
import { selectWithPart } from "./lookup/select.ts";
import { storedResponse } from "./fill/store-response.ts";

/** A rule in one sentence, and where it is written; without `section` it is one of Reprise or of the route. */
export interface Rule {
  readonly rule: string;
  /** `"RFC 9111 §4.2"`. */
  readonly section?: string;
}

/** What a cache would do with a request, and why. Plain data: `JSON.stringify` keeps all of it. */
export interface Explanation {
  /** `"bypass"`: the request takes no part. `"pass"`: its method is not cached. Others: see {@link ReuseDecision}. */
  readonly action: "bypass" | "pass" | ReuseDecision["action"];
  readonly because: Rule;
  /** Of a bypass: the `detail` of its `Cache-Status`. */
  readonly detail?: string;
  /** The key without what `Vary` adds; absent where nothing is looked up. */
  readonly key?: string;
  /** The stored response that was selected, if there is one. */
  readonly found?: FoundResponse;
  readonly decision?: ReuseDecision;
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
  readonly next?: { readonly decision: ReuseDecision; readonly because: Rule };
}

/** Freshness lifetime of a response and who says so (RFC 9111 §4.2.1). */
export interface LifetimeExplanation {
  /** Absent when nothing gives one. */
  readonly seconds?: number;
  readonly from: "route" | "s-maxage" | "max-age" | "expires" | "heuristic" | "nothing";
  /** The field that holds it: `"cache-control"`, `"cdn-cache-control"`. */
  readonly field?: string;
  readonly because: Rule;
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
 * Says what `respond()` would do, without running the handler, storing anything or reporting an event.
 *
 * The request goes through `respond()` itself, with an engine whose store is empty and an exchange that answers nobody:
 * there is no second set of rules that could differ. Callbacks of the route (`when`, `key`, `audience`) do run;
 * `storeWhen` and `tags` do not, because there is no body.
 */
export async function explain(
  engine: Engine,
  route: RouteRules,
  request: CacheRequest,
  options: ExplainOptions = {},
): Promise<Explanation> {
  const { native, head } = options;
  const rehearsal = rehearse(engine, route, request, native);
  const response =
    head === undefined
      ? {}
      : { response: explainResponse(engine, route, request, rehearsal, head, options.requestedAtMs ?? engine.now()) };
  const { looksUp, bypass } = rehearsal;
  if (bypass !== undefined) return { action: "bypass", because: ruleOf(BYPASSED, bypass), detail: bypass, ...response };
  if (!looksUp) return { action: "pass", because: passed(request.method), ...response };

  const key = primaryKeyOf(engine, route, request, native);
  const selected = withoutRefusal(engine, request, await selectWithPart(engine, route, key, request));
  const nowMs = engine.now();
  const { decision } = decideSelected(route, request, selected, nowMs);
  const stored = (selected.live ?? selected.part)?.stored;
  const because = whyDecided(decision, request, stored);
  const found = stored === undefined ? {} : { found: foundResponse(stored, nowMs) };
  return { action: decision.action, because, key, ...found, decision, ...response };
}

/** What a run of `respond()` shows of a request. */
interface Rehearsal {
  /** The `detail` of a bypass. */
  bypass: string | undefined;
  /** True when the store was asked. */
  looksUp: boolean;
  /** Where a response of the origin would be reported. */
  fill: Fill | undefined;
  /** Why responses were not stored, in order. */
  readonly refusals: string[];
}

function rehearse(engine: Engine, route: RouteRules, request: CacheRequest, native: unknown): Rehearsal {
  const rehearsal: Rehearsal = { bypass: undefined, looksUp: false, fill: undefined, refusals: [] };
  const store: CacheStore = {
    name: "rehearsal",
    get() {
      rehearsal.looksUp = true;
      return undefined;
    },
    put: () => "failed",
    delete() {},
  };
  const exchange: Exchange = {
    native,
    send() {},
    pass() {},
    forward(fill) {
      rehearsal.fill = fill;
    },
  };
  const report: NonNullable<Engine["report"]> = (event) => {
    if (event.type === "not-stored") rehearsal.refusals.push(event.because);
    if (event.type !== "outcome" || event.outcome.forwarded !== "bypass") return;
    rehearsal.bypass = event.outcome.detail ?? "request";
  };
  // Nothing of a rehearsal is a mistake to warn of.
  const silent = { warnOnce() {}, isDevelopment: () => false };
  respond(createEngine({ ...engine, ...silent, store, report: () => report }), route, request, exchange);
  return rehearsal;
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
  rehearsal: Rehearsal,
  head: ResponseHead,
  requestedAtMs: number,
): ResponseExplanation {
  const nowMs = engine.now();
  const { directives } = effectiveDirectives(head.fields, route.targets);
  const context = { engine, route, request, native: undefined, primary: "", key: "", requestedAtMs, ...NOT_SENT };
  const stored = storedResponse(context, head, directives, new Uint8Array(0), nowMs, []);
  const detail = whyRefused(route, request, rehearsal, head);
  const decision = decideReuse(request, { stored, varyMiss: false }, route.requestDirectives, nowMs);
  return {
    status: head.status,
    stored: detail === undefined,
    ...(detail === undefined
      ? { because: { rule: "Nothing forbids to store it.", section: "RFC 9111 §3" } }
      : { detail, because: ruleOf(NOT_STORED, detail) }),
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

function whyRefused(
  route: RouteRules,
  request: CacheRequest,
  { bypass, looksUp, fill, refusals }: Rehearsal,
  head: ResponseHead,
): string | undefined {
  if (bypass !== undefined) return "bypass";
  if (!looksUp || request.method === "HEAD") return "method";
  if (fill === undefined) return "only-if-cached";
  if (route.requestDirectives === "rfc9111" && requestDirectives(request.fields).noStore) return "request-no-store";
  fill.head(head);
  const [because] = refusals;
  // There is no body to wait for.
  fill.abort();
  return because;
}

function lifetimeOf(
  route: RouteRules,
  head: ResponseHead,
  directives: ResponseDirectives,
  nowMs: number,
): LifetimeExplanation {
  const { lifetimeFrom, heuristic } = route.storing;
  if (lifetimeFrom === "route") {
    const seconds = route.lifetimeSeconds.get(head.status);
    if (seconds === undefined) return { from: "nothing", because: ruleOf(NOT_STORED, "status") };
    return { seconds, from: "route", because: { rule: "The route gives this lifetime." } };
  }
  const seconds = freshnessLifetimeSeconds(head, directives, { heuristic, nowMs });
  if (seconds === undefined) return { from: "nothing", because: ruleOf(NOT_STORED, "no-lifetime") };
  const target = route.targets.find((name) => targetedDirectives(head.fields, [name]) !== undefined);
  const field = target ?? "cache-control";
  const beats = target === undefined ? "" : `; ${target} stands in place of Cache-Control and Expires (RFC 9213 §2.2)`;
  if (directives.sMaxageSeconds !== undefined) {
    const rule = `For shared caches s-maxage comes before all other lifetimes${beats}.`;
    return { seconds, from: "s-maxage", field, because: { rule, section: "RFC 9111 §5.2.2.10" } };
  }
  if (directives.maxAgeSeconds !== undefined) {
    const rule = `max-age comes before Expires${beats}.`;
    return { seconds, from: "max-age", field, because: { rule, section: "RFC 9111 §5.2.2.1" } };
  }
  if (target === undefined && fieldValue(head.fields, "expires") !== undefined) {
    const rule = "The lifetime is Expires minus Date; an Expires that is no date means already stale.";
    return { seconds, from: "expires", field: "expires", because: { rule, section: "RFC 9111 §5.3" } };
  }
  const rule = "No lifetime is stated: a tenth of the time since Last-Modified is assumed, at most a day.";
  return { seconds, from: "heuristic", field: "last-modified", because: { rule, section: "RFC 9111 §4.2.2" } };
}

function whyVaries(head: ResponseHead, stored: StoredResponse): Rule {
  const section = "RFC 9111 §4.1";
  if (varyNames(head.fields).includes("*")) return ruleOf(NOT_STORED, "vary-any");
  if (stored.varyFields.length === 0) return { rule: "It answers every request with this key.", section };
  return { rule: "It answers requests with this key that present the same in these fields.", section };
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

function whyValidated(stored: StoredResponse): Rule {
  const conditions = Object.keys(conditionalFields(stored)).map((name) => CONDITIONS[name] ?? name);
  if (conditions.length > 0) {
    const rule = `Once it is stale, the origin is asked with ${conditions.join(" and ")}, and a 304 renews it.`;
    return { rule, section: "RFC 9111 §4.3.1" };
  }
  const rule = "The origin gave no validator, so once it is stale the whole response is asked for again.";
  if (stored.lifetimeFrom === "fields") return { rule, section: "RFC 9111 §4.3.1" };
  return { rule: `${rule} Clients get an ETag made from the content.` };
}

const CONDITIONS: Readonly<Record<string, string>> = {
  "if-none-match": "If-None-Match",
  "if-modified-since": "If-Modified-Since",
};

function whyStale(route: RouteRules, directives: ResponseDirectives, stored: StoredResponse): Rule {
  const { staleWhileRevalidateSeconds, staleIfErrorSeconds, mayServeStale } = stored;
  if (directives.noCache !== false) return { rule: "no-cache: never without asking first.", section: NO_CACHE };
  if (directives.mustRevalidate) return { rule: "must-revalidate: never stale.", section: "RFC 9111 §5.2.2.2" };
  if (directives.proxyRevalidate) {
    return { rule: "proxy-revalidate: never stale from a shared cache.", section: "RFC 9111 §5.2.2.8" };
  }
  if (staleWhileRevalidateSeconds > 0) {
    const rule = `For ${staleWhileRevalidateSeconds} s more while one request renews it.`;
    return { rule, section: "RFC 5861 §3" };
  }
  if (staleIfErrorSeconds > 0) {
    const rule = `For ${staleIfErrorSeconds} s more in place of a 500, 502, 503 or 504.`;
    return { rule, section: "RFC 5861 §4" };
  }
  if (!mayServeStale) return { rule: "s-maxage: never stale from a shared cache.", section: "RFC 9111 §5.2.2.10" };
  if (route.failureGraceSeconds > 0) {
    const rule = `For ${route.failureGraceSeconds} s more while the origin cannot be reached.`;
    return { rule, section: "RFC 9111 §4.2.4" };
  }
  return { rule: "Not used once it is stale, unless a client asks with max-stale.", section: "RFC 9111 §4.2.4" };
}

const NO_CACHE = "RFC 9111 §5.2.2.4";

function whyDecided(decision: ReuseDecision, request: CacheRequest, stored: StoredResponse | undefined): Rule {
  switch (decision.action) {
    case "reuse":
      if (decision.ttlSeconds > 0)
        return { rule: "It is fresh: its lifetime is above its age.", section: "RFC 9111 §4.2" };
      return { rule: "It is stale, within what the request's max-stale accepts.", section: "RFC 9111 §5.2.1.2" };
    case "reuse-and-revalidate":
      return {
        rule: "It is stale, within stale-while-revalidate: it is used while one request renews it.",
        section: "RFC 5861 §3",
      };
    case "revalidate":
      if (stored?.requiresRevalidation === true) {
        return { rule: "no-cache: the origin is asked before each use.", section: NO_CACHE };
      }
      return decision.because === "request" ? whyAsked(request) : STALE;
    case "forward":
      return whyForwarded(decision.because, request, stored);
    case "gateway-timeout":
      return {
        rule: "The request says only-if-cached and nothing stored can answer it: 504.",
        section: "RFC 9111 §5.2.1.7",
      };
  }
}

/** Beside the misses: why a stored part is not used. */
function whyForwarded(because: ForwardReason, request: CacheRequest, part: StoredResponse | undefined): Rule {
  switch (because) {
    case "vary-miss":
      return VARY_MISS;
    case "partial":
      return PARTIAL;
    case "request":
      return whyAsked(request);
    case "stale":
      if (part?.requiresRevalidation === true) return { rule: "no-cache: the origin is asked.", section: NO_CACHE };
      return { rule: "The stored part is stale: the origin is asked for the range.", section: "RFC 9111 §3.3" };
    case "bypass":
    case "method":
    case "miss":
    case "uri-miss":
      return NOTHING_STORED;
  }
}

const STALE: Rule = { rule: "It is stale: the origin is asked whether it still holds.", section: "RFC 9111 §4.3" };
const NOTHING_STORED: Rule = { rule: "Nothing is stored under this key: the origin answers.", section: "RFC 9111 §4" };
const VARY_MISS: Rule = {
  rule: "What is stored was made for other values of the fields in Vary: the origin answers.",
  section: "RFC 9111 §4.1",
};

const PARTIAL: Rule = {
  rule: "A part is stored, and it does not hold all that is asked for: the origin answers.",
  section: "RFC 9111 §3.3",
};

/** The directive of the request that a fresh response does not satisfy. */
function whyAsked({ fields }: CacheRequest): Rule {
  const { noCache, maxAgeSeconds, minFreshSeconds } = requestDirectives(fields);
  if (noCache) return { rule: "The request says no-cache: the origin is asked.", section: "RFC 9111 §5.2.1.4" };
  if (maxAgeSeconds === 0 || minFreshSeconds === undefined) {
    return { rule: "It is older than the request's max-age: the origin is asked.", section: "RFC 9111 §5.2.1.1" };
  }
  return { rule: "It is not as fresh as the request's max-age and min-fresh ask for.", section: "RFC 9111 §5.2.1" };
}

function passed(method: string): Rule {
  if (isSafeMethod(method)) return { rule: `${method} is not answered from a cache.`, section: "RFC 9110 §9.2.3" };
  const rule = `${method} reaches the origin; if it succeeds, what is stored of this URI is dropped.`;
  return { rule, section: "RFC 9111 §4.4" };
}

function ruleOf(table: Readonly<Record<string, Rule>>, detail: string): Rule {
  return (Object.hasOwn(table, detail) ? table[detail] : undefined) ?? { rule: `${detail}.` };
}

/** Why requests take no part, by the `detail` of `Cache-Status`. */
const BYPASSED: Readonly<Record<string, Rule>> = {
  request: {
    rule: 'The request says no-cache or no-store, and requestDirectives is "bypass".',
    section: "RFC 9111 §5.2.1",
  },
  authorization: {
    rule: "The request has Authorization or another login, and nothing says who may share the response.",
    section: "RFC 9111 §3.5",
  },
  cookie: {
    rule: "The request has a cookie that is not known to be harmless, and nothing says who may share the response.",
  },
  "client-certificate": {
    rule: "The client showed a certificate, and nothing says who may share the response.",
  },
  audience: { rule: "The request carries an identity, and the route's audience() gave no id for it." },
  "request-body": { rule: "A body of a GET is not in the key.", section: "RFC 9110 §9.3.1" },
  precondition: {
    rule: "If-Match and If-Unmodified-Since ask for the state at the origin.",
    section: "RFC 9110 §13.1.1",
  },
  when: { rule: "The route's when() said no." },
  disabled: { rule: "The cache is switched off here: expire is 0, or enabled is false." },
  "callback-failed": { rule: "A callback of the route threw." },
};

/** What can keep a response from being stored. */
type Refusal =
  | NotStoredReason
  | "bypass"
  | "only-if-cached"
  | "request-no-store"
  | "event-stream"
  | "too-large"
  | "internal-error";

/** Why responses are not stored, by the `detail` of `Cache-Status`. */
const NOT_STORED: Readonly<Record<Refusal, Rule>> = {
  method: { rule: "Responses to this method are not stored.", section: "RFC 9111 §3" },
  status: { rule: "This status is not one that is stored here.", section: "RFC 9111 §3" },
  "no-store": { rule: "no-store: no cache may keep it.", section: "RFC 9111 §5.2.2.5" },
  private: { rule: "private: it is for one user, and this cache is shared.", section: "RFC 9111 §5.2.2.7" },
  "no-cache": { rule: "no-cache: a lifetime of the route does not overrule it.", section: NO_CACHE },
  "set-cookie": { rule: "It sets a cookie, which others must not get.", section: "RFC 9111 §7.3" },
  "vary-any": { rule: "Vary: * says that no other request can be answered with it.", section: "RFC 9111 §4.1" },
  "vary-identity": { rule: "It varies by Cookie or Authorization: it is somebody's own.", section: "RFC 9111 §7.3" },
  "origin-unkeyed": { rule: "It allows one CORS origin without Vary: Origin." },
  authorization: {
    rule: "The request has Authorization, and no public, s-maxage or must-revalidate permits sharing.",
    section: "RFC 9111 §3.5",
  },
  "no-lifetime": { rule: "Nothing gives it a lifetime.", section: "RFC 9111 §4.2.1" },
  partial: { rule: "It is a part of a response.", section: "RFC 9111 §3.3" },
  trailer: { rule: "It announces trailer fields, which are not kept.", section: "RFC 9110 §6.5" },
  "must-understand": { rule: "must-understand, and the status is unknown.", section: "RFC 9111 §5.2.2.3" },
  bypass: { rule: "The request takes no part." },
  "only-if-cached": { rule: "The request says only-if-cached: no origin is asked.", section: "RFC 9111 §5.2.1.7" },
  "request-no-store": { rule: "The request says no-store.", section: "RFC 9111 §5.2.1.5" },
  "event-stream": { rule: "An event stream has no end." },
  "too-large": { rule: "Its body is larger than maxBodyBytes." },
  "internal-error": { rule: "Judging it failed." },
};
