import * as fc from "fast-check";
import { describe, expect, it } from "vitest";

import {
  effectiveDirectives,
  freshnessLifetimeSeconds,
  responseDirectives,
  targetedDirectives,
  whyNotStored,
} from "../../src/rfc9111/index.ts";
import type { Fields, ResponseDirectives, StoringRules } from "../../src/rfc9111/index.ts";
import { elapsedMs, headOf, LINEAR_CEILING_MS, MEGABYTE, NOW_MS, requestOf } from "./nouns.ts";

const TARGETS = ["reprise-cache-control", "cdn-cache-control"];
const FAR = "Fri, 01 Jan 2100 00:00:00 GMT";

type Stated = { readonly [K in keyof ResponseDirectives]?: ResponseDirectives[K] | undefined };
const NO_SECONDS: Stated = { maxAgeSeconds: undefined, sMaxageSeconds: undefined };

describe("directives of a targeted field (RFC 9213 §2.1)", () => {
  it.each<{ field: string; is: Stated | undefined; because: string }>([
    { field: "max-age=60", is: { maxAgeSeconds: 60 }, because: "an Integer" },
    { field: "max-age=60;x=1", is: { maxAgeSeconds: 60 }, because: "parameters count for nothing" },
    { field: "max-age=60, max-age=30", is: { maxAgeSeconds: 30 }, because: "the last of a repeated key counts" },
    { field: "max-age=99999999999", is: { maxAgeSeconds: 2147483648 }, because: "as long as we can represent" },
    { field: "max-age=-5", is: { maxAgeSeconds: 0 }, because: "less than nothing is stale" },
    { field: 'max-age="60"', is: { maxAgeSeconds: undefined }, because: "a String is the wrong type" },
    { field: "max-age=60.5", is: { maxAgeSeconds: undefined }, because: "a Decimal is the wrong type" },
    { field: "max-age=x", is: { maxAgeSeconds: undefined }, because: "a Token is the wrong type" },
    { field: "max-age=(60)", is: { maxAgeSeconds: undefined }, because: "an Inner List is the wrong type" },
    { field: "max-age", is: { maxAgeSeconds: undefined }, because: "a Boolean is the wrong type" },
    { field: "max-age=", is: undefined, because: "malformed" },
    { field: "max-age=9999999999999999", is: undefined, because: "16 digits are no Integer" },
    { field: "MaX-aGe=60", is: undefined, because: "a key with upper case spoils the field" },
    { field: "max-age =60", is: undefined, because: "whitespace before the equals sign" },
    { field: "max-age= 60", is: undefined, because: "whitespace behind the equals sign" },
    { field: "max-age=60, &&&&&", is: undefined, because: "one wrong character spoils the field" },
    { field: "max-age=60,", is: undefined, because: "a comma too many" },
    { field: "max-age=60; s-maxage=5", is: { maxAgeSeconds: 60, sMaxageSeconds: undefined }, because: "a parameter" },
    { field: "", is: undefined, because: "empty" },
    { field: "  ", is: undefined, because: "empty" },
    { field: "foo", is: { noStore: false, maxAgeSeconds: undefined }, because: "valid, with nothing we know" },
    { field: "foobar, max-age=60", is: { maxAgeSeconds: 60 }, because: "what we do not know is ignored" },
    { field: "no-store", is: { noStore: true }, because: "a Boolean" },
    { field: "no-store=?1", is: { noStore: true }, because: "a Boolean in full" },
    { field: "no-store=?0", is: { noStore: false }, because: "and its opposite" },
    { field: "no-store=1", is: { noStore: true }, because: "doubt counts toward not caching" },
    { field: "private", is: { private: true }, because: "a Boolean" },
    { field: 'private="X-User, x-id"', is: { private: ["x-user", "x-id"] }, because: "the qualified form" },
    { field: 'private="a b"', is: { private: true }, because: "no field names" },
    { field: 'private=("x")', is: { private: true }, because: "doubt counts toward not caching" },
    { field: "no-cache=?0", is: { noCache: false }, because: "not" },
    { field: 'no-cache=""', is: { noCache: true }, because: "no field names" },
    { field: "public, immutable", is: { public: true, immutable: true }, because: "permissions" },
    {
      field: "public=1, must-understand=1",
      is: { public: false, mustUnderstand: false },
      because: "doubt permits nothing",
    },
    {
      field: "must-revalidate, proxy-revalidate",
      is: { mustRevalidate: true, proxyRevalidate: true },
      because: "both",
    },
    {
      field: "s-maxage=5, stale-while-revalidate=6, stale-if-error=7",
      is: { sMaxageSeconds: 5, staleWhileRevalidateSeconds: 6, staleIfErrorSeconds: 7 },
      because: "each of the numbers",
    },
  ])("$field → $is: $because", ({ field, is }) => {
    const directives = targetedDirectives({ "cdn-cache-control": field }, TARGETS);
    if (is === undefined) expect(directives).toBeUndefined();
    else expect({ ...NO_SECONDS, ...directives }).toMatchObject({ ...is, targeted: true });
  });

  it("reads several lines as one field", () => {
    const lines = { "cdn-cache-control": ["max-age=60", "private"] };
    expect(targetedDirectives(lines, TARGETS)).toMatchObject({ maxAgeSeconds: 60, private: true });
  });

  it("never throws", () => {
    const part = fc.constantFrom("max-age", "=", "60", ",", ";", '"', "(", ")", "?1", ":", "@1", '%"', " ", "A");
    const value = fc.oneof(
      fc.string(),
      fc.array(part).map((parts) => parts.join("")),
    );
    fc.assert(
      fc.property(fc.array(value), (lines) => {
        expect(() => targetedDirectives({ "cdn-cache-control": lines }, TARGETS)).not.toThrow();
      }),
    );
  });

  it.each(["a,", "a=1,", '"', "(", "a;b;", " ", "a=(a "])("a megabyte of %j is read in linear time", (unit) => {
    const field = unit.repeat(MEGABYTE / unit.length);
    expect(elapsedMs(() => targetedDirectives({ "cdn-cache-control": field }, TARGETS))).toBeLessThan(
      LINEAR_CEILING_MS,
    );
  });
});

describe("a malformed targeted field fails safe", () => {
  const FLAG = { private: "private", "no-store": "noStore", "no-cache": "noCache" } as const;
  it.each(["private", "no-store", "no-cache"] as const)("%s counts wherever it stands", (word) => {
    const upper = word.replace(/^./, (letter) => letter.toUpperCase());
    const values = [
      `max-age=60; ${word}`,
      `max-age=60;${word};x=1`,
      `max-age=60;x=${word}`,
      `max-age=60 ${word}`,
      `max-age=60, ${upper}`,
      `max-age=60, "${word}"`,
      `"${word}"`,
      `'${word}'`,
      `max-age="60, ${word}"`,
      `max-age=(60 ${word})`,
      `max-age=(60;${word})`,
      `max-age=60|${word}`,
      `max-age=60, x=${word}`,
      `public=${word}`,
      `max-age=60, ${word},`,
      `max-age=60, ${word.replace("-", "_")}`,
    ];
    for (const value of values) {
      const fields = { "cdn-cache-control": value, "cache-control": "max-age=600" };
      expect(effectiveDirectives(fields, TARGETS).directives[FLAG[word]], value).toBe(true);
    }
    const lines = { "cdn-cache-control": ["max-age=60", `x ${word}`] };
    expect(effectiveDirectives(lines, TARGETS).directives[FLAG[word]]).toBe(true);
  });

  it.each(["max-age=60, x-private", 'max-age=60, x="private"', "max-age=60;private=?0", "no_store=?0, max-age=60"])(
    "%s restricts nothing",
    (value) => {
      const { directives } = effectiveDirectives({ "cdn-cache-control": value }, TARGETS);
      expect([directives.private, directives.noStore, directives.noCache]).toEqual([false, false, false]);
    },
  );

  it("restricts nothing behind the field that decides", () => {
    const fields = { "reprise-cache-control": "max-age=60", "cdn-cache-control": "max-age=60 private" };
    expect(effectiveDirectives(fields, TARGETS).directives).toMatchObject({ private: false, maxAgeSeconds: 60 });
  });
});

describe("which field decides (RFC 9213 §2.2)", () => {
  it.each<{ fields: Fields; targeted: boolean; seconds: number | undefined; because: string }>([
    {
      fields: { "cdn-cache-control": "max-age=60", "cache-control": "max-age=1" },
      targeted: true,
      seconds: 60,
      because: "the targeted one",
    },
    {
      fields: { "cdn-cache-control": "max-age=60", expires: "0" },
      targeted: true,
      seconds: 60,
      because: "Expires does not count",
    },
    {
      fields: { "cdn-cache-control": "foo", "cache-control": "max-age=60", expires: FAR },
      targeted: true,
      seconds: undefined,
      because: "neither counts, even if the targeted one states no lifetime",
    },
    {
      fields: { "cdn-cache-control": 'max-age="60"', "cache-control": "max-age=5", expires: FAR },
      targeted: true,
      seconds: undefined,
      because: "a field with a wrong type is still a valid field",
    },
    {
      fields: { "cdn-cache-control": "max-age=60, &", "cache-control": "max-age=1" },
      targeted: false,
      seconds: 1,
      because: "a malformed field is absent",
    },
    {
      fields: { "cdn-cache-control": "", "cache-control": "max-age=1" },
      targeted: false,
      seconds: 1,
      because: "an empty field is absent",
    },
    {
      fields: { "reprise-cache-control": "max-age=5", "cdn-cache-control": "max-age=60" },
      targeted: true,
      seconds: 5,
      because: "the first target wins",
    },
    {
      fields: { "reprise-cache-control": "NO", "cdn-cache-control": "max-age=60" },
      targeted: true,
      seconds: 60,
      because: "the first target is malformed",
    },
    {
      fields: { "other-cache-control": "max-age=60", "cache-control": "max-age=1" },
      targeted: false,
      seconds: 1,
      because: "that one is for somebody else",
    },
    { fields: { "cache-control": "max-age=1" }, targeted: false, seconds: 1, because: "there is none" },
  ])("$fields → $seconds s: $because", ({ fields, targeted, seconds }) => {
    const effective = effectiveDirectives(fields, TARGETS);
    expect(effective.targeted).toBe(targeted);
    const rules = { heuristic: false, nowMs: NOW_MS };
    expect(freshnessLifetimeSeconds(headOf(fields), effective.directives, rules)).toBe(seconds);
  });

  it("without targets is Cache-Control", () => {
    const fields = { "cdn-cache-control": "no-store", "cache-control": "max-age=1" };
    expect(effectiveDirectives(fields, [])).toEqual({ directives: responseDirectives(fields), targeted: false });
  });

  it.each<{ fields: Fields; reason: string | undefined; because: string }>([
    {
      fields: { "cdn-cache-control": "max-age=60", "cache-control": "no-store" },
      reason: undefined,
      because: "no-store is not for us",
    },
    {
      fields: { "cdn-cache-control": "no-store", "cache-control": "max-age=60", expires: FAR },
      reason: "no-store",
      because: "it is for us",
    },
    { fields: { "cdn-cache-control": "foo", expires: FAR }, reason: "no-lifetime", because: "Expires does not count" },
  ])("$fields is not stored because of $reason: $because", ({ fields, reason }) => {
    const rules: StoringRules = {
      lifetimeFrom: "fields",
      statuses: new Set(),
      sharedByDeclaration: false,
      keyedFields: new Set(),
      heuristic: false,
    };
    const { directives } = effectiveDirectives(fields, TARGETS);
    expect(whyNotStored(requestOf(), headOf(fields), directives, rules)).toBe(reason);
  });
});
