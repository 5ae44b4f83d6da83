import type { Fields, ResponseHead, StoredResponse } from "../http.ts";
import { MAX_DELTA_SECONDS, parseDeltaSeconds } from "./directives.ts";
import type { ResponseDirectives } from "./directives.ts";
import { fieldLines, hasField, trimWhitespace } from "./fields.ts";
import { parseHttpDate } from "./http-date.ts";

/** What `freshnessLifetimeSeconds` needs to know besides the response. */
export interface FreshnessRules {
  /** True allows the heuristic of RFC 9111 §4.2.2. */
  readonly heuristic: boolean;
  /** When the response arrived; it stands in for a missing `Date`. */
  readonly nowMs: number;
}

/** Statuses that may get a heuristic freshness lifetime without `public` (RFC 9110 §15.1). */
export const HEURISTIC_STATUSES: ReadonlySet<number> = new Set([
  200, 203, 204, 206, 300, 301, 308, 404, 405, 410, 414, 501,
]);

const HEURISTIC_FRACTION = 0.1;
const MAX_HEURISTIC_SECONDS = 24 * 60 * 60;

/**
 * Freshness lifetime of a response in a shared cache, in seconds (RFC 9111 §4.2.1), or `undefined` when nothing states
 * one and the heuristic is off or has nothing to go by.
 *
 * First match wins: `s-maxage`, `max-age`, `Expires` minus `Date`, then a tenth of `Date` minus `Last-Modified`, at most
 * a day. An `Expires` that is not a date is 0. Of several lines the first counts. Under a targeted field `Expires` does
 * not count.
 *
 * @example
 * const head = { status: 200, fields: { "cache-control": "max-age=10, s-maxage=60" } };
 * freshnessLifetimeSeconds(head, responseDirectives(head.fields), { heuristic: false, nowMs: Date.now() }) // 60
 */
export function freshnessLifetimeSeconds(
  head: ResponseHead,
  directives: ResponseDirectives,
  rules: FreshnessRules,
): number | undefined {
  if (directives.sMaxageSeconds !== undefined) return directives.sMaxageSeconds;
  if (directives.maxAgeSeconds !== undefined) return directives.maxAgeSeconds;

  // A targeted field overrides Expires as well (RFC 9213 §2.2).
  if (directives.targeted !== true && hasField(head.fields, "expires")) {
    const expiresMs = dateField(head.fields, "expires", rules.nowMs);
    if (expiresMs === undefined) return 0; // §5.3
    return clampSeconds((expiresMs - dateMs(head.fields, rules.nowMs)) / 1000);
  }

  if (!rules.heuristic) return undefined;
  if (!directives.public && !HEURISTIC_STATUSES.has(head.status)) return undefined; // §4.2.2
  const lastModifiedMs = dateField(head.fields, "last-modified", rules.nowMs);
  if (lastModifiedMs === undefined) return undefined;
  const unchangedSeconds = (dateMs(head.fields, rules.nowMs) - lastModifiedMs) / 1000;
  return Math.min(clampSeconds(unchangedSeconds * HEURISTIC_FRACTION), MAX_HEURISTIC_SECONDS);
}

/**
 * How old a response already was when it arrived, in whole seconds (RFC 9111 §4.2.3).
 *
 * It is the larger of what `Date` says and what `Age` says plus the time the request took. An `Age` whose first member
 * is not a plain number counts as absent.
 */
export function correctedInitialAgeSeconds(head: ResponseHead, requestedAtMs: number, receivedAtMs: number): number {
  const apparentAgeSeconds = clampSeconds((receivedAtMs - dateMs(head.fields, receivedAtMs)) / 1000);
  const responseDelaySeconds = clampSeconds((receivedAtMs - requestedAtMs) / 1000);
  return clampSeconds(Math.max(apparentAgeSeconds, ageFieldSeconds(head.fields) + responseDelaySeconds));
}

/**
 * Furthest a response may come from the future and still be new, in milliseconds.
 *
 * Machines that share a store differ: a store that converts times leaves a second as it is, and each of the two readings
 * of its clock can be wrong by half the time that the reading took.
 */
const CLOCK_TOLERANCE_MS = 2000;

/**
 * Current age of a stored response in whole seconds, never negative, at most 2147483648 (RFC 9111 §4.2.3).
 *
 * A response that arrived more than two seconds in the future has the greatest age there is: the clock was set back, or
 * that of another machine is ahead, and how old it really is cannot be known.
 */
export function currentAgeSeconds(
  stored: Pick<StoredResponse, "correctedInitialAgeSeconds" | "receivedAtMs">,
  nowMs: number,
): number {
  const residentMs = nowMs - stored.receivedAtMs;
  if (residentMs < -CLOCK_TOLERANCE_MS) return MAX_DELTA_SECONDS;
  return clampSeconds(stored.correctedInitialAgeSeconds + Math.max(0, residentMs) / 1000);
}

function ageFieldSeconds(fields: Fields): number {
  const line = fieldLines(fields, "age")[0];
  if (line === undefined) return 0;
  const comma = line.indexOf(",");
  return parseDeltaSeconds(trimWhitespace(comma === -1 ? line : line.slice(0, comma))) ?? 0; // §5.1
}

function dateMs(fields: Fields, nowMs: number): number {
  return dateField(fields, "date", nowMs) ?? nowMs;
}

function dateField(fields: Fields, name: string, nowMs: number): number | undefined {
  const line = fieldLines(fields, name)[0];
  return line === undefined ? undefined : parseHttpDate(line, nowMs);
}

function clampSeconds(seconds: number): number {
  if (!(seconds > 0)) return 0;
  return seconds < MAX_DELTA_SECONDS ? Math.floor(seconds) : MAX_DELTA_SECONDS;
}
