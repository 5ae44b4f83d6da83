import { MAX_DELTA_SECONDS } from "../../rfc9111/directives.ts";
import { isFieldName, isFieldValue, isHopByHop } from "../../rfc9111/fields.ts";
import { currentAgeSeconds } from "../../rfc9111/freshness.ts";
import type { Fields, FoundEntry, Purgeable, StoredResponse, StoreEntry, StoreMeta, VaryField } from "../../http.ts";
import type { PreparedReply } from "../reply/prepared-reply.ts";

/** A stored response in memory, with what was prepared for sending it. */
export interface LiveResponse {
  readonly kind: "response";
  readonly stored: StoredResponse;
  prepared: PreparedReply | undefined;
}

/** Under the primary key of a resource whose responses vary: the fields that select one. */
export interface LiveVarySpec {
  readonly kind: "vary";
  readonly names: readonly string[];
  /** Part of the keys of all variants: with a new record come new variants. */
  readonly epoch: string;
}

/** The last response under this key could not be shared (hit-for-miss). */
interface LiveHitForMiss {
  readonly kind: "hit-for-miss";
}

export type LiveEntry = LiveResponse | LiveVarySpec | LiveHitForMiss;

export function liveResponse(stored: StoredResponse): LiveResponse {
  return { kind: "response", stored, prepared: undefined };
}

/** `uri` is what a purge by URL or path names. */
export function responseEntry(live: LiveResponse, uri: NonNullable<Purgeable["uri"]>): StoreEntry {
  const { body, fields, names, generation, ...rest } = live.stored;
  return {
    meta: { kind: "response", ...rest, fields: Object.entries(fields) },
    body,
    names,
    uri,
    generation,
    live: { value: live },
  };
}

/** In place of a response that could not be shared: for a while its requests do not queue behind each other. */
export function hitForMissEntry(uri: NonNullable<Purgeable["uri"]>, generation: string): StoreEntry {
  return { meta: HIT_FOR_MISS.meta, body: NO_BODY, uri, generation, live: { value: HIT_FOR_MISS.live } };
}

const NO_BODY = new Uint8Array(0);
const HIT_FOR_MISS: { readonly meta: StoreMeta; readonly live: LiveHitForMiss } = {
  meta: { kind: "hit-for-miss" },
  live: { kind: "hit-for-miss" },
};

export function varySpecEntry({ names, epoch }: LiveVarySpec): StoreEntry {
  const live: LiveVarySpec = { kind: "vary", names, epoch };
  return { meta: { ...live }, body: NO_BODY, live: { value: live } };
}

/** The decoded entry, or `undefined` when it is not one of ours: nothing read from a store is trusted. */
export function liveEntry(entry: FoundEntry): LiveEntry | undefined {
  if (!isObject(entry)) return undefined;
  const { live } = entry;
  if (isLiveEntry(live?.value)) return outdated(live.value, entry.outdatedAtMs);
  const decoded = decode(entry);
  // A store may hand out what cannot be written to; then it is decoded again.
  if (isObject(live) && !Object.isFrozen(live)) live.value = decoded;
  return outdated(decoded, entry.outdatedAtMs);
}

function isLiveEntry(live: unknown): live is LiveEntry {
  return isObject(live) && "kind" in live && KINDS.has(live.kind);
}

const KINDS: ReadonlySet<unknown> = new Set(["response", "vary", "hit-for-miss"]);

/** A softly purged response turned stale at that moment, whatever its lifetime said. */
function outdated(live: LiveEntry | undefined, atMs: number | undefined): LiveEntry | undefined {
  if (atMs === undefined || live?.kind !== "response") return live;
  const { stored } = live;
  const ageSeconds = currentAgeSeconds(stored, Math.max(atMs, stored.receivedAtMs));
  if (ageSeconds >= stored.freshnessLifetimeSeconds) return live;
  return liveResponse({ ...stored, freshnessLifetimeSeconds: ageSeconds });
}

function isObject(value: unknown): value is object {
  return typeof value === "object" && value !== null;
}

function decode(entry: FoundEntry): LiveEntry | undefined {
  const { meta, body } = entry;
  if (!isObject(meta) || !isBytes(body)) return undefined;
  if (meta["kind"] === "vary") {
    const names = texts(meta["names"]);
    const epoch = meta["epoch"];
    if (names === undefined || names.length === 0 || typeof epoch !== "string") return undefined;
    return names.every(isFieldName) ? { kind: "vary", names, epoch } : undefined;
  }
  if (meta["kind"] === "hit-for-miss") return HIT_FOR_MISS.live;
  if (meta["kind"] !== "response") return undefined;
  const stored = decodeResponse(entry);
  return stored === undefined ? undefined : liveResponse(stored);
}

function decodeResponse(entry: FoundEntry): StoredResponse | undefined {
  const { meta, body, names = [], generation = "", clockShiftMs = 0 } = entry;
  const { status, rangeField } = meta;
  if (typeof status !== "number" || !isStorableStatus(status, body)) return undefined;
  if (rangeField !== undefined && typeof rangeField !== "string") return undefined;
  // Who asked for no range cannot read a part.
  if ((status === 206) !== (rangeField !== undefined)) return undefined;
  const { reason, removedFields = [] } = meta;
  if (reason !== undefined && (typeof reason !== "string" || !isFieldValue(reason))) return undefined;
  const removed = texts(removedFields);
  if (removed === undefined || !removed.every(isFieldName)) return undefined;
  const fields = decodeFields(meta["fields"]);
  const varyFields = decodeVaryFields(meta["varyFields"]);
  const { lifetimeFrom } = meta;
  if (fields === undefined || varyFields === undefined) return undefined;
  if (lifetimeFrom !== "route" && lifetimeFrom !== "fields") return undefined;
  for (const name of TIMES) if (!isWithin(meta[name], LAST_MS)) return undefined;
  for (const name of SPANS)
    if (!isWithin(meta[name], MAX_DELTA_SECONDS) || !Number.isInteger(meta[name])) return undefined;
  for (const name of FLAGS) if (typeof meta[name] !== "boolean") return undefined;
  const { declaresLength = false, endBytes } = meta;
  if (typeof declaresLength !== "boolean") return undefined;
  if (endBytes !== undefined && (!isWithin(endBytes, body.byteLength) || !Number.isInteger(endBytes))) return undefined;
  return {
    status,
    fields,
    body,
    varyFields,
    // The writer's clock may not be ours.
    requestedAtMs: (meta["requestedAtMs"] as number) + clockShiftMs,
    receivedAtMs: (meta["receivedAtMs"] as number) + clockShiftMs,
    correctedInitialAgeSeconds: meta["correctedInitialAgeSeconds"] as number,
    freshnessLifetimeSeconds: meta["freshnessLifetimeSeconds"] as number,
    lifetimeFrom,
    staleWhileRevalidateSeconds: meta["staleWhileRevalidateSeconds"] as number,
    staleIfErrorSeconds: meta["staleIfErrorSeconds"] as number,
    mayServeStale: meta["mayServeStale"] as boolean,
    requiresRevalidation: meta["requiresRevalidation"] as boolean,
    hasOriginValidator: meta["hasOriginValidator"] as boolean,
    ...(rangeField === undefined ? {} : { rangeField }),
    ...(reason === undefined ? {} : { reason }),
    ...(removed.length === 0 ? {} : { removedFields: removed }),
    ...(declaresLength ? { declaresLength } : {}),
    ...(endBytes === undefined ? {} : { endBytes: endBytes as number }),
    names,
    generation,
  };
}

/** Also for bytes of another realm, which are no instances of our `Uint8Array`. */
function isBytes(body: unknown): boolean {
  return ArrayBuffer.isView(body) && (body as Uint8Array).BYTES_PER_ELEMENT === 1;
}

/** A final status that can be sent again; servers throw at others, and at content where none may be. */
function isStorableStatus(status: number, body: Uint8Array): boolean {
  if (!Number.isInteger(status) || status < 200 || status > 599 || status === 304) return false;
  return (status !== 204 && status !== 205) || body.byteLength === 0;
}

const TIMES = ["requestedAtMs", "receivedAtMs"] as const;

/** The last moment a `Date` can be. */
const LAST_MS = 8.64e15;

const SPANS = [
  "correctedInitialAgeSeconds",
  "freshnessLifetimeSeconds",
  "staleWhileRevalidateSeconds",
  "staleIfErrorSeconds",
] as const;

const FLAGS = ["mayServeStale", "requiresRevalidation", "hasOriginValidator"] as const;

function isWithin(value: unknown, max: number): boolean {
  return typeof value === "number" && value >= 0 && value <= max;
}

function texts(value: unknown): readonly string[] | undefined {
  return Array.isArray(value) && value.every((member) => typeof member === "string") ? value : undefined;
}

function decodeFields(pairs: unknown): Fields | undefined {
  if (!Array.isArray(pairs)) return undefined;
  // No prototype: a field may be called `__proto__`.
  const fields = Object.create(null) as Record<string, string | readonly string[]>;
  for (const pair of pairs) {
    if (!Array.isArray(pair) || pair.length !== 2) return undefined;
    const [name, value] = pair as [unknown, unknown];
    if (typeof name !== "string" || !isFieldName(name) || name !== name.toLowerCase()) return undefined;
    // Never stored; sent, they would change where the response ends.
    if (isHopByHop(name)) return undefined;
    const lines = typeof value === "string" ? [value] : texts(value);
    if (lines === undefined || !lines.every(isFieldValue)) return undefined;
    fields[name] = typeof value === "string" ? value : lines;
  }
  return fields;
}

function decodeVaryFields(pairs: unknown): readonly VaryField[] | undefined {
  if (!Array.isArray(pairs)) return undefined;
  for (const pair of pairs) {
    if (!Array.isArray(pair) || pair.length !== 2) return undefined;
    const [name, value] = pair as [unknown, unknown];
    if (typeof name !== "string" || (typeof value !== "string" && value !== null)) return undefined;
  }
  return pairs as VaryField[];
}
