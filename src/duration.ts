import { invalidDuration } from "./errors.ts";

/**
 * A span of time: whole seconds (`30`), text (`"30s"`, `"5m"`, `"1h"`, `"7d"`, `"1h30m"`), fields (`{ hours: 1 }`)
 * or a `Temporal.Duration`. Capped at one year.
 */
export type Duration = number | string | DurationFields;

/** The fields of a `Temporal.Duration`; a month counts 30 days, a year 365. */
export interface DurationFields {
  readonly years?: number;
  readonly months?: number;
  readonly weeks?: number;
  readonly days?: number;
  readonly hours?: number;
  readonly minutes?: number;
  readonly seconds?: number;
  readonly milliseconds?: number;
}

export const ONE_MINUTE_SECONDS = 60;
export const ONE_HOUR_SECONDS = 3_600;
export const ONE_DAY_SECONDS = 86_400;
export const ONE_WEEK_SECONDS: number = 7 * ONE_DAY_SECONDS;
export const ONE_MONTH_SECONDS: number = 30 * ONE_DAY_SECONDS;
export const ONE_YEAR_SECONDS: number = 365 * ONE_DAY_SECONDS;

const SECONDS_OF_FIELD: ReadonlyMap<string, number> = new Map([
  ["years", ONE_YEAR_SECONDS],
  ["months", ONE_MONTH_SECONDS],
  ["weeks", ONE_WEEK_SECONDS],
  ["days", ONE_DAY_SECONDS],
  ["hours", ONE_HOUR_SECONDS],
  ["minutes", ONE_MINUTE_SECONDS],
  ["seconds", 1],
  ["milliseconds", 0.001],
]);

const SECONDS_OF_UNIT: ReadonlyMap<string, number> = new Map([
  ["ms", 0.001],
  ["s", 1],
  ["m", ONE_MINUTE_SECONDS],
  ["h", ONE_HOUR_SECONDS],
  ["d", ONE_DAY_SECONDS],
  ["w", ONE_WEEK_SECONDS],
  ["y", ONE_YEAR_SECONDS],
]);

/**
 * The whole seconds of `value`, at most one year.
 *
 * @param where what is being configured, for the error: `cached({ expire })`
 * @throws RangeError `ERR_INVALID_DURATION` for zero, negative, fractional, NaN and unreadable spans
 */
export function durationSeconds(value: unknown, where: string): number {
  const seconds = readSeconds(value, where);
  if (!Number.isInteger(seconds) || seconds <= 0) throw invalidDuration(where, value, cureFor(value));
  return Math.min(seconds, ONE_YEAR_SECONDS);
}

/**
 * True for a span of no length: `0`, `"0s"`, `{ seconds: 0 }`. As the lifetime of a route it switches the cache off there.
 *
 * @throws RangeError `ERR_INVALID_DURATION` for what is no span at all
 */
export function isNoTime(value: unknown, where: string): boolean {
  return readSeconds(value, where) === 0;
}

function readSeconds(value: unknown, where: string): number {
  if (typeof value === "number") return value === Number.POSITIVE_INFINITY ? Number.NaN : value;
  if (typeof value === "string") return textSeconds(value);
  if (typeof value === "object" && value !== null) return fieldSeconds(value, where);
  throw invalidDuration(where, value, "");
}

function textSeconds(text: string): number {
  if (text.length > 40 || !/^(?:\d+(?:\.\d+)?(?:ms|[smhdwy]))+$/.test(text)) return Number.NaN;
  let total = 0;
  for (const [, count, unit] of text.matchAll(/(\d+(?:\.\d+)?)(ms|[smhdwy])/g)) {
    total += Number(count) * (SECONDS_OF_UNIT.get(unit ?? "") ?? Number.NaN);
  }
  return rounded(total);
}

function fieldSeconds(fields: object, where: string): number {
  for (const name of Object.keys(fields)) {
    if (SECONDS_OF_FIELD.has(name)) continue;
    const units = [...SECONDS_OF_FIELD.keys()].join(", ");
    throw invalidDuration(where, fields, `"${name}" is not one of ${units}.`);
  }
  let total = 0;
  let found = false;
  for (const [name, seconds] of SECONDS_OF_FIELD) {
    // A Temporal.Duration has these as getters of its prototype, so `in` and not an own-property test.
    const count: unknown = (fields as Record<string, unknown>)[name];
    if (count === undefined) continue;
    if (typeof count !== "number") return Number.NaN;
    total += count * seconds;
    found = true;
  }
  return found ? rounded(total) : Number.NaN;
}

/** Takes away what binary fractions add: 0.001 * 3000 is not 3 otherwise. */
function rounded(seconds: number): number {
  return Math.round(seconds * 1000) / 1000;
}

function cureFor(value: unknown): string {
  if (value === 0 || (typeof value === "string" && /^0+$/.test(value)))
    return 'The shortest time is one second. Only expire may be 0 (the number) or "0s": the cache is off there.';
  if (typeof value === "string" && /^\d+$/.test(value)) return `Add a unit ("${value}s") or pass the number ${value}.`;
  return "The shortest lifetime is one second, the longest one year.";
}
