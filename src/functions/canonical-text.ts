/*
 * One text per value, and one value per text.
 *
 * Every text delimits itself: strings are JSON, lists are bracketed, everything made by a class starts with its name and
 * an opening bracket. So no text is a prefix of another one's continuation, and joining them with commas stays injective.
 * Equal on purpose: objects that differ in key order or in having no prototype.
 */
import type { CodedError } from "../errors.ts";
import { muteRejections, unstableArgument } from "../errors.ts";
import {
  builtInInstance,
  classNameOf,
  isBuiltInName,
  isBuiltInPrototype,
  isObjectPrototype,
  isPlainObject,
} from "./built-ins.ts";

/** The deepest nesting a key may have. */
const MAX_DEPTH = 100;

/** The longest text a key may have, in characters. Shared references can make a small value's text grow without end. */
const MAX_TEXT_CHARS = 1_048_576;

/** Writing its digits takes milliseconds; those of one with millions of bits would stop all else for seconds. */
const MAX_BIGINT = 1n << 65_536n;

export const HUGE_BIGINT = "a BigInt of more than 65,536 bits";

/** Compares and writes nothing: its length is known before its digits are. */
export function isHugeBigInt(value: unknown): boolean {
  return typeof value === "bigint" && (value >= MAX_BIGINT || value <= -MAX_BIGINT);
}

/** A name that may stand in a key: it contains none of the characters that delimit texts. */
export const KEY_NAME: RegExp = /^[\w.$:-]+$/;

/** The classes seen so far under each name, so that two of the same name are not taken for one. */
export type SeenClasses = Map<string, WeakRef<object>>;

/**
 * The canonical text of a value: equal texts mean equal values, in this process and in any other.
 *
 * Takes plain data, `Date`, `Map`, `Set`, `URL`, binary data and instances of classes with a `toJSON()` or `toString()` of
 * their own. An instance of a subclass of these, or with properties of its own, needs such a method too, unless the
 * inherited one shows all that the instance holds. Key order of objects and the sign of 0 make no difference.
 *
 * @param where starts the error message
 * @throws TypeError `ERR_UNSTABLE_ARGUMENT` for what has no such text: functions, symbols, promises, other class
 * instances, cycles, more than 100 levels
 * @example canonicalText({ b: new Date(0), a: [1n, "x"] }) // {"a":[1n,"x"],"b":Date(1970-01-01T00:00:00.000Z)}
 */
export function canonicalText(value: unknown, where = "canonicalText(value)"): string {
  try {
    return writeText(value);
  } catch (error) {
    muteRejections(value);
    throw unstableValue(`${where}: the value`, cureForValue, error);
  }
}

/**
 * Internal form of {@link canonicalText}: throws an `UnstablePart`, or what a `toJSON()` of the value threw.
 *
 * @param classes is given the classes of the program that stand in the text by their names
 */
export function writeText(value: unknown, seenClasses?: SeenClasses, classes?: Set<object>): string {
  return textOf(value, { ancestors: [], path: [], charsLeft: MAX_TEXT_CHARS, seenClasses, classes });
}

/** The part of a value that has no canonical text. */
export class UnstablePart {
  /** What follows "argument 2 is": `a Session without a stable text form`. */
  readonly what: string;
  /** Where it is inside the value: `.user.session`, empty for the value itself. */
  readonly path: string;
  /** The class to name in the cure, where there is one. */
  readonly className: string | undefined;

  constructor(what: string, path: string, className?: string) {
    this.what = what;
    this.path = path;
    this.className = className;
  }
}

/** The error for a value without a canonical text, from what {@link writeText} threw. */
export function unstableValue(
  subject: string,
  cure: (part: UnstablePart) => string,
  thrown: unknown,
): CodedError<TypeError> {
  if (thrown instanceof UnstablePart) {
    const at = thrown.path === "" ? "" : ` at ${thrown.path}`;
    return unstableArgument(`${subject}${at}`, thrown.what, cure(thrown));
  }
  const part = new UnstablePart(`a value that throws when it is read: ${String(thrown)}`, "");
  return unstableArgument(subject, part.what, cure(part), thrown);
}

function cureForValue(part: UnstablePart): string {
  if (part.className === undefined) return "Use plain values.";
  return `Use plain values, or give ${part.className} a toJSON() method.`;
}

interface Walk {
  readonly ancestors: object[];
  readonly path: string[];
  charsLeft: number;
  readonly seenClasses: SeenClasses | undefined;
  readonly classes: Set<object> | undefined;
}

function textOf(value: unknown, walk: Walk): string {
  switch (typeof value) {
    case "string":
      return spent(JSON.stringify(value), walk);
    case "number":
      return spent(Object.is(value, -0) ? "-0" : String(value), walk);
    case "bigint":
      if (isHugeBigInt(value)) throw refusal(HUGE_BIGINT, walk);
      return spent(`${value}n`, walk);
    case "boolean":
    case "undefined":
      return spent(String(value), walk);
    case "symbol":
      throw refusal("a symbol, which has no stable text form", walk);
    case "function":
      throw refusal(
        `${value.name === "" ? "a function" : `the function ${value.name}`}, which has no stable text form`,
        walk,
      );
    case "object":
      return value === null ? spent("null", walk) : nested(value, walk);
  }
}

function nested(value: object, walk: Walk): string {
  if (walk.ancestors.includes(value)) throw refusal("a reference back to a value that contains it", walk);
  if (walk.ancestors.length >= MAX_DEPTH) throw refusal(`nested deeper than ${MAX_DEPTH} levels`, walk, []);
  walk.ancestors.push(value);
  const text = spent(objectText(value, walk), walk, 2);
  walk.ancestors.pop();
  return text;
}

function objectText(value: object, walk: Walk): string {
  if (isPlainObject(value)) return plainText(value, walk);
  // What an object says of itself comes first: it may know more than its built-in class does.
  const toJSON = statedMethod(value, "toJSON");
  const stated = toJSON ?? statedMethod(value, "toString");
  if (stated !== undefined) return statedText(value, stated, toJSON !== undefined, walk);
  if (Array.isArray(value)) spend(value.length, walk);
  const builtIn = builtInInstance(value);
  if (builtIn === undefined) return otherText(value, walk);
  const { className, extra } = builtIn;
  if (extra === undefined) return builtInText(value, className, walk);
  throw refusal(`${withArticle(className)} with a property ${extra}`, walk);
}

/** The text of an instance of a built-in class without properties of its own. */
function builtInText(value: object, className: string, walk: Walk): string {
  if (className === "BigInt" && isHugeBigInt(value.valueOf())) throw refusal(HUGE_BIGINT, walk);
  switch (className) {
    case "Array":
      return arrayText(value as readonly unknown[], walk);
    case "Date":
      return dateText(value as Date, walk);
    case "Map":
      return mapText(value as ReadonlyMap<unknown, unknown>, walk);
    case "Set":
      return setText(value as ReadonlySet<unknown>, walk);
    case "RegExp":
      return regExpText(value as RegExp, walk);
    case "ArrayBuffer":
      return bytesText(className, new Uint8Array(value as ArrayBuffer), walk);
    case "Number":
    case "String":
    case "Boolean":
    case "BigInt":
    case "URL":
    case "URLSearchParams":
      return `${className}(${spent(JSON.stringify(textOfBuiltIn(value)), walk)})`;
  }
  const { buffer, byteOffset, byteLength } = value as ArrayBufferView;
  return bytesText(className, new Uint8Array(buffer, byteOffset, byteLength), walk);
}

function textOfBuiltIn(value: object & { toString(): string }): string {
  return value.toString();
}

function bytesText(className: string, bytes: Uint8Array, walk: Walk): string {
  return spent(`${className}("${base64(bytes, walk)}")`, walk);
}

function arrayText(array: readonly unknown[], walk: Walk): string {
  const texts: string[] = [];
  for (let index = 0; index < array.length; index++) {
    // A hole is not undefined: forEach, map and spread tell them apart.
    texts.push(index in array ? within(`[${index}]`, array[index], walk) : "empty");
  }
  return `[${texts.join(",")}]`;
}

function plainText(object: object, walk: Walk): string {
  if (Object.hasOwn(object, "toJSON") && typeof (object as { toJSON: unknown }).toJSON === "function") {
    return `Object(${within(".toJSON()", (object as { toJSON(key: string): unknown }).toJSON(""), walk)})`;
  }
  const keys = Object.keys(object);
  if (Reflect.ownKeys(object).length !== keys.length) throw refusal(hiddenPart(object, keys), walk);
  const texts: string[] = [];
  for (const key of keys.sort()) {
    const name = spent(JSON.stringify(key), walk);
    texts.push(`${name}:${within(memberPath(key), (object as Record<string, unknown>)[key], walk)}`);
  }
  return `{${texts.join(",")}}`;
}

/** What a text made of the enumerable properties would not show. */
function hiddenPart(object: object, shown: readonly string[]): string {
  if (tagOf(object) === "Arguments") return "an arguments object; pass [...arguments]";
  const hidden = Reflect.ownKeys(object).find((key) => typeof key === "symbol" || !shown.includes(key));
  return typeof hidden === "symbol"
    ? "an object with a symbol for a key"
    : `an object with a property ${String(hidden)} that is not enumerable`;
}

function dateText(date: Date, walk: Walk): string {
  if (Number.isNaN(date.getTime())) throw refusal("an invalid Date", walk);
  return `Date(${date.toISOString()})`;
}

function mapText(map: ReadonlyMap<unknown, unknown>, walk: Walk): string {
  const texts: string[] = [];
  for (const [key, member] of map) {
    const keyText = within(".keys()", key, walk);
    texts.push(`${keyText}=>${within(`.get(${keyText})`, member, walk)}`);
  }
  return `Map{${texts.join(",")}}`;
}

function setText(set: ReadonlySet<unknown>, walk: Walk): string {
  const texts: string[] = [];
  for (const member of set) texts.push(within(".values()", member, walk));
  return `Set{${texts.join(",")}}`;
}

/** A global or sticky one goes on where its last match ended. */
function regExpText({ source, flags, lastIndex }: RegExp, walk: Walk): string {
  if (typeof lastIndex !== "number") throw refusal("a RegExp whose lastIndex is no number", walk);
  const text = spent(JSON.stringify(`/${source}/${flags}`), walk);
  return lastIndex === 0 ? `RegExp(${text})` : `RegExp(${text},${lastIndex})`;
}

type TextMethod = (this: object, key?: string) => unknown;

/** The method by which an instance says what it stands for, and the object that declares it. */
interface Stated {
  readonly method: TextMethod;
  readonly owner: object;
}

/** The text of an instance that says itself what it stands for. */
function statedText(value: object, { method, owner }: Stated, isJSON: boolean, walk: Walk): string {
  const className = rememberedClass(value, walk);
  const said = isJSON ? method.call(value, "") : method.call(value);
  // "[object Session]" says nothing about the instance.
  if (!isJSON && (typeof said !== "string" || /^\[object .*\]$/.test(said))) throw withoutStableForm(className, walk);
  if (!showsAll(value, owner, said)) {
    const inherited = isJSON ? "toJSON()" : "toString()";
    const what = `${withArticle(className)} with a ${inherited} that it inherits and that does not show all it holds`;
    throw new UnstablePart(what, shortened(walk.path), className);
  }
  return `${className}(${isJSON ? within(".toJSON()", said, walk) : spent(JSON.stringify(said), walk)})`;
}

/**
 * False where the class inherits what `said` comes from, and may hold more than its superclass knows: a property that is not
 * in `said`, or something private. A subclass with an empty body holds no more.
 */
function showsAll(value: object, owner: object, said: unknown): boolean {
  const prototype = Object.getPrototypeOf(value) as object;
  if (owner === value || owner === prototype) return true;
  const holds = holdings.get(prototype) ?? holdingsBelow(owner, prototype);
  holdings.set(prototype, holds);
  return (
    holds === "nothing" || (holds === "properties" && Reflect.ownKeys(value).every((key) => isShown(value, key, said)))
  );
}

/** What the classes below the one that declares the method may add to an instance. */
type Holdings = "nothing" | "properties" | "unknown";

/** By the prototype of the instance: source texts are read once. */
const holdings = new WeakMap<object, Holdings>();

function holdingsBelow(owner: object, prototype: object): Holdings {
  const texts: string[] = [];
  for (let below: object | null = prototype; below !== null && below !== owner; below = Object.getPrototypeOf(below)) {
    const constructor: unknown = Object.getOwnPropertyDescriptor(below, "constructor")?.value;
    if (typeof constructor !== "function") return "unknown";
    texts.push(Function.prototype.toString.call(constructor));
  }
  if (texts.every((text) => /^class\b[^{]*\{\s*\}$/.test(text))) return "nothing";
  return texts.some((text) => MAY_HOLD_PRIVATELY.test(text)) ? "unknown" : "properties";
}

/** A private member, or what compilers make of it for older runtimes. */
const MAY_HOLD_PRIVATELY = /#|WeakMap|WeakSet|classPrivateField|\.(?:set|add)\(this\b/;

function isShown(value: object, key: string | symbol, said: unknown): boolean {
  if (typeof said === "object" && said !== null) return Object.hasOwn(said, key);
  const member: unknown = Object.getOwnPropertyDescriptor(value, key)?.value;
  return (
    typeof said === "string" && (typeof member === "string" || typeof member === "number") && String(member) === said
  );
}

/** The text of what the runtime made and has a text for, `Temporal` and `Intl.Locale`. */
function otherText(value: object, walk: Walk): string {
  if (tagOf(value) === "Promise") throw refusal("a Promise, which has no stable text form; await it first", walk);
  const prototype = Object.getPrototypeOf(value) as object;
  const className = nameOfClass(value, walk);
  if (!isBuiltInPrototype(prototype) || LOSSY_BUILT_INS.has(className) || Reflect.ownKeys(value).length > 0) {
    throw withoutStableForm(className, walk);
  }
  const method = builtInMethod(prototype, "toJSON") ?? builtInMethod(prototype, "toString");
  const text = method?.call(value);
  if (typeof text !== "string" || /^\[object .*\]$/.test(text)) throw withoutStableForm(className, walk);
  // "Temporal.PlainDate", "Intl.Locale": a class of the program may be called PlainDate.
  const tag = tagOf(value);
  const name = tag.endsWith(`.${className}`) ? tag : className;
  return `${name}(${spent(JSON.stringify(text), walk)})`;
}

function builtInMethod(prototype: object, name: "toJSON" | "toString"): TextMethod | undefined {
  const method: unknown = Object.getOwnPropertyDescriptor(prototype, name)?.value;
  return typeof method === "function" ? (method as TextMethod) : undefined;
}

/** `[["a", "b"]]` and `["a,b"]` have the same `toString()`, so have two symbols, and an error's leaves out its fields. */
const LOSSY_BUILT_INS: ReadonlySet<string> = new Set(["Array", "Error", "Symbol"]);

function nameOfClass(value: object, walk: Walk): string {
  const className = classNameOf(value);
  if (KEY_NAME.test(className)) return className;
  throw refusal(`an instance of a class whose name (${JSON.stringify(className)}) cannot stand in a key`, walk);
}

function rememberedClass(value: object, walk: Walk): string {
  const className = nameOfClass(value, walk);
  const { constructor } = Object.getPrototypeOf(value) as { constructor: object & { readonly prototype?: unknown } };
  const { prototype } = constructor;
  if (
    isBuiltInName(className) &&
    !(typeof prototype === "object" && prototype !== null && isBuiltInPrototype(prototype))
  ) {
    throw refusal(`an instance of a class of the program that is named ${className}, like a built-in one`, walk);
  }
  rememberClass(className, constructor, walk);
  walk.classes?.add(constructor);
  return className;
}

function rememberClass(className: string, constructor: object, walk: Walk): void {
  if (walk.seenClasses === undefined) return;
  const seen = walk.seenClasses.get(className)?.deref();
  if (seen === constructor) return;
  if (seen !== undefined)
    throw refusal(`${withArticle(className)}, but another class of that name is in use here as well`, walk);
  walk.seenClasses.set(className, new WeakRef(constructor));
}

/** The method that an object or a class of the program declares. A built-in one knows nothing of what a subclass adds. */
function statedMethod(value: object, name: "toJSON" | "toString"): Stated | undefined {
  let owner: object | null = value;
  while (owner !== null && !isObjectPrototype(owner)) {
    if (Object.hasOwn(owner, name) && (owner === value || !isBuiltInPrototype(owner))) {
      const method = (value as Record<string, unknown>)[name];
      return typeof method === "function" ? { method: method as TextMethod, owner } : undefined;
    }
    owner = Object.getPrototypeOf(owner) as object | null;
  }
  return undefined;
}

function tagOf(value: object): string {
  return Object.prototype.toString.call(value).slice(8, -1);
}

function base64(bytes: Uint8Array, walk: Walk): string {
  spend(bytes.length, walk);
  const parts: string[] = [];
  for (let start = 0; start < bytes.length; start += 8_192) {
    parts.push(String.fromCharCode(...bytes.subarray(start, start + 8_192)));
  }
  return btoa(parts.join(""));
}

function within(step: string, value: unknown, walk: Walk): string {
  walk.path.push(step);
  const text = textOf(value, walk);
  walk.path.pop();
  return text;
}

/** How JavaScript reads a member: `.name`, `["two words"]`. */
export function memberPath(key: string): string {
  return /^[A-Za-z_$][\w$]*$/.test(key) ? `.${key}` : `[${JSON.stringify(key)}]`;
}

function spent(text: string, walk: Walk, chars: number = text.length): string {
  spend(chars, walk);
  return text;
}

function spend(chars: number, walk: Walk): void {
  walk.charsLeft -= chars;
  if (walk.charsLeft < 0) throw refusal(`longer than ${MAX_TEXT_CHARS} characters in text form`, walk, []);
}

function withoutStableForm(className: string, walk: Walk): UnstablePart {
  return new UnstablePart(`${withArticle(className)} without a stable text form`, shortened(walk.path), className);
}

function withArticle(className: string): string {
  return `${/^[AEIOU]/.test(className) ? "an" : "a"} ${className}`;
}

function refusal(what: string, walk: Walk, path: readonly string[] = walk.path): UnstablePart {
  return new UnstablePart(what, shortened(path));
}

function shortened(path: readonly string[]): string {
  const text = path.join("");
  return text.length > 200 ? `${text.slice(0, 200)}…` : text;
}
