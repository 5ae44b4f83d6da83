/**
 * The targets of a purge as text: one character for the kind, then the name.
 *
 *     *          everything          n<name>     the entries with a name       k<key>   the entry under a key
 *     u<uri>     the entries of a URI            b<uri>   the entries whose path is this one or below it
 *
 * Logs keep these texts. A text that a reader does not understand purges everything, which is safe whatever it means.
 */

import type { PurgeTarget } from "../../http.ts";

/** Longer names are kept as their beginning and a digest, so that a long URL does not make a purge expensive. */
const MAX_NAME_LENGTH = 100;
const KEPT_LENGTH = 64;
/** Paths are told apart up to this depth; a purge below a deeper path covers all of its ancestor's. */
const MAX_DEPTH = 64;

export const EVERYTHING = "*";

/** The text of a target. */
export function targetText(target: PurgeTarget): string {
  switch (target.kind) {
    case "all":
      return EVERYTHING;
    case "name":
      return `n${shortName(target.text)}`;
    case "key":
      return `k${shortName(target.text)}`;
    case "uri":
      return `u${shortName(withPath(lowerCaseOrigin(target.text)))}`;
    case "under":
      return `b${shortName(ancestorPath(lowerCaseOrigin(target.text)))}`;
  }
}

/** True for a text that is kept whole. */
export function isShortName(text: string): boolean {
  return text.length <= MAX_NAME_LENGTH;
}

/** Length of the text that `name` was shortened from; undefined when it was not shortened. */
export function digestedLength(name: string): number | undefined {
  const length = /~(\d+)~[0-9a-z]+$/.exec(name)?.[1];
  return length === undefined ? undefined : Number(length);
}

/** `text` itself or, when it is long, a short text in its place. Texts with the same short text are purged together. */
export function shortName(text: string): string {
  if (isShortName(text)) return text;
  const low = hash32(text, 0x9747_b28c);
  const high = hash32(text, 0x3c6e_f372);
  return `${text.slice(0, KEPT_LENGTH)}~${text.length}~${high.toString(36)}${low.toString(36)}`;
}

/** 32 bits of a text. It is no secure hash: texts that collide are purged together, which costs a miss. */
export function hash32(text: string, seed: number): number {
  let hash = seed;
  for (let index = 0; index < text.length; index += 1) {
    hash = Math.imul(hash ^ text.charCodeAt(index), 0x5bd1_e995);
    hash ^= hash >>> 15;
  }
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2_ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}

/** Where the path of an absolute URI begins; 0 for a text that is a path, or no URI. */
export function pathStart(uri: string): number {
  const scheme = uri.indexOf("://");
  if (scheme === -1 || uri.charCodeAt(0) === SLASH) return 0;
  const slash = uri.indexOf("/", scheme + 3);
  return slash === -1 ? uri.length : slash;
}

/**
 * Calls `visit` with the path of `uri` and each path above it, `/users/7` and `/users` and the empty one, until it returns
 * true; once with the origin in front and once without.
 */
export function someAncestor(uri: string, visit: (ancestor: string) => boolean): boolean {
  const start = pathStart(uri);
  let end = start;
  for (let depth = 0; depth <= MAX_DEPTH; depth += 1) {
    if (visit(uri.slice(0, end)) || (start > 0 && visit(uri.slice(start, end)))) return true;
    if (end >= uri.length || uri.charCodeAt(end) !== SLASH) return false;
    end = segmentEnd(uri, end + 1);
  }
  return false;
}

const SLASH = 47;

function segmentEnd(uri: string, from: number): number {
  let end = from;
  while (end < uri.length && !isBoundary(uri.charCodeAt(end))) end += 1;
  return end;
}

/** `/`, `?` or `#`. */
function isBoundary(code: number): boolean {
  return code === SLASH || code === 63 || code === 35;
}

/** `uri` without query and closing slashes, cut at the depth up to which paths are told apart. */
function ancestorPath(uri: string): string {
  let path = /^[^?#]*/.exec(uri)?.[0] ?? "";
  while (path.endsWith("/") && !path.endsWith("://")) path = path.slice(0, -1);
  let end = pathStart(path);
  for (let depth = 0; depth < MAX_DEPTH && end < path.length; depth += 1) end = segmentEnd(path, end + 1);
  return path.slice(0, end);
}

/** The host of a URI has no case, its path does. */
function lowerCaseOrigin(uri: string): string {
  const start = pathStart(uri);
  return uri.slice(0, start).toLowerCase() + uri.slice(start);
}

function withPath(uri: string): string {
  return pathStart(uri) === uri.length && uri !== "" ? `${uri}/` : uri;
}
