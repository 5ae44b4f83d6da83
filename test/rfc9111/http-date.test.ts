import * as fc from "fast-check";
import { describe, expect, it } from "vitest";

import { formatHttpDate, parseHttpDate } from "../../src/rfc9111/index.ts";
import { NOW_MS } from "./nouns.ts";

const NOVEMBER_1994 = Date.UTC(1994, 10, 6, 8, 49, 37);

describe("parsing HTTP dates (RFC 9110 §5.6.7)", () => {
  it.each([
    { text: "Sun, 06 Nov 1994 08:49:37 GMT", ms: NOVEMBER_1994, because: "IMF-fixdate" },
    { text: "Sunday, 06-Nov-94 08:49:37 GMT", ms: NOVEMBER_1994, because: "RFC 850" },
    { text: "Sun Nov  6 08:49:37 1994", ms: NOVEMBER_1994, because: "asctime, day padded with a space" },
    { text: "Sun Nov 16 08:49:37 1994", ms: Date.UTC(1994, 10, 16, 8, 49, 37), because: "asctime, two digits" },
    { text: "SUN, 06 nOV 1994 08:49:37 gmt", ms: NOVEMBER_1994, because: "names in any case" },
    { text: "Mon, 06 Nov 1994 08:49:37 GMT", ms: NOVEMBER_1994, because: "the weekday is not checked" },
    { text: "Tue, 29 Feb 2028 00:00:00 GMT", ms: Date.UTC(2028, 1, 29), because: "a leap day" },
    { text: "Sat, 31 Dec 2016 23:59:60 GMT", ms: Date.UTC(2017, 0, 1), because: "a leap second" },
    { text: "Mon, 01 Jan 0001 00:00:00 GMT", ms: -62_135_596_800_000, because: "year 1 is not 1901" },
  ])("$text: $because", ({ text, ms }) => {
    expect(parseHttpDate(text, NOW_MS)).toBe(ms);
  });

  it.each([
    { text: "Sunday, 28-Feb-76 00:00:00 GMT", year: 2076, because: "less than 50 years ahead" },
    { text: "Sunday, 02-Mar-76 00:00:00 GMT", year: 1976, because: "more than 50 years ahead is the past" },
    { text: "Sunday, 01-Jan-26 00:00:00 GMT", year: 2026, because: "this year" },
    { text: "Sunday, 01-Jan-00 00:00:00 GMT", year: 2000, because: "this century" },
  ])("two-digit year, $text → $year: $because", ({ text, year }) => {
    const ms = parseHttpDate(text, NOW_MS);
    expect(new Date(ms ?? Number.NaN).getUTCFullYear()).toBe(year);
  });

  it("a two-digit year may be of the next century", () => {
    const ms = parseHttpDate("Friday, 01-Jan-05 00:00:00 GMT", Date.UTC(2090, 0, 1));
    expect(ms).toBe(Date.UTC(2105, 0, 1));
  });

  it.each([
    { text: "Thu, 18 Aug 2050 02:01:18 UTC", because: "the zone is GMT" },
    { text: "Thu, 18 Aug 2050 02:01:18 AEST", because: "the zone is GMT" },
    { text: "Thu, 18 Aug 2050 02:01:18", because: "the zone is missing" },
    { text: "Thu, 18 Aug 50 02:01:18 GMT", because: "two digits are for RFC 850" },
    { text: "Thu 18 Aug 2050 02:01:18 GMT", because: "the comma is missing" },
    { text: "Thu, 18  Aug  2050 02:01:18 GMT", because: "double spaces" },
    { text: "Thu, 18-Aug-2050 02:01:18 GMT", because: "dashes" },
    { text: "Thu, 18 Aug 2050 02.01.18 GMT", because: "periods" },
    { text: "Thu, 18 Aug 2050 2:01:18 GMT", because: "one-digit hour" },
    { text: "Thu, 8 Aug 2050 02:01:18 GMT", because: "one-digit day" },
    { text: "Foo, 18 Aug 2050 02:01:18 GMT", because: "no such weekday" },
    { text: "Thu, 18 Foo 2050 02:01:18 GMT", because: "no such month" },
    { text: "Thu, 31 Jun 2050 02:01:18 GMT", because: "June has 30 days" },
    { text: "Tue, 29 Feb 2027 00:00:00 GMT", because: "no leap year" },
    { text: "Thu, 00 Aug 2050 02:01:18 GMT", because: "no day 0" },
    { text: "Thu, 18 Aug 2050 24:01:18 GMT", because: "hour" },
    { text: "Thu, 18 Aug 2050 02:60:18 GMT", because: "minute" },
    { text: "Thu, 18 Aug 2050 02:01:61 GMT", because: "second" },
    { text: " Thu, 18 Aug 2050 02:01:18 GMT", because: "leading space" },
    { text: "Thu, 18 Aug 2050 02:01:18 GMT\n", because: "trailing line feed" },
    { text: "Sun Nov 6 08:49:37 1994", because: "asctime pads the day" },
    { text: "0", because: "the usual way to say expired" },
    { text: "-1", because: "another one" },
    { text: "", because: "nothing" },
  ])("$text is no date: $because", ({ text }) => {
    expect(parseHttpDate(text, NOW_MS)).toBeUndefined();
  });

  it("reads back what it formats", () => {
    const lastSecond = Math.floor(Date.UTC(9999, 11, 31, 23, 59, 59) / 1000);
    fc.assert(
      fc.property(fc.integer({ min: 0, max: lastSecond }), fc.integer({ min: 0, max: 999 }), (seconds, ms) => {
        expect(parseHttpDate(formatHttpDate(seconds * 1000 + ms), NOW_MS)).toBe(seconds * 1000);
      }),
    );
  });

  it("never throws", () => {
    fc.assert(
      fc.property(fc.string(), fc.integer(), (text, nowMs) => {
        expect(parseHttpDate(text, nowMs)).toBeUndefined();
      }),
    );
  });
});

describe("formatting HTTP dates", () => {
  it.each([
    { ms: NOVEMBER_1994 + 999, text: "Sun, 06 Nov 1994 08:49:37 GMT", because: "fractions drop" },
    { ms: -5, text: "Thu, 01 Jan 1970 00:00:00 GMT", because: "it starts in 1970" },
    { ms: Number.MAX_VALUE, text: "Fri, 31 Dec 9999 23:59:59 GMT", because: "it ends in 9999" },
  ])("$ms → $text: $because", ({ ms, text }) => {
    expect(formatHttpDate(ms)).toBe(text);
  });
});
