import * as fc from "fast-check";
import { describe, expect, it } from "vitest";

import {
  endToEndFields,
  fieldLines,
  fieldValue,
  hasField,
  isFieldName,
  isFieldValue,
  listMembers,
  parseEntityTag,
  parseEntityTagList,
} from "../../src/rfc9111/index.ts";
import type { Fields } from "../../src/rfc9111/index.ts";
import { elapsedMs, LINEAR_CEILING_MS, MEGABYTE } from "./nouns.ts";

describe("reading fields", () => {
  it.each([
    { fields: { age: "7" }, value: "7", lines: ["7"], because: "one line is a text" },
    { fields: { age: ["7", "8"] }, value: "7, 8", lines: ["7", "8"], because: "lines are joined with a comma" },
    { fields: { age: "" }, value: "", lines: [""], because: "empty is not absent" },
    { fields: { age: [] }, value: undefined, lines: [], because: "no lines means absent" },
    { fields: { age: undefined }, value: undefined, lines: [], because: "undefined means absent" },
    { fields: {}, value: undefined, lines: [], because: "it is absent" },
  ])("$fields → $value: $because", ({ fields, value, lines }) => {
    expect(fieldValue(fields, "age")).toBe(value);
    expect(fieldLines(fields, "age")).toEqual(lines);
    expect(hasField(fields, "age")).toBe(value !== undefined);
  });

  it.each(["__proto__", "constructor", "toString", "hasOwnProperty"])("%s of the prototype is no field", (name) => {
    expect(fieldValue({}, name)).toBeUndefined();
    expect(fieldLines({}, name)).toEqual([]);
    expect(hasField({}, name)).toBe(false);
  });
});

describe("list members (RFC 9110 §5.6.1)", () => {
  it.each([
    { lines: ["a, b"], members: ["a", "b"], because: "commas divide" },
    { lines: ["a", "b,c"], members: ["a", "b", "c"], because: "lines are one list" },
    { lines: [",, a ,\t,\tb\t,"], members: ["a", "b"], because: "whitespace and empty members drop" },
    { lines: ['a="x,y", b'], members: ['a="x,y"', "b"], because: "a quoted comma is data" },
    { lines: ['a="x\\",y", b'], members: ['a="x\\",y"', "b"], because: "an escaped quote does not close" },
    { lines: ['a="x, no-store'], members: ['a="x', "no-store"], because: "an open quote hides nothing" },
    { lines: ['a="x', 'b"'], members: ['a="x', 'b"'], because: "a quote does not reach the next line" },
    { lines: [""], members: [], because: "an empty line has no members" },
    { lines: [], members: [], because: "no lines, no members" },
  ])("$lines → $members: $because", ({ lines, members }) => {
    expect(listMembers(lines)).toEqual(members);
  });

  it.each([",", '"', '\\"', '",', 'a,"', ' "a", ', '"\\', "a "])("a megabyte of %j is read in linear time", (unit) => {
    const line = unit.repeat(MEGABYTE / unit.length);
    expect(elapsedMs(() => listMembers([line]))).toBeLessThan(LINEAR_CEILING_MS);
    expect(elapsedMs(() => parseEntityTagList([line]))).toBeLessThan(LINEAR_CEILING_MS);
  });

  it("keeps plain tokens whatever lines they are spread over", () => {
    const token = fc.stringMatching(/^[a-z0-9-]{1,8}$/);
    fc.assert(
      fc.property(fc.array(fc.array(token)), (lists) => {
        expect(listMembers(lists.map((list) => list.join(" ,\t")))).toEqual(lists.flat());
      }),
    );
  });
});

describe("what may stand in a message", () => {
  it.each([
    { text: "x-a_b.c~1", ok: true },
    { text: "!#$%&'*+-.^_`|~", ok: true },
    { text: "__proto__", ok: true },
    { text: "", ok: false },
    { text: "a b", ok: false },
    { text: "a:", ok: false },
    { text: "ü", ok: false },
    { text: "a\n", ok: false },
  ])("field name $text → $ok", ({ text, ok }) => {
    expect(isFieldName(text)).toBe(ok);
  });

  it.each([
    { text: "", ok: true },
    { text: "a\tb", ok: true },
    { text: "\u00fc\u0080\u00ff", ok: true },
    { text: "a\r\nset-cookie: x", ok: false },
    { text: "a\nb", ok: false },
    { text: "a\0b", ok: false },
    { text: "\u007f", ok: false },
    { text: "\u0100", ok: false },
    { text: "\u{1f600}", ok: false },
  ])("field value $text → $ok", ({ text, ok }) => {
    expect(isFieldValue(text)).toBe(ok);
  });
});

describe("end-to-end fields (RFC 9111 §3.1)", () => {
  it("drops what ends at the next hop and what Connection names, and keeps the rest", () => {
    const fields: Fields = {
      connection: ["close, X-Hop", "x-other"],
      "keep-alive": "timeout=5",
      "proxy-authenticate": "Basic",
      "proxy-authentication-info": "x",
      "proxy-authorization": "x",
      "proxy-connection": "close",
      te: "trailers",
      trailer: "x",
      "transfer-encoding": "chunked",
      upgrade: "h2c",
      "x-hop": "1",
      "x-other": "2",
      etag: '"a"',
      link: ["<a>", "<b>"],
    };
    expect({ ...endToEndFields(fields) }).toEqual({ etag: '"a"', link: ["<a>", "<b>"] });
  });

  it("a field named __proto__ or constructor is kept as a field and nothing else", () => {
    const fields = JSON.parse('{"__proto__": "a", "constructor": "b", "etag": "c"}') as Fields;
    const kept = endToEndFields(fields);
    expect(Object.keys(kept)).toEqual(["__proto__", "constructor", "etag"]);
    expect(fieldValue(kept, "__proto__")).toBe("a");
    expect(Object.getPrototypeOf(kept)).toBeNull();
  });
});

describe("entity tags (RFC 9110 §8.8.3)", () => {
  it.each([
    { text: '"a"', tag: { weak: false, opaque: "a" }, because: "quoted is strong" },
    { text: 'W/"a"', tag: { weak: true, opaque: "a" }, because: "W/ is weak" },
    { text: '""', tag: { weak: false, opaque: "" }, because: "it may be empty" },
    {
      text: '"a,\\b\u00fc"',
      tag: { weak: false, opaque: "a,\\b\u00fc" },
      because: "comma, backslash, obs-text are text",
    },
    { text: 'w/"a"', tag: undefined, because: "the W is upper-case" },
    { text: "a", tag: undefined, because: "it has no quotes" },
    { text: '"a', tag: undefined, because: "it does not close" },
    { text: '"', tag: undefined, because: "one quote is not two" },
    { text: 'W/"', tag: undefined, because: "one quote is not two" },
    { text: '"a b"', tag: undefined, because: "a space is not allowed" },
    { text: '"a"b"', tag: undefined, because: "a quote is not allowed" },
    { text: ' "a"', tag: undefined, because: "whitespace is not part of it" },
    { text: "", tag: undefined, because: "nothing is no tag" },
  ])("$text: $because", ({ text, tag }) => {
    expect(parseEntityTag(text)).toEqual(tag);
  });

  const a = { weak: false, opaque: "a" };
  const b = { weak: true, opaque: "b" };
  it.each([
    { lines: ['"a", W/"b"'], tags: [a, b], because: "it is a list" },
    { lines: ['"a"', 'W/"b"'], tags: [a, b], because: "over several lines" },
    { lines: [',"a",,\tW/"b" ,'], tags: [a, b], because: "with empty members" },
    { lines: ['"x,y"'], tags: [{ weak: false, opaque: "x,y" }], because: "a comma inside is text" },
    { lines: ['"x\\", "a"'], tags: [{ weak: false, opaque: "x\\" }, a], because: "a backslash escapes nothing" },
    { lines: ['x, "a", "y z", "q"r, W/"b"'], tags: [a, b], because: "malformed members are skipped" },
    { lines: ['"open'], tags: [], because: "an open quote is no tag" },
    { lines: [" * "], tags: "*", because: "alone it means any" },
    { lines: ['*, "a"'], tags: [a], because: "among others a star is malformed" },
    { lines: ["*, x"], tags: [], because: "among others a star is malformed" },
    { lines: [""], tags: [], because: "nothing is no tag" },
  ])("$lines: $because", ({ lines, tags }) => {
    expect(parseEntityTagList(lines)).toEqual(tags);
  });

  it("never throws, and returns only tags of the grammar", () => {
    const line = fc.string({ unit: fc.constantFrom('"', ",", "W", "/", "*", " ", "a", "\\", "\u00fc", "\u0100") });
    fc.assert(
      fc.property(fc.array(line), (lines) => {
        const tags = parseEntityTagList(lines);
        if (tags === "*") return;
        for (const tag of tags) expect(parseEntityTag(`"${tag.opaque}"`)).toEqual({ weak: false, opaque: tag.opaque });
      }),
    );
  });
});
