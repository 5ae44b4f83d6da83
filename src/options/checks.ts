/** Checks that options share. Each mistake throws, naming option, value and cure. */

import { durationSeconds, type Duration } from "../duration.ts";
import { invalidCallback, invalidOption } from "../errors.ts";
import { isFieldName } from "../rfc9111/fields.ts";
import { refuseAsync } from "./synchronous.ts";
import type { RequestDirectiveMode } from "../http.ts";

const DIRECTIVE_MODES: readonly RequestDirectiveMode[] = ["bypass", "rfc9111", "ignore"];

export function fieldNames(where: string, names: unknown, sorted = true): readonly string[] {
  if (!isTexts(names) || !names.every(isFieldName)) {
    throw invalidOption(where, "names of request fields", names, 'For example ["accept-language"].');
  }
  const unique = [...new Set(names.map((name) => name.toLowerCase()))];
  return sorted ? unique.toSorted() : unique;
}

export function isTexts(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every((member) => typeof member === "string");
}

export function optionalSeconds(duration: Duration | undefined, where: string): number {
  return duration === undefined ? 0 : durationSeconds(duration, where);
}

export function secondsOrNothing(duration: Duration | undefined, where: string): number | undefined {
  return duration === undefined ? undefined : durationSeconds(duration, where);
}

export function directiveMode(where: string, mode: unknown): RequestDirectiveMode {
  const known = DIRECTIVE_MODES.find((candidate) => candidate === mode);
  if (known !== undefined) return known;
  throw invalidOption(where, '"bypass", "rfc9111" or "ignore"', mode, "See requestDirectives in the README.");
}

export function positiveInteger(where: string, value: unknown): number {
  if (typeof value === "number" && Number.isSafeInteger(value) && value > 0) return value;
  throw invalidOption(where, "a whole number > 0", value, "");
}

/** A function that answers at once: an `async` one cannot. */
export function requireFunction(where: string, value: unknown): void {
  if (value === undefined) return;
  if (typeof value !== "function") {
    throw invalidOption(where, "a function", value, "It is called with the framework's request or the response.");
  }
  refuseAsync(where, value, NO_WAITING);
}

const NO_WAITING =
  "The cache does not wait for callbacks. Do what takes time in middleware in front of cached(), and read its result here.";

/**
 * What a callback gave, which must not be a promise: a promise is neither yes nor no, and names nothing.
 *
 * @throws TypeError `ERR_INVALID_CALLBACK`, naming the option and the cure; the promise may then reject unheard
 */
export function atOnce<Result>(where: string, expected: string, result: Result): Result {
  if (!isThenable(result)) return result;
  Promise.resolve(result).catch(() => {});
  throw invalidCallback(where, expected, result, NO_WAITING);
}

/** The answer of a callback that decides. `undefined` is none: mostly a `return` is missing. */
export function yesOrNo(where: string, answer: unknown): boolean {
  if (typeof answer === "boolean") return answer;
  atOnce(where, "true or false", answer);
  throw invalidCallback(where, "true or false", answer, "Return a comparison, or Boolean(value).");
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  if ((typeof value !== "object" && typeof value !== "function") || value === null) return false;
  return typeof (value as { then?: unknown }).then === "function";
}

export function requireBoolean(where: string, value: unknown, cure: string): void {
  if (value === undefined || typeof value === "boolean") return;
  throw invalidOption(where, "true or false", value, cure);
}

export function requireMethods(where: string, value: unknown, names: readonly string[], cure: string): void {
  const methods = value as Record<string, unknown> | null;
  if (typeof value === "object" && methods !== null && names.every((name) => typeof methods[name] === "function"))
    return;
  throw invalidOption(where, `an object with ${names.join("(), ")}()`, value, cure);
}
