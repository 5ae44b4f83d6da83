import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import type { RequestHandler } from "express";
import { countryName } from "../cities.ts";
import { citiesAsCsv } from "../csv.ts";
import type { Demo, RouteCard } from "../demo.ts";
import { RequestError } from "../query-values.ts";

/** A streamed response: on a miss the client reads along while a copy is kept. */
export function exportRoute({ app, cached, cities }: Demo): RouteCard {
  const handler: RequestHandler<{ code: string }> = (request, response) => {
    const ofCountry = cities.ofCountry(request.params.code);
    if (ofCountry.length === 0)
      throw new RequestError(404, `There is no country with the code ${request.params.code}.`);
    response.attachment(`${countryName(request.params.code)}.csv`);
    return pipeline(Readable.from(citiesAsCsv(ofCountry)), response);
  };

  app.get("/countries/:code/cities.csv", cached({ expire: { hours: 6 } }), handler);
  app.get("/uncached/countries/:code/cities.csv", handler);

  return {
    title: "A streamed export",
    says: "The cities of a country as CSV, line by line. A miss is passed on as it is written; the copy is stored only when the end has come.",
    code: `app.get("/countries/:code/cities.csv", cached({ expire: { hours: 6 } }), csv)`,
    examples: ["/countries/us/cities.csv", "/countries/it/cities.csv", "/countries/is/cities.csv"],
  };
}
