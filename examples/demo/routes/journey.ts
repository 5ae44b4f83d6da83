import type { Request, RequestHandler } from "express";
import type { City } from "../cities.ts";
import type { Demo, RouteCard } from "../demo.ts";
import { cachedJourneys, PlainJourneys, type JourneyPlanner } from "../journeys.ts";
import { numberFrom, RequestError, textFrom } from "../query-values.ts";

/** The method of a class is cached; the route itself is not, so it sends no cache fields. */
export function journeyRoute({ app, cache, cities }: Demo): RouteCard {
  const handlerFor = (journeys: JourneyPlanner): RequestHandler => {
    return async (request, response) => {
      const from = largestNamed(request, "from");
      const to = largestNamed(request, "to");
      const journey = await journeys.shortest(cities, from.id, to.id, numberFrom(request, "hop", 50, 5000, 500));
      if (journey === undefined)
        throw new RequestError(404, `No way from ${from.name} to ${to.name} in hops that short.`);
      response.json({ km: journey.km, stops: journey.stops.map(({ name, country }) => `${name}, ${country}`) });
    };
  };
  const largestNamed = (request: Request, parameter: string): City => {
    const name = textFrom(request, parameter).toLowerCase();
    const city = cities.all.find((candidate) => candidate.name.toLowerCase() === name);
    if (city !== undefined) return city;
    throw new RequestError(404, `${parameter}: there is no city called ${name}.`);
  };

  app.get("/journey", handlerFor(cachedJourneys(cache)));
  app.get("/uncached/journey", handlerFor(new PlainJourneys()));

  return {
    title: "A decorated method",
    says: "The shortest way between two cities in hops of 500 km. Here the result of the method is stored, not the response, so only the time and the log tell.",
    code: `@Cached({ expire: "1h" }) async shortest(cities, fromId, toId, longestHopKm)`,
    examples: [
      "/journey?from=lisbon&to=vladivostok",
      "/journey?from=stockholm&to=cape town&hop=800",
      "/journey?from=lisbon&to=shanghai&hop=300",
    ],
  };
}
