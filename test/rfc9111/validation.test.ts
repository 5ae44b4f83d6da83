import { describe, expect, it } from "vitest";

import { conditionalFields, freshenedFields, validates } from "../../src/rfc9111/index.ts";
import type { Fields } from "../../src/rfc9111/index.ts";
import { headOf, storedOf } from "./nouns.ts";

const OLD = "Sun, 06 Nov 1994 08:49:37 GMT";
const NEW = "Mon, 07 Nov 1994 08:49:37 GMT";

describe("conditional request to the origin (RFC 9111 §4.3.1)", () => {
  it.each<{ fields: Fields; hasOriginValidator: boolean; sent: Fields; because: string }>([
    {
      fields: { etag: 'W/"a"', "last-modified": OLD },
      hasOriginValidator: true,
      sent: { "if-none-match": 'W/"a"', "if-modified-since": OLD },
      because: "both validators",
    },
    { fields: { etag: '"a"' }, hasOriginValidator: true, sent: { "if-none-match": '"a"' }, because: "the tag" },
    {
      fields: { "last-modified": OLD },
      hasOriginValidator: true,
      sent: { "if-modified-since": OLD },
      because: "the date",
    },
    { fields: { etag: '"a"' }, hasOriginValidator: false, sent: {}, because: "the origin never saw our tag" },
    { fields: { etag: "a" }, hasOriginValidator: true, sent: {}, because: "a malformed tag is none" },
    { fields: {}, hasOriginValidator: true, sent: {}, because: "nothing is made up" },
  ])("$fields → $sent: $because", ({ fields, hasOriginValidator, sent }) => {
    expect({ ...conditionalFields(storedOf({ fields, hasOriginValidator })) }).toEqual(sent);
  });
});

describe("freshening (RFC 9111 §3.2)", () => {
  it("takes the new fields, keeps the others, and leaves alone what belongs to the stored bytes", () => {
    const stored: Fields = {
      etag: '"a"',
      "cache-control": "max-age=1",
      "content-type": "text/plain",
      "content-length": "5",
      "content-encoding": "gzip",
      "x-kept": "1",
      link: ["<a>", "<b>"],
    };
    const received: Fields = {
      etag: '"a"',
      "cache-control": "max-age=9",
      "content-type": "text/html",
      "content-length": "0",
      "content-encoding": "br",
      "content-range": "bytes 0-1/2",
      connection: "close, x-hop",
      "x-hop": "1",
      "transfer-encoding": "chunked",
      link: "<c>",
      "x-new": "2",
    };
    expect({ ...freshenedFields(stored, received) }).toEqual({
      etag: '"a"',
      "cache-control": "max-age=9",
      "content-type": "text/html",
      "content-length": "5",
      "content-encoding": "gzip",
      "x-kept": "1",
      link: "<c>",
      "x-new": "2",
    });
  });

  it("__proto__ is a field, and the arguments stay as they were", () => {
    const stored = JSON.parse('{"__proto__": "a"}') as Fields;
    const fresh = freshenedFields(stored, JSON.parse('{"__proto__": "b"}') as Fields);
    expect(Object.entries(fresh)).toEqual([["__proto__", "b"]]);
    expect(Object.entries(stored)).toEqual([["__proto__", "a"]]);
  });
});

describe("which stored response a 304 validates (RFC 9111 §4.3.4)", () => {
  it.each<{ stored: Fields; received: Fields; status?: number; valid: boolean; because: string }>([
    { stored: { etag: '"a"' }, received: { etag: '"a"' }, valid: true, because: "strong and equal" },
    { stored: { etag: '"a"' }, received: { etag: '"b"' }, valid: false, because: "another tag" },
    { stored: { etag: '"a"' }, received: { etag: 'W/"a"' }, valid: true, because: "a weak tag matches weakly" },
    { stored: { etag: 'W/"a"' }, received: { etag: 'W/"a"' }, valid: true, because: "both weak" },
    {
      stored: { etag: 'W/"a"' },
      received: { etag: '"a"' },
      valid: false,
      because: "a strong tag needs a strong match",
    },
    { stored: { "last-modified": OLD }, received: { etag: '"a"' }, valid: false, because: "there is no tag to match" },
    { stored: { "last-modified": OLD }, received: { "last-modified": OLD }, valid: true, because: "the same date" },
    { stored: { "last-modified": OLD }, received: { "last-modified": NEW }, valid: false, because: "another date" },
    {
      stored: { etag: '"a"', "last-modified": OLD },
      received: { etag: '"a"', "last-modified": NEW },
      valid: true,
      because: "the tag decides",
    },
    { stored: { etag: '"a"' }, received: {}, valid: true, because: "it answers our conditional request" },
    { stored: { etag: '"a"' }, received: { etag: '"a"' }, status: 200, valid: false, because: "not a 304" },
  ])("$status $stored, $received → $valid: $because", ({ stored, received, status, valid }) => {
    expect(validates(storedOf({ fields: stored }), headOf(received, status ?? 304))).toBe(valid);
  });
});
