/**
 * What the source text of a function says about its parameters and about `this`.
 *
 * Read once, when the function is wrapped. Where the text is hidden (bound and built-in functions) or cannot be read, the
 * answer is the one that tells more calls apart.
 */

import { isNative } from "./built-ins.ts";

/**
 * Position from which on an argument of `undefined` differs from one that was not passed: that of the rest parameter.
 *
 * A declared parameter that was not passed is `undefined`, or has its default in both cases. A function that reads
 * `arguments` sees the difference everywhere.
 */
export function firstCountedPosition(fn: (...args: never[]) => unknown): number {
  if (isNative(fn)) return fn.length;
  const source = Function.prototype.toString.call(fn);
  if (/\barguments\b/.test(source)) return 0;
  const rest = restPosition(source);
  return rest ?? Infinity;
}

/** True for a function that may read the `this` of its call. An arrow function has that of its surroundings. */
export function readsThis(fn: (...args: never[]) => unknown): boolean {
  if (isNative(fn)) return true;
  const source = Function.prototype.toString.call(fn);
  return !isArrow(source) && /\b(?:this|super)\b/.test(source);
}

function isArrow(source: string): boolean {
  return (
    /^(?:async\b\s*)?(?:\(|[\p{ID_Start}$_][\p{ID_Continue}$]*\s*=>)/u.test(source) &&
    !/^async\s*function\b/.test(source)
  );
}

/** Position of the rest parameter; undefined where there is none, 0 where the text cannot be read. */
function restPosition(source: string): number | undefined {
  let depth = 0;
  let position = 0;
  let isStart = false;
  for (let index = 0; index < source.length; index++) {
    const skipped = afterSkipped(source, index);
    if (skipped === undefined) return 0;
    if (skipped > index) {
      index = skipped - 1;
      continue;
    }
    const char = source[index] as string;
    if (depth === 0 && source.startsWith("=>", index)) return undefined;
    if (depth === 1 && isStart && source.startsWith("...", index)) return position;
    if ("([{".includes(char)) {
      // The name of a method may be computed: `[name](id) {}`.
      if (depth > 0 || char === "(") depth++;
      else if (char === "[") index = closing(source, index);
      isStart = depth === 1;
    } else if (")]}".includes(char)) {
      depth--;
      if (depth === 0) return undefined;
    } else if (depth === 1 && char === ",") {
      position++;
      isStart = true;
    } else if (!/\s/.test(char)) isStart = false;
  }
  return 0;
}

/** Index behind the text or comment that begins at `index`; `index` itself where none does, undefined for one without an end. */
function afterSkipped(source: string, index: number): number | undefined {
  if (source.startsWith("//", index)) return ends(source.indexOf("\n", index), 1);
  if (source.startsWith("/*", index)) return ends(source.indexOf("*/", index + 2), 2);
  const quote = source[index];
  // A regular expression or a template for a default may hold any bracket.
  if (quote === "/" || quote === "`") return undefined;
  if (quote !== '"' && quote !== "'") return index;
  for (let at = index + 1; at < source.length; at++) {
    if (source[at] === "\\") at++;
    else if (source[at] === quote) return at + 1;
  }
  return undefined;
}

function ends(found: number, length: number): number | undefined {
  return found === -1 ? undefined : found + length;
}

function closing(source: string, index: number): number {
  const end = source.indexOf("]", index);
  return end === -1 ? source.length : end;
}
