/** `Cache-Control` that is not what its grammar says: what could mean a restriction is one. */

import { isTokenCode, unquoted } from "./fields.ts";

/** The directives that a malformed field must not hide. @internal */
export type Restriction = "private" | "no-store" | "no-cache";

const NONE: readonly Restriction[] = [];

/**
 * The words, with anything between `no` and `store` that is neither letter nor digit: `no_store`, `no store`, `nostore`.
 * A letter, `-` or `_` in front of a word, and one of them or a digit behind it, makes it part of another name.
 */
const WORDS = /(?<![a-z_-])(private|no[^a-z0-9,]*(store|cache))(?![a-z0-9_-])/gi;

/**
 * The restrictions that are named anywhere in `text`, each once, in the order they come.
 *
 * @example restrictionsIn("max-age=60; private") // ["private"]
 * @internal
 */
export function restrictionsIn(text: string): readonly Restriction[] {
  let found: Set<Restriction> | undefined;
  for (const [, word, kind] of text.matchAll(WORDS)) {
    found ??= new Set();
    if (kind === undefined) found.add(word?.toLowerCase() === "private" ? "private" : "no-store");
    else found.add(kind.toLowerCase() === "store" ? "no-store" : "no-cache");
    if (found.size === 3) break;
  }
  return found === undefined ? NONE : [...found];
}

/**
 * The restrictions that a request asks for in `text`. `nocache` is a name of its own here: a request that is not understood
 * gives nothing away. Where `no-cache` bypasses the cache, {@link restrictionsIn} reads requests too.
 * @internal
 */
export function askedRestrictionsIn(text: string): readonly Restriction[] {
  return restrictionsIn(JOINED.test(text) ? text.replace(EACH_JOINED, "x") : text);
}

const JOINED = /no(?:cache|store)/i;
const EACH_JOINED = /no(?:cache|store)/gi;

/**
 * True for `name`, `name=token` and `name="text"` (RFC 9111 §5.2) where the name is letters, digits, `-` and `_`: other
 * characters of a token, such as `'`, more likely divide or quote than name.
 * @internal
 */
export function isWellFormedDirective(member: string): boolean {
  const equals = member.indexOf("=");
  const nameEnd = equals === -1 ? member.length : equals;
  for (let at = 0; at < nameEnd; at++) if (!isNameCode(member.charCodeAt(at))) return false;
  if (nameEnd === 0) return false;
  if (equals === -1) return true;
  if (member.charCodeAt(equals + 1) === QUOTE) return unquoted(member.slice(equals + 1)) !== undefined;
  for (let at = equals + 1; at < member.length; at++) if (!isTokenCode(member.charCodeAt(at))) return false;
  return equals + 1 < member.length;
}

const QUOTE = 0x22;

function isNameCode(code: number): boolean {
  if (code >= 0x61 && code <= 0x7a) return true;
  if (code >= 0x41 && code <= 0x5a) return true;
  return (code >= 0x30 && code <= 0x39) || code === 0x2d || code === 0x5f;
}
