/** The demo as an Express application. */
import express, { type ErrorRequestHandler, type Express } from "express";
import { createCache, type Cache, type CacheStore } from "reprise";
import { expressCache } from "reprise/express";
import { Cities } from "./cities.ts";
import { ConsoleLog } from "./console-log.ts";
import type { Demo } from "./demo.ts";
import { startPage } from "./page.ts";
import { centreRoute } from "./routes/centre.ts";
import { cityRoute } from "./routes/city.ts";
import { countriesRoute } from "./routes/countries.ts";
import { exportRoute } from "./routes/export.ts";
import { journeyRoute } from "./routes/journey.ts";
import { mapRoute } from "./routes/map.ts";
import { namesRoute } from "./routes/names.ts";
import { nearestRoute } from "./routes/nearest.ts";
import { outermostRoute } from "./routes/outermost.ts";
import { roundTripRoute } from "./routes/round-trip.ts";
import { searchRoute } from "./routes/search.ts";
import type { Settings } from "./settings.ts";

const ROUTES = [
  searchRoute,
  nearestRoute,
  countriesRoute,
  cityRoute,
  mapRoute,
  exportRoute,
  centreRoute,
  outermostRoute,
  roundTripRoute,
  journeyRoute,
  namesRoute,
];

export interface DemoApp {
  readonly app: Express;
  readonly cache: Cache;
}

export function createDemo(cities: Cities, store: CacheStore, settings: Settings): DemoApp {
  const log = new ConsoleLog();
  const cache = createCache({ store, prefix: settings.prefix, logger: log, ignoreArgTypes: [Cities] });
  const app = express().disable("x-powered-by");
  const demo: Demo = { app, cache, cached: expressCache(cache), cities, log, settings };

  const cards = ROUTES.map((route) => route(demo));
  const page = startPage(cards, { cities: cities.all.length, store: store.name });
  app.get("/", (_request, response) => {
    response.set("Cache-Control", "no-cache").type("html").send(page);
  });
  app.get("/log", (request, response) => {
    response.set("Cache-Control", "no-store").json(log.after(Number(request.query.after ?? 0)));
  });
  // Browsers ask for it beside every JSON they show.
  app.get("/favicon.ico", (_request, response) => {
    response.sendStatus(204);
  });
  app.use((_request, response) => {
    response.status(404).json({ error: "There is nothing here. The start page lists every route." });
  });
  app.use(answerError(log));
  return { app, cache };
}

/** One line of JSON to the client and one line in the log, instead of a stack. */
function answerError(log: ConsoleLog): ErrorRequestHandler {
  return (error: Error & { status?: number }, request, response, next) => {
    if (response.headersSent) return next(error);
    const status = error.status ?? 500;
    if (status >= 500) log.warn(`${request.method} ${request.originalUrl} failed: ${error.message}`);
    response.status(status).json({ error: error.message });
  };
}
