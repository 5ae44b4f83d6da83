import type { Fields } from "../http.ts";
import { fieldLines, hasField, isFieldName, isWhitespace, listMembers, unquoted } from "./fields.ts";
import {
  askedRestrictionsIn,
  isWellFormedDirective,
  restrictionsIn,
  type Restriction,
} from "./malformed-directives.ts";

/** Largest number of seconds a cache must be able to represent; more counts as this (RFC 9111 §1.2.2). @internal */
export const MAX_DELTA_SECONDS = 2_147_483_648;

/**
 * The `Cache-Control` of a response (RFC 9111 §5.2.2).
 *
 * A list stands for the qualified form: `private="set-cookie"` is `["set-cookie"]`, with names in lower case.
 */
export interface ResponseDirectives {
  readonly noStore: boolean;
  readonly noCache: boolean | readonly string[];
  readonly private: boolean | readonly string[];
  readonly public: boolean;
  readonly mustRevalidate: boolean;
  readonly proxyRevalidate: boolean;
  readonly mustUnderstand: boolean;
  readonly noTransform: boolean;
  readonly immutable: boolean;
  readonly maxAgeSeconds?: number;
  readonly sMaxageSeconds?: number;
  readonly staleWhileRevalidateSeconds?: number;
  readonly staleIfErrorSeconds?: number;
  /** True when a targeted field decides (RFC 9213): `Expires` is then no lifetime. */
  readonly targeted?: true;
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

interface DraftDirectives extends Mutable<Omit<ResponseDirectives, "noCache" | "private">> {
  noCache: boolean | string[];
  private: boolean | string[];
}

function noResponseDirectives(): DraftDirectives {
  return {
    noStore: false,
    noCache: false,
    private: false,
    public: false,
    mustRevalidate: false,
    proxyRevalidate: false,
    mustUnderstand: false,
    noTransform: false,
    immutable: false,
  };
}

const NO_RESPONSE_DIRECTIVES: ResponseDirectives = Object.freeze(noResponseDirectives());

/**
 * Reads the `Cache-Control` of a response. It never throws, and doubt counts toward not caching:
 *
 * - a number that does not parse is 0, which means already stale; the first of a repeated directive is used;
 * - `private` or `no-cache` with a malformed list, or both qualified and not, is the unqualified directive;
 * - `no-store="x"` is `no-store`, but `public="x"` is nothing;
 * - in a member that is no directive of the grammar, or has an argument that its directive cannot have, the words
 *   `private`, `no-store` and `no-cache` count wherever they stand: `max-age=60; private`, `"no-store"`, `max-age=60 no_cache`.
 *
 * @example responseDirectives({ "cache-control": "Public, max-age=60" }).maxAgeSeconds // 60
 */
export function responseDirectives(fields: Fields): ResponseDirectives {
  if (!hasField(fields, "cache-control")) return NO_RESPONSE_DIRECTIVES;
  const directives = noResponseDirectives();
  for (const member of listMembers(fieldLines(fields, "cache-control"))) {
    const equals = member.indexOf("=");
    if (!isWellFormedDirective(member)) restrictBy(directives, member);
    switch (directiveName(member, equals)) {
      case "no-store":
        directives.noStore = true;
        break;
      case "no-cache":
        directives.noCache = withFieldNames(directives.noCache, member, equals);
        break;
      case "private":
        directives.private = withFieldNames(directives.private, member, equals);
        break;
      case "public":
        if (equals === -1) directives.public = true;
        else restrictByArgument(directives, member, equals);
        break;
      case "must-revalidate":
        directives.mustRevalidate = true;
        restrictByArgument(directives, member, equals);
        break;
      case "proxy-revalidate":
        directives.proxyRevalidate = true;
        restrictByArgument(directives, member, equals);
        break;
      case "must-understand":
        directives.mustUnderstand = true;
        restrictByArgument(directives, member, equals);
        break;
      case "no-transform":
        directives.noTransform = true;
        restrictByArgument(directives, member, equals);
        break;
      case "immutable":
        directives.immutable = true;
        restrictByArgument(directives, member, equals);
        break;
      case "max-age":
        keepFirst(directives, "maxAgeSeconds", member, equals);
        break;
      case "s-maxage":
        keepFirst(directives, "sMaxageSeconds", member, equals);
        break;
      case "stale-while-revalidate":
        keepFirst(directives, "staleWhileRevalidateSeconds", member, equals);
        break;
      case "stale-if-error":
        keepFirst(directives, "staleIfErrorSeconds", member, equals);
        break;
      default:
        restrictByUnknown(directives, member, equals);
    }
  }
  return directives;
}

type Seconds = "maxAgeSeconds" | "sMaxageSeconds" | "staleWhileRevalidateSeconds" | "staleIfErrorSeconds";

/** The number of a directive; 0 where it has none, and then a restriction in its argument counts. */
function keepFirst(directives: DraftDirectives, name: Seconds, member: string, equals: number): void {
  const seconds = directiveSeconds(member, equals);
  if (seconds === undefined) restrictBy(directives, member);
  directives[name] ??= seconds ?? 0;
}

/** An argument of a directive that has none is malformed. */
function restrictByArgument(directives: DraftDirectives, member: string, equals: number): void {
  if (equals !== -1) restrictBy(directives, member);
}

/** An extension says nothing to us, unless its name or its unquoted value is one of the words in another spelling. */
function restrictByUnknown(directives: DraftDirectives, member: string, equals: number): void {
  const hasQuotedValue = equals !== -1 && member.charCodeAt(equals + 1) === QUOTE;
  restrictBy(directives, hasQuotedValue ? member.slice(0, equals) : member);
}

function restrictBy(directives: DraftDirectives, member: string): void {
  for (const restriction of restrictionsIn(member)) applyRestriction(directives, restriction);
}

/** Adds one restriction; a qualified `private` or `no-cache` becomes the unqualified one. @internal */
export function applyRestriction(
  directives: Mutable<Pick<ResponseDirectives, "noStore" | "noCache" | "private">>,
  restriction: Restriction,
): void {
  switch (restriction) {
    case "no-store":
      directives.noStore = true;
      return;
    case "no-cache":
      directives.noCache = true;
      return;
    case "private":
      directives.private = true;
  }
}

const QUOTE = 0x22;

/** The `Cache-Control` of a request (RFC 9111 §5.2.1). A number that does not parse is as good as absent. */
export interface RequestDirectives {
  readonly noStore: boolean;
  readonly noCache: boolean;
  readonly onlyIfCached: boolean;
  readonly maxAgeSeconds?: number;
  readonly minFreshSeconds?: number;
  /** `Infinity` for `max-stale` without a value: any staleness will do. */
  readonly maxStaleSeconds?: number;
}

const NO_REQUEST_DIRECTIVES: RequestDirectives = Object.freeze({ noStore: false, noCache: false, onlyIfCached: false });

/**
 * Reads the `Cache-Control` of a request, or `Pragma: no-cache` where it has none (RFC 9111 §5.4). It never throws.
 *
 * @example requestDirectives({ "cache-control": "max-stale" }).maxStaleSeconds // Infinity
 */
export function requestDirectives(fields: Fields): RequestDirectives {
  if (!hasField(fields, "cache-control")) {
    if (!hasField(fields, "pragma")) return NO_REQUEST_DIRECTIVES;
    return { noStore: false, noCache: namesDirective(fields, "pragma", isNoCache), onlyIfCached: false };
  }
  const directives: Mutable<RequestDirectives> = { noStore: false, noCache: false, onlyIfCached: false };
  for (const member of listMembers(fieldLines(fields, "cache-control"))) {
    const equals = member.indexOf("=");
    switch (directiveName(member, equals)) {
      case "no-store":
        directives.noStore = true;
        break;
      case "no-cache":
        directives.noCache = true;
        break;
      case "only-if-cached":
        directives.onlyIfCached = true;
        break;
      case "max-age": {
        const seconds = directives.maxAgeSeconds ?? directiveSeconds(member, equals);
        if (seconds !== undefined) directives.maxAgeSeconds = seconds;
        break;
      }
      case "min-fresh": {
        const seconds = directives.minFreshSeconds ?? directiveSeconds(member, equals);
        if (seconds !== undefined) directives.minFreshSeconds = seconds;
        break;
      }
      case "max-stale": {
        const seconds = directives.maxStaleSeconds ?? (equals === -1 ? Infinity : directiveSeconds(member, equals));
        if (seconds !== undefined) directives.maxStaleSeconds = seconds;
        break;
      }
    }
    for (const restriction of malformedRestrictions(member, equals)) {
      if (restriction === "no-store") directives.noStore = true;
      else if (restriction === "no-cache") directives.noCache = true;
    }
  }
  return directives;
}

const NUMERIC: ReadonlySet<string> = new Set(["max-age", "min-fresh", "max-stale"]);

/** What a member of a request's `Cache-Control` asks for that no directive of the grammar asks for. */
function malformedRestrictions(
  member: string,
  equals: number,
  restrictions: (text: string) => readonly Restriction[] = askedRestrictionsIn,
): readonly Restriction[] {
  if (equals === -1 || !isWellFormedDirective(member)) return restrictions(member);
  const name = directiveName(member, equals);
  const isBrokenNumber = NUMERIC.has(name) && directiveSeconds(member, equals) === undefined;
  return restrictions(isBrokenNumber || name === "only-if-cached" ? member : name);
}

/**
 * True when the request's `Cache-Control` has the directive `no-cache` or `no-store`, in any case, among others or alone,
 * or is malformed where one of them stands (`max-age=0; no-cache`). `nocache` and `noStore` count, as in a response: who
 * writes that asks for a fresh response.
 *
 * It reads directives, not text: `x-no-cache-thing` and `note="no-cache"` ask for nothing.
 *
 * @example asksToBypass({ "cache-control": "max-age=0, No-Cache" }) // true
 */
export function asksToBypass(fields: Fields): boolean {
  if (!hasField(fields, "cache-control")) return false;
  return namesDirective(fields, "cache-control", isNoCacheOrNoStore, restrictionsIn);
}

function isNoCache(name: string): boolean {
  return name === "no-cache";
}

function isNoCacheOrNoStore(name: string): boolean {
  return name === "no-cache" || name === "no-store";
}

function namesDirective(
  fields: Fields,
  field: string,
  isWanted: (name: string) => boolean,
  restrictions?: (text: string) => readonly Restriction[],
): boolean {
  for (const member of listMembers(fieldLines(fields, field))) {
    const equals = member.indexOf("=");
    if (isWanted(directiveName(member, equals))) return true;
    if (malformedRestrictions(member, equals, restrictions).some(isWanted)) return true;
  }
  return false;
}

/** Whitespace before the `=` is an error, but one that must not hide a `no-store`. */
function directiveName(member: string, equals: number): string {
  if (equals === -1) return member.toLowerCase();
  let end = equals;
  while (end > 0 && isWhitespace(member.charCodeAt(end - 1))) end--;
  return member.slice(0, end).toLowerCase();
}

function directiveSeconds(member: string, equals: number): number | undefined {
  if (equals <= 0 || isWhitespace(member.charCodeAt(equals - 1))) return undefined;
  const argument = member.slice(equals + 1);
  if (argument.charCodeAt(0) !== 0x22) return parseDeltaSeconds(argument);
  const text = unquoted(argument);
  return text === undefined ? undefined : parseDeltaSeconds(text);
}

/** Digits and nothing else, clamped to {@link MAX_DELTA_SECONDS} (RFC 9111 §1.2.2). @internal */
export function parseDeltaSeconds(text: string): number | undefined {
  if (text.length === 0) return undefined;
  let seconds = 0;
  for (let at = 0; at < text.length; at++) {
    const digit = text.charCodeAt(at) - 0x30;
    if (digit < 0 || digit > 9) return undefined;
    seconds = Math.min(seconds * 10 + digit, MAX_DELTA_SECONDS);
  }
  return seconds;
}

/** Adds the field names of a qualified directive to those seen before; `true`, once reached, stays. */
function withFieldNames(known: boolean | string[], member: string, equals: number): boolean | string[] {
  if (known === true) return true;
  const content = equals === -1 ? undefined : unquoted(member.slice(equals + 1));
  if (content === undefined) return true;
  const members = listMembers([content]);
  if (members.length === 0) return true;
  const names = known === false ? [] : known;
  for (const name of members) {
    if (!isFieldName(name)) return true;
    names.push(name.toLowerCase());
  }
  return names;
}
