import { cacheStatus } from "../../rfc9111/cache-status.ts";
import { fieldValue } from "../../rfc9111/fields.ts";
import { evaluatePreconditions, isUnmodified, notModifiedFields } from "../../rfc9111/preconditions.ts";
import { rangeReply } from "../../rfc9111/ranges.ts";
import type { CacheRequest, Fields, Outcome, RangeReply, StoredResponse } from "../../http.ts";
import { identityVaryFields, storedDownstreamFields } from "./advertised-fields.ts";
import type { Engine } from "../state.ts";
import type { ReportedHead, Reply } from "../exchange.ts";
import type { RouteRules } from "../route-rules.ts";
import type { Freshness, PreparedReply } from "./prepared-reply.ts";
import type { LiveResponse } from "../lookup/stored-entry.ts";

const CACHE_NAME = "reprise";

/** Everything an answer from a stored response is made of. */
export interface Serving {
  readonly engine: Engine;
  readonly route: RouteRules;
  readonly stored: StoredResponse;
  readonly freshness: Freshness;
  readonly nowMs: number;
  readonly outcome: Outcome;
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
  if (known !== undefined && known.freshness.ageSeconds === freshness.ageSeconds && known.route === route) return known;
  const outcome: Outcome = { hit: true, stored: false, collapsed: false, ttlSeconds: freshness.ttlSeconds };
  const whole = wholeReply({ engine, route, stored: live.stored, freshness, nowMs, outcome });
  const prepared: PreparedReply = { route, freshness, outcome, whole, notModified: undefined };
  live.prepared = prepared;
  return prepared;
}

/** Picks 200, 206, 304 or 416 for a hit (RFC 9110 §13.2). */
export function hitReply(
  engine: Engine,
  request: CacheRequest,
  { stored }: LiveResponse,
  prepared: PreparedReply,
  nowMs: number,
): Reply {
  const { route, freshness, outcome } = prepared;
  if (evaluatePreconditions(request.fields, stored, nowMs) === "send") {
    if (request.fields["range"] === undefined) return prepared.whole;
    return partReply({ engine, route, stored, freshness, nowMs, outcome }, request) ?? prepared.whole;
  }
  prepared.notModified ??= notModifiedReply({ engine, route, stored, freshness, nowMs, outcome });
  return prepared.notModified;
}

/** The answer from a stored response that is reused, on any path but a plain hit. */
export function storedReply(serving: Serving, request: CacheRequest): Reply {
  const { stored, nowMs } = serving;
  if (evaluatePreconditions(request.fields, stored, nowMs) !== "send") return notModifiedReply(serving);
  return partReply(serving, request) ?? wholeReply(serving);
}

/** The answer from a response that the handler has just made or confirmed. Its `Date` says nothing of a modification. */
export function newReply(serving: Serving, request: CacheRequest): Reply {
  if (isUnmodified(request.fields, serving.stored, undefined, serving.nowMs)) return notModifiedReply(serving);
  return partReply(serving, request) ?? wholeReply(serving);
}

/** The part of a stored response that a `Range` asks for (RFC 9110 §14), or `undefined` for the whole. */
function partReply(serving: Serving, request: CacheRequest): Reply | undefined {
  if (request.fields["range"] === undefined || request.method !== "GET") return undefined;
  const { engine, route, stored, nowMs, outcome } = serving;
  const part = rangeReply(request.fields, stored, nowMs, newBoundary());
  if (part === undefined) return undefined;
  if (part.status !== 416) return replyWith(part, serving);
  // A refusal is about this request; nothing of it is fresh for anybody.
  const computed = outcomeFields(engine, outcome, fieldValue(stored.fields, "cache-status"));
  computed.push(...identityVaryFields(engine, route, stored.fields));
  const fields = withComputed(part.fields, computed);
  fields.push("content-length", String(part.body.byteLength));
  return { status: part.status, fields, removed: stored.removedFields, body: part.body };
}

/** The answer from a stored 206 (RFC 9111 §3.3): `part` is what it holds of the range that is asked for. */
export function storedPartReply(serving: Serving, part: RangeReply): Reply {
  return replyWith(part, serving);
}

/** A line no body is likely to hold. */
function newBoundary(): string {
  return `reprise-${Math.random().toString(36).slice(2)}${Math.random().toString(36).slice(2)}`;
}

function wholeReply(serving: Serving): Reply {
  return replyWith(serving.stored, serving);
}

function notModifiedReply(serving: Serving): Reply {
  return withFreshness(serving, { status: 304, fields: notModifiedFields(serving.stored.fields), body: null });
}

/** The 304 to a client whose condition holds for a response that is passed on and not stored. */
export function passedNotModified(
  head: ReportedHead,
  fields: readonly string[],
  freshness: readonly string[] = [],
): Reply {
  const { frameworkEtag, removed } = head;
  const own = frameworkEtag === undefined ? head.fields : { ...head.fields, etag: frameworkEtag };
  const plainFields = withComputed(notModifiedFields(own), fields);
  return { status: 304, fields: overridden(plainFields, freshness), plainFields, freshness, removed, body: null };
}

interface Content {
  readonly status: number;
  readonly fields: Fields;
  readonly body: Uint8Array;
}

function replyWith({ status, fields, body }: Content, serving: Serving): Reply {
  return withFreshness(serving, { status, fields, body });
}

/** A reply with the fields that this cache adds, with and without those that promise freshness. */
function withFreshness(
  { engine, route, stored, freshness, nowMs, outcome }: Serving,
  { status, fields, body }: Omit<Content, "body"> & { readonly body: Uint8Array | null },
): Reply {
  const computed = outcomeFields(engine, outcome, fieldValue(stored.fields, "cache-status"));
  const generated = stored.lifetimeFrom === "fields" ? ["age", String(freshness.ageSeconds)] : generatedTag(stored);
  if (stored.lifetimeFrom === "fields") computed.push(...generated);
  const told = storedDownstreamFields(engine, route, stored, freshness.ttlSeconds, nowMs);
  computed.push(...told.always);
  const plainFields = withComputed(fields, computed);
  // RFC 9110 §8.6: none with a 204.
  if (body !== null && status !== 204) plainFields.push("content-length", String(body.byteLength));
  const reason = status === stored.status ? stored.reason : undefined;
  const { removedFields: removed, declaresLength, endBytes } = stored;
  const plain = { status, reason, fields: plainFields, generated, removed, declaresLength, endBytes, body };
  if (told.freshness.length === 0) return plain;
  return { ...plain, fields: overridden(plainFields, told.freshness), plainFields, freshness: told.freshness };
}

const NO_FIELDS: readonly string[] = [];

/** The `ETag` of a response that came without one. */
function generatedTag({ fields, hasOriginValidator }: StoredResponse): readonly string[] {
  const tag = hasOriginValidator ? undefined : fieldValue(fields, "etag");
  return tag === undefined ? NO_FIELDS : ["etag", tag];
}

/** A flat list with the fields of another one in place of those of the same name. */
function overridden(flat: readonly string[], computed: readonly string[]): readonly string[] {
  if (computed.length === 0) return flat;
  const whole: string[] = [];
  for (let at = 0; at + 1 < flat.length; at += 2) {
    const name = flat[at] ?? "";
    if (!isComputed(computed, name)) whole.push(name, flat[at + 1] ?? "");
  }
  whole.push(...computed);
  return whole;
}

/** What the cache did, for people and for tools: `Cache-Status` (RFC 9211) and the hit/miss field. */
export function outcomeFields(engine: Engine, outcome: Outcome, upstream?: string): string[] {
  return [...statusFields(outcome, upstream), engine.responseHeader, outcome.hit ? "Hit" : "Miss"];
}

/** `Cache-Status` alone. */
export function statusFields(outcome: Outcome, upstream?: string): string[] {
  const member = cacheStatus(CACHE_NAME, outcome);
  return ["cache-status", upstream === undefined ? member : `${upstream}, ${member}`];
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
