import type { Request, RequestHandler } from "express";
import { countryName } from "../cities.ts";
import type { Demo, RouteCard } from "../demo.ts";
import { spreadOut } from "../geometry.ts";
import { roundTrip } from "../journeys.ts";

/** Home country of each traveller. A real application would look up a session that it has signed. */
const HOMES: Readonly<Record<string, string>> = { alice: "FR", bob: "JP" };
const HOME_OF_GUESTS = "CH";
const STOPS = 80;
const APART_KM = 15;

/** A response for one person: the audience is part of its key. */
export function roundTripRoute({ app, cached, cities }: Demo): RouteCard {
  const handler: RequestHandler = (request, response) => {
    const traveller = travellerOf(request);
    const country = traveller === undefined ? HOME_OF_GUESTS : HOMES[traveller]!;
    const { km, stops } = roundTrip(spreadOut(cities.ofCountry(country), STOPS, APART_KM));
    response.json({
      traveller: traveller ?? "guest",
      through: countryName(country),
      km,
      stops: stops.map(({ name }) => name),
    });
  };

  app.get("/my/round-trip", cached({ expire: "1h", audience: travellerOf, browser: "no-cache" }), handler);
  app.get("/uncached/my/round-trip", handler);

  return {
    title: "One answer per person",
    says: "A short round trip through the traveller’s country. Without an audience, a request with a session cookie would pass the cache by; with it, each person has a stored answer of their own. The browser asks each time, so that the next person at it does not see the last one’s.",
    code: `app.get("/my/round-trip", cached({ expire: "1h", audience: travellerOf, browser: "no-cache" }), roundTrip)`,
    examples: ["/my/round-trip"],
    control: "traveller",
  };
}

function travellerOf(request: Request): string | undefined {
  const name = /(?:^|;\s*)session=(\w+)/.exec(request.headers.cookie ?? "")?.[1];
  return name !== undefined && Object.hasOwn(HOMES, name) ? name : undefined;
}
