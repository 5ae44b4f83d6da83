import { LRUCache } from "lru-cache";
import type { Logger } from "./http.ts";

/** Tells a developer something once: a second call with the same `key` does nothing. Never throws. */
export type WarnOnce = (key: string, message: string) => void;

/** A key that was told longest ago is forgotten first, and may be told again. */
const REMEMBERED_KEYS = 1000;

/**
 * The warnings of one cache: to its logger or, without one, to `process.emitWarning` as a `RepriseWarning`, or to
 * `console.warn` where the runtime has no such function.
 */
export function createWarnings(logger: Logger | undefined): WarnOnce {
  const told = new LRUCache<string, true>({ max: REMEMBERED_KEYS });
  return (key, message) => {
    if (told.get(key) === true) return;
    told.set(key, true);
    try {
      warn(logger, message);
    } catch {
      // A logger that throws must not break a request.
    }
  };
}

function warn(logger: Logger | undefined, message: string): void {
  if (logger !== undefined) logger.warn(message);
  else if (typeof process !== "undefined" && typeof process.emitWarning === "function") {
    process.emitWarning(message, { type: "RepriseWarning" });
  } else console.warn(message);
}

/** True unless `NODE_ENV` is `"production"` at this moment: what only helps a developer is told then. */
export function isDevelopment(): boolean {
  return typeof process === "undefined" || process.env.NODE_ENV !== "production";
}
