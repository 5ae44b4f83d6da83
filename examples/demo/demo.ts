/** What the routes of the demo share. */
import type { Express } from "express";
import type { Cache } from "reprise";
import type { expressCache } from "reprise/express";
import type { Cities } from "./cities.ts";
import type { ConsoleLog } from "./console-log.ts";
import type { Settings } from "./settings.ts";

export interface Demo {
  readonly app: Express;
  readonly cache: Cache;
  readonly cached: ReturnType<typeof expressCache>;
  readonly cities: Cities;
  readonly log: ConsoleLog;
  readonly settings: Settings;
}

/** How the start page shows a route. Each path also answers without a cache, under `/uncached`. */
export interface RouteCard {
  readonly title: string;
  /** What it does and what to look at. */
  readonly says: string;
  /** The line that caches it. */
  readonly code: string;
  /** Paths to try, one after the other. */
  readonly examples: readonly string[];
  /** A control beside the button: a switch that breaks the handler, a choice of who asks. */
  readonly control?: "outage" | "traveller";
}
