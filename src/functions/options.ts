import { isNoTime, ONE_YEAR_SECONDS } from "../duration.ts";
import { describeValue, invalidOption, unknownOption } from "../errors.ts";
import { requireOptions } from "../options/known-options.ts";
import { refuseAsync } from "../options/synchronous.ts";
import { KEY_NAME } from "./canonical-text.ts";
import type { CallKeyRules } from "./call-key.ts";
import { noAnswer, resultOf, yesOrNo } from "./callback.ts";
import type { AnyClass, AnyFunction, FunctionCacheContext, FunctionOptions } from "./contract.ts";
import { ClassMarks, methodIdentity, type MethodIdentity } from "./method.ts";
import { firstCountedPosition, readsThis } from "./source-text.ts";
import { MAX_TAG_LENGTH, MAX_TAGS } from "../tags.ts";
import { invalidFunction, invalidFunctionName } from "../errors.ts";

/** The options of a function whose parameters are not known here. */
export type AnyOptions = FunctionOptions<unknown[], unknown, unknown>;

/** The resolved options of one function: every default filled in, every value checked and copied. */
export interface FunctionRules {
  /** True for an `expire` of no length and `enabled: false`. */
  readonly isOff: boolean;
  readonly freshnessLifetimeSeconds: number;
  readonly staleWhileRevalidateSeconds: number;
  readonly staleIfErrorSeconds: number;
  /** @throws what the callback throws, and for what are no tags */
  readonly tags: (self: unknown, args: unknown[]) => readonly string[];
  /** @throws CallbackFault */
  readonly takesPart: (self: unknown, args: unknown[]) => boolean;
  /** @throws what the callback throws, and for what is neither true nor false */
  readonly wantsStored: (self: unknown, result: unknown) => boolean;
  readonly keyRules: CallKeyRules;
  /** True for a `key` that reads `this`. */
  readonly keyReadsThis: boolean;
  readonly method: MethodIdentity | undefined;
}

const OPTION_NAMES: readonly string[] = [
  "expire",
  "enabled",
  "staleWhileRevalidate",
  "staleIfError",
  "tags",
  "ignoreArgs",
  "ignoreArgTypes",
  "key",
  "when",
  "storeWhen",
] satisfies (keyof FunctionOptions<[], unknown>)[];

/** Checks and copies the options of a function, so that nothing done to them later changes what is cached. */
export function resolveFunctionOptions(
  context: FunctionCacheContext,
  name: string,
  fn: unknown,
  options: AnyOptions,
): FunctionRules {
  checkName(name);
  const where = `wrap(${JSON.stringify(name)}, …)`;
  checkFunction(fn, where);
  checkNames(options, where);
  const { expire, enabled } = options;
  if (enabled !== undefined && typeof enabled !== "boolean") {
    throw invalidOption(`${where}: enabled`, "true or false", enabled, "False turns the cache off for this function.");
  }
  const isNoLifetime = expire !== undefined && isNoTime(expire, `${where}: expire`);
  const isOff = enabled === false || isNoLifetime;
  const method = methodIdentity(options);
  const key = optionalFunction(options.key, `${where}: key`);
  return {
    isOff,
    freshnessLifetimeSeconds: isNoLifetime ? 0 : seconds(context, expire, `${where}: expire`, ONE_YEAR_SECONDS),
    staleWhileRevalidateSeconds: seconds(context, options.staleWhileRevalidate, `${where}: staleWhileRevalidate`, 0),
    staleIfErrorSeconds: seconds(context, options.staleIfError, `${where}: staleIfError`, 0),
    tags: tagsFunction(options.tags, where),
    takesPart: whenFunction(options.when, `${where}: when`),
    wantsStored: storeWhenFunction(options.storeWhen, `${where}: storeWhen`),
    keyReadsThis: key !== undefined && readsThis(key),
    method,
    keyRules: {
      prefix: context.prefix,
      name,
      where,
      ignoreArgTypes: classes(
        [...context.ignoreArgTypes, ...(options.ignoreArgTypes ?? [])],
        `${where}: ignoreArgTypes`,
      ),
      ...ignoredArgs(options.ignoreArgs, `${where}: ignoreArgs`),
      key,
      firstCountedPosition: firstCountedPosition(fn as AnyFunction),
      classMarks: method === undefined ? undefined : new ClassMarks(method, name, context.warn),
      seenClasses: new Map(),
    },
  };
}

/** The tags, or an error that says what is wrong with them. */
function checkedTags(tags: unknown, where: string): readonly string[] {
  const isTag = (tag: unknown): boolean => typeof tag === "string" && tag !== "" && tag.length <= MAX_TAG_LENGTH;
  if (Array.isArray(tags) && tags.length <= MAX_TAGS && tags.every(isTag)) return [...new Set(tags as string[])];
  const expected = `an array of texts, at most ${MAX_TAGS} of 1 to ${MAX_TAG_LENGTH} characters each`;
  throw invalidOption(where, expected, tags, "Tags are what you purge by later.");
}

function checkName(name: unknown): void {
  if (typeof name === "string" && KEY_NAME.test(name)) return;
  throw invalidFunctionName("wrap(name, …)", name, "Every key of the function starts with it.");
}

function checkFunction(fn: unknown, where: string): void {
  if (typeof fn !== "function")
    throw invalidFunction(where, describeValue(fn), "Pass the function itself, not what it returns.");
  if (!Object.prototype.toString.call(fn).endsWith("GeneratorFunction]")) return;
  throw invalidFunction(where, "a generator", "Its values come one by one; return an array instead.");
}

function checkNames(options: unknown, where: string): void {
  requireOptions(where, options, '{ expire: "5m" }');
  for (const option of Object.keys(options)) {
    if (!OPTION_NAMES.includes(option)) throw unknownOption(where, option, OPTION_NAMES);
  }
}

function seconds(context: FunctionCacheContext, value: unknown, where: string, fallback: number): number {
  return value === undefined ? fallback : context.durationSeconds(value, where);
}

function tagsFunction(tags: AnyOptions["tags"], where: string): FunctionRules["tags"] {
  if (typeof tags === "function") {
    refuseAsync(`${where}: tags`, tags, NO_WAITING);
    return (self, args) => {
      const given: unknown = tags.apply(self, args);
      if (given instanceof Promise) throw noAnswer(`${where}: tags`, "an array of texts", given);
      return checkedTags(given, `${where}: the result of tags()`);
    };
  }
  const fixed = Object.freeze(checkedTags(tags ?? [], `${where}: tags`));
  return () => fixed;
}

function whenFunction(option: AnyOptions["when"], where: string): FunctionRules["takesPart"] {
  const when = optionalFunction(option, where);
  if (when === undefined) return () => true;
  return (self, args) => resultOf("when", () => yesOrNo(where, when.apply(self, args)));
}

function storeWhenFunction(option: AnyOptions["storeWhen"], where: string): FunctionRules["wantsStored"] {
  const storeWhen = optionalFunction(option, where);
  if (storeWhen === undefined) return () => true;
  return (self, result) => yesOrNo(where, storeWhen.call(self, result));
}

function optionalFunction<F>(value: F | undefined, where: string): F | undefined {
  if (value === undefined) return value;
  if (typeof value !== "function") throw invalidOption(where, "a function", value, "");
  refuseAsync(where, value, NO_WAITING);
  return value;
}

const NO_WAITING =
  "The cache does not wait for callbacks. Decide by what is known already, or do what takes time inside the function.";

function classes(types: readonly AnyClass[], where: string): readonly AnyClass[] {
  for (const type of types) {
    if (!isClass(type))
      throw invalidOption(where, "an array of classes", type, "Pass the class itself, as in [Session].");
  }
  return Object.freeze(types);
}

/** True for whatever may stand right of `instanceof`, which an arrow function may not. */
function isClass(type: AnyClass): boolean {
  try {
    return typeof ({} instanceof type) === "boolean";
  } catch {
    return false;
  }
}

function ignoredArgs(
  ignored: AnyOptions["ignoreArgs"],
  where: string,
): Pick<CallKeyRules, "ignoredPositions" | "ignores"> {
  if (ignored === undefined) return { ignoredPositions: new Set(), ignores: undefined };
  if (typeof ignored === "function") refuseAsync(where, ignored, NO_WAITING);
  if (typeof ignored === "function") return { ignoredPositions: new Set(), ignores: ignored };
  const expected = "an array of positions counted from 0, or a function";
  if (!Array.isArray(ignored)) throw invalidOption(where, expected, ignored, "");
  for (const position of ignored as readonly unknown[]) {
    if (!Number.isInteger(position) || (position as number) < 0) throw invalidOption(where, expected, position, "");
  }
  return { ignoredPositions: new Set(ignored as readonly number[]), ignores: undefined };
}
