import type { StoredResponse } from "../../http.ts";
import type { Engine } from "../state.ts";

/**
 * True when this hit should renew the response although it is fresh: the chance grows towards the end of its lifetime with
 * the time the origin needs, so that of many processes about one renews a busy response just before it turns stale.
 *
 * Only where processes share a store, and only lifetimes of a route: a response's own lifetime is not ours to shorten.
 */
export function isDueEarly(engine: Engine, stored: StoredResponse, ttlSeconds: number): boolean {
  if (!engine.refreshesEarly || stored.lifetimeFrom !== "route") return false;
  const fetchMs = stored.receivedAtMs - stored.requestedAtMs;
  return fetchMs > 0 && -fetchMs * Math.log(1 - engine.random()) >= ttlSeconds * 1000;
}
