import type { RequestHandler } from "express";
import type { Demo, RouteCard } from "../demo.ts";
import { RequestError } from "../query-values.ts";
import { outermost } from "../statistics.ts";

/** A handler that can be broken by a switch, and the answer that outlives it (RFC 5861 §4). */
export function outermostRoute({ app, cached, cities }: Demo): RouteCard {
  let isBroken = false;
  const handler: RequestHandler = (_request, response) => {
    if (isBroken) throw new Error("The handler is broken, as you wished.");
    response.json(outermost(cities, 5));
  };

  app.get("/outermost", cached({ expire: "5s", staleIfError: "1h" }), handler);
  app.get("/uncached/outermost", handler);

  app.get("/outage", (_request, response) => {
    response.set("Cache-Control", "no-store").json({ isBroken });
  });
  app.post("/outage/:state", (request, response) => {
    const { state } = request.params;
    if (state !== "on" && state !== "off") throw new RequestError(404, "Use POST /outage/on or POST /outage/off.");
    isBroken = state === "on";
    response.json({ isBroken });
  });

  return {
    title: "Stale if error",
    says: "The cities furthest north, south, east and west. Try it, break the handler, wait 5 seconds and try again: the stored answer is served in place of the error.",
    code: `app.get("/outermost", cached({ expire: "5s", staleIfError: "1h" }), outermost)`,
    examples: ["/outermost"],
    control: "outage",
  };
}
