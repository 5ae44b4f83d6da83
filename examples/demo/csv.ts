/** Cities as lines of CSV (RFC 4180), one after the other: an export needs no more memory than one line. */
import type { City } from "./cities.ts";

const LINES_PER_CHUNK = 500;

export function* citiesAsCsv(cities: readonly City[]): Generator<string> {
  yield "id,name,population,latitude,longitude\r\n";
  for (let start = 0; start < cities.length; start += LINES_PER_CHUNK) {
    yield cities
      .slice(start, start + LINES_PER_CHUNK)
      .map((city) => `${city.id},${quoted(city.name)},${city.population},${city.latitude},${city.longitude}\r\n`)
      .join("");
  }
}

function quoted(text: string): string {
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
