import * as fc from "fast-check";
import { describe, expect, it } from "vitest";

import { isUnmodified } from "../../src/rfc9111/preconditions.ts";
import { evaluatePreconditions, formatHttpDate, notModifiedFields } from "../../src/rfc9111/index.ts";
import type { Fields } from "../../src/rfc9111/index.ts";
import { elapsedMs, LINEAR_CEILING_MS, MEGABYTE, NOW_MS } from "./nouns.ts";

const at = (seconds: number): string => formatHttpDate(NOW_MS + seconds * 1000);

describe("preconditions of GET and HEAD (RFC 9110 §13.2.2)", () => {
  const tagged: Fields = { etag: '"a"', "last-modified": at(-100), date: at(-50) };
  it.each<{ sent: Fields; fields?: Fields; status?: number; verdict: string; because: string }>([
    { sent: {}, verdict: "send", because: "no condition" },
    { sent: { "if-none-match": '"a"' }, verdict: "not-modified", because: "equal" },
    { sent: { "if-none-match": 'W/"a"' }, verdict: "not-modified", because: "weak comparison" },
    { sent: { "if-none-match": '"x", W/"a" , "y"' }, verdict: "not-modified", because: "a list" },
    { sent: { "if-none-match": ['"x"', '"a"'] }, verdict: "not-modified", because: "several lines" },
    { sent: { "if-none-match": "*" }, verdict: "not-modified", because: "any" },
    { sent: { "if-none-match": "*" }, fields: {}, verdict: "not-modified", because: "any, tagged or not" },
    { sent: { "if-none-match": '"A"' }, verdict: "send", because: "tags have a case" },
    { sent: { "if-none-match": "a" }, verdict: "send", because: "a tag has quotes" },
    { sent: { "if-none-match": '"x,"a' }, verdict: "send", because: "no part of a text" },
    {
      sent: { "if-none-match": '"a"' },
      fields: { etag: "a" },
      verdict: "send",
      because: "the stored one is malformed",
    },
    { sent: { "if-none-match": '"a"' }, fields: {}, verdict: "send", because: "there is no tag" },
    {
      sent: { "if-none-match": '"a"' },
      fields: { etag: 'W/"a"' },
      verdict: "not-modified",
      because: "weak comparison",
    },
    {
      sent: { "if-none-match": '"x"', "if-modified-since": at(0) },
      verdict: "send",
      because: "the date counts for nothing beside a tag",
    },
    {
      sent: { "if-none-match": '"a"', "if-modified-since": at(-999) },
      verdict: "not-modified",
      because: "nor in the other direction",
    },
    { sent: { "if-none-match": "", "if-modified-since": at(0) }, verdict: "send", because: "present, though empty" },
    { sent: { "if-modified-since": at(-100) }, verdict: "not-modified", because: "the same second" },
    { sent: { "if-modified-since": at(-101) }, verdict: "send", because: "modified after it" },
    { sent: { "if-modified-since": at(999) }, verdict: "not-modified", because: "not modified since" },
    { sent: { "if-modified-since": "yesterday" }, verdict: "send", because: "no date is no condition" },
    { sent: { "if-modified-since": "" }, verdict: "send", because: "no date is no condition" },
    { sent: { "if-modified-since": [at(0), at(0)] }, verdict: "send", because: "two dates are none" },
    {
      sent: { "if-modified-since": "Sunday, 01-Mar-26 12:00:00 GMT" },
      verdict: "not-modified",
      because: "the old formats count",
    },
    {
      sent: { "if-modified-since": at(-50) },
      fields: { date: at(-50) },
      verdict: "not-modified",
      because: "Date stands in",
    },
    { sent: { "if-modified-since": at(-51) }, fields: { date: at(-50) }, verdict: "send", because: "Date stands in" },
    { sent: { "if-modified-since": at(0) }, fields: {}, verdict: "not-modified", because: "then the time of receipt" },
    { sent: { "if-modified-since": at(-1) }, fields: {}, verdict: "send", because: "then the time of receipt" },
    {
      sent: { "if-modified-since": at(5) },
      fields: { date: at(-50) },
      verdict: "send",
      because: "a clock that is ahead",
    },
    { sent: { "if-modified-since": at(1) }, fields: {}, verdict: "send", because: "a clock that is ahead" },
    { sent: { "if-none-match": '"a"' }, status: 404, verdict: "send", because: "only a 200 can be not modified" },
    { sent: { "if-none-match": "*" }, status: 206, verdict: "send", because: "only a 200 can be not modified" },
    { sent: { "if-match": '"x"', "if-unmodified-since": at(-999) }, verdict: "send", because: "the origin's business" },
  ])("$sent with $fields → $verdict: $because", ({ sent, fields, status, verdict }) => {
    const stored = { status: status ?? 200, fields: fields ?? tagged, receivedAtMs: NOW_MS };
    expect(evaluatePreconditions(sent, stored, NOW_MS)).toBe(verdict);
  });

  it("sends when nothing says how old the stored response is", () => {
    expect(evaluatePreconditions({ "if-modified-since": at(0) }, { status: 200, fields: {} }, NOW_MS)).toBe("send");
  });

  it.each<{ sent: Fields; fields: Fields; isHeld: boolean; because: string }>([
    { sent: { "if-modified-since": at(0) }, fields: {}, isHeld: false, because: "no modification date (§13.1.3)" },
    { sent: { "if-modified-since": at(0) }, fields: { date: at(-9) }, isHeld: false, because: "Date is none" },
    {
      sent: { "if-modified-since": at(0) },
      fields: { date: at(-9), "last-modified": "yesterday" },
      isHeld: false,
      because: "one that is no date is none",
    },
    { sent: { "if-modified-since": at(0) }, fields: { "last-modified": at(-9) }, isHeld: true, because: "older" },
    { sent: { "if-modified-since": at(-10) }, fields: { "last-modified": at(-9) }, isHeld: false, because: "newer" },
    { sent: { "if-none-match": '"a"' }, fields: { etag: 'W/"a"' }, isHeld: true, because: "weak comparison" },
  ])("$sent with a new response that has $fields, held: $isHeld, because $because", ({ sent, fields, isHeld }) => {
    expect(isUnmodified(sent, { status: 200, fields }, undefined, NOW_MS)).toBe(isHeld);
  });

  it("never throws, and T26: a client that does not know the tag gets the body", () => {
    const stored = { status: 200, fields: { etag: '"3f786850e387550fdab836ed7e6dc881de23001b"' } };
    fc.assert(
      fc.property(fc.array(fc.string().filter((text) => !text.includes("*"))), fc.string(), (lines, since) => {
        const sent = { "if-none-match": lines, "if-modified-since": since };
        expect(evaluatePreconditions(sent, stored, NOW_MS)).toBe("send");
      }),
    );
  });

  it.each(['"x",', '"', "W/", 'W/"', ",", "*,", '"x" '])("a megabyte of %j is read in linear time", (unit) => {
    const text = unit.repeat(MEGABYTE / unit.length);
    const stored = { status: 200, fields: tagged };
    const work = () => evaluatePreconditions({ "if-none-match": text }, stored, NOW_MS);
    expect(elapsedMs(work)).toBeLessThan(LINEAR_CEILING_MS);
    expect(elapsedMs(() => evaluatePreconditions({ "if-modified-since": text }, stored, NOW_MS))).toBeLessThan(
      LINEAR_CEILING_MS,
    );
  });
});

describe("fields of a 304 (RFC 9110 §15.4.5)", () => {
  const always: Fields = {
    "cache-control": "max-age=5",
    "content-location": "/a",
    date: at(0),
    expires: at(5),
    vary: ["accept", "origin"],
  };
  const others: Fields = {
    "access-control-allow-origin": "*",
    "content-security-policy": "default-src 'self'",
    "content-security-policy-report-only": "default-src 'self'",
    "x-frame-options": "deny",
    "x-request-cost": "3",
  };
  const description: Fields = {
    "content-type": "text/html",
    "content-length": "5",
    "content-encoding": "gzip",
    "content-language": "en",
    "content-disposition": "inline",
    "content-range": "bytes 0-4/5",
    "content-md5": "x",
    "content-digest": "x",
    "repr-digest": "x",
    digest: "x",
  };

  it("keeps what a 304 must carry and what is not about the representation", () => {
    const kept = notModifiedFields({ ...always, ...others, ...description, etag: '"a"', "last-modified": at(-5) });
    expect({ ...kept }).toEqual({ ...always, ...others, etag: '"a"' });
  });

  it("keeps Last-Modified where there is no tag", () => {
    expect({ ...notModifiedFields({ "last-modified": at(-5) }) }).toEqual({ "last-modified": at(-5) });
  });

  it("__proto__ is a field", () => {
    const kept = notModifiedFields(JSON.parse('{"__proto__": "a", "content-type": "b"}') as Fields);
    expect(Object.entries(kept)).toEqual([["__proto__", "a"]]);
  });
});
