import * as fc from "fast-check";
import { describe, expect, it } from "vitest";

import { matchesVary, normaliseAcceptLanguage, presentedFields } from "../../src/rfc9111/index.ts";
import { elapsedMs, LINEAR_CEILING_MS, MEGABYTE } from "./nouns.ts";

describe("the language a request asks for first (RFC 4647 §3.4)", () => {
  it.each([
    { value: "de", language: "de", because: "it is there" },
    { value: "DE", language: "de", because: "tags have no case" },
    { value: "de-AT", language: "de", because: "the more general one" },
    { value: "zh-hant-tw", language: "zh-Hant", because: "subtag by subtag, as the application writes it" },
    { value: "zh-Hant-CN-x-private1-private2", language: "zh-Hant", because: "the example of the RFC" },
    { value: "zh", language: "", because: "a language is not one of its scripts" },
    { value: "fr, de", language: "fr", because: "the first of equal weight" },
    { value: "de, fr", language: "de", because: "the first of equal weight" },
    { value: "fr;q=0.5, de;q=0.8", language: "de", because: "the greater weight" },
    { value: "fr;q=0.5, de", language: "de", because: "no weight is 1" },
    { value: "it, de;q=0.1", language: "de", because: "the first is not there" },
    { value: "it, ja", language: "", because: "none is there" },
    { value: "", language: "", because: "nothing is asked for" },
    { value: "de;q=0", language: "", because: "refused" },
    { value: "de-AT, de;q=0", language: "", because: "what it falls back to is refused" },
    { value: "de;q=0, *", language: "en", because: "anything else" },
    { value: "en;q=0, *", language: "de", because: "the first that is not refused" },
    { value: "*", language: "en", because: "the application's first" },
    { value: "*, fr;q=0.9", language: "en", because: "anything else is preferred" },
    { value: "en;q=0.5, *, de;q=0.7, fr;q=0.6, zh;q=0.1", language: "de", because: "the star is for none of these" },
    { value: "*;q=0.1, fr", language: "fr", because: "the star weighs less" },
    { value: "*;q=0", language: "", because: "anything is refused" },
    { value: "fr ; Q=0.5 ,\t,de; q=1.000", language: "de", because: "whitespace and case" },
    { value: "de;q=1.5, fr;q=0.5", language: "fr", because: "a malformed weight" },
    { value: "de;q=.9, fr;q=0.5", language: "fr", because: "a malformed weight" },
    { value: "de;level=1, fr;q=0.5", language: "fr", because: "not a weight" },
    { value: "-, --, -de, de-", language: "de", because: "only the last is a tag and more" },
    { value: "__proto__, constructor", language: "", because: "names like others" },
  ])("$value → $language: $because", ({ value, language }) => {
    expect(normaliseAcceptLanguage(value, ["en", "de", "fr", "zh-Hant"])).toBe(language);
  });

  it("finds nothing where nothing is available", () => {
    expect(normaliseAcceptLanguage("de, *", [])).toBe("");
  });

  it("is one of the available languages or none, and the language itself is a request for it", () => {
    const available = ["en", "de", "de-AT", "fr-CA"];
    const part = fc.constantFrom("de", "en", "-AT", "-", "fr-ca", "*", ",", ";q=0", ";q=0.5", " ", "x");
    const value = fc.oneof(
      fc.string(),
      fc.array(part).map((parts) => parts.join("")),
    );
    fc.assert(
      fc.property(value, (value) => {
        const language = normaliseAcceptLanguage(value, available);
        expect(["", ...available]).toContain(language);
        expect(normaliseAcceptLanguage(language, available)).toBe(language);
      }),
    );
  });

  it.each(["a,", "a-", "-", "*,", ";", "de;q=0,", "de-at,", ",", "q"])(
    "a megabyte of %j is read in linear time",
    (unit) => {
      const value = unit.repeat(MEGABYTE / unit.length);
      expect(elapsedMs(() => normaliseAcceptLanguage(value, ["en", "de-at"]))).toBeLessThan(2 * LINEAR_CEILING_MS);
    },
  );
});

describe("Vary: Accept-Language with the application's languages (RFC 9111 §4.1)", () => {
  const LANGUAGES = ["en", "de"];
  const NAMES = ["accept-language"];

  it.each([
    { stored: "de", presented: "de-AT, en;q=0.5", matches: true, because: "both get German" },
    { stored: "fr, de", presented: "de, en", matches: true, because: "both get German" },
    { stored: "de, en", presented: "en, de", matches: false, because: "one gets German, one English" },
    { stored: "fr", presented: "ja", matches: true, because: "both get what the application has for others" },
  ])("$stored and $presented → $matches: $because", ({ stored, presented, matches }) => {
    const varyFields = presentedFields({ "accept-language": stored }, NAMES, LANGUAGES);
    expect(matchesVary(varyFields, { "accept-language": presented }, LANGUAGES)).toBe(matches);
  });

  it("reads lines as one list, and keeps absent apart from any language", () => {
    expect(presentedFields({ "accept-language": ["fr", "de"] }, NAMES, LANGUAGES)).toEqual([["accept-language", "de"]]);
    expect(presentedFields({}, NAMES, LANGUAGES)).toEqual([["accept-language", null]]);
  });

  it("leaves other fields alone", () => {
    expect(presentedFields({ accept: "de-AT" }, ["accept"], LANGUAGES)).toEqual([["accept", "de-AT"]]);
  });

  it("only drops the case where the application lists none: language ranges have none (RFC 4647 §2.1)", () => {
    expect(presentedFields({ "accept-language": "de-AT, en" }, NAMES)).toEqual([["accept-language", "de-at, en"]]);
    expect(presentedFields({ "accept-language": "en, de-AT" }, NAMES)).toEqual([["accept-language", "en, de-at"]]);
  });
});
