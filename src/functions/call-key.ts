import { muteRejections } from "../errors.ts";
import type { AnyClass } from "./contract.ts";
import { CallbackFault, noAnswer, resultOf, yesOrNo } from "./callback.ts";
import { unstableValue, writeText, type SeenClasses, type UnstablePart } from "./canonical-text.ts";
import type { ClassMarks } from "./method.ts";

/** What decides the key of a call. */
export interface CallKeyRules {
  readonly prefix: string;
  readonly name: string;
  /** Starts the messages about options: `wrap("rates", …)`. */
  readonly where: string;
  readonly ignoreArgTypes: readonly AnyClass[];
  readonly ignoredPositions: ReadonlySet<number>;
  readonly ignores: ((this: unknown, value: unknown, index: number) => unknown) | undefined;
  readonly key: ((this: unknown, ...args: unknown[]) => unknown) | undefined;
  /** Before this position, an argument of `undefined` at the end counts as not passed. */
  readonly firstCountedPosition: number;
  readonly classMarks: ClassMarks | undefined;
  readonly seenClasses: SeenClasses;
}

/**
 * The key of a call: `myapi-cache Users.getUser(7)`.
 *
 * Ignored arguments at the end leave no trace in it, neither do arguments of `undefined` there, as far as the function
 * declares parameters for them. In front of another argument an ignored one is `_`: `list(_,7)` is not `list(7)`.
 *
 * @param classes is given the classes of the program that stand in the key by their names
 * @throws TypeError `ERR_UNSTABLE_ARGUMENT` for an argument without a canonical text
 * @throws CallbackFault for what a callback of the options threw or answered wrongly
 */
export function callKey(rules: CallKeyRules, self: unknown, args: unknown[], classes?: Set<object>): string {
  const mark = rules.classMarks?.of(self) ?? "";
  const start = `${rules.prefix} ${rules.name}${mark}(`;
  if (rules.key !== undefined) return `${start}${ownKeyText(rules, self, args, classes)})`;
  let texts = "";
  const end = endOfArguments(rules, self, args);
  for (let index = 0; index < end; index++) {
    if (index > 0) texts += ",";
    texts += isIgnored(rules, self, args[index], index) ? IGNORED : argumentText(rules, args, index, classes);
  }
  return `${start}${texts})`;
}

/** Stands for an ignored argument. No value has this text. */
const IGNORED = "_";

/** Where the arguments end that count: behind the last one that is neither ignored nor as good as not passed. */
function endOfArguments(rules: CallKeyRules, self: unknown, args: unknown[]): number {
  for (let end = args.length; end > 0; end--) {
    const index = end - 1;
    if (isIgnored(rules, self, args[index], index)) continue;
    if (args[index] !== undefined || index >= rules.firstCountedPosition) return end;
  }
  return 0;
}

function isIgnored(rules: CallKeyRules, self: unknown, value: unknown, index: number): boolean {
  if (rules.ignoredPositions.has(index)) return true;
  const { ignores, where } = rules;
  if (ignores !== undefined) {
    const answer = resultOf("ignoreArgs", () => yesOrNo(`${where}: ignoreArgs`, ignores.call(self, value, index)));
    if (answer) return true;
  }
  if (value === null || (typeof value !== "object" && typeof value !== "function")) return false;
  return rules.ignoreArgTypes.some((type) => value instanceof type);
}

function argumentText(rules: CallKeyRules, args: unknown[], index: number, classes?: Set<object>): string {
  try {
    return writeText(args[index], rules.seenClasses, classes);
  } catch (error) {
    // A promise among the arguments: the function is not called, which would have waited for it.
    muteRejections(args);
    throw unstableValue(`${rules.name}(…): argument ${index + 1}`, (part) => cureForArgument(part, index), error);
  }
}

function ownKeyText(rules: CallKeyRules, self: unknown, args: unknown[], classes?: Set<object>): string {
  const key = resultOf("key", () => rules.key?.apply(self, args));
  // With `undefined` all calls would share one result: most often a return is missing.
  if (key === undefined || key instanceof Promise) {
    throw new CallbackFault("key", noAnswer(`${rules.where}: key`, "a value", key));
  }
  try {
    return writeText(key, rules.seenClasses, classes);
  } catch (error) {
    muteRejections(key);
    throw unstableValue(`${rules.name}(…): the result of key()`, () => "Return plain values from key().", error);
  }
}

function cureForArgument(part: UnstablePart, index: number): string {
  const exclude = `exclude it with ignoreArgs: [${index}]`;
  if (part.className === undefined) return `Pass plain values, ${exclude}, or choose the key with key: (…) => ….`;
  if (part.path === "") return `Add ${part.className} to ignoreArgTypes, ${exclude}, or give it a toJSON() method.`;
  return `Give ${part.className} a toJSON() method, exclude the argument with ignoreArgs: [${index}], or choose the key with key: (…) => ….`;
}
