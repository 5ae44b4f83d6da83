import type { RequestHandler } from "express";
import type { Demo, RouteCard } from "../demo.ts";
import { numberFrom, textFrom } from "../query-values.ts";
import { NameSearch } from "../search.ts";

/** Cities by name. Parameters that are not on the list neither reach the handler nor make another stored response. */
export function searchRoute({ app, cached, cities, settings }: Demo): RouteCard {
  const search = new NameSearch(cities);
  const handler: RequestHandler = (request, response) => {
    response.json(search.find(textFrom(request, "q"), numberFrom(request, "limit", 1, 100, 10)));
  };

  app.get("/cities", cached({ expire: settings.searchExpire, query: ["q", "limit"] }), handler);
  app.get("/uncached/cities", handler);

  return {
    title: "Search by name",
    says: "Compares every name, typing errors included. Only the listed query parameters count, so a tracking parameter still finds the stored response.",
    code: `app.get("/cities", cached({ expire: "10m", query: ["q", "limit"] }), search)`,
    examples: [
      "/cities?q=stokholm",
      "/cities?q=málaga",
      "/cities?q=berlin&limit=3",
      "/cities?utm_source=mail&limit=3&q=berlin",
    ],
  };
}
