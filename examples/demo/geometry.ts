/** Distances on the sphere. Angles are degrees, lengths kilometres. */

export interface Place {
  readonly latitude: number;
  readonly longitude: number;
}

const EARTH_RADIUS_KM = 6371;
const RADIANS = Math.PI / 180;

/** Great-circle distance by the haversine formula. */
export function distanceKm(from: Place, to: Place): number {
  const halfLatitude = ((to.latitude - from.latitude) * RADIANS) / 2;
  const halfLongitude = ((to.longitude - from.longitude) * RADIANS) / 2;
  const haversine =
    Math.sin(halfLatitude) ** 2 +
    Math.cos(from.latitude * RADIANS) * Math.cos(to.latitude * RADIANS) * Math.sin(halfLongitude) ** 2;
  return 2 * EARTH_RADIUS_KM * Math.asin(Math.min(1, Math.sqrt(haversine)));
}

/** The places nearest to `centre`, nearest first: measures all of them, then sorts. */
export function nearest<P extends Place>(
  centre: Place,
  places: readonly P[],
  count: number,
): readonly { readonly place: P; readonly km: number }[] {
  const measured = places.map((place) => ({ place, km: distanceKm(centre, place) }));
  measured.sort((a, b) => a.km - b.km);
  return measured.slice(0, count);
}

function chordKm(from: Place, to: Place): number {
  return 2 * EARTH_RADIUS_KM * Math.sin(distanceKm(from, to) / (2 * EARTH_RADIUS_KM));
}

/** As many of the places as asked for, in their order, leaving out those nearer than `km` to one before. */
export function spreadOut<P extends Place>(places: readonly P[], count: number, km: number): readonly P[] {
  const chosen: P[] = [];
  for (const place of places) {
    if (chosen.length === count) break;
    if (chosen.every((other) => distanceKm(place, other) >= km)) chosen.push(place);
  }
  return chosen;
}

/** To 100 metres: more would pretend an accuracy the data does not have. */
export function roundKm(km: number): number {
  return Math.round(km * 10) / 10;
}

/**
 * The point with the shortest straight lines, through the earth, to all people together: the geometric median, found step
 * by step (Weiszfeld's algorithm). Each step weighs every place by its people and the inverse of its distance.
 */
export function centreOf(places: readonly (Place & { readonly population: number })[], steps: number): Place {
  let centre: Place = { latitude: 0, longitude: 0 };
  for (let step = 0; step < steps; step++) {
    let x = 0;
    let y = 0;
    let z = 0;
    for (const place of places) {
      const weight = place.population / Math.max(1, chordKm(centre, place));
      const latitude = place.latitude * RADIANS;
      const longitude = place.longitude * RADIANS;
      x += weight * Math.cos(latitude) * Math.cos(longitude);
      y += weight * Math.cos(latitude) * Math.sin(longitude);
      z += weight * Math.sin(latitude);
    }
    centre = { latitude: Math.atan2(z, Math.hypot(x, y)) / RADIANS, longitude: Math.atan2(y, x) / RADIANS };
  }
  return centre;
}
