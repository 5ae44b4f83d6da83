import * as fc from "fast-check";
import { describe, expect, it } from "vitest";

import {
  announcesPart,
  combinePartials,
  contentRange,
  isWellFormedPartial,
  parseRangeField,
  partialReply,
  sliceBody,
} from "../../src/rfc9111/index.ts";
import type { Fields, PartialContent } from "../../src/rfc9111/index.ts";
import { NOW_MS } from "./nouns.ts";

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const text = (body: Uint8Array | undefined): string | undefined =>
  body === undefined ? undefined : new TextDecoder("latin1").decode(body);

function partOf(body: string, range: string, fields: Fields = {}): PartialContent {
  return { fields: { etag: '"a"', "content-range": range, ...fields }, body: bytes(body) };
}

describe("a well-formed part (RFC 9110 §15.3.7.1)", () => {
  it.each<{ fields: Fields; bodyBytes: number; is: boolean; because: string }>([
    { fields: { "content-range": "bytes 5-9/10" }, bodyBytes: 5, is: true, because: "the lengths agree" },
    { fields: { "content-range": "bytes 5-9/*" }, bodyBytes: 5, is: true, because: "the whole need not be known" },
    { fields: { "content-range": "bytes 4-9/10" }, bodyBytes: 5, is: false, because: "six bytes announced, five sent" },
    {
      fields: { "content-range": "bytes 6-9/10" },
      bodyBytes: 5,
      is: false,
      because: "four bytes announced, five sent",
    },
    { fields: { "content-range": "bytes */10" }, bodyBytes: 5, is: false, because: "no part" },
    { fields: {}, bodyBytes: 5, is: false, because: "it does not say which part" },
    {
      fields: { "content-range": ["bytes 5-9/10", "bytes 5-9/10"] },
      bodyBytes: 5,
      is: false,
      because: "two fields are none",
    },
    {
      fields: { "content-range": "bytes 5-9/10", "content-length": "6" },
      bodyBytes: 5,
      is: false,
      because: "its own length differs",
    },
    {
      fields: { "content-range": "bytes 5-9/10", "content-length": "5" },
      bodyBytes: 5,
      is: true,
      because: "its own length agrees",
    },
    {
      fields: { "content-range": "bytes 5-9/10", "content-type": "Multipart/ByteRanges; boundary=x" },
      bodyBytes: 5,
      is: false,
      because: "several parts have no range of their own",
    },
  ])("$fields with $bodyBytes bytes → $is: $because", ({ fields, bodyBytes, is }) => {
    expect(isWellFormedPartial(fields, bodyBytes)).toBe(is);
  });

  it.each<{ fields: Fields; is: boolean; because: string }>([
    { fields: { "content-range": "bytes 4-9/10" }, is: true, because: "one part" },
    { fields: { "content-type": "multipart/byteranges; boundary=x" }, is: true, because: "several parts" },
    { fields: { "content-type": "multipart/byterangesx" }, is: false, because: "another type" },
    { fields: {}, is: false, because: "nothing says which" },
    { fields: { "content-range": "lines 4-9/10" }, is: false, because: "a unit we do not know" },
    {
      fields: { "content-type": "multipart/byteranges", "content-range": "bytes 4-9/10" },
      is: false,
      because: "it cannot be both (RFC 9110 §15.3.7.2)",
    },
  ])("its head announces it: $fields → $is: $because", ({ fields, is }) => {
    expect(announcesPart(fields)).toBe(is);
  });
});

describe("the answer from a stored part (RFC 9111 §3.3)", () => {
  it.each<{ range: string; part?: string; is: string | undefined; because: string }>([
    { range: "bytes=5-8", is: "bytes 5-8/10 5678", because: "the beginning of the part" },
    { range: "bytes=6-6", is: "bytes 6-6/10 6", because: "within" },
    { range: "bytes=6-", is: "bytes 6-9/10 6789", because: "it ends with the whole" },
    { range: "bytes=-1", is: "bytes 9-9/10 9", because: "it ends with the whole" },
    { range: "bytes=9-99", is: "bytes 9-9/10 9", because: "the end is cut" },
    { range: "bytes=5-6,7-8", is: "bytes 5-8/10 5678", because: "two that become one" },
    { range: "bytes=5-5,9-9", is: undefined, because: "the origin sends several parts" },
    { range: "bytes=4-6", is: undefined, because: "a byte is missing" },
    { range: "bytes=-6", is: undefined, because: "a byte is missing" },
    { range: "bytes=0-1", is: undefined, because: "none of it is here" },
    { range: "bytes=10-", is: undefined, because: "the origin sends the 416" },
    { range: "lines=5-6", is: undefined, because: "the origin may know it" },
    { range: "bytes=6-7", part: "bytes 5-9/*", is: "bytes 6-7/* 67", because: "both ends are here" },
    { range: "bytes=6-", part: "bytes 5-9/*", is: undefined, because: "the whole may be longer" },
    { range: "bytes=-1", part: "bytes 5-9/*", is: undefined, because: "the whole may be longer" },
    { range: "bytes=6-99", part: "bytes 5-9/*", is: undefined, because: "the whole may be longer" },
    { range: "bytes=6-7", part: "bytes 4-9/10", is: undefined, because: "nobody knows which bytes these are" },
    { range: "bytes=-5", part: "bytes 4-9/10", is: "bytes 4-9/10 56789", because: "what was asked is answered again" },
  ])("$range from $part → $is: $because", ({ range, part = "bytes 5-9/10", is }) => {
    const stored = { ...partOf("56789", part), rangeField: "bytes=-5", receivedAtMs: NOW_MS };
    const reply = partialReply({ range }, stored, NOW_MS);
    const answer = reply && `${String(reply.fields["content-range"])} ${text(reply.body)}`;
    expect(answer).toBe(is);
    if (reply !== undefined) expect(reply.fields["content-length"]).toBe(String(reply.body.byteLength));
  });

  it("replays several parts for the same Range only", () => {
    const fields = { "content-type": "multipart/byteranges; boundary=x" };
    const stored = { fields, body: bytes("--x…"), rangeField: "bytes=0-0,5-5", receivedAtMs: NOW_MS };
    expect(partialReply({ range: "bytes=0-0,5-5" }, stored, NOW_MS)?.body).toBe(stored.body);
    expect(partialReply({ range: "bytes=0-0" }, stored, NOW_MS)).toBeUndefined();
  });

  it("obeys If-Range, and answers no request without Range", () => {
    const stored = { ...partOf("56789", "bytes 5-9/10"), rangeField: "bytes=-5", receivedAtMs: NOW_MS };
    expect(partialReply({ range: "bytes=-5", "if-range": '"a"' }, stored, NOW_MS)?.status).toBe(206);
    expect(partialReply({ range: "bytes=-5", "if-range": '"b"' }, stored, NOW_MS)).toBeUndefined();
    expect(partialReply({}, stored, NOW_MS)).toBeUndefined();
  });

  it("is always a piece of the representation, whichever part is stored", () => {
    const body = fc.uint8Array({ minLength: 1, maxLength: 30 });
    const at = fc.nat({ max: 40 });
    fc.assert(
      fc.property(body, at, at, at, at, fc.boolean(), (whole, a, b, c, d, known) => {
        const [start, end] = ordered(a % whole.byteLength, b % whole.byteLength);
        const [first, last] = ordered(c, d);
        const range = `bytes=${first}-${last}`;
        const stored = {
          fields: { "content-range": contentRange({ start, end }, known ? whole.byteLength : undefined) },
          body: sliceBody(whole, { start, end }),
          rangeField: "bytes=0-9999",
          receivedAtMs: NOW_MS,
        };
        const reply = partialReply({ range }, stored, NOW_MS);
        const asked = parseRangeField(range, whole.byteLength);
        if (reply === undefined) {
          const [only] = asked.kind === "ranges" ? asked.ranges : [];
          const within = known && only !== undefined && only.start >= start && only.end <= end;
          expect(within).toBe(false);
          return;
        }
        expect(asked.kind).toBe("ranges");
        if (asked.kind === "ranges") expect(reply.body).toEqual(sliceBody(whole, asked.ranges[0]!));
      }),
    );
  });
});

function ordered(a: number, b: number): readonly [number, number] {
  return a <= b ? [a, b] : [b, a];
}

describe("combining parts (RFC 9111 §3.4)", () => {
  it.each<{ stored: PartialContent; received: PartialContent; is: string | undefined; because: string }>([
    {
      stored: partOf("01234", "bytes 0-4/10"),
      received: partOf("56789", "bytes 5-9/10"),
      is: "200 undefined 0123456789",
      because: "the two are the whole",
    },
    {
      stored: partOf("56789", "bytes 5-9/10"),
      received: partOf("0123456", "bytes 0-6/10"),
      is: "200 undefined 0123456789",
      because: "in any order, and overlapping",
    },
    {
      stored: partOf("234", "bytes 2-4/10"),
      received: partOf("56", "bytes 5-6/10"),
      is: "206 bytes 2-6/10 23456",
      because: "a larger part",
    },
    {
      stored: partOf("234", "bytes 2-4/*"),
      received: partOf("56", "bytes 5-6/10"),
      is: "206 bytes 2-6/10 23456",
      because: "one of them knows the length",
    },
    {
      stored: partOf("01", "bytes 0-1/*"),
      received: partOf("23", "bytes 2-3/*"),
      is: "206 bytes 0-3/* 0123",
      because: "neither knows the length, so it is not the whole",
    },
    {
      stored: partOf("23456", "bytes 2-6/10"),
      received: partOf("34", "bytes 3-4/10"),
      is: "206 bytes 2-6/10 23456",
      because: "one within the other",
    },
    {
      stored: partOf("01", "bytes 0-1/10"),
      received: partOf("34", "bytes 3-4/10"),
      is: undefined,
      because: "byte 2 is missing",
    },
    {
      stored: partOf("01234", "bytes 0-4/10"),
      received: partOf("5678", "bytes 5-8/9"),
      is: undefined,
      because: "two lengths of the whole",
    },
    {
      stored: partOf("56789", "bytes 5-9/*"),
      received: partOf("01234", "bytes 0-4/5"),
      is: undefined,
      because: "one part lies beyond the other's whole",
    },
    {
      stored: partOf("012", "bytes 0-2/10"),
      received: partOf("x3", "bytes 2-3/10"),
      is: undefined,
      because: "they differ where they overlap",
    },
    {
      stored: partOf("01234", "bytes 0-5/10"),
      received: partOf("56789", "bytes 5-9/10"),
      is: undefined,
      because: "one is not well formed",
    },
    {
      stored: partOf("01234", "bytes 0-4/10"),
      received: partOf("56789", "bytes 5-9/10", { etag: '"b"' }),
      is: undefined,
      because: "another representation",
    },
    {
      stored: partOf("01234", "bytes 0-4/10", { etag: 'W/"a"' }),
      received: partOf("56789", "bytes 5-9/10", { etag: 'W/"a"' }),
      is: undefined,
      because: "a weak tag is not enough",
    },
    {
      stored: partOf("01234", "bytes 0-4/10", { etag: [] }),
      received: partOf("56789", "bytes 5-9/10", { etag: [] }),
      is: undefined,
      because: "no tag is not enough",
    },
    {
      stored: partOf("01234", "bytes 0-4/10", { "content-encoding": "gzip" }),
      received: partOf("56789", "bytes 5-9/10"),
      is: undefined,
      because: "another coding",
    },
  ])("$is: $because", ({ stored, received, is }) => {
    const whole = combinePartials(stored, received);
    const given = whole && `${whole.status} ${String(whole.fields["content-range"])} ${text(whole.body)}`;
    expect(given).toBe(is);
    if (whole !== undefined) expect(whole.fields["content-length"]).toBe(String(whole.body.byteLength));
  });

  it("takes the fields of the received one over the stored ones (RFC 9110 §15.3.7.3)", () => {
    const stored = partOf("01234", "bytes 0-4/10", { a: "1", b: "1", "content-length": "5" });
    const received = partOf("567", "bytes 5-7/10", { a: "2", connection: "x", "content-length": "3" });
    expect({ ...combinePartials(stored, received)?.fields }).toEqual({
      etag: '"a"',
      a: "2",
      b: "1",
      "content-range": "bytes 0-7/10",
      "content-length": "8",
    });
  });

  it("is the bytes of the representation, whenever two of its parts can be combined", () => {
    const body = fc.uint8Array({ minLength: 1, maxLength: 30 });
    const at = fc.nat({ max: 29 });
    fc.assert(
      fc.property(body, at, at, at, at, (whole, a, b, c, d) => {
        const length = whole.byteLength;
        const parts = [ordered(a % length, b % length), ordered(c % length, d % length)].map(([start, end]) => ({
          start,
          end,
          fields: { etag: '"a"', "content-range": contentRange({ start, end }, length) },
          body: sliceBody(whole, { start, end }),
        }));
        const [one, other] = parts as [(typeof parts)[0], (typeof parts)[0]];
        const combined = combinePartials(one, other);
        const start = Math.min(one.start, other.start);
        const end = Math.max(one.end, other.end);
        const hasGap = Math.max(one.start, other.start) > Math.min(one.end, other.end) + 1;
        expect(combined === undefined).toBe(hasGap);
        if (combined === undefined) return;
        expect(combined.body).toEqual(sliceBody(whole, { start, end }));
        expect(combined.status).toBe(end - start + 1 === length ? 200 : 206);
      }),
    );
  });
});
