import { indistinctClass } from "../errors.ts";
import { KEY_NAME } from "./canonical-text.ts";
import { sourceDigest } from "./source-digest.ts";

/** What `@Cached` tells of the method it stands on, beside the options of `wrap()`. */
export interface MethodIdentity {
  /** The class that declares the method; undefined while, or where, that cannot be known. */
  declaredBy: unknown;
  /** The name of the method where its class is not known before its first instance: calls can be purged by it until then. */
  readonly purgedAs: string | undefined;
  /** True for the handle that stands in until the class is known. */
  readonly isProvisional: boolean;
}

/** The key of {@link MethodIdentity} among the options. A symbol, so that no user's option is taken for it. */
export const METHOD: unique symbol = Symbol("reprise cached method");

export function methodIdentity(options: object): MethodIdentity | undefined {
  return (options as { [METHOD]?: MethodIdentity })[METHOD];
}

/**
 * Marks keys by the class of `this`, where that is not the class that declares the method: `Base.find[Users](1)`. A method
 * that a base class declares mostly answers differently for each subclass.
 */
export class ClassMarks {
  readonly #method: MethodIdentity;
  readonly #name: string;
  readonly #marks = new WeakMap<object, string>();
  readonly #warn: (key: string, message: string) => void;
  readonly #classes = new Map<string, WeakRef<object>>();

  constructor(method: MethodIdentity, name: string, warn: (key: string, message: string) => void) {
    this.#method = method;
    this.#name = name;
    this.#warn = warn;
  }

  /** Empty without a `this` that has a class, and for the class that declares the method. */
  of(self: unknown): string {
    const ownClass = classOf(self);
    if (ownClass === undefined || ownClass === this.#method.declaredBy) return "";
    const known = this.#marks.get(ownClass);
    if (known !== undefined) return known;
    const mark = `[${this.#distinctName(ownClass)}]`;
    this.#marks.set(ownClass, mark);
    return mark;
  }

  #distinctName(ownClass: object): string {
    const { name } = ownClass as { readonly name?: unknown };
    if (typeof name !== "string" || !KEY_NAME.test(name)) {
      throw indistinctClass(this.#name, "a class without a name that can stand in a key");
    }
    const seen = this.#classes.get(name)?.deref();
    if (seen !== undefined && seen !== ownClass) {
      if (sourceDigest(seen) === sourceDigest(ownClass))
        this.#warn(`classes ${this.#name}`, sameClasses(this.#name, name));
      throw indistinctClass(this.#name, `one of several classes ${name}`);
    }
    this.#classes.set(name, new WeakRef(ownClass));
    return name;
  }
}

function sameClasses(method: string, name: string): string {
  return (
    `${method}: several classes ${name} with the same source text inherit it. The cache cannot tell them apart: here it keeps ` +
    "the results of the first one alone, and another process that meets another one first gives its objects those.\n" +
    "Give each of these classes a name of its own."
  );
}

/** For a static method `this` is the class itself. */
export function classOf(self: unknown): object | undefined {
  if (typeof self === "function") return self;
  if (typeof self !== "object" || self === null) return undefined;
  const prototype = Object.getPrototypeOf(self) as { readonly constructor?: unknown } | null;
  const constructor = prototype === null ? Object : prototype.constructor;
  return typeof constructor === "function" ? constructor : undefined;
}

/** The objects that a function was called on, as far as they matter: the only one, or that there were several. */
export class Receivers {
  #only: WeakRef<object> | undefined;
  #areSeveral = false;

  note(self: unknown): void {
    if (this.#areSeveral || (typeof self !== "object" && typeof self !== "function") || self === null) return;
    if (this.#only === undefined) this.#only = new WeakRef(self);
    else if (this.#only.deref() !== self) this.#areSeveral = true;
  }

  /** The object of all calls so far; undefined where there was none, or several. */
  get only(): unknown {
    return this.#areSeveral ? undefined : this.#only?.deref();
  }

  /** True where there was one, and it is not known which one is meant. */
  get isUnknown(): boolean {
    return this.#only !== undefined && this.only === undefined;
  }
}
