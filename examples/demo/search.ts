/** Finding cities by name: beginnings first, then parts of a name, then names with a typing error. */
import type { Cities, City } from "./cities.ts";

const MOST_TYPOS = 2;

/** Compares names as people type them: without accents and upper case. */
export class NameSearch {
  readonly #names: readonly { readonly city: City; readonly folded: string }[];

  constructor(cities: Cities) {
    this.#names = cities.all.map((city) => ({ city, folded: fold(city.name) }));
  }

  /** The best matches, among equally good ones the largest cities first. */
  find(text: string, limit: number): readonly City[] {
    const wanted = fold(text.trim());
    const ranks: City[][] = [[], [], [], []];
    const typos = wanted.length < 4 ? 0 : MOST_TYPOS;
    for (const { city, folded } of this.#names) {
      if (folded.startsWith(wanted)) ranks[0]?.push(city);
      else if (folded.includes(wanted)) ranks[1]?.push(city);
      else if (typos > 0) ranks[1 + editDistance(wanted, folded, typos)]?.push(city);
    }
    return ranks.flat().slice(0, limit);
  }
}

function fold(text: string): string {
  return text
    .normalize("NFD")
    .replace(/\p{Diacritic}/gu, "")
    .toLowerCase();
}

/** How many letters have to be added, dropped or replaced (Levenshtein); `limit + 1` where it is more than `limit`. */
function editDistance(a: string, b: string, limit: number): number {
  if (Math.abs(a.length - b.length) > limit) return limit + 1;
  let previous = Array.from({ length: b.length + 1 }, (_, column) => column);
  for (let row = 1; row <= a.length; row++) {
    const current = [row];
    let best = row;
    for (let column = 1; column <= b.length; column++) {
      const replaced = previous[column - 1]! + (a.charCodeAt(row - 1) === b.charCodeAt(column - 1) ? 0 : 1);
      const cost = Math.min(replaced, previous[column]! + 1, current[column - 1]! + 1);
      current.push(cost);
      best = Math.min(best, cost);
    }
    if (best > limit) return limit + 1;
    previous = current;
  }
  return Math.min(previous[b.length]!, limit + 1);
}
