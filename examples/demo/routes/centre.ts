import type { RequestHandler } from "express";
import type { Demo, RouteCard } from "../demo.ts";
import { centreOfPopulation } from "../statistics.ts";

/** A slow figure for which nobody should ever have to wait again (RFC 5861 §3). */
export function centreRoute({ app, cached, cities }: Demo): RouteCard {
  const handler: RequestHandler = (_request, response) => {
    const centre = centreOfPopulation(cities);
    response.set("X-Computed-At", new Date().toISOString());
    response.json(centre);
  };

  app.get("/centre", cached({ expire: "5s", staleWhileRevalidate: "1h" }), handler);
  app.get("/uncached/centre", handler);

  return {
    title: "Stale while revalidate",
    says: "The point nearest to all people together. After 5 seconds the stored answer is stale: it is still served at once, while one request computes it anew. Watch X-Computed-At.",
    code: `app.get("/centre", cached({ expire: "5s", staleWhileRevalidate: "1h" }), centre)`,
    examples: ["/centre"],
  };
}
