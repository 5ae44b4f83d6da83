import * as fc from "fast-check";
import { describe, expect, it } from "vitest";

import { noVarySearchQuery, parseNoVarySearch, searchEquivalent } from "../../src/rfc9111/index.ts";
import type { NoVarySearch } from "../../src/rfc9111/index.ts";
import { elapsedMs, LINEAR_CEILING_MS, MEGABYTE } from "./nouns.ts";

const except = (...names: string[]) => ({ except: new Set(names) });
const only = (...names: string[]) => ({ only: new Set(names) });

function rule(field: string): NoVarySearch {
  const parsed = parseNoVarySearch({ "no-vary-search": field });
  if (parsed === undefined) throw new Error(`${field} is no rule`);
  return parsed;
}

describe("the No-Vary-Search field (draft-ietf-httpbis-no-vary-search-05 §5.1)", () => {
  it.each<{ field: string | string[]; parameters: NoVarySearch["parameters"]; orderMatters: boolean }>([
    { field: 'params=("a")', parameters: except("a"), orderMatters: true },
    { field: 'params=("a" "b";x), y=1', parameters: except("a", "b"), orderMatters: true },
    { field: 'except=("x")', parameters: only("x"), orderMatters: true },
    { field: "except=()", parameters: only(), orderMatters: true },
    { field: "key-order", parameters: except(), orderMatters: false },
    { field: "key-order=?1", parameters: except(), orderMatters: false },
    { field: 'except=("x"), key-order', parameters: only("x"), orderMatters: false },
    { field: ["key-order", 'params=("a")'], parameters: except("a"), orderMatters: false },
    { field: "key-order, params=()", parameters: except(), orderMatters: false },
    { field: 'params=("a"), key-order=?0', parameters: except("a"), orderMatters: true },
    { field: 'params=("%C3%A9+%E6%B0%97")', parameters: except("\u00e9 \u6c17"), orderMatters: true },
    {
      field: 'params=("a=b" "c&d" "" "%26" "?e")',
      parameters: except("a=b", "c&d", "", "&", "?e"),
      orderMatters: true,
    },
  ])("$field is a rule", ({ field, parameters, orderMatters }) => {
    expect(parseNoVarySearch({ "no-vary-search": field })).toEqual({ parameters, orderMatters });
  });

  it.each([
    { field: "", because: "empty" },
    { field: "unknown", because: "nothing we know" },
    { field: 'key-order="x"', because: "not a Boolean" },
    { field: 'key-order="x", params=("a")', because: "not a Boolean" },
    { field: "key-order=(?1)", because: "not a Boolean" },
    { field: "key-order=?0", because: "the same as no field" },
    { field: "params=()", because: "the same as no field" },
    { field: 'params="a"', because: "not an Inner List" },
    { field: "params=(a)", because: "Tokens are no Strings" },
    { field: 'params=("a" b)', because: "Tokens are no Strings" },
    { field: "params", because: "the Boolean of earlier drafts" },
    { field: "params=?0", because: "the Boolean of earlier drafts" },
    { field: 'params, except=("x")', because: "the form of earlier drafts" },
    { field: 'params=("a"), except=("x")', because: "both" },
    { field: "params=(), except=()", because: "both" },
    { field: "except", because: "not an Inner List" },
    { field: "except=(x)", because: "Tokens are no Strings" },
    { field: 'params=("a"', because: "malformed" },
    { field: 'Params=("a")', because: "malformed" },
  ])("$field is none: $because", ({ field }) => {
    expect(parseNoVarySearch({ "no-vary-search": field })).toBeUndefined();
  });

  it("is none when absent", () => {
    expect(parseNoVarySearch({})).toBeUndefined();
  });
});

describe("equivalent queries (draft §6)", () => {
  it.each([
    { field: "key-order", a: "", b: "&", same: true, because: "empty members are nothing" },
    { field: "key-order", a: "a=x", b: "%61=%78", same: true, because: "percent-decoding" },
    { field: "key-order", a: "a=%f6", b: "a=%ef%bf%bd", same: true, because: "both are the replacement character" },
    { field: "key-order", a: "a=x&&&&", b: "a=x", same: true, because: "empty members are nothing" },
    { field: "key-order", a: "a=", b: "a", same: true, because: "an empty value" },
    { field: "key-order", a: "a=%20", b: "a=+", same: true, because: "a space" },
    { field: "key-order", a: "a=1&b=2", b: "b=2&a=1", same: true, because: "the order of names" },
    { field: "key-order", a: "a=1&a=2", b: "a=2&a=1", same: false, because: "the order of one name's values" },
    { field: "key-order", a: "a=1&b=2", b: "a=2&b=1", same: false, because: "values" },
    { field: "key-order", a: "a=1", b: "a=1&a=1", same: false, because: "a double" },
    { field: "key-order", a: "", b: "=", same: false, because: "a nameless member is one" },
    { field: "key-order", a: "?a=1", b: "a=1", same: false, because: "the second question mark is data" },
    { field: "key-order", a: "a=%26b=1", b: "a=&b=1", same: false, because: "encoded ampersands divide nothing" },
    {
      field: "key-order",
      a: "a=%C3%83%C2%A9",
      b: "a=\u00c3\u00a9",
      same: false,
      because: "raw bytes are not guessed at",
    },
    { field: 'params=("a")', a: "a=1&b=2", b: "b=2&a=3&a=4", same: true, because: "a does not count" },
    { field: 'params=("a")', a: "%61=1", b: "", same: true, because: "names are decoded" },
    { field: 'params=("a")', a: "A=1", b: "", same: false, because: "names have a case" },
    { field: 'params=("a")', a: "b=1&c=2", b: "c=2&b=1", same: false, because: "the order matters" },
    { field: 'params=("a")', a: "a[]=1", b: "", same: false, because: "another name" },
    { field: 'except=("x")', a: "x=1&y=2", b: "z=3&x=1", same: true, because: "only x counts" },
    { field: 'except=("x")', a: "x=1", b: "x=2", same: false, because: "x counts" },
    { field: "except=()", a: "x=1", b: "", same: true, because: "nothing counts" },
    { field: 'except=("x" "y"), key-order', a: "z&y=2&x=1", b: "x=1&y=2", same: true, because: "sorted too" },
  ])("$field: $a and $b → $same: $because", ({ field, a, b, same }) => {
    expect(searchEquivalent(a, b, rule(field))).toBe(same);
    expect(searchEquivalent(b, a, rule(field))).toBe(same);
  });

  it("has one text for all of them", () => {
    expect(noVarySearchQuery("b=%31&a=2&&utm=x&b", rule('key-order, params=("utm")'))).toBe("a=2&b=1&b=");
  });

  it("follows the steps of the draft", () => {
    const name = fc.constantFrom("a", "%61", "b", "c", "", "%26", "d+");
    const member = fc.tuple(name, fc.constantFrom("", "=", "=1", "=%31", "=2")).map(([name, value]) => name + value);
    const query = fc.array(member, { maxLength: 5 }).map((members) => members.join("&"));
    const field = fc.constantFrom(
      "key-order",
      'params=("a")',
      'params=("a" "d+"), key-order',
      'except=("a" "b")',
      'except=("b" "%26"), key-order',
      "except=()",
    );
    fc.assert(
      fc.property(query, query, field, (a, b, field) => {
        expect(searchEquivalent(a, b, rule(field))).toBe(
          JSON.stringify(countingPairs(a, rule(field))) === JSON.stringify(countingPairs(b, rule(field))),
        );
      }),
    );
  });

  function countingPairs(query: string, { parameters, orderMatters }: NoVarySearch): [string, string][] {
    const pairs = query
      .split("&")
      .filter((member) => member !== "")
      .map((member): [string, string] => {
        const [name = "", ...value] = member.split("=");
        return [decoded(name), decoded(value.join("="))];
      })
      .filter(([name]) => ("only" in parameters ? parameters.only.has(name) : !parameters.except.has(name)));
    return orderMatters ? pairs : pairs.toSorted(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
  }

  function decoded(text: string): string {
    return decodeURIComponent(text.replaceAll("+", " "));
  }

  it("says what it said of its own answer", () => {
    fc.assert(
      fc.property(fc.string(), (query) => {
        const canonical = noVarySearchQuery(query, rule('key-order, params=("a")'));
        expect(noVarySearchQuery(canonical, rule('key-order, params=("a")'))).toBe(canonical);
      }),
    );
  });

  it.each(["a&", "&", "%61=", "=", "+"])("a megabyte of %j is read in linear time", (unit) => {
    const query = unit.repeat(MEGABYTE / unit.length);
    expect(elapsedMs(() => noVarySearchQuery(query, rule("key-order")))).toBeLessThan(2 * LINEAR_CEILING_MS);
  });
});
