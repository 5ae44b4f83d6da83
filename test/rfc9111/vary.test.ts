import * as fc from "fast-check";
import { describe, expect, it } from "vitest";

import { matchesVary, presentedFields, varyNames } from "../../src/rfc9111/index.ts";
import type { Fields } from "../../src/rfc9111/index.ts";
import { elapsedMs, LINEAR_CEILING_MS, MEGABYTE } from "./nouns.ts";

describe("names in Vary (RFC 9110 §12.5.5)", () => {
  it.each<{ vary: string | string[]; names: string[]; because: string }>([
    { vary: "Origin, Accept", names: ["accept", "origin"], because: "lower case, sorted" },
    {
      vary: ["Accept", "origin", "ACCEPT"],
      names: ["accept", "origin"],
      because: "lines are one list, without doubles",
    },
    { vary: "\t,, Cookie\t,\t,accept ,", names: ["accept", "cookie"], because: "tabs and doubled commas" },
    { vary: "", names: [], because: "empty" },
    { vary: " , ", names: [], because: "empty members only" },
    { vary: "*", names: ["*"], because: "anything" },
    { vary: "accept, *", names: ["*"], because: "any member" },
    { vary: ["accept", "", "*"], names: ["*"], because: "any line" },
    { vary: "accept cookie", names: ["*"], because: "not a name, so not known" },
    { vary: '"cookie"', names: ["*"], because: "not a name, so not known" },
    { vary: "__proto__, constructor", names: ["__proto__", "constructor"], because: "names like others" },
  ])("$vary → $names: $because", ({ vary, names }) => {
    expect(varyNames({ vary })).toEqual(names);
  });

  it("is empty without the field", () => {
    expect(varyNames({})).toEqual([]);
  });

  it.each(["a,", ",", "* ", "a ", '",', "\t"])("a megabyte of %j is read in linear time", (unit) => {
    const vary = unit.repeat(MEGABYTE / unit.length);
    expect(elapsedMs(() => varyNames({ vary }))).toBeLessThan(LINEAR_CEILING_MS);
    const names = ["vary", "accept-encoding", "cookie"];
    const fields = { vary, "accept-encoding": vary, cookie: vary };
    expect(elapsedMs(() => presentedFields(fields, names))).toBeLessThan(2 * LINEAR_CEILING_MS);
  });
});

describe("presented fields match (RFC 9111 §4.1)", () => {
  it.each<{ name: string; stored: Fields; presented: Fields; matches: boolean; because: string }>([
    { name: "foo", stored: { foo: "1" }, presented: { foo: "1" }, matches: true, because: "equal" },
    { name: "foo", stored: { foo: "1" }, presented: { foo: "2" }, matches: false, because: "different" },
    { name: "foo", stored: { foo: "a" }, presented: { foo: "A" }, matches: false, because: "values have a case" },
    { name: "foo", stored: {}, presented: {}, matches: true, because: "absent both times" },
    { name: "foo", stored: {}, presented: { foo: "" }, matches: false, because: "absent is not empty" },
    { name: "foo", stored: { foo: "" }, presented: {}, matches: false, because: "empty is not absent" },
    { name: "foo", stored: { foo: "null" }, presented: {}, matches: false, because: "absent is not a word" },
    { name: "foo", stored: { foo: "1,2" }, presented: { foo: " 1, 2 " }, matches: true, because: "whitespace" },
    { name: "foo", stored: { foo: "1, 2" }, presented: { foo: ["1", "2"] }, matches: true, because: "lines" },
    { name: "foo", stored: { foo: "1,,2," }, presented: { foo: "1,2" }, matches: true, because: "empty members" },
    { name: "foo", stored: { foo: "1, 2" }, presented: { foo: "2, 1" }, matches: false, because: "order" },
    { name: "foo", stored: { foo: '"1,2"' }, presented: { foo: '"1, 2"' }, matches: false, because: "quoted text" },
    { name: "foo", stored: { foo: ["a", "bc"] }, presented: { foo: ["ab", "c"] }, matches: false, because: "T3" },
    {
      name: "accept-language",
      stored: { "accept-language": "en, de" },
      presented: { "accept-language": "de, en" },
      matches: false,
      because: "the order breaks ties",
    },
    {
      name: "accept-encoding",
      stored: { "accept-encoding": "gzip, br;q=0.5" },
      presented: { "accept-encoding": "BR; q=0.5,GZip" },
      matches: true,
      because: "a set of codings",
    },
    {
      name: "accept-encoding",
      stored: { "accept-encoding": "gzip, dcb" },
      presented: { "accept-encoding": "gzip" },
      matches: false,
      because: "codings we do not know count",
    },
    {
      name: "accept-encoding",
      stored: {},
      presented: { "accept-encoding": "" },
      matches: false,
      because: "absent is anything, empty is nothing",
    },
    {
      name: "cookie",
      stored: { cookie: "a=1,2" },
      presented: { cookie: "a=1, 2" },
      matches: false,
      because: "no list",
    },
    { name: "cookie", stored: { cookie: "a=1," }, presented: { cookie: "a=1" }, matches: false, because: "no list" },
    {
      name: "authorization",
      stored: { authorization: ["a", "b"] },
      presented: { authorization: "a, b" },
      matches: false,
      because: "no list",
    },
    { name: "__proto__", stored: {}, presented: {}, matches: true, because: "absent" },
    { name: "constructor", stored: {}, presented: { constructor: "a" }, matches: false, because: "T10" },
    { name: "*", stored: {}, presented: {}, matches: false, because: "it never matches" },
  ])("$name $stored against $presented → $matches: $because", ({ name, stored, presented, matches }) => {
    expect(matchesVary(presentedFields(stored, [name]), presented)).toBe(matches);
  });

  it("matches when every field does", () => {
    const varyFields = presentedFields({ a: "1", b: "2" }, ["a", "b"]);
    expect(matchesVary(varyFields, { a: "1", b: "2", c: "3" })).toBe(true);
    expect(matchesVary(varyFields, { a: "1", b: "3" })).toBe(false);
    expect(matchesVary([], { a: "1" })).toBe(true);
  });

  it("always matches the request it was taken from", () => {
    const name = fc.constantFrom("foo", "cookie", "accept-encoding", "__proto__");
    const value = fc.oneof(fc.string(), fc.array(fc.string()));
    fc.assert(
      fc.property(fc.array(fc.tuple(name, value)), (entries) => {
        const fields = Object.fromEntries(entries) as Fields;
        const names = ["foo", "cookie", "accept-encoding", "__proto__"];
        expect(matchesVary(presentedFields(fields, names), fields)).toBe(true);
      }),
    );
  });
});
