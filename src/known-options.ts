import { invalidOption, unknownOption } from "./errors.ts";

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
  if (typeof options !== "object" || options === null || Array.isArray(options)) {
    throw invalidOption(caller, "an object of options", options, `For example ${example}.`);
  }
  for (const name of Object.keys(options)) {
    if (!Object.hasOwn(known, name)) throw unknownOption(caller, name, Object.keys(known));
  }
}
