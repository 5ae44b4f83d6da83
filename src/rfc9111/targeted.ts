import type { Dictionary } from "structured-headers";

import type { Fields } from "../types.ts";
import { MAX_DELTA_SECONDS, responseDirectives } from "./directives.ts";
import type { ResponseDirectives } from "./directives.ts";
import { hasField, isFieldName, listMembers } from "./fields.ts";
import { bareItem, dictionaryField } from "./structured-fields.ts";

/**
 * The directives of the first targeted field that is valid and not empty, or `undefined` when none is (RFC 9213 §2.2).
 * While one is, `Cache-Control` and `Expires` count for nothing.
 *
 * Such a field is a Structured Field, not a `Cache-Control` under another name: a malformed one is as good as absent, as
 * is one with an upper-case directive, and of a repeated directive the last counts. A value of the wrong type is ignored,
 * but not where it restricts: `private=1` is `private`.
 *
 * @param targets lower-case field names, in the order they are asked.
 * @example targetedDirectives({ "cdn-cache-control": "max-age=60" }, ["cdn-cache-control"])?.maxAgeSeconds // 60
 */
export function targetedDirectives(fields: Fields, targets: readonly string[]): ResponseDirectives | undefined {
  for (const target of targets) {
    if (!hasField(fields, target)) continue;
    const members = dictionaryField(fields, target);
    if (members !== undefined && members.size > 0) return directivesOf(members);
  }
  return undefined;
}

/**
 * The directives that decide about a response, and whether they come from a targeted field. Without one it is
 * `responseDirectives()`.
 *
 * @example effectiveDirectives({ "cache-control": "no-store", "cdn-cache-control": "max-age=60" }, ["cdn-cache-control"]).targeted // true
 */
export function effectiveDirectives(
  fields: Fields,
  targets: readonly string[],
): { readonly directives: ResponseDirectives; readonly targeted: boolean } {
  const targeted = targets.length === 0 ? undefined : targetedDirectives(fields, targets);
  if (targeted === undefined) return { directives: responseDirectives(fields), targeted: false };
  return { directives: targeted, targeted: true };
}

const SECONDS = [
  ["max-age", "maxAgeSeconds"],
  ["s-maxage", "sMaxageSeconds"],
  ["stale-while-revalidate", "staleWhileRevalidateSeconds"],
  ["stale-if-error", "staleIfErrorSeconds"],
] as const;

function directivesOf(members: Dictionary): ResponseDirectives {
  const directives: { -readonly [K in keyof ResponseDirectives]: ResponseDirectives[K] } = {
    targeted: true,
    noStore: restricts(members, "no-store"),
    noCache: restrictsFields(members, "no-cache"),
    private: restrictsFields(members, "private"),
    public: permits(members, "public"),
    mustRevalidate: restricts(members, "must-revalidate"),
    proxyRevalidate: restricts(members, "proxy-revalidate"),
    mustUnderstand: permits(members, "must-understand"),
    noTransform: restricts(members, "no-transform"),
    immutable: permits(members, "immutable"),
  };
  for (const [key, name] of SECONDS) {
    const seconds = secondsOf(members, key);
    if (seconds !== undefined) directives[name] = seconds;
  }
  return directives;
}

function permits(members: Dictionary, key: string): boolean {
  const member = members.get(key);
  return member !== undefined && bareItem(member) === true;
}

function restricts(members: Dictionary, key: string): boolean {
  const member = members.get(key);
  return member !== undefined && bareItem(member) !== false;
}

function restrictsFields(members: Dictionary, key: string): boolean | readonly string[] {
  const member = members.get(key);
  if (member === undefined) return false;
  const value = bareItem(member);
  if (typeof value !== "string") return value !== false;
  const names = listMembers([value]);
  return names.length > 0 && names.every(isFieldName) ? names.map((name) => name.toLowerCase()) : true;
}

function secondsOf(members: Dictionary, key: string): number | undefined {
  const member = members.get(key);
  const value = member === undefined ? undefined : bareItem(member);
  if (typeof value !== "number" || !Number.isInteger(value)) return undefined;
  return Math.min(Math.max(value, 0), MAX_DELTA_SECONDS);
}
