import * as fc from "fast-check";
import { describe, expect, it } from "vitest";

import { cacheGroups, formatGroups, groupInvalidations } from "../../src/rfc9111/index.ts";
import { elapsedMs, headOf, LINEAR_CEILING_MS, MEGABYTE, requestOf } from "./nouns.ts";

describe("Cache-Groups (RFC 9875 §2)", () => {
  it.each<{ field: string | string[]; groups: string[]; because: string }>([
    { field: '"scripts"', groups: ["scripts"], because: "one" },
    { field: '"b", "a"', groups: ["b", "a"], because: "in their order" },
    { field: ['"a"', '"b"'], groups: ["a", "b"], because: "lines are one list" },
    { field: '"a","A","a"', groups: ["a", "A"], because: "names have a case; doubles are one" },
    { field: '"a";x=1;y', groups: ["a"], because: "parameters count for nothing" },
    { field: '"a, b"', groups: ["a, b"], because: "a comma in a String is text" },
    { field: String.raw`"a\"\\"`, groups: ['a"\\'], because: "escapes" },
    { field: '""', groups: [""], because: "the empty String is a String" },
    { field: "", groups: [], because: "empty" },
    { field: "a", groups: [], because: "a Token is no String" },
    { field: '"a", b', groups: [], because: "one wrong member spoils the field" },
    { field: '"a", ("b")', groups: [], because: "an Inner List is no String" },
    { field: '"a",', groups: [], because: "a comma too many" },
    { field: '"a', groups: [], because: "malformed" },
    { field: '"\u00fc"', groups: [], because: "Strings are ASCII" },
    { field: ['"a"', "b,,"], groups: [], because: "one wrong line spoils the field" },
  ])("$field → $groups: $because", ({ field, groups }) => {
    expect(cacheGroups({ "cache-groups": field })).toEqual(groups);
  });

  it("is none without the field", () => {
    expect(cacheGroups({})).toEqual([]);
  });

  it("is bounded, far above the 32 of 32 characters that the RFC asks for", () => {
    const names = Array.from({ length: 70 }, (_, at) => `group-${at}-${"x".repeat(32)}`);
    expect(cacheGroups({ "cache-groups": names.map((name) => `"${name}"`) })).toEqual(names.slice(0, 64));
    const longest = "x".repeat(256);
    expect(cacheGroups({ "cache-groups": `"${longest}", "${longest}x", "a"` })).toEqual([longest, "a"]);
  });

  it.each(['"a",', '"', "(", "\\", " "])("a megabyte of %j is read in linear time", (unit) => {
    const field = unit.repeat(MEGABYTE / unit.length);
    expect(elapsedMs(() => cacheGroups({ "cache-groups": field }))).toBeLessThan(LINEAR_CEILING_MS);
  });
});

describe("Cache-Group-Invalidation (RFC 9875 §3)", () => {
  it.each([
    { method: "POST", status: 200, groups: ["a", "b"], because: "it succeeded" },
    { method: "DELETE", status: 204, groups: ["a", "b"], because: "it succeeded" },
    { method: "POST", status: 303, groups: ["a", "b"], because: "a redirect after a change is a success" },
    { method: "BREW", status: 200, groups: ["a", "b"], because: "one we do not know is unsafe" },
    { method: "POST", status: 400, groups: [], because: "it failed" },
    { method: "POST", status: 500, groups: [], because: "it failed" },
    { method: "POST", status: 103, groups: [], because: "it is not done" },
    { method: "GET", status: 200, groups: [], because: "a safe method never invalidates" },
    { method: "HEAD", status: 200, groups: [], because: "a safe method never invalidates" },
    { method: "OPTIONS", status: 200, groups: [], because: "a safe method never invalidates" },
    { method: "QUERY", status: 200, groups: [], because: "a safe method never invalidates" },
  ])("$method $status → $groups: $because", ({ method, status, groups }) => {
    const head = headOf({ "cache-group-invalidation": '"a", "b"', "cache-groups": '"c"' }, status);
    expect(groupInvalidations(requestOf({ method }), head)).toEqual(groups);
  });

  it("is nothing when the field is malformed", () => {
    const head = headOf({ "cache-group-invalidation": "a" });
    expect(groupInvalidations(requestOf({ method: "POST" }), head)).toEqual([]);
  });
});

describe("writing groups", () => {
  it.each<{ groups: string[]; is: string | undefined; because: string }>([
    { groups: ["user:7", "a b"], is: '"user:7", "a b"', because: "any printable text" },
    { groups: ['a"b\\'], is: String.raw`"a\"b\\"`, because: "escapes" },
    { groups: ["a", "a"], is: '"a"', because: "once is enough" },
    { groups: ["\u00fc", "a", "b\n"], is: '"a"', because: "a String holds printable ASCII only" },
    { groups: ["\u00fc"], is: undefined, because: "nothing is left" },
    { groups: [], is: undefined, because: "an empty List is not sent" },
  ])("$groups → $is: $because", ({ groups, is }) => {
    expect(formatGroups(groups)).toBe(is);
  });

  it("is read as it was written", () => {
    const name = fc.string({ unit: "grapheme-ascii", maxLength: 40 });
    fc.assert(
      fc.property(fc.uniqueArray(name, { minLength: 1, maxLength: 40 }), (groups) => {
        expect(cacheGroups({ "cache-groups": formatGroups(groups) })).toEqual(groups);
      }),
    );
  });
});
