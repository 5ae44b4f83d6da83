import type { RequestHandler } from "express";
import type { Demo, RouteCard } from "../demo.ts";
import { figuresByCountry } from "../statistics.ts";

/** An aggregate that never changes while the data does not. */
export function countriesRoute({ app, cached, cities }: Demo): RouteCard {
  const handler: RequestHandler = (_request, response) => {
    response.json(figuresByCountry(cities));
  };

  app.get("/countries", cached({ query: "none" }), handler);
  app.get("/uncached/countries", handler);

  return {
    title: "Figures by country",
    says: "Counts, sums and medians of all countries. Without a lifetime a response is kept for a year, and with query: “none” nothing after the ? makes another one.",
    code: `app.get("/countries", cached({ query: "none" }), countries)`,
    examples: ["/countries"],
  };
}
