import type { Request, RequestHandler } from "express";
import type { Demo, RouteCard } from "../demo.ts";
import { commonestNames, type Namesakes } from "../statistics.ts";
import { numberFrom, textFrom } from "../query-values.ts";

const WORLD = "world";

/** A plain function is cached under a name and its arguments. */
export function namesRoute({ app, cache, cities }: Demo): RouteCard {
  const count = (country: string, limit: number): Namesakes =>
    commonestNames(cities, country === WORLD ? undefined : country, limit);
  const countCached = cache.wrap("commonestNames", count, { expire: "1h" });

  const handlerFor = (counting: (country: string, limit: number) => Namesakes | Promise<Namesakes>): RequestHandler => {
    return async (request: Request, response) => {
      const country = textFrom(request, "country", WORLD).toLowerCase();
      const { names, countedAt } = await counting(country, numberFrom(request, "limit", 1, 50, 10));
      response.set("X-Computed-At", countedAt.toISOString());
      response.json(Object.fromEntries(names));
    };
  };
  app.get("/names", handlerFor(countCached));
  app.get("/uncached/names", handlerFor(count));

  return {
    title: "A cached function",
    says: "The names that most cities share. The stored result is a Map with a Date, and comes back as one. Two routes, jobs or scripts can use the same function.",
    code: `const countCached = cache.wrap("commonestNames", count, { expire: "1h" })`,
    examples: ["/names", "/names?country=us", "/names?country=ru&limit=5"],
  };
}
