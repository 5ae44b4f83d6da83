import { Token, type Dictionary, type InnerList, type Item } from "structured-headers";

import type { Fields } from "../http.ts";
import { applyRestriction, MAX_DELTA_SECONDS, responseDirectives } from "./directives.ts";
import type { ResponseDirectives } from "./directives.ts";
import { fieldLines, hasField, isFieldName, listMembers } from "./fields.ts";
import { restrictionsIn, type Restriction } from "./malformed-directives.ts";
import { bareItem, dictionaryField, parametersOf, valuesOf } from "./structured-fields.ts";

/**
 * The directives of the first targeted field that is valid and not empty, or `undefined` when none is (RFC 9213 §2.2).
 * While one is, `Cache-Control` and `Expires` count for nothing.
 *
 * Such a field is a Structured Field, not a `Cache-Control` under another name: a malformed one is as good as absent, as
 * is one with an upper-case directive, and of a repeated directive the last counts. A value of the wrong type is ignored,
 * but not where it restricts: `private=1` is `private`, and so is the parameter of `max-age=60; private`.
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
 * `responseDirectives()`. A malformed targeted field decides nothing, but what it restricts is restricted:
 * `CDN-Cache-Control: max-age=60 private` is `private`.
 *
 * @example effectiveDirectives({ "cache-control": "no-store", "cdn-cache-control": "max-age=60" }, ["cdn-cache-control"]).targeted // true
 */
export function effectiveDirectives(
  fields: Fields,
  targets: readonly string[],
): { readonly directives: ResponseDirectives; readonly targeted: boolean } {
  const targeted = targets.length === 0 ? undefined : targetedDirectives(fields, targets);
  const directives = targeted ?? responseDirectives(fields);
  const restrictions = targets.length === 0 ? NONE : malformedRestrictions(fields, targets);
  if (restrictions.length === 0) return { directives, targeted: targeted !== undefined };
  const restricted = { ...directives };
  for (const restriction of restrictions) applyRestriction(restricted, restriction);
  return { directives: restricted, targeted: targeted !== undefined };
}

const NONE: readonly Restriction[] = [];

/** What malformed targeted fields restrict, up to the one that decides. */
function malformedRestrictions(fields: Fields, targets: readonly string[]): readonly Restriction[] {
  const restrictions: Restriction[] = [];
  for (const target of targets) {
    if (!hasField(fields, target)) continue;
    const members = dictionaryField(fields, target);
    if (members !== undefined && members.size > 0) break;
    if (members === undefined) restrictions.push(...fieldLines(fields, target).flatMap(restrictionsIn));
  }
  return restrictions;
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
  for (const [key, member] of members) {
    for (const restriction of misplacedRestrictions(key, member)) applyRestriction(directives, restriction);
  }
  return directives;
}

const DIRECTIVES: ReadonlySet<string> = new Set([
  "no-store",
  "no-cache",
  "private",
  "public",
  "must-revalidate",
  "proxy-revalidate",
  "must-understand",
  "no-transform",
  "immutable",
  ...SECONDS.map(([key]) => key),
]);

/** Restrictions that stand where no directive can: in parameters, in values of the wrong type, in names with `_`. */
function misplacedRestrictions(key: string, member: Item | InnerList): readonly Restriction[] {
  const found: Restriction[] = [];
  for (const [name, value] of parametersOf(member)) {
    if (value !== false) found.push(...restrictionsIn(name));
    if (value instanceof Token) found.push(...restrictionsIn(value.toString()));
  }
  // Field names are the values of these two, and for no-store any value is as good as none.
  if (key === "no-cache" || key === "private" || key === "no-store") return found;
  const isExtension = !DIRECTIVES.has(key);
  if (isExtension && bareItem(member) !== false) found.push(...restrictionsIn(key));
  for (const value of valuesOf(member)) {
    const counts = value instanceof Token || (typeof value === "string" && !isExtension);
    if (counts) found.push(...restrictionsIn(value.toString()));
  }
  return found;
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
