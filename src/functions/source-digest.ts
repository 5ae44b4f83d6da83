/** Tells apart what shares a name: functions and classes by a digest of their source text. */

import { createHash } from "node:crypto";
import { isNative } from "./built-ins.ts";

/** Enough that two texts do not meet by chance. */
const DIGEST_CHARS = 12;

const digests = new WeakMap<object, string>();

/**
 * The digest of a function or, with those it extends, of a class. The same in every process that runs the same build.
 *
 * What a function closes over is not in its text: two that one factory made have the same digest.
 */
export function sourceDigest(fn: object): string {
  const known = digests.get(fn);
  if (known !== undefined) return known;
  const parent = parentOf(fn);
  const texts = [...sourceTexts(fn), ...(parent === undefined ? [] : [sourceDigest(parent)])];
  const digest = createHash("sha256").update(JSON.stringify(texts)).digest("base64url").slice(0, DIGEST_CHARS);
  digests.set(fn, digest);
  return digest;
}

/** The text of a class has its methods; that of a constructor without `class` has not. */
function sourceTexts(fn: object): readonly string[] {
  const text = Function.prototype.toString.call(fn);
  if (isNative(fn)) return [text, nameOf(fn)];
  const prototype: unknown = Object.getOwnPropertyDescriptor(fn, "prototype")?.value;
  if (/^class\b/.test(text) || typeof prototype !== "object" || prototype === null) return [text];
  const members: Readonly<Record<string, Member>> = Object.getOwnPropertyDescriptors(prototype);
  const methods = Object.entries(members).filter(([name]) => name !== "constructor");
  return [text, ...methods.map(([name, each]) => `${name} ${textOf(each.value)} ${textOf(each.get)}`).toSorted()];
}

interface Member {
  readonly value?: unknown;
  readonly get?: unknown;
}

function nameOf(fn: object): string {
  const { name } = fn as { readonly name?: unknown };
  return typeof name === "string" ? name : "";
}

function textOf(value: unknown): string {
  return typeof value === "function" ? Function.prototype.toString.call(value) : "";
}

/** The class that a class extends, if the program has it. */
function parentOf(fn: object): object | undefined {
  const parent: unknown = Object.getPrototypeOf(fn);
  if (typeof parent === "function" && !isNative(parent)) return parent;
  const prototype: unknown = Object.getOwnPropertyDescriptor(fn, "prototype")?.value;
  if (typeof prototype !== "object" || prototype === null) return undefined;
  const above = Object.getPrototypeOf(prototype) as { readonly constructor?: unknown } | null;
  const constructor = above?.constructor;
  return typeof constructor === "function" && constructor !== fn && !isNative(constructor) ? constructor : undefined;
}
