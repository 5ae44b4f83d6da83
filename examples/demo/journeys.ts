/** Ways over land and sea from city to city: a decorated class in `Journeys`, a plain function in `roundTrip`. */
import type { Cache } from "reprise";
import { cachedMethods } from "reprise/decorators";
import type { Cities, City } from "./cities.ts";
import { distanceKm, roundKm } from "./geometry.ts";

export interface Journey {
  readonly km: number;
  readonly stops: readonly City[];
}

const SMALLEST_STOP = 100_000;
const DEGREE_KM = 111;

/** What the route uses: the same class with its method cached or not. */
export interface JourneyPlanner {
  shortest(cities: Cities, fromId: number, toId: number, longestHopKm: number): Promise<Journey | undefined>;
}

/** Plans without a cache. */
export class PlainJourneys implements JourneyPlanner {
  async shortest(cities: Cities, fromId: number, toId: number, longestHopKm: number): Promise<Journey | undefined> {
    return shortestJourney(cities, fromId, toId, longestHopKm);
  }
}

/**
 * Plans with a cache. The results are stored under `Journeys.shortest(_,2267057,2013348,500)`: `cities` is handed in like
 * a database session, and `ignoreArgTypes: [Cities]` in `main.ts` keeps it out of the key: `_` stands for it.
 */
export function cachedJourneys(cache: Cache): JourneyPlanner {
  const Cached = cachedMethods(cache);
  class Journeys {
    @Cached({ expire: "1h" })
    async shortest(cities: Cities, fromId: number, toId: number, longestHopKm: number): Promise<Journey | undefined> {
      return shortestJourney(cities, fromId, toId, longestHopKm);
    }
  }
  return new Journeys();
}

/** The shortest way in hops of at most `longestHopKm` between large cities (Dijkstra's algorithm). */
function shortestJourney(cities: Cities, fromId: number, toId: number, longestHopKm: number): Journey | undefined {
  const from = cities.byId(fromId);
  const to = cities.byId(toId);
  if (from === undefined || to === undefined) return undefined;
  const unvisited = new Set([from, to, ...cities.all.filter((city) => city.population >= SMALLEST_STOP)]);
  const km = new Map<City, number>([[from, 0]]);
  const before = new Map<City, City>();
  for (;;) {
    const here = closest(km, unvisited);
    if (here === undefined) return undefined;
    const kmSoFar = km.get(here) ?? 0;
    if (here === to) return { km: roundKm(kmSoFar), stops: stopsTo(to, before) };
    unvisited.delete(here);
    for (const next of unvisited) {
      if (Math.abs(next.latitude - here.latitude) * DEGREE_KM > longestHopKm) continue;
      const hop = distanceKm(here, next);
      if (hop > longestHopKm || kmSoFar + hop >= (km.get(next) ?? Infinity)) continue;
      km.set(next, kmSoFar + hop);
      before.set(next, here);
    }
    km.delete(here);
  }
}

/** The one reached by the shortest way of those that are still to be visited. */
function closest(km: ReadonlyMap<City, number>, unvisited: ReadonlySet<City>): City | undefined {
  let best: City | undefined;
  for (const [city, distance] of km) {
    if (unvisited.has(city) && distance < (best === undefined ? Infinity : (km.get(best) ?? Infinity))) best = city;
  }
  return best;
}

function stopsTo(to: City, before: ReadonlyMap<City, City>): readonly City[] {
  const stops: City[] = [];
  for (let stop: City | undefined = to; stop !== undefined; stop = before.get(stop)) stops.unshift(stop);
  return stops;
}

/** A short round trip: always on to the nearest city, then crossings untangled until none is left (2-opt). */
export function roundTrip(places: readonly City[]): Journey {
  const trip = greedyTrip(places);
  for (let improved = true; improved;) improved = untangle(trip);
  return { km: roundKm(lengthKm(trip)), stops: trip };
}

function greedyTrip(places: readonly City[]): City[] {
  const [start, ...left] = places;
  if (start === undefined) return [];
  const trip = [start];
  while (left.length > 0) {
    const here = trip.at(-1)!;
    const next = left.reduce((best, city) => (distanceKm(here, city) < distanceKm(here, best) ? city : best));
    left.splice(left.indexOf(next), 1);
    trip.push(next);
  }
  return trip;
}

/** Turns round each stretch that is shorter the other way. True if there was one. */
function untangle(trip: City[]): boolean {
  let improved = false;
  for (let first = 0; first < trip.length - 2; first++) {
    for (let last = first + 2; last < trip.length; last++) {
      const [a, b, c, d] = [trip[first]!, trip[first + 1]!, trip[last]!, trip[(last + 1) % trip.length]!];
      if (a === d || distanceKm(a, c) + distanceKm(b, d) >= distanceKm(a, b) + distanceKm(c, d) - 1e-9) continue;
      trip.splice(first + 1, last - first, ...trip.slice(first + 1, last + 1).reverse());
      improved = true;
    }
  }
  return improved;
}

function lengthKm(trip: readonly City[]): number {
  return trip.reduce((sum, city, at) => sum + distanceKm(city, trip[(at + 1) % trip.length]!), 0);
}
