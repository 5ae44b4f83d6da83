import type { Outcome } from "../../http.ts";
import type { Reply } from "../exchange.ts";
import type { RouteRules } from "../route-rules.ts";

/** How old a stored response is while it is served. */
export interface Freshness {
  readonly ageSeconds: number;
  readonly ttlSeconds: number;
}

/** The answers of one stored response while its age is the same: built once a second, not once a hit. */
export interface PreparedReply {
  readonly route: RouteRules;
  readonly freshness: Freshness;
  readonly outcome: Outcome;
  readonly whole: Reply;
  notModified: Reply | undefined;
}
