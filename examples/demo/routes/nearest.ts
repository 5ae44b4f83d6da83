import type { RequestHandler } from "express";
import type { Demo, RouteCard } from "../demo.ts";
import { nearest, roundKm } from "../geometry.ts";
import { numberFrom } from "../query-values.ts";

/** The cities around a point of the globe. */
export function nearestRoute({ app, cached, cities }: Demo): RouteCard {
  const handler: RequestHandler = (request, response) => {
    const centre = { latitude: numberFrom(request, "lat", -90, 90), longitude: numberFrom(request, "lon", -180, 180) };
    const found = nearest(centre, cities.all, numberFrom(request, "limit", 1, 100, 5));
    response.json(found.map(({ place, km }) => ({ km: roundKm(km), city: place })));
  };

  app.get("/nearest", cached.oneDay({ query: ["lat", "lon", "limit"] }), handler);
  app.get("/uncached/nearest", handler);

  return {
    title: "Nearest places",
    says: "Measures the distance to every city and sorts them all. The order of the query parameters makes no difference.",
    code: `app.get("/nearest", cached.oneDay({ query: ["lat", "lon", "limit"] }), nearest)`,
    examples: [
      "/nearest?lat=52.52&lon=13.4",
      "/nearest?lon=13.4&lat=52.52",
      "/nearest?lat=-48.87&lon=-123.39",
      "/nearest?lat=0&lon=0",
    ],
  };
}
