import { parse, stringify } from "devalue";
import type { StoreEntry } from "../types.ts";

/** A result in the form the store keeps: text that carries types, so a Date comes back a Date. */
export interface EncodedValue {
  readonly text: string;
  /** The value itself where it cannot be changed, so nothing need be parsed on a hit. */
  readonly live: LiveValue | undefined;
}

/** A primitive value kept beside its bytes. A class, so nothing that a store brings along is taken for one. */
export class LiveValue {
  readonly value: unknown;

  constructor(value: unknown) {
    this.value = value;
  }
}

/** When a stored value was made and how long it may be used. */
export interface ValueTimes {
  /** When the function was called. */
  readonly requestedAtMs: number;
  /** When it had its result. */
  readonly receivedAtMs: number;
  readonly freshnessLifetimeSeconds: number;
  readonly staleWhileRevalidateSeconds: number;
  readonly staleIfErrorSeconds: number;
}

/** A stored value, decoded. `value` belongs to the reader; `copy()` makes another. */
export interface StoredValue extends ValueTimes {
  /** When a soft purge made it stale. */
  readonly outdatedAtMs: number | undefined;
  readonly value: unknown;
  readonly copy: () => unknown;
  /** What it was found in. */
  readonly entry: StoreEntry;
}

/**
 * Encodes a result, or throws an error that says which part cannot be kept.
 *
 * Only what comes back the same is taken: plain objects, arrays, Date, Map, Set, RegExp, URL, BigInt, binary data,
 * Temporal, cyclic references. A class instance would come back without its class, so it is refused.
 */
export function encodeValue(value: unknown): EncodedValue {
  return { text: stringify(value, REDUCERS, { operations: ENCODING }), live: liveValue(value) };
}

/** A fresh copy of an encoded value. */
export function decodeValue(encoded: EncodedValue): unknown {
  return encoded.live === undefined ? decodeText(encoded.text) : encoded.live.value;
}

/** The store entry of a result. `names` and `generation` are what the purge log knows it by. */
export function valueEntry(
  encoded: EncodedValue,
  times: ValueTimes,
  names: readonly string[],
  generation: string,
): StoreEntry {
  const body = new TextEncoder().encode(encoded.text);
  const entry: StoreEntry = { meta: { kind: "value", ...times }, body, names, generation };
  if (encoded.live !== undefined) entry.live = encoded.live;
  return entry;
}

/** The decoded entry, or `undefined` for anything that is not one of ours: nothing read from a store is trusted. */
export function readValue(entry: StoreEntry | undefined): StoredValue | undefined {
  if (entry === undefined) return undefined;
  try {
    return read(entry);
  } catch {
    return undefined;
  }
}

function read(entry: StoreEntry): StoredValue | undefined {
  const written = readTimes(entry);
  if (written === undefined) return undefined;
  const { live, outdatedAtMs, clockShiftMs = 0 } = entry;
  const times = {
    ...written,
    outdatedAtMs,
    requestedAtMs: written.requestedAtMs + clockShiftMs,
    receivedAtMs: written.receivedAtMs + clockShiftMs,
  };
  if (live instanceof LiveValue) return { ...times, value: live.value, copy: () => live.value, entry };
  const text = new TextDecoder("utf-8", { fatal: true }).decode(entry.body);
  const value: unknown = decodeText(text);
  const reusable = liveValue(value);
  if (reusable !== undefined) entry.live = reusable;
  return { ...times, value, copy: () => decodeText(text), entry };
}

function readTimes({ meta }: StoreEntry): ValueTimes | undefined {
  if (meta["kind"] !== "value") return undefined;
  const times = {
    requestedAtMs: meta["requestedAtMs"],
    receivedAtMs: meta["receivedAtMs"],
    freshnessLifetimeSeconds: meta["freshnessLifetimeSeconds"],
    staleWhileRevalidateSeconds: meta["staleWhileRevalidateSeconds"],
    staleIfErrorSeconds: meta["staleIfErrorSeconds"],
  };
  for (const time of Object.values(times)) {
    if (typeof time !== "number" || !Number.isFinite(time) || time < 0) return undefined;
  }
  return times as ValueTimes;
}

/** Long strings are not kept twice. */
const MAX_LIVE_CHARS = 256;

function liveValue(value: unknown): LiveValue | undefined {
  if (typeof value === "string") return value.length <= MAX_LIVE_CHARS ? new LiveValue(value) : undefined;
  if (typeof value === "object" && value !== null) return undefined;
  return typeof value === "function" || typeof value === "symbol" ? undefined : new LiveValue(value);
}

function decodeText(text: string): unknown {
  return parse(text, REVIVERS);
}

const REDUCERS = {
  Buffer: (value: unknown): unknown => isBuffer(value) && Uint8Array.from(value),
};

const REVIVERS = {
  Buffer(bytes: unknown): unknown {
    if (!(bytes instanceof Uint8Array)) throw new TypeError("a Buffer is made of bytes");
    return typeof Buffer === "undefined" ? bytes : Buffer.from(bytes.buffer);
  },
};

function isBuffer(value: unknown): value is Uint8Array {
  return typeof Buffer !== "undefined" && Buffer.isBuffer(value);
}

const ENCODING = {
  tagOf(value: object): string {
    const tag = Object.prototype.toString.call(value).slice(8, -1);
    if (tag !== "Object") refuseWhatWouldBeLost(value, tag);
    return tag;
  },
  // Only the bytes in view: the buffer behind may be large, and hold what was never returned.
  viewInfo(view: ArrayBufferView & { readonly length?: number }): ViewInfo {
    const bytes = new Uint8Array(view.buffer, view.byteOffset, view.byteLength).slice();
    const { byteLength } = bytes;
    return {
      buffer: bytes.buffer,
      byteOffset: 0,
      byteLength,
      length: view.length ?? byteLength,
      bufferByteLength: byteLength,
    };
  },
};

interface ViewInfo {
  readonly buffer: ArrayBufferLike;
  readonly byteOffset: number;
  readonly byteLength: number;
  readonly length: number;
  readonly bufferByteLength: number;
}

/** A subclass of a built-in class, and properties put on an array or a Map, would silently be gone on a hit. */
function refuseWhatWouldBeLost(value: object, tag: string): void {
  const prototype = Object.getPrototypeOf(value) as { constructor?: { name?: unknown } } | null;
  const className = prototype?.constructor?.name;
  // Temporal's tags are `Temporal.PlainDate`, its class names `PlainDate`.
  if (className !== tag && `Temporal.${String(className)}` !== tag) {
    throw new TypeError(`an instance of ${String(className)} would come back as a plain ${tag}`);
  }
  if (ArrayBuffer.isView(value) || tag === "String") return;
  const lastKey = Object.keys(value).at(-1);
  // Integer keys come first, so a named property, if any, is last.
  if (lastKey === undefined || (tag === "Array" && /^\d+$/.test(lastKey))) return;
  throw new TypeError(`its property ${lastKey} would not come back`);
}
