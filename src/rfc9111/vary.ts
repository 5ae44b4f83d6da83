import type { Fields, VaryField } from "../http.ts";
import { normaliseAcceptLanguage } from "./accept-language.ts";
import { fieldLines, isFieldName, isWhitespace, listMembers, trimWhitespace } from "./fields.ts";

const NO_NAMES: readonly string[] = Object.freeze([]);
const ANY: readonly string[] = Object.freeze(["*"]);

/**
 * Names of the request fields that select this response, in lower case, sorted, without duplicates (RFC 9110 §12.5.5).
 *
 * It is `["*"]` when any member is `*`, and also when one is not a field name: what such a response depends on is
 * not known.
 *
 * @example varyNames({ vary: ["Origin,\t", "accept, ORIGIN"] }) // ["accept", "origin"]
 */
export function varyNames(fields: Fields): readonly string[] {
  const lines = fieldLines(fields, "vary");
  if (lines.length === 0) return NO_NAMES;
  const names = new Set<string>();
  for (const member of listMembers(lines)) {
    if (member === "*" || !isFieldName(member)) return ANY;
    names.add(member.toLowerCase());
  }
  return [...names].toSorted();
}

/**
 * Fields whose value is one text, not a list: a comma in them is data, so they are compared exactly. Two cookies that
 * differ in a space are two identities.
 */
const SINGLE_VALUED: ReadonlySet<string> = new Set([
  "authorization",
  "cookie",
  "origin",
  "proxy-authorization",
  "referer",
  "user-agent",
]);

/**
 * What a request presents for the nominated fields, normalised as RFC 9111 §4.1 allows: lines joined, whitespace around
 * commas and empty members dropped. An absent field is `null`, which is not the empty text.
 *
 * `accept-encoding` is a set to us: lower case, no whitespace, members sorted, codings we do not know kept.
 * `accept-language` is the language that {@link normaliseAcceptLanguage} finds among `languages`, where those are given.
 *
 * @example presentedFields({ "accept-language": "en,de" }, ["accept-language"]) // [["accept-language", "en, de"]]
 */
export function presentedFields(
  fields: Fields,
  names: readonly string[],
  languages?: readonly string[],
): readonly VaryField[] {
  return names.map((name) => [name, presentedValue(fields, name, languages)] as const);
}

/**
 * True when the request presents what the original request did, for each nominated field (RFC 9111 §4.1). `languages`
 * must be those given to {@link presentedFields}.
 */
export function matchesVary(varyFields: readonly VaryField[], fields: Fields, languages?: readonly string[]): boolean {
  for (const [name, value] of varyFields) {
    if (name === "*" || presentedValue(fields, name, languages) !== value) return false;
  }
  return true;
}

function presentedValue(fields: Fields, name: string, languages: readonly string[] | undefined): string | null {
  if (!Object.hasOwn(fields, name)) return null;
  const value = fields[name];
  if (value === undefined) return null;
  if (typeof value !== "string" && value.length === 0) return null;
  if (name === "accept-encoding") return normalisedCodings(fieldLines(fields, name));
  if (name === "accept-language" && languages !== undefined) {
    return normaliseAcceptLanguage(fieldLines(fields, name).join(", "), languages);
  }
  // Language ranges are compared without case (RFC 4647 §2.1).
  if (name === "accept-language") return listMembers(fieldLines(fields, name)).join(", ").toLowerCase();
  // A line break cannot occur in a value, so two lines never equal one.
  if (SINGLE_VALUED.has(name)) return typeof value === "string" ? trimWhitespace(value) : value.join("\n");
  if (typeof value === "string" && value.indexOf(",") === -1) return trimWhitespace(value);
  return listMembers(typeof value === "string" ? [value] : value).join(", ");
}

function normalisedCodings(lines: readonly string[]): string {
  return listMembers(lines)
    .map((member) => withoutWhitespace(member.toLowerCase()))
    .toSorted()
    .join(", ");
}

function withoutWhitespace(text: string): string {
  let kept = "";
  let start = 0;
  for (let at = 0; at < text.length; at++) {
    if (!isWhitespace(text.charCodeAt(at))) continue;
    kept += text.slice(start, at);
    start = at + 1;
  }
  return start === 0 ? text : kept + text.slice(start);
}
