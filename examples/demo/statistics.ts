/** Figures about many cities at once. */
import { countryName, type Cities, type City } from "./cities.ts";
import { centreOf, type Place } from "./geometry.ts";

export interface CountryFigures {
  readonly code: string;
  readonly name: string;
  readonly cities: number;
  readonly population: number;
  readonly medianPopulation: number;
  readonly largest: readonly string[];
}

/** One line for each country, the most people first. */
export function figuresByCountry(cities: Cities): readonly CountryFigures[] {
  const figures = cities.countryCodes.map((code) => {
    const own = cities.ofCountry(code);
    // The data gives 0 where the number of people is not known.
    const known = own.filter((city) => city.population > 0);
    return {
      code,
      name: countryName(code),
      cities: own.length,
      population: sumOfPeople(own),
      medianPopulation: known[Math.floor(known.length / 2)]?.population ?? 0,
      largest: own.slice(0, 3).map((city) => city.name),
    };
  });
  return figures.toSorted((a, b) => b.population - a.population);
}

/** The point nearest to everybody together. */
export function centreOfPopulation(cities: Cities): Place {
  const { latitude, longitude } = centreOf(cities.all, 20);
  return { latitude: Math.round(latitude * 1000) / 1000, longitude: Math.round(longitude * 1000) / 1000 };
}

export type Outermost = Readonly<Record<"north" | "south" | "east" | "west", readonly City[]>>;

/** The cities that lie furthest out to each side, the outermost first. */
export function outermost(cities: Cities, count: number): Outermost {
  const by = (score: (city: City) => number): readonly City[] =>
    cities.all.toSorted((a, b) => score(b) - score(a)).slice(0, count);
  return {
    north: by((city) => city.latitude),
    south: by((city) => -city.latitude),
    east: by((city) => city.longitude),
    west: by((city) => -city.longitude),
  };
}

export interface Namesakes {
  readonly countedAt: Date;
  /** How many cities bear the name, the most frequent first. */
  readonly names: ReadonlyMap<string, number>;
}

/** The names that most cities share. A `Map` and a `Date`: what `cache.wrap` stores comes back with its types. */
export function commonestNames(cities: Cities, country: string | undefined, limit: number): Namesakes {
  const counts = new Map<string, number>();
  for (const { name } of country === undefined ? cities.all : cities.ofCountry(country)) {
    counts.set(name, (counts.get(name) ?? 0) + 1);
  }
  const sorted = [...counts].toSorted(([nameA, a], [nameB, b]) => b - a || nameA.localeCompare(nameB));
  return { countedAt: new Date(), names: new Map(sorted.slice(0, limit)) };
}

function sumOfPeople(cities: readonly City[]): number {
  return cities.reduce((sum, city) => sum + city.population, 0);
}
