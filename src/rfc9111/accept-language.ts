import { listMembers, trimWhitespace } from "./fields.ts";

interface LanguageRange {
  /** In lower case. */
  readonly range: string;
  readonly weight: number;
}

/**
 * The one of the application's languages that `Accept-Language` asks for first, or the empty text when it asks for none
 * of them (RFC 4647 §3.4, RFC 9110 §12.5.4).
 *
 * Lookup: `de-AT` finds `de`, but `de` does not find `de-AT`. The greatest weight wins, then the place; weight 0 refuses;
 * `*` is the first language that nothing else in the field speaks of. A malformed member is nothing.
 *
 * Use it as the key of a response only where the application picks its language by the same function: one that picks
 * otherwise would have pages of two languages under one key.
 *
 * @param available language tags as the application writes them, the preferred first.
 * @example normaliseAcceptLanguage("fr;q=0.5, de-AT", ["en", "de", "fr"]) // "de"
 */
export function normaliseAcceptLanguage(value: string, available: readonly string[]): string {
  const ranges = languageRanges(value);
  const tags = new Map(available.map((tag) => [tag.toLowerCase(), tag]));
  const longest = available.reduce((length, tag) => Math.max(length, tag.length), 0);
  const refused = new Set<string>();
  for (const { range, weight } of ranges) if (weight === 0) refused.add(range);

  let best = "";
  let bestWeight = 0;
  let anyWeight = 0;
  for (const { range, weight } of ranges) {
    if (range === "*") anyWeight = Math.max(anyWeight, weight);
    if (weight <= bestWeight) continue;
    const found = lookUp(range, tags, longest, refused);
    if (found === undefined) continue;
    best = found;
    bestWeight = weight;
  }
  if (anyWeight <= bestWeight) return best;
  const named = new Set(ranges.map(({ range }) => range));
  const unnamed = available.find((tag) => !truncations(tag.toLowerCase(), longest).some((range) => named.has(range)));
  return unnamed ?? best;
}

function lookUp(
  range: string,
  tags: ReadonlyMap<string, string>,
  longest: number,
  refused: ReadonlySet<string>,
): string | undefined {
  for (const tag of truncations(range, longest)) {
    if (refused.has(tag)) return undefined;
    const found = tags.get(tag);
    if (found !== undefined) return found;
  }
  return undefined;
}

/**
 * A range and what is left of it, subtag by subtag from the end. Those longer than every available tag are not worth
 * making.
 */
function truncations(range: string, longest: number): readonly string[] {
  const truncated: string[] = [];
  let end = range.length <= longest ? range.length : range.lastIndexOf("-", longest);
  while (end > 0) {
    truncated.push(range.slice(0, end));
    end = range.lastIndexOf("-", end - 1);
  }
  return truncated;
}

const WEIGHT = /^q=(0(?:\.\d{0,3})?|1(?:\.0{0,3})?)$/i;

function languageRanges(value: string): LanguageRange[] {
  const ranges: LanguageRange[] = [];
  for (const member of listMembers([value])) {
    const semicolon = member.indexOf(";");
    const range = trimWhitespace(semicolon === -1 ? member : member.slice(0, semicolon)).toLowerCase();
    const weight = semicolon === -1 ? 1 : parseWeight(trimWhitespace(member.slice(semicolon + 1)));
    if (weight !== undefined) ranges.push({ range, weight });
  }
  return ranges;
}

function parseWeight(text: string): number | undefined {
  const match = WEIGHT.exec(text);
  return match === null ? undefined : Number(match[1]);
}
