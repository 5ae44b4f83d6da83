import { invalidOption, unknownOption } from "../errors.ts";

/**
 * Lets pass what can hold options: an object with properties. A promise, an array, a `Date` or a `Map` has none, so that
 * every option would be at its default.
 *
 * @throws `ERR_INVALID_OPTION`
 */
export function requireOptions(
  caller: string,
  options: unknown,
  example: string,
  expected = "an object of options",
): asserts options is object {
  if (typeof options === "object" && options !== null && HOLDS_OPTIONS.test(Object.prototype.toString.call(options))) {
    if (!(options instanceof Promise)) return;
  }
  const isPromise = Object.prototype.toString.call(options) === "[object Promise]" || options instanceof Promise;
  const cure = isPromise ? "Await it first." : `For example ${example}.`;
  throw invalidOption(caller, expected, options, cure);
}

/** An object, or what `import * as options` gives. */
const HOLDS_OPTIONS = /^\[object (?:Object|Module)\]$/;

/**
 * Lets nothing pass that is no option: a misspelt one would be an option left at its default.
 *
 * @throws `ERR_UNKNOWN_OPTION`, or `ERR_INVALID_OPTION` for what is no object of options
 */
export function refuseUnknown(
  caller: string,
  options: unknown,
  known: Readonly<Record<string, true>>,
  example = '{ expire: "5m" }',
): void {
  requireOptions(caller, options, example);
  for (const name of Object.keys(options)) {
    if (!Object.hasOwn(known, name)) throw unknownOption(caller, name, Object.keys(known));
  }
}
