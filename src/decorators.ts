import type { Duration } from "./duration.ts";
import { describeValue } from "./errors.ts";
import type { ArgumentsOf, CachedFunction, FunctionHandle, FunctionOptions, ResultOf } from "./functions/contract.ts";
import { invalidDecoration } from "./errors.ts";
import { requireOptions } from "./options/known-options.ts";
import { METHOD, type MethodIdentity } from "./functions/method.ts";

/** What decorators need of a cache: the `wrap` of `createCache()`. */
export interface FunctionWrapper {
  wrap(
    name: string,
    fn: (this: unknown, ...args: unknown[]) => unknown,
    options?: FunctionOptions<unknown[], unknown, unknown>,
  ): FunctionHandle<unknown[], unknown> & ((this: unknown, ...args: unknown[]) => unknown);
}

/** How the results of a decorated method are cached: the options of `cache.wrap()` and a name. */
// The options are written before the method is known, so their callbacks take any arguments.
// oxlint-disable-next-line typescript/no-explicit-any
export interface CachedMethodOptions extends FunctionOptions<any[], any> {
  /**
   * Starts every key of the method. Default: `Class.method`.
   *
   * Needed for private methods, methods named by a symbol and classes without a name, and wherever a build shortens class
   * names: two builds then disagree on the keys, or two classes on one name. The names of subclasses are in the keys of
   * inherited methods: let such a build keep class names.
   */
  readonly name?: string;
}

// A method with type parameters is a subtype of no method without any but this one.
// oxlint-disable-next-line typescript/no-explicit-any
type CacheableMethod<This> = (this: This, ...args: any[]) => Promise<unknown>;

/** Caches the results of the method it stands on. The method must return a promise. */
export interface CachedMethodDecorator {
  /** As standardised (TypeScript 5 without `experimentalDecorators`). */
  <This, Method extends CacheableMethod<This>>(
    method: Method,
    context: ClassMethodDecoratorContext<This, Method>,
  ): Method;
  /** With `experimentalDecorators`, as NestJS has it. */
  // oxlint-disable-next-line typescript/no-explicit-any
  <Method extends CacheableMethod<any>>(
    target: object,
    key: string | symbol,
    descriptor: TypedPropertyDescriptor<Method>,
  ): TypedPropertyDescriptor<Method>;
}

/** `@Cached()`, `@Cached("5m")`, `@Cached({ expire: "1h" })`. */
export type CachedDecoratorFactory = (options?: CachedMethodOptions | string | number) => CachedMethodDecorator;

/**
 * The `@Cached` decorator of a cache, for standard decorators and for `experimentalDecorators`.
 *
 * The key is `Class.method` and the arguments. The class is the one that declares the method; for instances of a subclass
 * that inherits it, the key has the subclass as well: `Base.find[Users](1)`. What an instance itself holds (a table, a
 * tenant) is not in the key: `key` is called with `this` and can name it.
 *
 * @throws TypeError `ERR_INVALID_DECORATION` where `@Cached` stands on anything but a method
 * @example
 * const Cached = cachedMethods(cache);
 * class Users {
 *   @Cached({ expire: "1h", key(id) { return [this.tenant, id]; } })
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
 * The cached function behind a decorated method, for `purge()`, `refresh()` and `keyOf()`.
 *
 * With standard decorators a class is not known before its first instance. Until then `purge()` and `purgeAll()` purge the
 * methods of this name in all classes of the cache, and `keyOf()` and `refresh()` throw.
 *
 * @throws TypeError `ERR_INVALID_DECORATION` for a method without `@Cached`
 * @example
 * await cachedMethod(users.getUser).purge(7);
 * await cachedMethod(users.getUser).refresh.call(users, 7);
 */
export function cachedMethod<Method extends CacheableMethod<never>>(
  method: Method,
): CachedFunction<ArgumentsOf<Method>, Awaited<ResultOf<Method>>, ThisParameterType<Method>> {
  const cached = (method as { [BEHIND]?: () => AnyCachedFunction })[BEHIND]?.();
  if (cached !== undefined) return cached as never;
  const problem = `expected a method with @Cached as its outermost decorator, got ${describeValue(method)}.`;
  throw invalidDecoration("cachedMethod(method)", problem);
}

/** On the function that replaces a method: the cached function behind it. */
const BEHIND: unique symbol = Symbol("reprise cached function");

type AnyMethod = (this: unknown, ...args: unknown[]) => unknown;
type AnyCachedFunction = ReturnType<FunctionWrapper["wrap"]>;

function methodOptions(options: CachedMethodOptions | Duration | undefined): CachedMethodOptions {
  if (options === undefined) return {};
  if (typeof options === "string" || typeof options === "number") return { expire: options };
  requireOptions("@Cached(options)", options, '{ expire: "5m" }');
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
  const key = name === undefined ? String(context.name) : undefined;
  const identity: MethodIdentity = { declaredBy: undefined, purgedAs: key, isProvisional: false };
  const own = { ...options, [METHOD]: identity };
  let cached = name === undefined ? undefined : cache.wrap(name, method as AnyMethod, own);
  // The class does not exist yet; it is known when the first instance is made or, for a static method, the class is.
  const resolve = (self: unknown): AnyCachedFunction => {
    identity.declaredBy ??= declaringClass(self, context, replacement);
    cached ??= cache.wrap(declaredName(identity.declaredBy, context), method as AnyMethod, own);
    return cached;
  };
  function replacement(this: unknown, ...args: unknown[]): Promise<unknown> {
    try {
      return resolve(this).apply(this, args) as Promise<unknown>;
    } catch (error) {
      return Promise.reject(error);
    }
  }
  context.addInitializer(function (this: unknown) {
    resolve(this);
  });
  let provisional: AnyCachedFunction | undefined;
  return standingFor(method as AnyMethod, replacement, () => {
    if (cached !== undefined) return cached;
    provisional ??= provisionalFunction(cache, method as AnyMethod, own, context.name, () => cached);
    return provisional;
  });
}

/** Stands for the cached function of a method until an instance tells the class; passes all on to it then. */
function provisionalFunction(
  cache: FunctionWrapper,
  method: AnyMethod,
  options: FunctionOptions<unknown[], unknown, unknown>,
  key: string | symbol,
  resolved: () => AnyCachedFunction | undefined,
): AnyCachedFunction {
  const where = `cachedMethod(${String(key)})`;
  const identity: MethodIdentity = { declaredBy: undefined, purgedAs: String(key), isProvisional: true };
  // Nothing is stored under this name.
  const purging = cache.wrap("method", method, { ...options, [METHOD]: identity } as typeof options);
  const known = (): AnyCachedFunction => {
    const cached = resolved();
    if (cached !== undefined) return cached;
    const cure = 'make an instance first, or say the name with @Cached({ name: "Users.getUser" }).';
    throw invalidDecoration(where, `its class is not known before its first instance; ${cure}`);
  };
  function standIn(this: unknown, ...args: unknown[]): unknown {
    return known().apply(this, args);
  }
  const about = (self: unknown): unknown => (self === standIn ? undefined : self);
  return Object.defineProperty(
    Object.assign(standIn, {
      purge(this: unknown, ...args: unknown[]): Promise<void> {
        return (resolved() ?? purging).purge.call(about(this), ...args);
      },
      purgeAll: () => (resolved() ?? purging).purgeAll(),
      async refresh(this: unknown, ...args: unknown[]): Promise<unknown> {
        return known().refresh.call(about(this), ...args);
      },
      keyOf(this: unknown, ...args: unknown[]): string {
        return known().keyOf.call(about(this), ...args);
      },
      cacheName: "",
    }),
    "cacheName",
    { get: () => known().cacheName },
  );
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
  const declaredBy = legacyClass(target);
  const identity: MethodIdentity = { declaredBy, purgedAs: undefined, isProvisional: false };
  const own = { ...options, [METHOD]: identity };
  const cached = cache.wrap(name ?? qualifiedName(declaredBy, key, where), method as AnyMethod, own);
  // A function of its own: what other decorators put on it stays apart from the cached function.
  function replacement(this: unknown, ...args: unknown[]): Promise<unknown> {
    return cached.apply(this, args) as Promise<unknown>;
  }
  return { ...(descriptor as PropertyDescriptor), value: standingFor(method as AnyMethod, replacement, () => cached) };
}

/** The target of a static method is the class, that of an instance method its prototype. */
function legacyClass(target: unknown): unknown {
  return typeof target === "function" ? target : (target as { constructor?: unknown }).constructor;
}

/** Makes `replacement` pass for `method`: its name and length, and the metadata that decorators below have put on it. */
function standingFor(method: AnyMethod, replacement: AnyMethod, behind: () => AnyCachedFunction): AnyMethod {
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

/** The class that declares the method, seen from the class itself or an instance, maybe of a subclass; undefined where that is in doubt. */
function declaringClass(self: unknown, context: ClassMethodDecoratorContext, replacement: AnyMethod): unknown {
  const owners: object[] = [];
  for (
    let owner = startOfChain(self, context.static);
    owner !== null;
    owner = Object.getPrototypeOf(owner) as object | null
  ) {
    const value: unknown = Object.getOwnPropertyDescriptor(owner, context.name)?.value;
    if (value === replacement) return classOf(owner);
    if (value !== undefined) owners.push(owner);
  }
  // Another decorator has replaced the method once more. With one method of that name there is no doubt.
  const [owner] = owners;
  if (owner !== undefined && owners.length === 1) return classOf(owner);
  return onlyClass(self, context.static);
}

/** The class of an object that has no other: private methods are on no prototype. */
function onlyClass(self: unknown, isStatic: boolean): unknown {
  const start = startOfChain(self, isStatic);
  const above = start === null ? null : (Object.getPrototypeOf(start) as object | null);
  if (start === null || above === null) return undefined;
  const end = isStatic ? Function.prototype : Object.prototype;
  return above === end ? classOf(start) : undefined;
}

/** `Class.method` of the class that declares it. */
function declaredName(declaredBy: unknown, context: ClassMethodDecoratorContext): string {
  const where = `@Cached on ${String(context.name)}`;
  if (declaredBy !== undefined) return qualifiedName(declaredBy, context.name, where);
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
