import * as fc from "fast-check";
import { describe, expect, it } from "vitest";

import { asksToBypass, listMembers, requestDirectives, responseDirectives } from "../../src/rfc9111/index.ts";
import { elapsedMs, LINEAR_CEILING_MS, MEGABYTE } from "./nouns.ts";

const NOTHING = {
  noStore: false,
  noCache: false,
  private: false,
  public: false,
  mustRevalidate: false,
  proxyRevalidate: false,
  mustUnderstand: false,
  noTransform: false,
  immutable: false,
};

describe("response directives (RFC 9111 §5.2.2)", () => {
  it.each([
    { cacheControl: "no-store", says: { noStore: true }, because: "plain" },
    { cacheControl: "PRIVATE, No-Store", says: { private: true, noStore: true }, because: "any case" },
    {
      cacheControl: "public, must-revalidate, proxy-revalidate, must-understand, no-transform, immutable",
      says: {
        public: true,
        mustRevalidate: true,
        proxyRevalidate: true,
        mustUnderstand: true,
        noTransform: true,
        immutable: true,
      },
      because: "each has its flag",
    },
    {
      cacheControl: "max-age=1, s-maxage=2, stale-while-revalidate=3, stale-if-error=4",
      says: { maxAgeSeconds: 1, sMaxageSeconds: 2, staleWhileRevalidateSeconds: 3, staleIfErrorSeconds: 4 },
      because: "each has its number",
    },
    { cacheControl: "\t,, max-age=5 ,", says: { maxAgeSeconds: 5 }, because: "empty members count for nothing" },
    {
      cacheControl: 'x="no-store, private", max-age=5',
      says: { maxAgeSeconds: 5 },
      because: "quoted text is no directive",
    },
    { cacheControl: 'x="y, no-store', says: { noStore: true }, because: "an open quote hides no directive" },
    { cacheControl: 'no-store="x"', says: { noStore: true }, because: "doubt means not to store" },
    { cacheControl: "no-store =x", says: { noStore: true }, because: "doubt means not to store" },
    { cacheControl: "no-store; max-age=5", says: { noStore: true }, because: "a wrong divider permits nothing" },
    { cacheControl: "Private; x", says: { private: true }, because: "a wrong divider permits nothing" },
    { cacheControl: "no-cache max-age=5", says: { noCache: true }, because: "a wrong divider permits nothing" },
    { cacheControl: "x-no-store, no-store-x, xprivate", says: {}, because: "part of a name is no name" },
    { cacheControl: "no-cached, x-nostore, not-private, privates", says: {}, because: "part of a name is no name" },
    { cacheControl: 'public="x"', says: {}, because: "doubt gives no permission" },
    { cacheControl: 'private="Set-Cookie, x-a"', says: { private: ["set-cookie", "x-a"] }, because: "qualified" },
    { cacheControl: 'no-cache="a", no-cache="b"', says: { noCache: ["a", "b"] }, because: "qualified twice" },
    { cacheControl: 'private, private="x"', says: { private: true }, because: "unqualified wins" },
    { cacheControl: 'private="x", private', says: { private: true }, because: "unqualified wins" },
    { cacheControl: "private=", says: { private: true }, because: "malformed" },
    { cacheControl: "private=x", says: { private: true }, because: "the list is quoted" },
    { cacheControl: 'private=""', says: { private: true }, because: "an empty list names nothing" },
    { cacheControl: 'private="a b"', says: { private: true }, because: "no field name" },
    { cacheControl: 'no-cache="x"y', says: { noCache: true }, because: "text behind the quote" },
    { cacheControl: "__proto__, constructor=1, toString", says: {}, because: "a name like any unknown one" },
    { cacheControl: "", says: {}, because: "an empty field says nothing" },
  ])("$cacheControl: $because", ({ cacheControl, says }) => {
    expect(responseDirectives({ "cache-control": cacheControl })).toEqual({ ...NOTHING, ...says });
  });

  it("says nothing without the field", () => {
    expect(responseDirectives({})).toEqual(NOTHING);
  });

  it.each([
    { text: "=3600", seconds: 3600, because: "plain" },
    { text: '="3600"', seconds: 3600, because: "quoted" },
    { text: "=003600", seconds: 3600, because: "leading zeros" },
    { text: "=0", seconds: 0, because: "zero" },
    { text: "=2147483648", seconds: 2_147_483_648, because: "the largest" },
    { text: "=99999999999999999999", seconds: 2_147_483_648, because: "more than the largest is the largest" },
    { text: "", seconds: 0, because: "no value" },
    { text: "=", seconds: 0, because: "empty" },
    { text: "=3600.0", seconds: 0, because: "not an integer" },
    { text: "=1e3", seconds: 0, because: "not digits" },
    { text: "=-1", seconds: 0, because: "negative" },
    { text: "=+1", seconds: 0, because: "a sign" },
    { text: "=3600a", seconds: 0, because: "trailing letter" },
    { text: "=a3600", seconds: 0, because: "leading letter" },
    { text: "='3600'", seconds: 0, because: "single quotes" },
    { text: '="3600', seconds: 0, because: "open quote" },
    { text: " =3600", seconds: 0, because: "space before the sign" },
    { text: "= 3600", seconds: 0, because: "space after the sign" },
    { text: "=٣", seconds: 0, because: "other digits" },
  ])("seconds$text → $seconds: $because", ({ text, seconds }) => {
    expect(responseDirectives({ "cache-control": `max-age${text}` }).maxAgeSeconds).toBe(seconds);
    expect(responseDirectives({ "cache-control": `S-MaxAge${text}` }).sMaxageSeconds).toBe(seconds);
  });

  it("uses the first of a repeated directive, over lines too", () => {
    expect(responseDirectives({ "cache-control": ["max-age=10, max-age=20", "max-age=30"] }).maxAgeSeconds).toBe(10);
    expect(responseDirectives({ "cache-control": "max-age=x, max-age=20" }).maxAgeSeconds).toBe(0);
  });

  it("never throws, and finds a no-store wherever it stands", () => {
    const noise = fc.string({ unit: fc.constantFrom("=", ",", " ", "\t", "a", "-", "1", "private", "max-age") });
    fc.assert(
      fc.property(noise, noise, (before, after) => {
        expect(responseDirectives({ "cache-control": `${before}, no-store ,${after}` }).noStore).toBe(true);
      }),
    );
    fc.assert(
      fc.property(fc.array(fc.string()), (lines) => {
        const directives = responseDirectives({ "cache-control": lines });
        expect(directives.maxAgeSeconds ?? 0).toBeGreaterThanOrEqual(0);
        requestDirectives({ "cache-control": lines, pragma: lines });
      }),
    );
  });

  it.each([
    "private,",
    'private="a",',
    'no-cache="a,b,c",',
    "=",
    ",",
    '"',
    "max-age=1,",
    "9",
    'x="\\"",',
    'x="',
    "no-store ",
    "no",
    "no -",
    "private-",
    "max-age=1; ",
  ])("a megabyte of %j is read in linear time", (unit) => {
    for (const start of ["", "max-age=", 'private="']) {
      const fields = { "cache-control": start + unit.repeat(MEGABYTE / unit.length), pragma: unit };
      const work = () => [responseDirectives(fields), requestDirectives(fields), asksToBypass(fields)];
      expect(elapsedMs(work)).toBeLessThan(2 * LINEAR_CEILING_MS);
    }
  });
});

describe("a malformed Cache-Control fails safe", () => {
  const WORDS = ["private", "no-store", "no-cache"] as const;
  const FLAG = { private: "private", "no-store": "noStore", "no-cache": "noCache" } as const;
  const around = (word: string): readonly string[] => [
    `max-age=60; ${word}`,
    `max-age=60;${word}`,
    `${word}; max-age=60`,
    `${word};max-age=60`,
    `max-age=60 ${word}`,
    `max-age=60\t${word}`,
    `${word}\tmax-age=60`,
    `max-age=60${word}`,
    `max-age=60 , ; ${word}`,
    `"${word}"`,
    `max-age=60, "${word}"`,
    `"max-age=60, ${word}"`,
    `max-age="60, ${word}"`,
    `max-age="60", "${word}`,
    `"${word}, max-age=60`,
    `max-age=60" ${word}`,
    `'${word}'`,
    `max-age=60, '${word}'`,
    `'max-age=60, ${word}'`,
    `\`${word}\``,
    `max-age=60|${word}`,
    `max-age=60&${word}`,
    `max-age=60+${word}`,
    `max-age=60/${word}`,
    `max-age=60:${word}`,
    `max-age=${word}`,
    `max-age=10, max-age=60|${word}`,
    `public ${word}`,
    `public;${word}`,
    `public=${word}`,
    `(${word})`,
    `[${word}]`,
    `{${word}}`,
    `<${word}>`,
    `${word}.`,
    `${word};`,
    `${word}:`,
    `Cache-Control: ${word}`,
    `max-age=60\uff0c${word}`,
    `max-age=60\u3001${word}`,
    `max-age=60\uff1b${word}`,
    `max-age=60\u00a0${word}`,
    Buffer.from(`max-age=60\uff0c${word}`).toString("latin1"),
    Buffer.from(`max-age=60\u00a0${word}`).toString("latin1"),
    Buffer.from(`\u201c${word}\u201d`).toString("latin1"),
    `x="y" ${word}`,
    `x="a, ${word}, y="b"`,
    `must-revalidate ${word}`,
    `no-transform="${word}"`,
    `stale-while-revalidate=60 ${word}`,
  ];

  it.each(WORDS)("%s counts wherever it stands in a response", (word) => {
    for (const value of [...around(word), ...around(word.toUpperCase())]) {
      expect(responseDirectives({ "cache-control": value })[FLAG[word]], value).toBe(true);
      expect(responseDirectives({ "cache-control": ["max-age=60", value] })[FLAG[word]], value).toBe(true);
    }
  });

  it("nostore is no-store in a response", () => {
    expect(responseDirectives({ "cache-control": "max-age=60, nostore" }).noStore).toBe(true);
  });

  it.each(["nocache", "nostore", "noCache", "NoStore", "max-age=0, nocache", "nocache=1", "max-age=0;nocache"])(
    "%s asks to bypass the cache, and says nothing where requests follow RFC 9111",
    (value) => {
      expect(asksToBypass({ "cache-control": value })).toBe(true);
      expect(requestDirectives({ "cache-control": value })).toMatchObject({ noCache: false, noStore: false });
    },
  );

  it.each(["x-nocache", "nocaches", "note=nocache", 'note="nocache"'])(
    "%s does not ask to bypass the cache",
    (value) => {
      expect(asksToBypass({ "cache-control": value })).toBe(false);
    },
  );

  it.each(["no_store", "no store", "no--store", "No_Store", 'no-"store"', "no\u00adstore", "no_store=1"])(
    "%s is no-store, in requests and responses",
    (value) => {
      expect(responseDirectives({ "cache-control": `max-age=60, ${value}` }).noStore).toBe(true);
      expect(requestDirectives({ "cache-control": `max-age=60, ${value}` }).noStore).toBe(true);
      expect(asksToBypass({ "cache-control": value })).toBe(true);
    },
  );

  it.each(["no-store", "no-cache"])("%s counts wherever it stands in a request", (word) => {
    // Directives without a meaning in requests are extensions there, and what an extension says is its own affair.
    const values = around(word).filter((value) => !/^(public|no-transform)=/.test(value));
    for (const value of values) {
      expect(asksToBypass({ "cache-control": value }), value).toBe(true);
      const { noStore, noCache } = requestDirectives({ "cache-control": value });
      expect(word === "no-store" ? noStore : noCache, value).toBe(true);
    }
    expect(requestDirectives({ pragma: "x; no-cache" }).noCache).toBe(true);
  });

  it("one restriction does not hide another", () => {
    expect(responseDirectives({ "cache-control": 'no-cache="x"; private' })).toMatchObject({
      noCache: true,
      private: true,
    });
    expect(responseDirectives({ "cache-control": "must-understand, no-store=1; private" })).toMatchObject({
      noStore: true,
      private: true,
    });
  });

  it.each(['x="private"', 'x="no-store, private"', "x-private=1", "immutable", "max-age=60, public", "x=y"])(
    "%s restricts nothing",
    (value) => {
      const { private: isPrivate, noStore, noCache } = responseDirectives({ "cache-control": value });
      expect([isPrivate, noStore, noCache]).toEqual([false, false, false]);
    },
  );
});

describe("request directives (RFC 9111 §5.2.1)", () => {
  const none = { noStore: false, noCache: false, onlyIfCached: false };
  it.each([
    { fields: {}, says: {}, because: "no field" },
    {
      fields: { "cache-control": "No-Cache, no-store, only-if-cached" },
      says: { noCache: true, noStore: true, onlyIfCached: true },
      because: "any case",
    },
    {
      fields: { "cache-control": "max-age=1, min-fresh=2, max-stale=3" },
      says: { maxAgeSeconds: 1, minFreshSeconds: 2, maxStaleSeconds: 3 },
      because: "numbers",
    },
    { fields: { "cache-control": "max-stale" }, says: { maxStaleSeconds: Infinity }, because: "without a value: any" },
    { fields: { "cache-control": "max-stale=x, max-age=-1" }, says: {}, because: "malformed is as good as absent" },
    { fields: { "cache-control": "max-age=5, max-age=9" }, says: { maxAgeSeconds: 5 }, because: "the first counts" },
    { fields: { "cache-control": "nothing-to-see-here" }, says: {}, because: "unknown" },
    { fields: { pragma: "no-cache" }, says: { noCache: true }, because: "Pragma stands in (§5.4)" },
    { fields: { pragma: "foo, NO-CACHE" }, says: { noCache: true }, because: "Pragma is a list" },
    { fields: { pragma: "foo" }, says: {}, because: "another Pragma" },
    {
      fields: { pragma: "no-cache", "cache-control": "max-age=5" },
      says: { maxAgeSeconds: 5 },
      because: "Pragma is moot",
    },
  ])("$fields: $because", ({ fields, says }) => {
    expect(requestDirectives(fields)).toEqual({ ...none, ...says });
  });
});

describe("asking to bypass", () => {
  it.each([
    { fields: { "cache-control": "no-cache" }, asks: true, because: "the directive alone" },
    { fields: { "cache-control": "no-store" }, asks: true, because: "the directive alone" },
    { fields: { "cache-control": "NO-CACHE" }, asks: true, because: "any case" },
    { fields: { "cache-control": "max-age=0,\tNo-Store" }, asks: true, because: "among others" },
    { fields: { "cache-control": ["max-age=0", "no-cache"] }, asks: true, because: "on a second line" },
    { fields: { "cache-control": "x-no-cache-thing" }, asks: false, because: "part of a name" },
    { fields: { "cache-control": "no-cache-thing" }, asks: false, because: "part of a name" },
    { fields: { "cache-control": 'note="no-cache, no-store"' }, asks: false, because: "inside a quoted string" },
    { fields: { "cache-control": "note=no-cache" }, asks: false, because: "a value" },
    { fields: { "cache-control": "max-age=0" }, asks: false, because: "a reload is not one of the two" },
    { fields: { "cache-control": "" }, asks: false, because: "empty" },
    { fields: { pragma: "no-cache" }, asks: false, because: "Pragma is not looked at" },
    { fields: {}, asks: false, because: "no field" },
  ])("$fields → $asks: $because", ({ fields, asks }) => {
    expect(asksToBypass(fields)).toBe(asks);
  });

  it("is true exactly where the list of directives contains one of the two", () => {
    const directive = fc.constantFrom(
      "no-cache",
      "NO-store",
      "x-no-cache",
      "no-cache-x",
      'x="no-cache, no-store"',
      "max-age=0",
      "",
      "no cache",
      "=no-store",
    );
    fc.assert(
      fc.property(fc.array(fc.array(directive)), (lists) => {
        const lines = lists.map((list) => list.join(", "));
        const contains = listMembers(lines).some((member) => /^=?no[- ](cache|store)$/i.test(member));
        expect(asksToBypass({ "cache-control": lines })).toBe(contains);
      }),
    );
  });
});
