import { cacheStatus } from "../rfc9111/cache-status.ts";
import { responseDirectives } from "../rfc9111/directives.ts";
import { fieldValue } from "../rfc9111/fields.ts";
import { formatHttpDate } from "../rfc9111/http-date.ts";
import { evaluatePreconditions, notModifiedFields } from "../rfc9111/preconditions.ts";
import { partialReply } from "../rfc9111/partial-content.ts";
import { rangeReply } from "../rfc9111/ranges.ts";
import type { CacheRequest, Fields, Outcome, StoredResponse } from "../types.ts";
import type { Engine } from "./engine.ts";
import type { Reply } from "./exchange.ts";
import type { RouteRules } from "./route.ts";
import type { LiveResponse } from "./stored-entry.ts";

const CACHE_NAME = "reprise";

/** The answers of one stored response while its age is the same: built once a second, not once a hit. */
export interface PreparedReply {
  readonly route: RouteRules;
  readonly ageSeconds: number;
  readonly outcome: Outcome;
  readonly whole: Reply;
  notModified: Reply | undefined;
}

/** How old a stored response is while it is served. */
export interface Freshness {
  readonly ageSeconds: number;
  readonly ttlSeconds: number;
}

/** The prepared answers for a hit. */
export function prepareHit(
  engine: Engine,
  route: RouteRules,
  live: LiveResponse,
  freshness: Freshness,
  nowMs: number,
): PreparedReply {
  const known = live.prepared;
  if (known !== undefined && known.ageSeconds === freshness.ageSeconds && known.route === route) return known;
  const outcome: Outcome = { hit: true, stored: false, collapsed: false, ttlSeconds: freshness.ttlSeconds };
  const whole = wholeReply(engine, route, live.stored, freshness, nowMs, outcome);
  const prepared: PreparedReply = { route, ageSeconds: freshness.ageSeconds, outcome, whole, notModified: undefined };
  live.prepared = prepared;
  return prepared;
}

/** Picks 200 or 304 for a hit (RFC 9110 §13.2). */
export function hitReply(
  engine: Engine,
  request: CacheRequest,
  live: LiveResponse,
  prepared: PreparedReply,
  nowMs: number,
): Reply {
  if (evaluatePreconditions(request.fields, live.stored, nowMs) === "send") {
    if (request.fields["range"] === undefined) return prepared.whole;
    const { route, ageSeconds, outcome } = prepared;
    const asked = { ageSeconds, ttlSeconds: outcome.ttlSeconds ?? 0 };
    return partReply(engine, route, request, live.stored, asked, nowMs, outcome) ?? prepared.whole;
  }
  const freshness = { ageSeconds: prepared.ageSeconds, ttlSeconds: prepared.outcome.ttlSeconds ?? 0 };
  prepared.notModified ??= notModifiedReply(engine, prepared.route, live.stored, freshness, nowMs, prepared.outcome);
  return prepared.notModified;
}

/** The answer from a stored response on any path but a plain hit. */
export function storedReply(
  engine: Engine,
  route: RouteRules,
  request: CacheRequest,
  stored: StoredResponse,
  freshness: Freshness,
  nowMs: number,
  outcome: Outcome,
): Reply {
  if (evaluatePreconditions(request.fields, stored, nowMs) !== "send") {
    return notModifiedReply(engine, route, stored, freshness, nowMs, outcome);
  }
  const part = partReply(engine, route, request, stored, freshness, nowMs, outcome);
  return part ?? wholeReply(engine, route, stored, freshness, nowMs, outcome);
}

/** The part of a stored response that a `Range` asks for (RFC 9110 §14), or `undefined` for the whole. */
function partReply(
  engine: Engine,
  route: RouteRules,
  request: CacheRequest,
  stored: StoredResponse,
  freshness: Freshness,
  nowMs: number,
  outcome: Outcome,
): Reply | undefined {
  if (request.fields["range"] === undefined || request.method !== "GET") return undefined;
  const part = rangeReply(request.fields, stored, nowMs, newBoundary());
  if (part === undefined) return undefined;
  // A refusal is about this request; nothing of it is fresh for anybody.
  const computed =
    part.status === 416
      ? outcomeFields(engine, outcome, fieldValue(stored.fields, "cache-status"))
      : computedFields(engine, route, stored, freshness, nowMs, outcome);
  const fields = withComputed(part.fields, computed);
  fields.push("content-length", String(part.body.byteLength));
  return { status: part.status, fields, body: part.body };
}

/** The answer from a stored 206 (RFC 9111 §3.3), or `undefined` when it does not hold all that is asked for. */
export function storedPartReply(
  engine: Engine,
  route: RouteRules,
  request: CacheRequest,
  stored: StoredResponse,
  freshness: Freshness,
  nowMs: number,
  outcome: Outcome,
): Reply | undefined {
  const { fields, body, receivedAtMs, rangeField } = stored;
  if (request.method !== "GET" || rangeField === undefined) return undefined;
  const part = partialReply(request.fields, { fields, body, receivedAtMs, rangeField }, nowMs);
  if (part === undefined) return undefined;
  const computed = computedFields(engine, route, stored, freshness, nowMs, outcome);
  const flat = withComputed(part.fields, computed);
  flat.push("content-length", String(part.body.byteLength));
  return { status: part.status, fields: flat, body: part.body };
}

/** A line no body is likely to hold. */
function newBoundary(): string {
  return `reprise-${Math.random().toString(36).slice(2)}${Math.random().toString(36).slice(2)}`;
}

function wholeReply(
  engine: Engine,
  route: RouteRules,
  stored: StoredResponse,
  freshness: Freshness,
  nowMs: number,
  outcome: Outcome,
): Reply {
  const computed = computedFields(engine, route, stored, freshness, nowMs, outcome);
  const fields = withComputed(stored.fields, computed);
  fields.push("content-length", String(stored.body.byteLength));
  return { status: stored.status, fields, body: stored.body };
}

function notModifiedReply(
  engine: Engine,
  route: RouteRules,
  stored: StoredResponse,
  freshness: Freshness,
  nowMs: number,
  outcome: Outcome,
): Reply {
  const computed = computedFields(engine, route, stored, freshness, nowMs, outcome);
  return { status: 304, fields: withComputed(notModifiedFields(stored.fields), computed), body: null };
}

function computedFields(
  engine: Engine,
  route: RouteRules,
  stored: StoredResponse,
  freshness: Freshness,
  nowMs: number,
  outcome: Outcome,
): string[] {
  const computed = outcomeFields(engine, outcome, fieldValue(stored.fields, "cache-status"));
  if (stored.lifetimeFrom === "fields") computed.push("age", String(freshness.ageSeconds));
  else computed.push(...advertisedFields(route, stored.fields, freshness.ttlSeconds, nowMs));
  return computed;
}

/** What the cache did, for people and for tools: `Cache-Status` (RFC 9211) and the hit/miss field. */
export function outcomeFields(engine: Engine, outcome: Outcome, upstream?: string): string[] {
  const member = cacheStatus(CACHE_NAME, outcome);
  const status = upstream === undefined ? member : `${upstream}, ${member}`;
  return ["cache-status", status, engine.responseHeader, outcome.hit ? "Hit" : "Miss"];
}

/**
 * What downstream caches are told of a route's lifetime. The handler's own `Cache-Control` lifetime stays as it is;
 * otherwise the remaining lifetime is advertised, and no `Age` with it: we answer as the origin.
 */
export function advertisedFields(route: RouteRules, fields: Fields, ttlSeconds: number, nowMs: number): string[] {
  const remaining = Math.max(0, ttlSeconds);
  const advertised: string[] = [];
  if (route.cdnSeconds !== undefined && fieldValue(fields, "cdn-cache-control") === undefined) {
    advertised.push("cdn-cache-control", `max-age=${Math.min(remaining, route.cdnSeconds)}`);
  }
  const own = fieldValue(fields, "cache-control");
  if (own !== undefined) {
    const directives = responseDirectives(fields);
    if (
      directives.maxAgeSeconds !== undefined ||
      directives.sMaxageSeconds !== undefined ||
      directives.noCache !== false
    ) {
      return advertised;
    }
  }
  const members: string[] = own === undefined || own.trim() === "" ? [] : [own];
  if (typeof route.audience === "function") members.push("private");
  if (route.browser === "no-cache") return [...advertised, "cache-control", [...members, "no-cache"].join(", ")];
  const seconds = route.browser === undefined ? remaining : Math.min(remaining, route.browser);
  members.push(`max-age=${seconds}`);
  advertised.push("cache-control", members.join(", "));
  if (fieldValue(fields, "expires") === undefined) advertised.push("expires", formatHttpDate(nowMs + seconds * 1000));
  return advertised;
}

/** Stored fields and computed ones in one flat list; a computed field takes the place of a stored one. */
function withComputed(fields: Fields, computed: readonly string[]): string[] {
  const flat: string[] = [];
  for (const [name, value] of Object.entries(fields)) {
    if (value === undefined || name === "content-length" || isComputed(computed, name)) continue;
    if (typeof value === "string") flat.push(name, value);
    else for (const line of value) flat.push(name, line);
  }
  flat.push(...computed);
  return flat;
}

function isComputed(computed: readonly string[], name: string): boolean {
  for (let at = 0; at < computed.length; at += 2) if (computed[at] === name) return true;
  return false;
}
