/** Recognises plain instances of JavaScript's own classes, of this realm and of others: test runners and `node:vm` make those. */

/** An instance of a built-in class itself: a subclass may hold more than the built-in text or copy of it shows. */
export interface BuiltInInstance {
  /** `Date`, `Map`, `Uint8Array`, `Buffer`, … */
  readonly className: string;
  /** A property that this instance has and others of its class have not: `zone`, `Symbol(tenant)`. */
  readonly extra: string | undefined;
}

/** The built-in class that made `value`; undefined for plain objects, instances of subclasses and of any other class. */
export function builtInInstance(value: object): BuiltInInstance | undefined {
  const className = slotName(value);
  if (className === undefined) return undefined;
  const prototype = Object.getPrototypeOf(value) as object | null;
  if (prototype === null) return undefined;
  if (BUFFER_PROTOTYPE !== undefined && prototype === BUFFER_PROTOTYPE) {
    return { className: "Buffer", extra: extraProperty(value, className) };
  }
  if (!isPrototypeOfClass(prototype, className)) return undefined;
  return { className, extra: extraProperty(value, className) };
}

/** True for an object made by `{}` or without a prototype. */
export function isPlainObject(value: object): boolean {
  const prototype = Object.getPrototypeOf(value) as object | null;
  return prototype === null || isObjectPrototype(prototype);
}

/** True for `Object.prototype` of this realm or another. */
export function isObjectPrototype(value: object): boolean {
  if (value === Object.prototype) return true;
  return Object.getPrototypeOf(value) === null && Object.hasOwn(value, "isPrototypeOf");
}

/** True for the prototype of a class that the runtime declares: its methods know nothing of what a subclass adds. */
export function isBuiltInPrototype(value: object): boolean {
  if (PROTOTYPES.has(value) || value === BUFFER_PROTOTYPE) return true;
  const constructor = ownConstructor(value);
  return constructor !== undefined && constructor.prototype === value && isNative(constructor);
}

/** True for a name that a built-in class has in a text: `URL`, `Buffer`, `Object`. */
export function isBuiltInName(name: string): boolean {
  return NAMES.has(name);
}

/** True for a function without source text: a built-in or a bound one. */
export function isNative(fn: object): boolean {
  return /\{\s*\[native code\]\s*\}$/.test(Function.prototype.toString.call(fn));
}

/** The name of the class of an instance, for messages; empty where it has none. */
export function classNameOf(value: object): string {
  const prototype = Object.getPrototypeOf(value) as { constructor?: unknown } | null;
  const constructor = prototype?.constructor;
  return typeof constructor === "function" ? constructor.name : "";
}

const CLASS_NAMES =
  "Array Date Map Set RegExp URL URLSearchParams Number String Boolean BigInt ArrayBuffer DataView Int8Array Uint8Array " +
  "Uint8ClampedArray Int16Array Uint16Array Int32Array Uint32Array Float16Array Float32Array Float64Array BigInt64Array " +
  "BigUint64Array";

const NAMES: ReadonlySet<string> = new Set([...CLASS_NAMES.split(" "), "Buffer", "Object"]);

const PROTOTYPES: ReadonlyMap<object, string> = new Map(
  CLASS_NAMES.split(" ").flatMap((name) => {
    const builtIn = (globalThis as Record<string, unknown>)[name];
    return typeof builtIn === "function" ? [[builtIn.prototype as object, name] as const] : [];
  }),
);

const BUFFER_PROTOTYPE: object | undefined = typeof Buffer === "undefined" ? undefined : Buffer.prototype;

/** Classes of the runtime that are written in JavaScript in some runtimes, so that their source text does not tell them. */
const TOLD_BY_PROTOTYPE: ReadonlySet<string> = new Set(["URL", "URLSearchParams"]);

function isPrototypeOfClass(prototype: object, className: string): boolean {
  const known = PROTOTYPES.get(prototype);
  if (known !== undefined) return known === className;
  // Fake timers put a class of their own in its place.
  if (className === "Date" && prototype === globalThis.Date.prototype) return true;
  const constructor = ownConstructor(prototype);
  return (
    constructor !== undefined &&
    constructor.name === className &&
    constructor.prototype === prototype &&
    isNative(constructor)
  );
}

function ownConstructor(prototype: object): (Function & { readonly prototype: unknown }) | undefined {
  const constructor: unknown = Object.getOwnPropertyDescriptor(prototype, "constructor")?.value;
  return typeof constructor === "function" ? constructor : undefined;
}

/** The class whose internal slot `value` has. A class may call itself `Map`; only a real one has the slot. */
function slotName(value: object): string | undefined {
  if (Array.isArray(value)) return "Array";
  if (ArrayBuffer.isView(value)) return viewName(value);
  const tag = Object.prototype.toString.call(value).slice(8, -1);
  if (TOLD_BY_PROTOTYPE.has(tag)) {
    return PROTOTYPES.get(Object.getPrototypeOf(value) as object) === tag ? tag : undefined;
  }
  const slot = Object.hasOwn(SLOTS, tag) ? SLOTS[tag] : undefined;
  if (slot === undefined) return undefined;
  try {
    slot(value);
    return tag;
  } catch {
    return undefined;
  }
}

/** Reads the slot of each class; throws for what has none. */
const SLOTS: Readonly<Record<string, (value: object) => unknown>> = {
  Date: (value) => Date.prototype.getTime.call(value),
  Map: (value) => Map.prototype.has.call(value, undefined),
  Set: (value) => Set.prototype.has.call(value, undefined),
  RegExp: getter(RegExp.prototype, "source"),
  Number: (value) => Number.prototype.valueOf.call(value),
  String: (value) => String.prototype.valueOf.call(value),
  Boolean: (value) => Boolean.prototype.valueOf.call(value),
  BigInt: (value) => BigInt.prototype.valueOf.call(value as never),
  ArrayBuffer: getter(ArrayBuffer.prototype, "byteLength"),
};

const typedArrayName = getter(Object.getPrototypeOf(Uint8Array.prototype) as object, Symbol.toStringTag);

function getter(prototype: object, name: string | symbol): (value: object) => unknown {
  const descriptor = Object.getOwnPropertyDescriptor(prototype, name);
  return (value) => descriptor?.get?.call(value);
}

function viewName(view: ArrayBufferView): string {
  return (typedArrayName(view) as string | undefined) ?? "DataView";
}

/** Listing the properties of a larger one would cost more than all the rest of the work on it. */
const MAX_LISTED_BYTES = 16_384;

/** Integer keys come first, then texts in the order of their making, then symbols: what was added is last. */
function extraProperty(value: object, className: string): string | undefined {
  if (ArrayBuffer.isView(value) && value.byteLength > MAX_LISTED_BYTES) return undefined;
  const last = Reflect.ownKeys(value).at(-1);
  if (last === undefined || last === OWN_PROPERTIES[className]) return undefined;
  if (ArrayBuffer.isView(value) && typeof last === "string" && /^\d+$/.test(last)) return undefined;
  return String(last);
}

/** What each instance of the class has. */
const OWN_PROPERTIES: Readonly<Record<string, string>> = { Array: "length", String: "length", RegExp: "lastIndex" };
