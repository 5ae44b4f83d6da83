import type { Duration } from "./duration.ts";
import { describeValue } from "./errors.ts";
import type { CachedFunction, FunctionOptions } from "./functions/contract.ts";
import { invalidDecoration } from "./errors.ts";

/** What decorators need of a cache: the `wrap` of `createCache()`. */
export interface FunctionWrapper {
  wrap<Args extends unknown[], Result>(
    name: string,
    fn: (...args: Args) => Result,
    options?: FunctionOptions<Args, Awaited<Result>>,
  ): CachedFunction<Args, Awaited<Result>>;
}

/** How the results of a decorated method are cached: the options of `cache.wrap()` and a name. */
// The options are written before the method is known, so their callbacks take any arguments.
// oxlint-disable-next-line typescript/no-explicit-any
export interface CachedMethodOptions extends FunctionOptions<any[], any> {
  /**
   * Starts every key of the method. Default: `Class.method`.
   *
   * Needed for private methods, methods named by a symbol and classes without a name, and wherever a build shortens class
   * names: two builds then disagree on the keys, or two classes on one name.
   */
  readonly name?: string;
}

/** Caches the results of the method it stands on. The method must return a promise. */
export interface CachedMethodDecorator {
  /** As standardised (TypeScript 5 without `experimentalDecorators`). */
  <This, Args extends unknown[], Result>(
    method: (this: This, ...args: Args) => Promise<Result>,
    context: ClassMethodDecoratorContext<This, (this: This, ...args: Args) => Promise<Result>>,
  ): (this: This, ...args: Args) => Promise<Result>;
  /** With `experimentalDecorators`, as NestJS has it. */
  <Args extends unknown[], Result>(
    target: object,
    key: string | symbol,
    descriptor: TypedPropertyDescriptor<(...args: Args) => Promise<Result>>,
  ): TypedPropertyDescriptor<(...args: Args) => Promise<Result>>;
}

/** `@Cached()`, `@Cached("5m")`, `@Cached({ expire: "1h" })`. */
export type CachedDecoratorFactory = (options?: CachedMethodOptions | string | number) => CachedMethodDecorator;

/**
 * The `@Cached` decorator of a cache, for standard decorators and for `experimentalDecorators`.
 *
 * The key is `Class.method` and the arguments; the class is the one that declares the method, also for instances of its
 * subclasses. What the instance itself holds is not in the key.
 *
 * @throws TypeError `ERR_INVALID_DECORATION` where `@Cached` stands on anything but a method
 * @example
 * const Cached = cachedMethods(cache);
 * class Users {
 *   @Cached({ expire: "1h", tags: (id) => [`user:${id}`] })
 *   async getUser(id: number, db: Session) { … }
 * }
 */
export function cachedMethods(cache: FunctionWrapper): CachedDecoratorFactory {
  if (typeof cache?.wrap !== "function") {
    throw invalidDecoration(
      "cachedMethods(cache)",
      `expected a cache made by createCache(), got ${describeValue(cache)}.`,
    );
  }
  return (...args: readonly unknown[]): CachedMethodDecorator => {
    if (args.length > 1 || typeof args[0] === "function") {
      throw invalidDecoration("@Cached", "write @Cached() with brackets, or @Cached({ … }).");
    }
    const options = methodOptions(args[0] as Parameters<CachedDecoratorFactory>[0]);
    const decorate = (...target: readonly unknown[]): unknown => {
      if (isStandardContext(target[1])) return decorateStandard(cache, target[0], target[1], options);
      return decorateLegacy(cache, target[0], target[1], target[2], options);
    };
    return decorate as CachedMethodDecorator;
  };
}

/**
 * The cached function behind a decorated method, for `purge()` and `keyOf()`.
 *
 * @throws TypeError `ERR_INVALID_DECORATION` for a method without `@Cached`
 * @example await cachedMethod(users.getUser).purge(7);
 */
export function cachedMethod<Args extends unknown[], Result>(
  method: (...args: Args) => Promise<Result>,
): CachedFunction<Args, Result> {
  const cached = (method as { [BEHIND]?: () => CachedFunction<Args, Result> })[BEHIND]?.();
  if (cached !== undefined) return cached;
  const problem = `expected a method with @Cached as its outermost decorator, got ${describeValue(method)}.`;
  throw invalidDecoration("cachedMethod(method)", problem);
}

/** On the function that replaces a method: the cached function behind it. */
const BEHIND: unique symbol = Symbol("reprise cached function");

type AnyMethod = (this: unknown, ...args: unknown[]) => unknown;

function methodOptions(options: CachedMethodOptions | Duration | undefined): CachedMethodOptions {
  if (options === undefined) return {};
  if (typeof options === "string" || typeof options === "number") return { expire: options };
  return options as CachedMethodOptions;
}

function isStandardContext(context: unknown): context is ClassMethodDecoratorContext {
  return typeof context === "object" && context !== null && "kind" in context && "name" in context;
}

function decorateStandard(
  cache: FunctionWrapper,
  method: unknown,
  context: ClassMethodDecoratorContext,
  { name, ...options }: CachedMethodOptions,
): unknown {
  const where = `@Cached on ${String(context.name)}`;
  if (context.kind !== "method")
    throw invalidDecoration(where, `it caches methods only, and this is a ${String(context.kind)}.`);
  if (name === undefined && (context.private || typeof context.name === "symbol")) {
    const kind = context.private ? "private methods" : "methods named by a symbol";
    throw invalidDecoration(where, `${kind} need a name of their own for the key: @Cached({ name: "Users.load" }).`);
  }
  let cached = name === undefined ? undefined : cache.wrap(name, method as AnyMethod, options);
  // The class does not exist yet; its name is known when the first instance is made or, for a static method, the class is.
  const resolve = (self: unknown): CachedFunction<unknown[], unknown> => {
    cached ??= cache.wrap(declaredName(self, context, replacement), method as AnyMethod, options);
    return cached;
  };
  function replacement(this: unknown, ...args: unknown[]): Promise<unknown> {
    if (cached !== undefined) return cached.apply(this, args);
    try {
      return resolve(this).apply(this, args);
    } catch (error) {
      return Promise.reject(error);
    }
  }
  context.addInitializer(function (this: unknown) {
    resolve(this);
  });
  return standingFor(method as AnyMethod, replacement, () => cached);
}

function decorateLegacy(
  cache: FunctionWrapper,
  target: unknown,
  key: unknown,
  descriptor: unknown,
  { name, ...options }: CachedMethodOptions,
): unknown {
  const isMember = typeof key === "string" || typeof key === "symbol";
  const where = `@Cached on ${isMember ? String(key) : describeValue(target)}`;
  const method = (descriptor as PropertyDescriptor | undefined)?.value as unknown;
  if (!isMember || typeof method !== "function") {
    throw invalidDecoration(where, "it caches methods only, and this is a class, field, parameter, getter or setter.");
  }
  const cached = cache.wrap(name ?? qualifiedName(legacyClass(target), key, where), method as AnyMethod, options);
  // A function of its own: what other decorators put on it stays apart from the cached function.
  function replacement(this: unknown, ...args: unknown[]): Promise<unknown> {
    return cached.apply(this, args);
  }
  return { ...(descriptor as PropertyDescriptor), value: standingFor(method as AnyMethod, replacement, () => cached) };
}

/** The target of a static method is the class, that of an instance method its prototype. */
function legacyClass(target: unknown): unknown {
  return typeof target === "function" ? target : (target as { constructor?: unknown }).constructor;
}

/** Makes `replacement` pass for `method`: its name and length, and the metadata that decorators below have put on it. */
function standingFor(
  method: AnyMethod,
  replacement: AnyMethod,
  behind: () => CachedFunction<unknown[], unknown> | undefined,
): AnyMethod {
  Object.defineProperty(replacement, "name", { value: method.name, configurable: true });
  Object.defineProperty(replacement, "length", { value: method.length, configurable: true });
  Object.defineProperty(replacement, BEHIND, { value: behind });
  const metadata = Reflect as Partial<MetadataReflection>;
  for (const key of metadata.getOwnMetadataKeys?.(method) ?? []) {
    metadata.defineMetadata?.(key, metadata.getOwnMetadata?.(key, method), replacement);
  }
  return replacement;
}

/** What the package `reflect-metadata` adds to `Reflect`. NestJS keeps routes, guards and the like there. */
interface MetadataReflection {
  getOwnMetadataKeys(target: object): unknown[];
  getOwnMetadata(key: unknown, target: object): unknown;
  defineMetadata(key: unknown, value: unknown, target: object): void;
}

/** `Class.method` of the class that declares the method, seen from the class itself or an instance, maybe of a subclass. */
function declaredName(self: unknown, context: ClassMethodDecoratorContext, replacement: AnyMethod): string {
  const where = `@Cached on ${String(context.name)}`;
  const owners: object[] = [];
  for (
    let owner = startOfChain(self, context.static);
    owner !== null;
    owner = Object.getPrototypeOf(owner) as object | null
  ) {
    const value: unknown = Object.getOwnPropertyDescriptor(owner, context.name)?.value;
    if (value === replacement) return qualifiedName(classOf(owner), context.name, where);
    if (value !== undefined) owners.push(owner);
  }
  // Another decorator has replaced the method once more. With one method of that name there is no doubt.
  const [owner] = owners;
  if (owner !== undefined && owners.length === 1) return qualifiedName(classOf(owner), context.name, where);
  const problem = 'cannot tell which class declares it; say so with @Cached({ name: "Users.getUser" }).';
  throw invalidDecoration(where, problem);
}

function startOfChain(self: unknown, isStatic: boolean): object | null {
  if ((typeof self !== "object" && typeof self !== "function") || self === null) return null;
  return isStatic ? self : (Object.getPrototypeOf(self) as object | null);
}

function classOf(owner: object): unknown {
  return typeof owner === "function" ? owner : (owner as { constructor?: unknown }).constructor;
}

function qualifiedName(declaringClass: unknown, key: string | symbol, where: string): string {
  const className: unknown = typeof declaringClass === "function" ? declaringClass.name : undefined;
  if (typeof className === "string" && className !== "" && typeof key === "string") return `${className}.${key}`;
  const lacking = typeof key === "symbol" ? "its name is a symbol" : "its class has no name";
  throw invalidDecoration(where, `${lacking}; give one with @Cached({ name: "Users.getUser" }).`);
}
