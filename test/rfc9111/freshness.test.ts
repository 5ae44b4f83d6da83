import * as fc from "fast-check";
import { describe, expect, it } from "vitest";

import {
  correctedInitialAgeSeconds,
  currentAgeSeconds,
  formatHttpDate,
  freshnessLifetimeSeconds,
  HEURISTIC_STATUSES,
  responseDirectives,
} from "../../src/rfc9111/index.ts";
import type { Fields } from "../../src/rfc9111/index.ts";
import { headOf, NOW_MS } from "./nouns.ts";

const at = (seconds: number): string => formatHttpDate(NOW_MS + seconds * 1000);

function lifetimeOf(fields: Fields, heuristic = false, status = 200): number | undefined {
  return freshnessLifetimeSeconds(headOf(fields, status), responseDirectives(fields), { heuristic, nowMs: NOW_MS });
}

describe("freshness lifetime (RFC 9111 §4.2.1)", () => {
  it.each<{ fields: Fields; seconds: number | undefined; because: string }>([
    { fields: { "cache-control": "max-age=10, s-maxage=60" }, seconds: 60, because: "s-maxage wins in a shared cache" },
    { fields: { "cache-control": "max-age=60, s-maxage=10" }, seconds: 10, because: "also when it is shorter" },
    {
      fields: { "cache-control": "max-age=10, max-age=20" },
      seconds: 10,
      because: "the first of a repeated directive",
    },
    { fields: { "cache-control": "max-age=1.5" }, seconds: 0, because: "unparsable means already stale" },
    { fields: { "cache-control": "max-age=60, s-maxage=x" }, seconds: 0, because: "unparsable s-maxage still wins" },
    {
      fields: { "cache-control": "max-age=60", expires: at(5), date: at(0) },
      seconds: 60,
      because: "max-age beats Expires",
    },
    { fields: { expires: at(30), date: at(-10) }, seconds: 40, because: "Expires minus Date" },
    { fields: { expires: at(30) }, seconds: 30, because: "without Date the present stands in" },
    { fields: { expires: at(30), date: "x" }, seconds: 30, because: "so it does for a Date that is none" },
    { fields: { expires: at(-30), date: at(0) }, seconds: 0, because: "past" },
    { fields: { expires: "0" }, seconds: 0, because: "not a date means expired (§5.3)" },
    { fields: { expires: "" }, seconds: 0, because: "empty means expired" },
    { fields: { expires: [at(30), at(90)], date: at(0) }, seconds: 30, because: "the first line" },
    { fields: { expires: ["x", at(90)], date: at(0) }, seconds: 0, because: "the first line, even if it is no date" },
    {
      fields: { expires: "Fri, 31 Dec 9999 23:59:59 GMT", date: at(0) },
      seconds: 2_147_483_648,
      because: "more than the largest is the largest",
    },
    { fields: { "cache-control": "public" }, seconds: undefined, because: "public states no lifetime" },
    { fields: { "last-modified": at(-1000) }, seconds: undefined, because: "no heuristic unless allowed" },
    { fields: {}, seconds: undefined, because: "nothing is stated" },
  ])("$fields → $seconds s: $because", ({ fields, seconds }) => {
    expect(lifetimeOf(fields)).toBe(seconds);
  });
});

describe("heuristic freshness (RFC 9111 §4.2.2)", () => {
  const day = 24 * 60 * 60;
  it.each<{ fields: Fields; status: number; seconds: number | undefined; because: string }>([
    { fields: { date: at(0), "last-modified": at(-1000) }, status: 200, seconds: 100, because: "a tenth" },
    {
      fields: { "last-modified": at(-1000) },
      status: 404,
      seconds: 100,
      because: "without Date the present stands in",
    },
    { fields: { "last-modified": at(-1000 * day) }, status: 200, seconds: day, because: "at most a day" },
    { fields: { "last-modified": at(1000) }, status: 200, seconds: 0, because: "modified in the future" },
    { fields: {}, status: 200, seconds: undefined, because: "nothing to go by" },
    { fields: { "last-modified": "x" }, status: 200, seconds: undefined, because: "nothing to go by" },
    {
      fields: { "last-modified": at(-1000) },
      status: 302,
      seconds: undefined,
      because: "this status needs a statement",
    },
    {
      fields: { "last-modified": at(-1000), "cache-control": "public" },
      status: 302,
      seconds: 100,
      because: "public is a statement",
    },
    { fields: { "last-modified": at(-1000), expires: "0" }, status: 200, seconds: 0, because: "Expires is explicit" },
  ])("$status $fields → $seconds s: $because", ({ fields, status, seconds }) => {
    expect(lifetimeOf(fields, true, status)).toBe(seconds);
  });

  it("a login redirect is not among the statuses", () => {
    for (const status of [302, 303, 307, 401, 403, 500, 503]) expect(HEURISTIC_STATUSES.has(status)).toBe(false);
  });
});

describe("age on arrival (RFC 9111 §4.2.3)", () => {
  it.each<{ fields: Fields; tookMs: number; seconds: number; because: string }>([
    { fields: {}, tookMs: 0, seconds: 0, because: "new" },
    { fields: { date: at(-7) }, tookMs: 0, seconds: 7, because: "Date says so" },
    { fields: { date: at(7) }, tookMs: 0, seconds: 0, because: "a clock ahead of ours makes nobody younger than 0" },
    { fields: { age: "5" }, tookMs: 3000, seconds: 8, because: "Age plus the time it took" },
    { fields: { age: "5", date: at(-20) }, tookMs: 3000, seconds: 20, because: "the larger one" },
    { fields: { age: "5" }, tookMs: -3000, seconds: 5, because: "a clock that went back takes nothing off" },
    { fields: { age: "7200, 0" }, tookMs: 0, seconds: 7200, because: "the first member" },
    { fields: { age: ["7200", "0"] }, tookMs: 0, seconds: 7200, because: "the first line" },
    { fields: { age: "0, 7200" }, tookMs: 0, seconds: 0, because: "the first member" },
    { fields: { age: "abc" }, tookMs: 0, seconds: 0, because: "not a number is absent" },
    { fields: { age: "-7200" }, tookMs: 0, seconds: 0, because: "negative is absent" },
    { fields: { age: "7200.0" }, tookMs: 0, seconds: 0, because: "not an integer is absent" },
    { fields: { age: "99999999999" }, tookMs: 0, seconds: 2_147_483_648, because: "the largest" },
  ])("$fields after $tookMs ms → $seconds s: $because", ({ fields, tookMs, seconds }) => {
    expect(correctedInitialAgeSeconds(headOf(fields), NOW_MS - tookMs, NOW_MS)).toBe(seconds);
  });
});

describe("current age (RFC 9111 §4.2.3)", () => {
  it.each([
    { initial: 0, laterMs: 0, seconds: 0, because: "new" },
    { initial: 3, laterMs: 1999, seconds: 4, because: "rounded down" },
    { initial: 3, laterMs: -2000, seconds: 3, because: "clocks of machines differ a little" },
    {
      initial: 3,
      laterMs: -2001,
      seconds: 2_147_483_648,
      because: "how old a response from the future is, is unknown",
    },
    { initial: 0, laterMs: -1e12, seconds: 2_147_483_648, because: "the clock went back by years" },
    { initial: 3, laterMs: 1e15, seconds: 2_147_483_648, because: "the largest" },
  ])("$initial s and $laterMs ms later → $seconds s: $because", ({ initial, laterMs, seconds }) => {
    const stored = { correctedInitialAgeSeconds: initial, receivedAtMs: NOW_MS };
    expect(currentAgeSeconds(stored, NOW_MS + laterMs)).toBe(seconds);
  });

  it("never decreases as time goes on, and age plus what is left never exceeds the lifetime", () => {
    const moment = fc.integer({ min: -2000, max: 1e13 });
    fc.assert(
      fc.property(fc.nat({ max: 1e9 }), moment, moment, (initial, a, b) => {
        const stored = { correctedInitialAgeSeconds: initial, receivedAtMs: NOW_MS };
        const earlier = currentAgeSeconds(stored, NOW_MS + Math.min(a, b));
        const later = currentAgeSeconds(stored, NOW_MS + Math.max(a, b));
        expect(later).toBeGreaterThanOrEqual(earlier);
        expect(earlier).toBeGreaterThanOrEqual(Math.min(initial, 2_147_483_648));
        expect(Number.isInteger(later)).toBe(true);
      }),
    );
  });
});
