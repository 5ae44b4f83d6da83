import { DevalueError, parse, stringify } from "devalue";
import { describeValue, unkeepableResult } from "../errors.ts";
import type { FoundEntry, StoreEntry } from "../http.ts";
import { builtInInstance, classNameOf, isPlainObject } from "./built-ins.ts";
import { HUGE_BIGINT, isHugeBigInt, memberPath } from "./canonical-text.ts";

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
 * Encodes a result.
 *
 * Only what comes back the same is taken: plain objects, arrays, Date, Map, Set, RegExp, URL, BigInt, binary data,
 * Temporal, cyclic references. A class instance would come back without its class, a frozen object unfrozen, a getter as
 * its value of the moment, and two views on the same bytes as two copies, so they are refused.
 *
 * @throws TypeError `ERR_UNKEEPABLE_RESULT` that names the part by path and class
 */
export function encodeValue(value: unknown): EncodedValue {
  try {
    const sharing = new Sharing();
    const operations = { ...ENCODING, tagOf: (part: object) => tagOf(part, sharing) };
    const text = stringify(value, reducers(sharing), { operations });
    sharing.check();
    return { text, live: liveValue(value) };
  } catch (error) {
    throw unkeepable(value, error);
  }
}

/** Thrown for a part of a result that would come back different. */
class DifferentPart {
  readonly part: unknown;
  readonly what: string;

  constructor(part: unknown, what: string) {
    this.part = part;
    this.what = what;
  }
}

function unkeepable(result: unknown, thrown: unknown): Error {
  if (thrown instanceof DifferentPart) return unkeepableResult(pathTo(result, thrown.part), thrown.what);
  if (thrown instanceof DevalueError) return unkeepableResult(thrown.path, whatOf(thrown));
  if (thrown instanceof RangeError) return unkeepableResult("", "nested too deep");
  return unkeepableResult("", `something that cannot be read: ${String(thrown)}`);
}

function whatOf({ value, message }: DevalueError): string {
  if (typeof value === "function") return describeValue(value);
  if (typeof value === "symbol") return "a symbol";
  if (typeof value === "object" && value !== null && Object.hasOwn(value, "__proto__")) {
    return "an object with a property __proto__, which would be lost";
  }
  return message.includes("thenable") ? "a promise" : `what cannot be written: ${message}`;
}

/** Where a part is inside a result: `.users[0]`. Called only once it is known that nothing is kept. */
function pathTo(result: unknown, part: unknown): string {
  const seen = new Set<unknown>();
  const open: [value: unknown, path: string][] = [[result, ""]];
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    const [value, path] = next;
    if (value === part) return path;
    if (typeof value !== "object" || value === null || seen.has(value)) continue;
    seen.add(value);
    open.push(...membersOf(value).map(([step, member]): [unknown, string] => [member, path + step]));
  }
  return "";
}

function membersOf(value: object): readonly (readonly [step: string, member: unknown])[] {
  if (ArrayBuffer.isView(value)) return [];
  if (value instanceof Map) {
    return [...value].flatMap(([key, member]): [string, unknown][] => [
      [".keys()", key],
      [`.get(${typeof key === "string" ? JSON.stringify(key) : "…"})`, member],
    ]);
  }
  if (value instanceof Set) return Array.from(value, (member) => [".values()", member] as const);
  // Not by Object.entries(): a getter may throw.
  const entries = Object.entries(Object.getOwnPropertyDescriptors(value))
    .filter(([key, { enumerable }]) => enumerable === true && key !== "length")
    .map(([key, descriptor]): [string, unknown] => [key, descriptor.value]);
  if (Array.isArray(value)) return entries.map(([index, member]) => [`[${index}]`, member] as const);
  return entries.map(([key, member]) => [memberPath(key), member] as const);
}

/** A fresh copy of an encoded value. */
export function decodeValue(encoded: EncodedValue): unknown {
  return encoded.live === undefined ? decodeText(encoded.text) : encoded.live.value;
}

/** The store entry of a result. `madeBy` tells what made it; `names` and `generation` are what the purge log knows it by. */
export function valueEntry(
  encoded: EncodedValue,
  times: ValueTimes,
  madeBy: string,
  names: readonly string[],
  generation: string,
): StoreEntry {
  const body = new TextEncoder().encode(encoded.text);
  const entry: StoreEntry = { meta: { kind: "value", madeBy, ...times }, body, names, generation };
  return encoded.live === undefined ? entry : { ...entry, live: { value: encoded.live } };
}

/**
 * The decoded entry, or `undefined` for anything that is not one of ours: nothing read from a store is trusted. Another
 * function or class of the same name, in another process say, made what does not say `madeBy`.
 */
export function readValue(entry: FoundEntry | undefined, madeBy: string): StoredValue | undefined {
  if (entry === undefined) return undefined;
  try {
    return entry.meta["madeBy"] === madeBy ? read(entry) : undefined;
  } catch {
    return undefined;
  }
}

function read(entry: FoundEntry): StoredValue | undefined {
  const written = readTimes(entry);
  if (written === undefined) return undefined;
  const { live, outdatedAtMs, clockShiftMs = 0 } = entry;
  const times = {
    ...written,
    outdatedAtMs,
    requestedAtMs: written.requestedAtMs + clockShiftMs,
    receivedAtMs: written.receivedAtMs + clockShiftMs,
  };
  const known: unknown = live?.value;
  if (known instanceof LiveValue) return { ...times, value: known.value, copy: () => known.value, entry };
  const text = new TextDecoder("utf-8", { fatal: true }).decode(entry.body);
  const value: unknown = decodeText(text);
  const reusable = liveValue(value);
  if (live !== undefined && reusable !== undefined) live.value = reusable;
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

/** Long strings and large BigInts are not kept twice. */
const MAX_LIVE_CHARS = 256;
const MAX_LIVE_BITS = 1024;

function liveValue(value: unknown): LiveValue | undefined {
  if (typeof value === "string") return value.length <= MAX_LIVE_CHARS ? new LiveValue(value) : undefined;
  if (typeof value === "object" && value !== null) return undefined;
  if (typeof value === "bigint" && BigInt.asIntN(MAX_LIVE_BITS, value) !== value) return undefined;
  return typeof value === "function" || typeof value === "symbol" ? undefined : new LiveValue(value);
}

function decodeText(text: string): unknown {
  return parse(text, REVIVERS);
}

function reducers(sharing: Sharing): Readonly<Record<string, (value: unknown) => unknown>> {
  return {
    // Not a type: the one hook that sees a BigInt before its digits are written.
    BigInt(value) {
      if (isHugeBigInt(value)) throw new DifferentPart(value, HUGE_BIGINT);
      return false;
    },
    Buffer: (value) => isBuffer(value) && tagOf(value, sharing) === "Buffer" && Uint8Array.from(value),
  };
}

const REVIVERS = {
  Buffer(bytes: unknown): unknown {
    if (!(bytes instanceof Uint8Array)) throw new TypeError("a Buffer is made of bytes");
    return typeof Buffer === "undefined" ? bytes : Buffer.from(bytes.buffer);
  },
};

function isBuffer(value: unknown): value is Uint8Array {
  return typeof Buffer !== "undefined" && Buffer.isBuffer(value);
}

function tagOf(value: object, sharing: Sharing): string {
  if (isPlainObject(value)) return plainTag(value);
  const tag = builtInTag(value);
  if (tag === undefined) return temporalTag(value);
  sharing.note(value, tag);
  return tag;
}

const ENCODING = {
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

/** What parts of one result share with each other: a change of one shows in the other, and would not in copies. */
class Sharing {
  readonly #views = new Map<ArrayBufferLike, (readonly [start: number, end: number])[]>();
  readonly #urls: URL[] = [];
  readonly #searches = new Set<URLSearchParams>();

  /** Each part is seen once, however often it stands in the result. */
  note(part: object, className: string): void {
    if (className === "URL") this.#urls.push(part as URL);
    else if (className === "URLSearchParams") this.#searches.add(part as URLSearchParams);
    else if (className === "ArrayBuffer")
      this.#noteBytes(part, part as ArrayBuffer, 0, (part as ArrayBuffer).byteLength);
    else if (ArrayBuffer.isView(part)) {
      const { buffer, byteOffset, byteLength } = part;
      this.#noteBytes(part, buffer, byteOffset, byteOffset + byteLength);
    }
  }

  check(): void {
    if (this.#searches.size === 0) return;
    for (const { searchParams } of this.#urls) {
      if (!this.#searches.has(searchParams)) continue;
      throw new DifferentPart(searchParams, "the searchParams of a URL beside it, which would be apart from it");
    }
  }

  /** Small Buffers share a pool without sharing bytes. */
  #noteBytes(part: object, buffer: ArrayBufferLike, start: number, end: number): void {
    const known = this.#views.get(buffer) ?? [];
    if (known.some(([from, to]) => start < to && from < end)) {
      throw new DifferentPart(part, "binary data on the same bytes as another part, which would be apart from it");
    }
    known.push([start, end]);
    this.#views.set(buffer, known);
  }
}

/** What is hidden from Object.keys() is not written. */
function plainTag(value: object): string {
  const written = Object.keys(value);
  const all = Reflect.ownKeys(value);
  refuseRestricted(value, "an object", written);
  if (written.length === all.length) return "Object";
  const lost = all.find((key) => typeof key === "symbol" || !written.includes(key));
  throw new DifferentPart(value, `an object with a property ${String(lost)}, which would be lost`);
}

/** A copy can be written to and extended everywhere, and has values where this has accessors. */
function refuseRestricted(value: object, what: string, keys: readonly string[]): void {
  if (!Object.isExtensible(value)) {
    const how = Object.isFrozen(value) ? "frozen" : Object.isSealed(value) ? "sealed" : "not extensible";
    throw new DifferentPart(value, `${what} that is ${how}, which its copies would not be`);
  }
  for (const key of keys) {
    const descriptor = Object.getOwnPropertyDescriptor(value, key);
    if (descriptor === undefined || (descriptor.writable === true && descriptor.configurable === true)) continue;
    const isAccessor = descriptor.get !== undefined || descriptor.set !== undefined;
    const lost = isAccessor
      ? "an accessor, which would come back as a value"
      : "read-only, which its copies would not be";
    throw new DifferentPart(value, `${what} whose property ${key} is ${lost}`);
  }
}

/** The tag of an instance of a built-in class that is no more than that; undefined for an instance of another class. */
function builtInTag(value: object): string | undefined {
  const builtIn = builtInInstance(value);
  if (builtIn === undefined) return undefined;
  const { className, extra } = builtIn;
  if (extra !== undefined) {
    throw new DifferentPart(value, `an instance of ${className} with a property ${extra}, which would be lost`);
  }
  if (className === "RegExp" && (value as RegExp).lastIndex !== 0) {
    throw new DifferentPart(value, "a RegExp in the middle of its matches, which would begin anew");
  }
  refuseRestricted(value, `an instance of ${className}`, className === "Array" ? Object.keys(value) : []);
  if (className === "BigInt" && isHugeBigInt(value.valueOf())) throw new DifferentPart(value, HUGE_BIGINT);
  const buffer = ArrayBuffer.isView(value) ? value.buffer : value;
  if ((buffer as { readonly resizable?: unknown }).resizable === true && isBinary(value)) {
    throw new DifferentPart(value, `an instance of ${className} that can be resized, which its copies could not`);
  }
  if (ArrayBuffer.isView(value) && Object.prototype.toString.call(buffer) !== "[object ArrayBuffer]") {
    throw new DifferentPart(value, `an instance of ${className} on shared memory, which its copies would not be`);
  }
  return className;
}

function isBinary(value: object): boolean {
  return ArrayBuffer.isView(value) || Object.prototype.toString.call(value) === "[object ArrayBuffer]";
}

function temporalTag(value: object): string {
  const className = classNameOf(value);
  const temporal = (globalThis as { Temporal?: Readonly<Record<string, unknown>> }).Temporal?.[className];
  const tag = Object.prototype.toString.call(value).slice(8, -1);
  if (
    typeof temporal === "function" &&
    tag === `Temporal.${className}` &&
    Object.getPrototypeOf(value) === temporal.prototype &&
    Reflect.ownKeys(value).length === 0
  ) {
    return tag;
  }
  if (tag === "Promise") throw new DifferentPart(value, "a promise");
  const ofClass = className === "" ? "a class without a name" : className;
  throw new DifferentPart(value, `an instance of ${ofClass}, which would come back without its class`);
}
