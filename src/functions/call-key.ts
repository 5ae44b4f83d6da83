import type { AnyClass } from "./contract.ts";
import { unstableValue, writeText, type SeenClasses, type UnstablePart } from "./canonical-text.ts";

/** What decides the key of a call. */
export interface CallKeyRules {
  readonly prefix: string;
  readonly name: string;
  readonly ignoreArgTypes: readonly AnyClass[];
  readonly ignoredPositions: ReadonlySet<number>;
  readonly ignores: ((value: unknown, index: number) => boolean) | undefined;
  readonly key: ((...args: never[]) => unknown) | undefined;
  readonly seenClasses: SeenClasses;
}

/**
 * The key of a call: `myapi-cache Users.getUser(7)`.
 *
 * Ignored arguments leave no trace in it. An argument that was left out is not an argument that is `undefined`.
 *
 * @throws TypeError `ERR_UNSTABLE_ARGUMENT` for an argument without a canonical text
 */
export function callKey(rules: CallKeyRules, args: readonly unknown[]): string {
  const start = `${rules.prefix} ${rules.name}(`;
  if (rules.key !== undefined) return `${start}${ownKeyText(rules, args)})`;
  let texts = "";
  let separator = "";
  for (let index = 0; index < args.length; index++) {
    if (isIgnored(rules, args[index], index)) continue;
    texts += separator + argumentText(rules, args[index], index);
    separator = ",";
  }
  return `${start}${texts})`;
}

function isIgnored(rules: CallKeyRules, value: unknown, index: number): boolean {
  if (rules.ignoredPositions.has(index)) return true;
  if (rules.ignores?.(value, index) === true) return true;
  if (value === null || (typeof value !== "object" && typeof value !== "function")) return false;
  return rules.ignoreArgTypes.some((type) => value instanceof type);
}

function argumentText(rules: CallKeyRules, value: unknown, index: number): string {
  try {
    return writeText(value, rules.seenClasses);
  } catch (error) {
    throw unstableValue(`${rules.name}(…): argument ${index + 1}`, (part) => cureForArgument(part, index), error);
  }
}

function ownKeyText(rules: CallKeyRules, args: readonly unknown[]): string {
  const key = (rules.key as (...args: readonly unknown[]) => unknown)(...args);
  try {
    return writeText(key, rules.seenClasses);
  } catch (error) {
    throw unstableValue(`${rules.name}(…): the result of key()`, () => "Return plain values from key().", error);
  }
}

function cureForArgument(part: UnstablePart, index: number): string {
  const exclude = `exclude it with ignoreArgs: [${index}]`;
  if (part.className === undefined) return `Pass plain values, ${exclude}, or choose the key with key: (…) => ….`;
  if (part.path === "") return `Add ${part.className} to ignoreArgTypes, ${exclude}, or give it a toJSON() method.`;
  return `Give ${part.className} a toJSON() method, exclude the argument with ignoreArgs: [${index}], or choose the key with key: (…) => ….`;
}
