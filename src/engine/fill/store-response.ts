import { withDeclaredVary } from "../reply/declared-vary.ts";
import type { ResponseDirectives } from "../../rfc9111/directives.ts";
import { endToEndFields, fieldValue, hasField } from "../../rfc9111/fields.ts";
import { correctedInitialAgeSeconds, currentAgeSeconds, freshnessLifetimeSeconds } from "../../rfc9111/freshness.ts";
import { whyNotStored, type NotStoredReason } from "../../rfc9111/storing.ts";
import { effectiveDirectives } from "../../rfc9111/targeted.ts";
import { freshenedFields } from "../../rfc9111/validation.ts";
import { presentedFields, varyNames } from "../../rfc9111/vary.ts";
import type { CacheRequest, Fields, Lease, ResponseHead, StoredResponse, StoreEntry } from "../../http.ts";
import type { Engine } from "../state.ts";
import type { ReportedHead } from "../exchange.ts";
import type { RouteRules } from "../route-rules.ts";
import { subjectOf } from "../cache-events.ts";
import type { Freshness } from "../reply/prepared-reply.ts";
import { keyedPath } from "../request/keyed-path.ts";
import { namesOf, purgeUris, withGroups } from "../request/purge-names.ts";
import { isRouteName } from "../request/route-name.ts";
import { chain, keyOfVariant, partKey } from "../lookup/select.ts";
import type { VarySpec } from "../lookup/selected.ts";
import { guardStore } from "../lookup/store-access.ts";
import { liveResponse, responseEntry, varySpecEntry, type LiveResponse } from "../lookup/stored-entry.ts";

/** What storing needs to know of the request that led to the response. */
export interface WriteContext {
  readonly engine: Engine;
  readonly route: RouteRules;
  readonly request: CacheRequest;
  readonly native: unknown;
  readonly primary: string;
  /** Where the request looked for its response. */
  readonly key: string;
  readonly requestedAtMs: number;
  /** Position of the purge log before the request went to the origin. */
  readonly generation: string;
  /** The patterns of the routes that answer, where the framework tells them. */
  readonly patterns: () => readonly string[];
  /** The response that is renewed: it keeps the names of its routes, which a run in the background may not tell. */
  readonly stale?: LiveResponse | undefined;
  /** The right to fill `leaseKey`, where processes share the store. */
  readonly lease: Lease | undefined;
  /** `key`, unless the response says that it belongs under another one. */
  readonly leaseKey: string;
  /** Keeps a write that has not ended from being ended with the request. */
  readonly keepAlive?: ((work: Promise<unknown>) => void) | undefined;
}

const NO_BYTES = new Uint8Array(0);

/** How long a response with a validator of its origin is kept past its use, to be revalidated instead of sent again. */
const KEEP_TO_REVALIDATE_SECONDS = 3_600;

export function freshnessOf(live: LiveResponse, nowMs: number): Freshness {
  const ageSeconds = currentAgeSeconds(live.stored, nowMs);
  return { ageSeconds, ttlSeconds: live.stored.freshnessLifetimeSeconds - ageSeconds };
}

/** True when others may have the response without a validation of their own (RFC 9111 §4). */
export function isShareable(live: LiveResponse, nowMs: number): boolean {
  const { requiresRevalidation, staleWhileRevalidateSeconds } = live.stored;
  return !requiresRevalidation && freshnessOf(live, nowMs).ttlSeconds + staleWhileRevalidateSeconds > 0;
}

/** The response as it will be kept. Calls the developer's `tags` unless names are given; it may throw. */
export function storedResponse(
  context: WriteContext,
  head: ReportedHead,
  directives: ResponseDirectives,
  body: Uint8Array,
  receivedAtMs: number,
  known?: readonly string[],
): StoredResponse {
  const { route, request, requestedAtMs } = context;
  const { lifetimeFrom, heuristic, keyedFields } = route.storing;
  const byRoute = lifetimeFrom === "route";
  const own = byRoute ? undefined : freshnessLifetimeSeconds(head, directives, { heuristic, nowMs: receivedAtMs });
  const lifetimeSeconds = byRoute ? route.lifetimeSeconds.get(head.status) : own;
  const selecting = varyNames(head.fields).filter((name) => !keyedFields.has(name));
  const hasOriginEtag = hasField(head.fields, "etag");
  const names = known ?? namesOf(context, head.fields);
  return {
    status: head.status,
    fields: keptFields(context, head.fields, body, names),
    body,
    varyFields: presentedFields(request.fields, selecting, context.engine.languages),
    requestedAtMs,
    receivedAtMs,
    correctedInitialAgeSeconds: byRoute ? 0 : correctedInitialAgeSeconds(head, requestedAtMs, receivedAtMs),
    freshnessLifetimeSeconds: lifetimeSeconds ?? 0,
    lifetimeFrom,
    ...staleRules(route, directives),
    requiresRevalidation: directives.noCache !== false,
    hasOriginValidator: hasOriginEtag || (!byRoute && hasField(head.fields, "last-modified")),
    ...(head.status === 206 ? { rangeField: fieldValue(request.fields, "range") ?? "" } : {}),
    ...(head.reason === undefined ? {} : { reason: head.reason }),
    ...(head.removed === undefined || head.removed.length === 0 ? {} : { removedFields: head.removed }),
    ...(hasField(head.fields, "content-length") ? { declaresLength: true } : {}),
    ...(head.endBytes === undefined ? {} : { endBytes: head.endBytes }),
    names,
    generation: context.generation,
  };
}

/** A directive of the response beats the route's option; `must-revalidate` and its kin forbid both (RFC 9111 §4.2.4). */
function staleRules(
  route: RouteRules,
  directives: ResponseDirectives,
): Pick<StoredResponse, "staleWhileRevalidateSeconds" | "staleIfErrorSeconds" | "mayServeStale"> {
  if (directives.mustRevalidate || directives.proxyRevalidate || directives.noCache !== false) {
    return { staleWhileRevalidateSeconds: 0, staleIfErrorSeconds: 0, mayServeStale: false };
  }
  // s-maxage carries proxy-revalidate with it (§5.2.2.10), but an explicit RFC 5861 directive beside it is the stronger sign.
  const sharedOnly = directives.sMaxageSeconds !== undefined;
  return {
    staleWhileRevalidateSeconds:
      directives.staleWhileRevalidateSeconds ?? (sharedOnly ? 0 : route.staleWhileRevalidateSeconds),
    staleIfErrorSeconds: directives.staleIfErrorSeconds ?? (sharedOnly ? 0 : route.staleIfErrorSeconds),
    mayServeStale: !sharedOnly,
  };
}

function keptFields(
  { engine, route, request }: WriteContext,
  fields: Fields,
  body: Uint8Array,
  names: readonly string[],
): Fields {
  const kept = { ...endToEndFields(fields) };
  delete kept["content-length"];
  delete kept[engine.responseHeader];
  const groups = route.emitsGroups ? withGroups(fields, names) : undefined;
  if (groups !== undefined) kept["cache-groups"] = groups;
  if (route.searchRule !== undefined) kept["no-vary-search"] ??= route.searchRule.text;
  if (route.storing.lifetimeFrom === "fields") return kept;
  // With a lifetime of our own we answer as the origin does: with the date of today and no age.
  delete kept["date"];
  delete kept["age"];
  const vary = withDeclaredVary(route.vary, fields);
  if (vary !== undefined) kept["vary"] = vary;
  if (!hasField(kept, "etag")) kept["etag"] = generatedEtag(engine, route, request, fields, body);
  return kept;
}

/** A strong tag, the same in every process; bound to path, query in the key and content coding (RFC 9110 §8.8.3.3). */
function generatedEtag(
  engine: Engine,
  route: RouteRules,
  request: CacheRequest,
  fields: Fields,
  body: Uint8Array,
): string {
  const coding = fieldValue(fields, "content-encoding") ?? "";
  return `"${engine.contentHash(`${keyedPath(route, request.path)}\n${coding}`, body)}"`;
}

/** The stored response after a 304, and why it may not be kept if it may not (RFC 9111 §4.3.4). */
export function freshenedResponse(
  context: WriteContext,
  stale: LiveResponse,
  head304: ResponseHead,
  receivedAtMs: number,
): { readonly live: LiveResponse; readonly because: NotStoredReason | undefined } {
  const fields = freshenedFields(stale.stored.fields, head304.fields);
  const { status, reason, removedFields, endBytes, declaresLength } = stale.stored;
  const head: ReportedHead = { status, fields, reason, removed: removedFields, endBytes };
  const { directives } = effectiveDirectives(fields, context.route.targets);
  const because = whyNotStored(context.request, head, directives, context.route.storing);
  const { body, names } = stale.stored;
  const stored = storedResponse(context, head, directives, body, receivedAtMs, names);
  return { live: liveResponse(declaresLength === true ? { ...stored, declaresLength } : stored), because };
}

/** Why a response that may be stored was not. */
export type NotKept = "purged" | "variant-limit" | "store-unavailable";

/** What became of a response that may be stored. */
export interface Kept {
  /** Why the store was not given it, if it was not. */
  readonly notKept: NotKept | undefined;
  /** False when it was purged, be it softly, since it was asked for: who came after that must not have it as fresh. */
  readonly isClear: boolean;
}

/** Why a response that may be stored would not be kept now. */
export function whyNotKept(context: WriteContext, live: LiveResponse): NotKept | undefined {
  const { engine, route, primary, request } = context;
  const { stored } = live;
  const entry = responseEntry(live, purgeUris(engine, route, request));
  if (engine.fence.isPurged(primary, entry)) return "purged";
  if (stored.rangeField === undefined && stored.varyFields.length > 0 && !hasPlace(context, stored)) {
    return "variant-limit";
  }
  return engine.store.isAvailable?.() === false ? "store-unavailable" : undefined;
}

/** Hands a response to the store, or says why it is not kept. */
export function storeResponse(context: WriteContext, live: LiveResponse): Kept {
  const { engine, primary, requestedAtMs } = context;
  const { stored } = live;
  const entry = responseEntry(live, purgeUris(engine, context.route, context.request));
  // What was asked for before a purge may be from before the change it was for.
  const isClear = engine.fence.isClear(primary, entry);
  if (!isClear && engine.fence.isPurged(primary, entry)) return { notKept: "purged", isClear };
  if (engine.isDevelopment()) rememberRoutes(context, stored);
  const retainMs = retainSeconds(stored, context.route.failureGraceSeconds) * 1000;
  let key = primary;
  let record: KeptRecord | undefined;
  if (stored.rangeField !== undefined) {
    key = partKey(context.key);
  } else if (stored.varyFields.length === 0) {
    engine.varySpecs.delete(primary);
  } else {
    const variant = rememberVariant(context, stored, requestedAtMs + retainMs);
    if (variant === undefined) return { notKept: "variant-limit", isClear };
    ({ key, record } = variant);
  }
  const lookUps = engine.lookUps.get(primary);
  if (lookUps !== undefined && stored.rangeField === undefined) {
    lookUps.meanwhile = { selected: { key, live, varyMiss: false }, entry, begun: lookUps.begun };
  }
  if (engine.store.isAvailable?.() === false) return { notKept: "store-unavailable", isClear };
  const accepted = put(context, key, entry, retainMs);
  // The variant first: a reader that finds the record looks for it.
  const recorded = record === undefined ? "kept" : put(context, primary, record.entry, record.retainMs);
  const both = chain(accepted, (variant) => (variant === "kept" ? recorded : variant));
  const reported = chain(both, (acceptance) => reportStored(context, stored, acceptance));
  if (reported instanceof Promise) context.keepAlive?.(reported);
  return { notKept: undefined, isClear };
}

/** So that a purge by a route of another name can be told. */
function rememberRoutes({ engine, patterns }: WriteContext, { names }: StoredResponse): void {
  if (!names.some((name) => isRouteName(name) && !engine.knownRoutes.has(name))) return;
  for (const pattern of patterns()) engine.knownRoutes.addAnswered(pattern);
}

/** What became of an entry: `lease-lost` where another process fills the key by now. */
type Acceptance = "kept" | "lease-lost" | "store-failed";

function reportStored({ engine, request }: WriteContext, stored: StoredResponse, acceptance: Acceptance): void {
  const subject = subjectOf(request);
  if (acceptance !== "kept") return engine.report?.({ type: "not-stored", subject, because: acceptance });
  engine.report?.({
    type: "stored",
    subject,
    status: stored.status,
    bodyBytes: stored.body.byteLength,
    freshnessLifetimeSeconds: stored.freshnessLifetimeSeconds,
  });
}

/** A write under a held lease goes through the lease: the store rejects it if the lease was lost, and releases it if not. */
function put(
  { engine, key: wantedKey, lease, leaseKey }: WriteContext,
  key: string,
  entry: StoreEntry,
  retainMs: number,
): Acceptance | Promise<Acceptance> {
  if (lease !== undefined && key === leaseKey) return putUnderLease(engine, lease, entry, retainMs);
  const put = guardStore(engine, "put", () => engine.store.put(key, entry, retainMs));
  // Other processes poll the old key, so write it there too.
  if (lease !== undefined && key === wantedKey) void putUnderLease(engine, lease, entry, retainMs);
  return chain(put, (result) => (result === "stored" ? "kept" : "store-failed"));
}

/** Never rejects. */
export async function putUnderLease(
  engine: Engine,
  lease: Lease,
  entry: StoreEntry,
  retainMs: number,
): Promise<Acceptance> {
  const put = await guardStore(engine, "put", () => lease.put(entry, retainMs));
  if (put === "lost") return "lease-lost";
  return put === "stored" ? "kept" : "store-failed";
}

export function deleteStored(engine: Engine, key: string): void {
  void guardStore(engine, "delete", () => engine.store.delete(key));
}

function retainSeconds(stored: StoredResponse, failureGraceSeconds: number): number {
  const freshSeconds = Math.max(0, stored.freshnessLifetimeSeconds - stored.correctedInitialAgeSeconds);
  const graceSeconds = stored.mayServeStale ? failureGraceSeconds : 0;
  const staleSeconds = Math.max(stored.staleWhileRevalidateSeconds, stored.staleIfErrorSeconds, graceSeconds);
  return freshSeconds + Math.max(staleSeconds, stored.hasOriginValidator ? KEEP_TO_REVALIDATE_SECONDS : 0);
}

/** What tells by which fields the responses of a resource vary. */
interface KeptRecord {
  readonly entry: StoreEntry;
  readonly retainMs: number;
}

/**
 * The key of a variant, counted, and the record of names if that is to be put, so that the store keeps it at least as
 * long; `undefined` when there are too many.
 */
function rememberVariant(
  context: WriteContext,
  stored: StoredResponse,
  untilMs: number,
): { readonly key: string; readonly record: KeptRecord | undefined } | undefined {
  const { engine, primary, request } = context;
  const spec = knownSpec(engine, primary, stored) ?? {
    kind: "vary",
    names: stored.varyFields.map(([name]) => name),
    epoch: newEpoch(untilMs),
    keptUntilMs: 0,
    variants: new Map<string, number>(),
  };
  const key = keyOfVariant(engine, primary, spec, request);
  const nowMs = engine.now();
  // A key can be as long as a head of a request.
  const variant = engine.contentHash(key, NO_BYTES);
  if (!spec.variants.has(variant) && !hasRoom(spec, engine.maxVariants, nowMs)) return undefined;
  spec.variants.set(variant, untilMs);
  if (spec.keptUntilMs >= untilMs) return { key, record: undefined };
  engine.varySpecs.set(primary, { ...spec, keptUntilMs: untilMs });
  const uri = purgeUris(engine, context.route, request);
  const entry = { ...varySpecEntry(spec), uri, generation: context.generation };
  return { key, record: { entry, retainMs: Math.max(1, untilMs - nowMs) } };
}

/** What is remembered of the resource, where this response varies by the same fields. */
function knownSpec(engine: Engine, primary: string, { varyFields }: StoredResponse): VarySpec | undefined {
  const known = engine.varySpecs.get(primary);
  return known?.names.join() === varyFields.map(([name]) => name).join() ? known : undefined;
}

/** True when `rememberVariant` would find a place for this response. */
function hasPlace({ engine, primary, request }: WriteContext, stored: StoredResponse): boolean {
  const spec = knownSpec(engine, primary, stored);
  if (spec === undefined || spec.variants.size < engine.maxVariants) return true;
  const key = keyOfVariant(engine, primary, spec, request);
  return spec.variants.has(engine.contentHash(key, NO_BYTES)) || hasRoom(spec, engine.maxVariants, engine.now());
}

/** True when one more variant is within the bound, once those the store no longer keeps are forgotten. */
function hasRoom({ variants }: VarySpec, maxVariants: number, nowMs: number): boolean {
  if (variants.size < maxVariants) return true;
  for (const [key, untilMs] of variants) if (untilMs <= nowMs) variants.delete(key);
  return variants.size < maxVariants;
}

/** Unlike any other of its resource; it is no secret. */
function newEpoch(timeMs: number): string {
  return `${timeMs.toString(36)}-${Math.random().toString(36).slice(2, 10)}`;
}
