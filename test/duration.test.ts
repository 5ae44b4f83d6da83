import { describe, expect, it } from "vitest";
import { durationSeconds } from "../src/duration.ts";

const YEAR = 31_536_000;

describe("durations", () => {
  it.each([
    { value: 30, seconds: 30, because: "a number counts seconds" },
    { value: "30s", seconds: 30, because: "seconds" },
    { value: "5m", seconds: 300, because: "minutes" },
    { value: "1h", seconds: 3_600, because: "hours" },
    { value: "7d", seconds: 604_800, because: "days" },
    { value: "2w", seconds: 1_209_600, because: "weeks" },
    { value: "1y", seconds: YEAR, because: "a year has 365 days" },
    { value: "1h30m", seconds: 5_400, because: "units may follow each other" },
    { value: "1.5h", seconds: 5_400, because: "a fraction of a unit may be whole seconds" },
    { value: "3000ms", seconds: 3, because: "milliseconds may be whole seconds" },
    { value: { hours: 1 }, seconds: 3_600, because: "fields" },
    { value: { minutes: 1, seconds: 30 }, seconds: 90, because: "fields add up" },
    { value: { months: 1 }, seconds: 2_592_000, because: "a month counts 30 days" },
    { value: "3y", seconds: YEAR, because: "one year is the most (RFC 9111 §1.2.2 allows more, browsers do not care)" },
    { value: 2 ** 40, seconds: YEAR, because: "a huge lifetime is cut, not overflown" },
  ])("$value is $seconds s: $because", ({ value, seconds }) => {
    expect(durationSeconds(value, "cached({ expire })")).toBe(seconds);
  });

  it("reads a Temporal.Duration, whose fields are getters of its prototype", () => {
    class Duration {
      get years(): number {
        return 0;
      }
      get hours(): number {
        return 2;
      }
      get seconds(): number {
        return 5;
      }
    }
    expect(durationSeconds(new Duration(), "cached({ expire })")).toBe(7_205);
  });

  it.each([
    { value: 0, because: "there is no lifetime of 0" },
    { value: -1, because: "negative" },
    { value: Number.NaN, because: "not a number" },
    { value: Number.POSITIVE_INFINITY, because: "without end" },
    { value: 0.5, because: "shorter than a second" },
    { value: "500ms", because: "shorter than a second" },
    { value: "0s", because: "zero with a unit" },
    { value: "-5m", because: "negative text" },
    { value: "5 parsecs", because: "no unit of time" },
    { value: "5M", because: "units are lower case" },
    { value: "", because: "empty" },
    { value: { hours: "1" }, because: "a field that is no number" },
    { value: {}, because: "no field at all" },
    { value: null, because: "null" },
    { value: true, because: "a boolean" },
    { value: [], because: "a list" },
    { value: "1".repeat(100_000) + "s", because: "a very long text" },
  ])("refuses $value: $because", ({ value }) => {
    expect(() => durationSeconds(value, "cached({ expire })")).toThrow(
      expect.objectContaining({ code: "ERR_INVALID_DURATION", message: expect.stringContaining("cached({ expire })") }),
    );
  });

  it("names what was wrong and what to do", () => {
    expect(() => durationSeconds("30", "cached({ expire })")).toThrow('Add a unit ("30s") or pass the number 30.');
    expect(() => durationSeconds({ hour: 1 }, "cached({ expire })")).toThrow('"hour" is not one of years, months');
    expect(() => durationSeconds(0, "cached({ expire })")).toThrow("Only expire may be 0");
  });
});
