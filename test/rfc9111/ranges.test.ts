import * as fc from "fast-check";
import { describe, expect, it } from "vitest";

import {
  contentRange,
  formatHttpDate,
  multipartByteranges,
  parseContentRange,
  parseRangeField,
  rangeApplies,
  rangeReply,
  sliceBody,
  unsatisfiedContentRange,
} from "../../src/rfc9111/index.ts";
import type { ByteRange, Fields } from "../../src/rfc9111/index.ts";
import { elapsedMs, LINEAR_CEILING_MS, MEGABYTE, NOW_MS, storedOf } from "./nouns.ts";

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const text = (body: Uint8Array): string => new TextDecoder("latin1").decode(body);

/** `0-4,8-9`, or the kind of an answer without ranges. */
function asked(value: string, lengthBytes: number): string {
  const set = parseRangeField(value, lengthBytes);
  return set.kind === "ranges" ? set.ranges.map(({ start, end }) => `${start}-${end}`).join() : set.kind;
}

describe("the Range field (RFC 9110 §14.1.2)", () => {
  it.each([
    { value: "bytes=0-4", is: "0-4", because: "both ends are included" },
    { value: "bytes=5-", is: "5-9", because: "to the end" },
    { value: "bytes=-3", is: "7-9", because: "the last three" },
    { value: "bytes=-300", is: "0-9", because: "a longer suffix is the whole" },
    { value: "bytes=8-300", is: "8-9", because: "the end is cut" },
    { value: "bytes=9-9", is: "9-9", because: "one byte" },
    { value: "BYTES=0-0", is: "0-0", because: "units have no case" },
    { value: "bytes=0-0,\t5-5 ,, 9-", is: "0-0,5-5,9-9", because: "a list, with its empty members" },
    { value: "bytes=8-9,0-1", is: "8-9,0-1", because: "the order asked for is kept" },
    { value: "bytes=5-6,0-1,2-3", is: "5-6,0-3", because: "neighbours become one" },
    { value: "bytes=4-6,0-1,5-8", is: "4-8,0-1", because: "overlaps become one, in the place of the first" },
    { value: "bytes=8-9,0-1,2-7", is: "0-9", because: "the third joins the others" },
    { value: "bytes=0-0,99-", is: "0-0", because: "one of them is satisfiable" },
    { value: `bytes=${"9".repeat(400)}-`, is: "unsatisfiable", because: "no number is too long" },
    { value: `bytes=0-${"9".repeat(400)}`, is: "0-9", because: "no number is too long" },
    { value: "bytes=10-", is: "unsatisfiable", because: "it begins behind the end" },
    { value: "bytes=-0", is: "unsatisfiable", because: "a suffix of nothing" },
    { value: "bytes=10-12,-0", is: "unsatisfiable", because: "none of them is satisfiable" },
    { value: "", is: "ignore", because: "empty" },
    { value: "bytes", is: "ignore", because: "malformed" },
    { value: "bytes=", is: "ignore", because: "no range" },
    { value: "bytes=,", is: "ignore", because: "no range" },
    { value: "bytes=-", is: "ignore", because: "malformed" },
    { value: "bytes=5", is: "ignore", because: "malformed" },
    { value: "bytes=4-3", is: "ignore", because: "it ends before it begins" },
    { value: "bytes=0-1,4-3", is: "ignore", because: "one malformed member spoils the field" },
    { value: "bytes=0-1,x", is: "ignore", because: "one malformed member spoils the field" },
    { value: "bytes=+1-2", is: "ignore", because: "digits only" },
    { value: "bytes=0x1-2", is: "ignore", because: "digits only" },
    { value: "bytes=1.0-2", is: "ignore", because: "digits only" },
    { value: "bytes=1e0-2", is: "ignore", because: "digits only" },
    { value: "bytes=1 -2", is: "ignore", because: "no whitespace within" },
    { value: "bytes =1-2", is: "ignore", because: "no whitespace within" },
    { value: "bytes=-1-2", is: "ignore", because: "positions are not negative" },
    { value: "bytes=0-1, bytes=2-3", is: "ignore", because: "two lines are not one range set" },
    { value: "seconds=0-1", is: "ignore", because: "a unit we do not know" },
    { value: "=0-1", is: "ignore", because: "no unit" },
  ])("$value of ten bytes → $is: $because", ({ value, is }) => {
    expect(asked(value, 10)).toBe(is);
  });

  it.each([
    { value: "bytes=0-", is: "unsatisfiable", because: "there is no byte 0" },
    { value: "bytes=-1", is: "ignore", because: "satisfiable, but no Content-Range describes nothing" },
    { value: "bytes=-0", is: "unsatisfiable", because: "a suffix of nothing" },
  ])("$value of nothing → $is: $because", ({ value, is }) => {
    expect(asked(value, 0)).toBe(is);
  });

  it.each([
    { value: "bytes=0-,0-", is: "0-99", because: "twice the whole is still one answer" },
    { value: "bytes=0-,0-,0-0", is: "ignore", because: "more than twice the whole" },
    { value: `bytes=${"0-,".repeat(60)}`, is: "ignore", because: "CVE-2011-3192" },
    { value: `bytes=${"0-0,".repeat(64)}`, is: "0-0", because: "64 small ones that become one" },
    { value: `bytes=${"0-0,".repeat(65)}`, is: "ignore", because: "65 members" },
    { value: spread(16), is: spread(16).slice("bytes=".length), because: "16 that stay apart" },
    { value: spread(17), is: "ignore", because: "17 that stay apart" },
  ])("is bounded: $value of a hundred bytes → $is: $because", ({ value, is }) => {
    expect(asked(value, 100)).toBe(is);
  });

  function spread(count: number): string {
    return `bytes=${Array.from({ length: count }, (_, at) => `${at * 3}-${at * 3}`).join()}`;
  }

  it("asks for exactly the bytes that its members name, each once, in bounds", () => {
    const position = fc.nat({ max: 30 });
    const spec = fc.oneof(
      fc.tuple(position, position).map(([a, b]) => `${Math.min(a, b)}-${Math.max(a, b)}`),
      position.map((first) => `${first}-`),
      position.map((suffix) => `-${suffix}`),
    );
    fc.assert(
      fc.property(fc.array(spec, { minLength: 1, maxLength: 6 }), fc.integer({ min: 1, max: 25 }), (specs, length) => {
        const set = parseRangeField(`bytes=${specs.join()}`, length);
        const named = new Set(specs.flatMap((spec) => positionsOf(spec, length)));
        if (set.kind !== "ranges") {
          expect(set.kind === "unsatisfiable").toBe(named.size === 0);
          return;
        }
        const given = set.ranges.flatMap(({ start, end }) =>
          Array.from({ length: end - start + 1 }, (_, at) => start + at),
        );
        expect(given).toHaveLength(named.size);
        expect(new Set(given)).toEqual(named);
        for (const { end } of set.ranges) expect(set.ranges.some(({ start }) => start === end + 1)).toBe(false);
      }),
    );
  });

  function positionsOf(spec: string, length: number): number[] {
    const [first = "", last = ""] = spec.split("-");
    return Array.from({ length }, (_, at) => at).filter((at) => {
      if (first === "") return at >= length - Number(last);
      return at >= Number(first) && (last === "" || at <= Number(last));
    });
  }

  it("never throws", () => {
    const part = fc.constantFrom("bytes", "=", "-", ",", "0", "9", " ", '"', "*", "/", "\u0000");
    const value = fc.oneof(
      fc.string(),
      fc.array(part).map((parts) => `bytes=${parts.join("")}`),
    );
    fc.assert(
      fc.property(value, fc.nat(), (value, length) => {
        expect(["ignore", "unsatisfiable", "ranges"]).toContain(parseRangeField(value, length).kind);
      }),
    );
  });

  it.each(["0-,", ",", "9", "-", " ", '"', "bytes="])("a megabyte of %j is read in linear time", (unit) => {
    const value = `bytes=${unit.repeat(MEGABYTE / unit.length)}`;
    expect(elapsedMs(() => parseRangeField(value, 1000))).toBeLessThan(LINEAR_CEILING_MS);
    expect(elapsedMs(() => parseContentRange(value))).toBeLessThan(LINEAR_CEILING_MS);
  });
});

describe("If-Range (RFC 9110 §13.1.5)", () => {
  const modified = formatHttpDate(NOW_MS - 60_000);
  it.each<{ condition: string | string[]; fields: Fields; applies: boolean; because: string }>([
    { condition: '"a"', fields: { etag: '"a"' }, applies: true, because: "the same strong tag" },
    { condition: ' "a" ', fields: { etag: '"a"' }, applies: true, because: "whitespace around it" },
    { condition: '"a"', fields: { etag: '"b"' }, applies: false, because: "another representation" },
    { condition: 'W/"a"', fields: { etag: 'W/"a"' }, applies: false, because: "weak tags never match strongly" },
    { condition: '"a"', fields: { etag: 'W/"a"' }, applies: false, because: "the stored one is weak" },
    { condition: 'W/"a"', fields: { etag: '"a"' }, applies: false, because: "the presented one is weak" },
    { condition: '"a"', fields: {}, applies: false, because: "there is no tag" },
    { condition: "a", fields: { etag: "a" }, applies: false, because: "neither is a tag" },
    { condition: '"a", "b"', fields: { etag: '"a"' }, applies: false, because: "no list here" },
    { condition: ['"a"', '"a"'], fields: { etag: '"a"' }, applies: false, because: "one line only" },
    { condition: "*", fields: { etag: '"a"' }, applies: false, because: "no star here" },
    { condition: "", fields: { etag: '"a"' }, applies: false, because: "present, but nothing" },
    { condition: modified, fields: { "last-modified": modified }, applies: true, because: "the same date" },
    {
      condition: "Sunday, 01-Mar-26 11:59:00 GMT",
      fields: { "last-modified": modified },
      applies: true,
      because: "the same date in another form",
    },
    {
      condition: formatHttpDate(NOW_MS),
      fields: { "last-modified": modified },
      applies: false,
      because: "a later date is not the same",
    },
    {
      condition: modified,
      fields: { "last-modified": modified, date: modified },
      applies: false,
      because: "it may have changed again within that second (§8.8.2.2)",
    },
    {
      condition: modified,
      fields: { "last-modified": modified, date: formatHttpDate(NOW_MS - 59_000) },
      applies: true,
      because: "a second later it is strong",
    },
    {
      condition: formatHttpDate(NOW_MS),
      fields: { "last-modified": formatHttpDate(NOW_MS) },
      applies: false,
      because: "modified as it arrived",
    },
    { condition: modified, fields: {}, applies: false, because: "there is no date" },
    { condition: "yesterday", fields: { "last-modified": "yesterday" }, applies: false, because: "not a date" },
  ])("$condition against $fields → $applies: $because", ({ condition, fields, applies }) => {
    expect(rangeApplies({ "if-range": condition }, { fields, receivedAtMs: NOW_MS }, NOW_MS)).toBe(applies);
  });

  it("does not trust a date of the second in which the response arrived", () => {
    const now = formatHttpDate(NOW_MS);
    const applies = (receivedAtMs: number) =>
      rangeApplies({ "if-range": now }, { fields: { "last-modified": now }, receivedAtMs }, NOW_MS);
    expect(applies(NOW_MS + 999)).toBe(false);
    expect(applies(NOW_MS + 1000)).toBe(true);
  });

  it("asks nothing when it is absent", () => {
    expect(rangeApplies({}, { fields: {}, receivedAtMs: NOW_MS }, NOW_MS)).toBe(true);
  });
});

describe("Content-Range (RFC 9110 §14.4)", () => {
  it.each([
    { value: "bytes 0-4/10", is: { start: 0, end: 4, completeBytes: 10 }, because: "a part of ten" },
    { value: "Bytes 0-4/*", is: { start: 0, end: 4, completeBytes: undefined }, because: "a part of we know not what" },
    { value: "bytes 9-9/10", is: { start: 9, end: 9, completeBytes: 10 }, because: "the last byte" },
    { value: "bytes */10", is: undefined, because: "no part" },
    { value: "bytes 5-4/10", is: undefined, because: "it ends before it begins" },
    { value: "bytes 0-10/10", is: undefined, because: "longer than the whole" },
    { value: "bytes 0-9/0", is: undefined, because: "longer than the whole" },
    { value: "bytes 0-9007199254740992/*", is: undefined, because: "more than we can count" },
    { value: "bytes 0-4/9007199254740992", is: undefined, because: "more than we can count" },
    { value: "bytes=0-4/10", is: undefined, because: "malformed" },
    { value: "bytes 0-4", is: undefined, because: "malformed" },
    { value: "bytes -4/10", is: undefined, because: "malformed" },
    { value: "bytes  0-4/10", is: undefined, because: "malformed" },
    { value: "bytes 0-4/10, bytes 5-9/10", is: undefined, because: "two of them" },
    { value: "items 0-4/10", is: undefined, because: "a unit we do not know" },
  ])("$value: $because", ({ value, is }) => {
    expect(parseContentRange(value)).toEqual(is);
  });

  it("reads what it writes", () => {
    fc.assert(
      fc.property(fc.nat(), fc.nat(), fc.nat(), fc.boolean(), (start, more, rest, known) => {
        const end = start + more;
        const completeBytes = known ? end + 1 + rest : undefined;
        expect(parseContentRange(contentRange({ start, end }, completeBytes))).toEqual({ start, end, completeBytes });
      }),
    );
    expect(unsatisfiedContentRange(10)).toBe("bytes */10");
  });
});

describe("multipart/byteranges (RFC 9110 §14.6)", () => {
  it("is exact", () => {
    const ranges = [
      { start: 0, end: 1 },
      { start: 8, end: 9 },
    ];
    expect(text(multipartByteranges(bytes("0123456789"), ranges, "text/plain", "XX"))).toBe(
      "--XX\r\nContent-Type: text/plain\r\nContent-Range: bytes 0-1/10\r\n\r\n01" +
        "\r\n--XX\r\nContent-Type: text/plain\r\nContent-Range: bytes 8-9/10\r\n\r\n89" +
        "\r\n--XX--\r\n",
    );
  });

  it("has no type where the response has none", () => {
    expect(text(multipartByteranges(bytes("01"), [{ start: 1, end: 1 }], undefined, "XX"))).toBe(
      "--XX\r\nContent-Range: bytes 1-1/2\r\n\r\n1\r\n--XX--\r\n",
    );
  });

  it("keeps every byte of the parts and of a type beyond ASCII", () => {
    const body = Uint8Array.from({ length: 256 }, (_, at) => at);
    const content = text(multipartByteranges(body, [{ start: 0, end: 255 }], "text/\u00fc", "XX"));
    expect(content).toContain("Content-Type: text/\u00fc\r\n");
    expect(content).toContain(text(body));
  });

  it("slices without a copy", () => {
    const body = bytes("0123456789");
    const part = sliceBody(body, { start: 3, end: 5 });
    expect(text(part)).toBe("345");
    expect(part.buffer).toBe(body.buffer);
  });
});

describe("the answer from a complete response (RFC 9110 §14.2)", () => {
  const fields: Fields = {
    "content-type": "text/plain",
    "content-length": "10",
    "content-digest": "sha-256=:x:",
    "cache-control": "max-age=60",
    "cdn-cache-control": "max-age=60",
    "access-control-allow-origin": "*",
    "last-modified": formatHttpDate(NOW_MS - 60_000),
    etag: '"a"',
    vary: "accept",
  };
  const stored = storedOf({ fields, body: bytes("0123456789") });
  const reply = (requestFields: Fields, given = {}) => rangeReply(requestFields, { ...stored, ...given }, NOW_MS, "XX");

  it("is one part with its own length", () => {
    const part = reply({ range: "bytes=2-4", "if-range": '"a"' });
    expect(part?.status).toBe(206);
    expect(text(part!.body)).toBe("234");
    expect({ ...part?.fields }).toEqual({
      "content-type": "text/plain",
      "content-length": "3",
      "content-range": "bytes 2-4/10",
      "cache-control": "max-age=60",
      "cdn-cache-control": "max-age=60",
      "access-control-allow-origin": "*",
      "last-modified": fields["last-modified"],
      etag: '"a"',
      vary: "accept",
    });
  });

  it("is several parts, each with the type of the response", () => {
    const parts = reply({ range: "bytes=0-0,-1" });
    expect(parts?.status).toBe(206);
    expect(parts?.fields["content-type"]).toBe("multipart/byteranges; boundary=XX");
    expect(parts?.fields["content-range"]).toBeUndefined();
    expect(parts?.fields["content-length"]).toBe(String(parts?.body.byteLength));
    expect(text(parts!.body)).toContain("Content-Type: text/plain\r\nContent-Range: bytes 9-9/10\r\n\r\n9\r\n");
  });

  it("is one plain part when several became one", () => {
    expect(reply({ range: "bytes=0-3,4-" })?.fields["content-range"]).toBe("bytes 0-9/10");
  });

  it("is a 416 that says the length and cannot be taken for the response", () => {
    const none = reply({ range: "bytes=10-" });
    expect(none?.status).toBe(416);
    expect(none?.body.byteLength).toBe(0);
    expect({ ...none?.fields }).toEqual({
      "content-range": "bytes */10",
      "content-length": "0",
      "access-control-allow-origin": "*",
      vary: "accept",
    });
  });

  it.each([
    { request: {}, given: {}, because: "nothing was asked" },
    { request: { range: "bytes=4-3" }, given: {}, because: "the field is malformed" },
    { request: { range: ["bytes=0-1", "bytes=2-3"] }, given: {}, because: "two fields are none" },
    { request: { range: "bytes=0-1", "if-range": '"b"' }, given: {}, because: "If-Range wants another one" },
    { request: { range: "bytes=99-", "if-range": '"b"' }, given: {}, because: "If-Range goes before 416" },
    { request: { range: "bytes=0-1" }, given: { status: 404 }, because: "it is no 200" },
    { request: { range: "bytes=0-1" }, given: { status: 203 }, because: "it is no 200" },
  ])("is the whole when $because", ({ request, given }) => {
    expect(reply(request, given)).toBeUndefined();
  });

  it("gives each asked byte in the parts of a multipart answer", () => {
    const body = fc.uint8Array({ minLength: 1, maxLength: 60 });
    const pair = fc.tuple(fc.nat({ max: 60 }), fc.nat({ max: 60 }));
    fc.assert(
      fc.property(body, fc.array(pair, { minLength: 1, maxLength: 4 }), (body, pairs) => {
        const range = `bytes=${pairs.map(([a, b]) => `${Math.min(a, b)}-${Math.max(a, b)}`).join()}`;
        const set = parseRangeField(range, body.byteLength);
        const given = rangeReply({ range }, { ...stored, body }, NOW_MS, "boundary-that-is-long-enough");
        if (set.kind !== "ranges") return set.kind === "ignore" ? given === undefined : given?.status === 416;
        const content = text(given!.body);
        const expected = set.ranges.map((range) => text(sliceBody(body, range)));
        if (set.ranges.length === 1) return content === expected[0];
        return JSON.stringify(partsOf(content, set.ranges, body.byteLength)) === JSON.stringify(expected);
      }),
    );
  });

  /** Takes the parts out by the lengths that their own `Content-Range` states. */
  function partsOf(content: string, ranges: readonly ByteRange[], length: number): string[] {
    return ranges.map((range) => {
      const line = `${contentRange(range, length)}\r\n\r\n`;
      const start = content.indexOf(line) + line.length;
      return content.slice(start, start + range.end - range.start + 1);
    });
  }
});
