import * as fc from "fast-check";
import { describe, expect, it } from "vitest";

import { normaliseQuery, primaryKey, variantKey } from "../../src/rfc9111/index.ts";
import type { CacheRequest, KeyRules, QueryRule, VaryField } from "../../src/rfc9111/index.ts";
import { elapsedMs, LINEAR_CEILING_MS, MEGABYTE, requestOf } from "./nouns.ts";

const RULES: KeyRules = { prefix: "api", query: "all" };

function keyOf(given: Partial<CacheRequest>, parts?: readonly string[]): string {
  return primaryKey(RULES, requestOf(given), parts);
}

describe("primary key", () => {
  it("is readable text", () => {
    expect(keyOf({ path: "/b?z=1&c=2" }, ["user 7"])).toBe("api GET https://api.example /b c=2&z=1 user\\ 7");
    expect(keyOf({ path: "/b" })).toBe("api GET https://api.example /b ");
  });

  it.each<{ a: Partial<CacheRequest>; b: Partial<CacheRequest>; because: string }>([
    { a: { path: "/Item/aB" }, b: { path: "/item/ab" }, because: "a path has a case" },
    { a: { path: "/a/b" }, b: { path: "/ab" }, because: "nothing is dropped" },
    { a: { path: "/a:b" }, b: { path: "/a/b" }, because: "delimiters stay apart" },
    { a: { path: "/items:a=1" }, b: { path: "/items?a=1" }, because: "path is not query" },
    { a: { path: "/?a%3D1%26b=2" }, b: { path: "/?a=1&b=2" }, because: "an escaped delimiter is data" },
    { a: { path: "/?id=1&id=2" }, b: { path: "/?id=2" }, because: "repeated parameters do not merge" },
    { a: { path: "/?id=1&id=2" }, b: { path: "/?id=2&id=1" }, because: "their order counts" },
    { a: { path: "/?a=1;b=2" }, b: { path: "/?b=2;a=1" }, because: "a semicolon is data" },
    { a: { path: "/?a=1;b=2" }, b: { path: "/?a=1&b=2" }, because: "a semicolon divides nothing" },
    { a: { path: "/x" }, b: { path: "/x/_payload.json" }, because: "another resource" },
    { a: { path: "/" }, b: { path: "/?/_payload.json" }, because: "another resource" },
    { a: { path: "/a%2fb" }, b: { path: "/a/b" }, because: "an escaped slash is data" },
    { a: { path: "/a" }, b: { path: "/a/" }, because: "the slash may count for the handler" },
    { a: { path: "/?a" }, b: { path: "/?a=" }, because: "a handler can tell them apart" },
    { a: { authority: "a.example" }, b: { authority: "b.example" }, because: "hosts" },
    { a: { scheme: "http" }, b: { scheme: "https" }, because: "schemes" },
    { a: { method: "GET" }, b: { method: "QUERY" }, because: "methods" },
    { a: { path: "/__proto__" }, b: { path: "/constructor" }, because: "names like others" },
  ])("$a and $b differ: $because", ({ a, b }) => {
    expect(keyOf(a)).not.toBe(keyOf(b));
  });

  it.each<{ a: Partial<CacheRequest>; b: Partial<CacheRequest>; because: string }>([
    { a: { method: "HEAD" }, b: { method: "GET" }, because: "HEAD is answered from GET" },
    { a: { path: "/?b=2&a=1" }, b: { path: "/?a=1&b=2" }, because: "the order of names does not count" },
    { a: { path: "/a?" }, b: { path: "/a" }, because: "an empty query" },
    { a: { fields: { cookie: "a" } }, b: { fields: { cookie: "b" } }, because: "fields enter through Vary only" },
  ])("$a and $b are one: $because", ({ a, b }) => {
    expect(keyOf(a)).toBe(keyOf(b));
  });

  it("parts are added to the key, and tell nothing apart from one empty part", () => {
    const keys = [
      keyOf({}),
      keyOf({}, [""]),
      keyOf({}, ["", ""]),
      keyOf({}, [" "]),
      keyOf({}, ["a", "b"]),
      keyOf({}, ["a b"]),
    ];
    expect(new Set(keys).size).toBe(keys.length);
    expect(keyOf({}, [])).toBe(keyOf({}));
    expect(keyOf({ authority: "a.example" }, ["x"])).not.toBe(keyOf({ authority: "b.example" }, ["x"]));
  });

  // Characters that break keys: delimiters, escapes, NUL, hash tags, lone surrogates.
  const awkward = fc.oneof(
    fc.string({
      unit: fc.constantFrom(" ", "\\", "\\ ", ":", "/", ",", "=", "%1E", "\0", "{", "}", "a", "\ud800"),
      maxLength: 6,
    }),
    fc.constantFrom("", "null", "undefined", "__proto__", "{}", "{tag}", "-", "=", "\\vary", "a b"),
  );
  const method = awkward.filter((text) => text !== "HEAD" && text !== "GET");
  const path = awkward.map((text) => "/" + text.replaceAll("?", ""));
  const query = awkward.map((text) => text.replaceAll("&", ""));
  const tuple = fc.record({
    prefix: awkward,
    method,
    authority: awkward,
    path,
    query,
    parts: fc.array(awkward, { maxLength: 3 }),
  });

  it("is injective: equal keys mean equal components", () => {
    const seen = new Map<string, string>();
    fc.assert(
      fc.property(tuple, (given) => {
        const request = requestOf({
          method: given.method,
          authority: given.authority,
          path: `${given.path}?${given.query}`,
        });
        const key = primaryKey({ prefix: given.prefix, query: "all" }, request, given.parts);
        const identity = JSON.stringify(given);
        expect(seen.get(key) ?? identity).toBe(identity);
        seen.set(key, identity);
      }),
      { numRuns: 3000 },
    );
    expect(seen.size).toBeGreaterThan(1000);
  });

  it("moving text across a boundary changes the key", () => {
    const three = fc.tuple(awkward, awkward, awkward);
    fc.assert(
      fc.property(three, three, (a, b) => {
        const equal = a.every((text, index) => text === b[index]);
        expect(keyOf({}, a) === keyOf({}, b)).toBe(equal);
        expect(keyOf({}, [a.join(" ")])).not.toBe(keyOf({}, a));
      }),
      { numRuns: 1000 },
    );
  });

  const varyFields = fc.array(fc.tuple(awkward, fc.option(awkward)) as fc.Arbitrary<VaryField>, { maxLength: 3 });

  it("variant keys are injective, and absent is not empty", () => {
    const seen = new Map<string, string>();
    fc.assert(
      fc.property(fc.array(awkward, { maxLength: 2 }), varyFields, (parts, presented) => {
        const key = variantKey(keyOf({}, parts), presented);
        const identity = JSON.stringify([parts, presented]);
        expect(seen.get(key) ?? identity).toBe(identity);
        seen.set(key, identity);
      }),
      { numRuns: 3000 },
    );
    const primary = keyOf({});
    const keys = [null, "", "-", "=", "null"].map((value) => variantKey(primary, [["a", value]]));
    expect(new Set(keys).size).toBe(keys.length);
    expect(variantKey(primary, [])).not.toBe(primary);
  });

  it("a variant key is never a primary key, whatever the parts", () => {
    fc.assert(
      fc.property(varyFields, fc.array(awkward, { maxLength: 6 }), (presented, parts) => {
        expect(variantKey(keyOf({}), presented)).not.toBe(keyOf({}, parts));
      }),
      { numRuns: 1000 },
    );
    expect(variantKey(keyOf({}), [["a", "b"]])).not.toBe(keyOf({}, ["\\vary", "a", "=b"]));
  });
});

describe("query of the key", () => {
  const only = (...names: string[]): QueryRule => ({ only: new Set(names) });
  const except = (...names: string[]): QueryRule => ({ except: new Set(names) });

  it.each<{ query: string; rule: QueryRule; key: string; because: string }>([
    { query: "", rule: "all", key: "", because: "empty" },
    { query: "a=1", rule: "all", key: "a=1", because: "one parameter" },
    { query: "a=1&b=2", rule: "all", key: "a=1&b=2", because: "sorted already" },
    { query: "b=2&a=1", rule: "all", key: "a=1&b=2", because: "sorted by name" },
    { query: "b=1&a=2&b=0", rule: "all", key: "a=2&b=1&b=0", because: "one name keeps its order" },
    { query: "b=1&%61=2", rule: "all", key: "%61=2&b=1", because: "sorted by decoded name, kept as sent" },
    { query: "a[]=1&a=2", rule: "all", key: "a[]=1&a=2", because: "some parsers merge them" },
    { query: "a=2&a[]=1", rule: "all", key: "a=2&a[]=1", because: "some parsers merge them" },
    { query: "a.x=1&a=2&a%5By%5D=3", rule: "all", key: "a.x=1&a=2&a%5By%5D=3", because: "some parsers merge them" },
    { query: "[a]=1&a=2", rule: "all", key: "[a]=1&a=2", because: "some parsers merge them" },
    { query: "b&a", rule: "all", key: "a&b", because: "names without values" },
    { query: "b=&a==1", rule: "all", key: "a==1&b=", because: "the first sign ends the name" },
    { query: "b=1;a=2", rule: "all", key: "b=1;a=2", because: "a semicolon is data" },
    { query: "a=1&&b=2&", rule: "all", key: "&&a=1&b=2", because: "empty parameters are kept" },
    { query: "b=%zz&%zz=1", rule: "all", key: "%zz=1&b=%zz", because: "what does not decode is compared as sent" },
    { query: "a=1&b=2", rule: "none", key: "", because: "no parameter counts" },
    { query: "utm=1&lang=en", rule: only("lang"), key: "lang=en", because: "only those named" },
    { query: "%6Cang=en", rule: only("lang"), key: "%6Cang=en", because: "names are decoded" },
    { query: "utm=1", rule: only("lang"), key: "", because: "one parameter, not named" },
    { query: "my+name=1&x=2", rule: only("my name"), key: "my+name=1", because: "a plus is a space" },
    { query: "lang[]=en&x=1", rule: only("lang"), key: "lang[]=en", because: "a parser may read it as lang" },
    { query: "x=1&[lang]=en", rule: only("lang"), key: "[lang]=en", because: "a parser may read it as lang" },
    { query: "x=1&lang.a=en", rule: only("lang"), key: "lang.a=en", because: "a parser may read it as lang" },
    { query: "x=1&Lang=en", rule: only("lang"), key: "", because: "names have a case" },
    { query: "z=1&utm=1&a=2", rule: except("utm"), key: "a=2&z=1", because: "all but those named" },
    { query: "%75tm=1&a=2", rule: except("utm"), key: "a=2", because: "names are decoded" },
    { query: "utm[]=1&a=2", rule: except("utm"), key: "a=2&utm[]=1", because: "another name is in doubt kept" },
    { query: "__proto__=1&constructor=2", rule: only("x"), key: "", because: "names like others" },
  ])("$query → $key: $because", ({ query, rule, key }) => {
    expect(normaliseQuery(query, rule)).toBe(key);
  });

  it.each([2, 17, 256])("sorts %i parameters, those of one name in their order", (count) => {
    const parameters = Array.from({ length: count }, (_, index) => `${index % 2 === 0 ? "b" : "a"}=${String(index)}`);
    const named = (name: string) => parameters.filter((parameter) => parameter.startsWith(name));
    expect(normaliseQuery(parameters.join("&"), "all")).toBe([...named("a"), ...named("b")].join("&"));
  });

  it("sorts 256 parameters, and leaves more as they are", () => {
    const parameters = Array.from({ length: 257 }, (_, index) => `p${String(999 - index)}`);
    expect(normaliseQuery(parameters.join("&"), "all")).toBe(parameters.join("&"));
    const fewer = parameters.slice(0, 256);
    expect(normaliseQuery(fewer.join("&"), "all")).toBe(fewer.toReversed().join("&"));
  });

  it("looks for chosen names in the first 256 parameters, and drops the others", () => {
    const parameters = Array.from({ length: 257 }, (_, index) => `p${String(999 - index)}`);
    const query = `${parameters.join("&")}&lang=en`;
    expect(normaliseQuery(query, { only: new Set(["p999", "lang"]) })).toBe("p999");
    expect(normaliseQuery(query, { except: new Set(["p999"]) }).split("&")).toHaveLength(255);
  });
  it("any order of different names has one key, and a second pass changes nothing", () => {
    const name = fc.stringMatching(/^[a-z]{1,4}$/);
    const parameters = fc.uniqueArray(fc.tuple(name, fc.string()), { selector: ([text]) => text });
    fc.assert(
      fc.property(parameters, fc.infiniteStream(fc.nat()), (pairs, random) => {
        const texts = pairs.map(([text, value]) => `${text}=${encodeURIComponent(value)}`);
        const weights = new Map(texts.map((text) => [text, random.next().value as number]));
        const shuffled = texts.toSorted((a, b) => (weights.get(a) ?? 0) - (weights.get(b) ?? 0));
        const normalised = normaliseQuery(texts.join("&"), "all");
        expect(normaliseQuery(shuffled.join("&"), "all")).toBe(normalised);
        expect(normaliseQuery(normalised, "all")).toBe(normalised);
      }),
    );
  });

  it("keeps every parameter, whatever the text", () => {
    const text = fc.string({
      unit: fc.constantFrom("&", "=", "%", "6", "1", "+", "[", "]", ".", "a", "b", ";", "\ud800"),
    });
    fc.assert(
      fc.property(text, (query) => {
        expect(normaliseQuery(query, "all").split("&").toSorted()).toEqual(query.split("&").toSorted());
      }),
    );
  });

  it.each(["&", "a&", "b=1&a=1&", "%", "%zz&", "[", "+", " ", "\\"])(
    "a megabyte of %j is read in linear time",
    (unit) => {
      const query = unit.repeat(MEGABYTE / unit.length);
      for (const rule of ["all", only("a"), except("a")] as const) {
        expect(
          elapsedMs(() => primaryKey({ prefix: "p", query: rule }, requestOf({ path: `/?${query}` }))),
        ).toBeLessThan(2 * LINEAR_CEILING_MS);
      }
    },
  );
});
