import type { Request, RequestHandler } from "express";
import type { Demo, RouteCard } from "../demo.ts";
import { nearest, roundKm } from "../geometry.ts";
import { RequestError } from "../query-values.ts";

/** One city by its number. A number that is none is remembered as well, for a shorter time. */
export function cityRoute({ app, cached, cities }: Demo): RouteCard {
  const handler: RequestHandler<{ id: string }> = (request, response) => {
    const city = cities.byId(Number(request.params.id));
    if (city === undefined) throw new RequestError(404, `There is no city with the number ${request.params.id}.`);
    const neighbours = nearest(city, cities.all, 6).slice(1);
    const rankInCountry = cities.ofCountry(city.country).indexOf(city) + 1;
    response.json({
      ...city,
      rankInCountry,
      neighbours: neighbours.map(({ place, km }) => ({ km: roundKm(km), id: place.id, name: place.name })),
    });
  };

  const tags = (request: Request): string[] => [`city:${String(request.params.id)}`];
  app.get("/cities/:id", cached({ expire: "1h", tags, statuses: { 404: "30s" } }), handler);
  app.get("/uncached/cities/:id", handler);

  return {
    title: "One city",
    says: "A city with its rank and its neighbours. Its stored response carries a tag, and a number that does not exist is remembered for 30 seconds.",
    code: `app.get("/cities/:id", cached({ expire: "1h", tags, statuses: { 404: "30s" } }), city)`,
    examples: ["/cities/2950159", "/cities/1850147", "/cities/3413829", "/cities/3369157"],
  };
}
