import type { Fields, RangeReply } from "../http.ts";
import {
  emptyFields,
  fieldLines,
  fieldValue,
  hasField,
  listMembers,
  parseEntityTag,
  trimWhitespace,
} from "./fields.ts";
import { parseHttpDate } from "./http-date.ts";
import { notModifiedFields } from "./preconditions.ts";

/** Positions of bytes in a representation, from 0, both included: 0 to 4 are five bytes (RFC 9110 §14.1.2). */
export interface ByteRange {
  readonly start: number;
  readonly end: number;
}

/** What a `Range` asks of a representation: nothing we honour, nothing it has, or these parts. */
export type RangeSet =
  | { readonly kind: "ignore" }
  | { readonly kind: "unsatisfiable" }
  | { readonly kind: "ranges"; readonly ranges: readonly ByteRange[] };

const IGNORE: RangeSet = Object.freeze({ kind: "ignore" });
const UNSATISFIABLE: RangeSet = Object.freeze({ kind: "unsatisfiable" });

// A short field must not become long work or a long answer (RFC 9110 §17.15, CVE-2011-3192).
const MAX_ASKED = 64;
const MAX_PARTS = 16;
const MAX_TIMES_COVERED = 2;

/**
 * The ranges that a `Range` field asks of a representation of `lengthBytes` (RFC 9110 §14.1.2, §14.2).
 *
 * Ranges that overlap or touch become one, in the place of the first of them; others keep their order. It says `ignore`,
 * which means the whole with 200, for a malformed field, another unit, more than 64 ranges, more than 16 that stay apart,
 * and ranges that together ask for more than twice the representation. The last bytes of an empty one are `ignore` too,
 * since no `Content-Range` can describe them.
 *
 * @example parseRangeField("bytes=0-1, -2", 10) // { kind: "ranges", ranges: [{ start: 0, end: 1 }, { start: 8, end: 9 }] }
 */
export function parseRangeField(value: string, lengthBytes: number): RangeSet {
  const equals = value.indexOf("=");
  if (equals === -1 || value.slice(0, equals).toLowerCase() !== "bytes") return IGNORE;
  const asked = listMembers([value.slice(equals + 1)]);
  if (asked.length === 0 || asked.length > MAX_ASKED) return IGNORE;

  const ranges: ByteRange[] = [];
  let askedBytes = 0;
  for (const text of asked) {
    const spec = parseRangeSpec(text);
    if (spec === undefined) return IGNORE;
    if (lengthBytes === 0 && spec.suffixBytes > 0) return IGNORE;
    const range = rangeWithin(spec, lengthBytes);
    if (range === undefined) continue;
    ranges.push(range);
    askedBytes += range.end - range.start + 1;
  }
  if (ranges.length === 0) return UNSATISFIABLE;
  if (askedBytes > MAX_TIMES_COVERED * lengthBytes) return IGNORE;
  const merged = ranges.length === 1 ? ranges : mergedRanges(ranges);
  return merged.length > MAX_PARTS ? IGNORE : { kind: "ranges", ranges: merged };
}

/** One member of the field: `first-last`, or the last `suffixBytes`. */
interface RangeSpec {
  readonly first: number;
  readonly last: number;
  readonly suffixBytes: number;
}

function parseRangeSpec(text: string): RangeSpec | undefined {
  const dash = text.indexOf("-");
  if (dash === -1) return undefined;
  const last = text.slice(dash + 1);
  if (dash === 0) {
    const suffixBytes = parsePosition(last);
    return suffixBytes === undefined ? undefined : { first: Infinity, last: Infinity, suffixBytes };
  }
  const first = parsePosition(text.slice(0, dash));
  const end = last === "" ? Infinity : parsePosition(last);
  if (first === undefined || end === undefined || end < first) return undefined;
  return { first, last: end, suffixBytes: 0 };
}

function rangeWithin(spec: RangeSpec, lengthBytes: number): ByteRange | undefined {
  const start = spec.suffixBytes > 0 ? Math.max(0, lengthBytes - spec.suffixBytes) : spec.first;
  if (start >= lengthBytes) return undefined;
  return { start, end: Math.min(spec.last, lengthBytes - 1) };
}

/** Digits and nothing else. No number of digits is an error (RFC 9110 §14.1.2), so a huge one is the largest we count. */
function parsePosition(text: string): number | undefined {
  return /^\d+$/.test(text) ? Math.min(Number(text), Number.MAX_SAFE_INTEGER) : undefined;
}

function mergedRanges(ranges: readonly ByteRange[]): readonly ByteRange[] {
  const byStart = ranges.map((range, place) => ({ ...range, place })).toSorted((a, b) => a.start - b.start);
  const merged: { start: number; end: number; place: number }[] = [];
  for (const range of byStart) {
    const last = merged[merged.length - 1];
    if (last === undefined || range.start > last.end + 1) {
      merged.push(range);
      continue;
    }
    last.end = Math.max(last.end, range.end);
    last.place = Math.min(last.place, range.place);
  }
  return merged.toSorted((a, b) => a.place - b.place).map(({ start, end }) => ({ start, end }));
}

/**
 * True when `If-Range` is absent or names the stored representation, so `Range` counts (RFC 9110 §13.1.5).
 *
 * An entity tag must be strong and equal. A date must be that of `Last-Modified`, and old enough to be strong: at least
 * a second before the response was made (§8.8.2.2), which `receivedAtMs` tells where `Date` does not.
 *
 * @example rangeApplies({ "if-range": 'W/"a"' }, { fields: { etag: 'W/"a"' }, receivedAtMs }, nowMs) // false
 */
export function rangeApplies(
  requestFields: Fields,
  stored: { readonly fields: Fields; readonly receivedAtMs: number },
  nowMs: number,
): boolean {
  const lines = fieldLines(requestFields, "if-range");
  const line = lines[0];
  if (line === undefined) return true;
  if (lines.length > 1) return false;
  const condition = trimWhitespace(line);
  const asked = parseEntityTag(condition);
  if (asked !== undefined) return !asked.weak && asked.opaque === strongTag(stored.fields);

  const askedMs = parseHttpDate(condition, nowMs);
  const modifiedMs = dateField(stored.fields, "last-modified", nowMs);
  if (askedMs === undefined || askedMs !== modifiedMs) return false;
  const madeMs = dateField(stored.fields, "date", nowMs) ?? stored.receivedAtMs;
  return madeMs - modifiedMs >= 1000;
}

/** Opaque part of the response's entity tag, or `undefined` when it has none or a weak one. */
function strongTag(fields: Fields): string | undefined {
  const tag = parseEntityTag(fieldValue(fields, "etag") ?? "");
  return tag === undefined || tag.weak ? undefined : tag.opaque;
}

function dateField(fields: Fields, name: string, nowMs: number): number | undefined {
  const line = fieldLines(fields, name)[0];
  return line === undefined ? undefined : parseHttpDate(line, nowMs);
}

/**
 * `Content-Range` of a part; `completeBytes` is `undefined` when the length of the whole is not known (RFC 9110 §14.4).
 *
 * @example contentRange({ start: 0, end: 4 }, 10) // "bytes 0-4/10"
 */
export function contentRange(range: ByteRange, completeBytes: number | undefined): string {
  return `bytes ${range.start}-${range.end}/${completeBytes ?? "*"}`;
}

/** `Content-Range` of a 416: what length there would have been (RFC 9110 §15.5.17). */
export function unsatisfiedContentRange(lengthBytes: number): string {
  return `bytes */${lengthBytes}`;
}

/** The part a `Content-Range` describes. */
export interface ContentRange extends ByteRange {
  /** Length of the whole representation; `undefined` for `*`. */
  readonly completeBytes: number | undefined;
}

const CONTENT_RANGE = /^bytes (\d{1,16})-(\d{1,16})\/(?:(\d{1,16})|\*)$/i;

/**
 * Reads a `Content-Range` with a part in it; `undefined` for another unit, for `bytes *` and a length, and for one that
 * contradicts itself, which invalidates the field (RFC 9110 §14.4).
 *
 * @example parseContentRange("bytes 0-4/10") // { start: 0, end: 4, completeBytes: 10 }
 */
export function parseContentRange(value: string): ContentRange | undefined {
  const match = CONTENT_RANGE.exec(value);
  if (match === null) return undefined;
  const start = Number(match[1]);
  const end = Number(match[2]);
  const completeBytes = match[3] === undefined ? undefined : Number(match[3]);
  if (end < start || !Number.isSafeInteger(end)) return undefined;
  if (completeBytes !== undefined && (completeBytes <= end || !Number.isSafeInteger(completeBytes))) return undefined;
  return { start, end, completeBytes };
}

/** The bytes of a range: a view, not a copy. */
export function sliceBody(body: Uint8Array, range: ByteRange): Uint8Array {
  return body.subarray(range.start, range.end + 1);
}

/**
 * The content of a 206 with several parts (RFC 9110 §14.6). Its own type is `multipart/byteranges; boundary=` and
 * `boundary`, a token of at most 70 characters that must not occur in the body.
 */
export function multipartByteranges(
  body: Uint8Array,
  ranges: readonly ByteRange[],
  contentType: string | undefined,
  boundary: string,
): Uint8Array {
  const typeLine = contentType === undefined ? "" : `Content-Type: ${contentType}\r\n`;
  const pieces: Uint8Array[] = [];
  for (const range of ranges) {
    const before = pieces.length === 0 ? "" : "\r\n";
    const rangeLine = `Content-Range: ${contentRange(range, body.byteLength)}\r\n`;
    pieces.push(latin1(`${before}--${boundary}\r\n${typeLine}${rangeLine}\r\n`), sliceBody(body, range));
  }
  pieces.push(latin1(`\r\n--${boundary}--\r\n`));
  return joined(pieces);
}

/** Field values are bytes, one for each character (RFC 9110 §5.5). */
function latin1(text: string): Uint8Array {
  return Uint8Array.from(text, (character) => character.charCodeAt(0));
}

function joined(pieces: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(pieces.reduce((bytes, piece) => bytes + piece.byteLength, 0));
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece, at);
    at += piece.byteLength;
  }
  return whole;
}

/**
 * The answer to a GET with `Range` from a complete stored 200: 206 with the parts, 416, or `undefined` when the whole is
 * to be sent (RFC 9110 §14.2, §15.3.7, §15.5.17).
 *
 * Ask for GET only, and after `evaluatePreconditions`: a 304 goes before (§13.2.2). A 416 keeps no field that
 * describes the stored response or lets it be cached.
 *
 * @example
 * rangeReply({ range: "bytes=0-1" }, stored, nowMs, boundary) // { status: 206, fields: { "content-range": "bytes 0-1/10", … }, body }
 */
export function rangeReply(
  requestFields: Fields,
  stored: {
    readonly status: number;
    readonly fields: Fields;
    readonly body: Uint8Array;
    readonly receivedAtMs: number;
  },
  nowMs: number,
  boundary: string,
): RangeReply | undefined {
  if (!hasField(requestFields, "range") || stored.status !== 200) return undefined;
  const { body, fields } = stored;
  const asked = parseRangeField(fieldValue(requestFields, "range") ?? "", body.byteLength);
  if (asked.kind === "ignore" || !rangeApplies(requestFields, stored, nowMs)) return undefined;
  if (asked.kind === "unsatisfiable") return unsatisfiableReply(fields, body.byteLength);

  const [first, ...others] = asked.ranges;
  if (first === undefined) return undefined;
  if (others.length === 0) return singlePart(fields, sliceBody(body, first), contentRange(first, body.byteLength));
  const parts = multipartByteranges(body, asked.ranges, fieldValue(fields, "content-type"), boundary);
  const reply = partFields(fields, parts.byteLength);
  reply["content-type"] = `multipart/byteranges; boundary=${boundary}`;
  return { status: 206, fields: reply, body: parts };
}

/** @internal */
export function singlePart(fields: Fields, part: Uint8Array, contentRangeText: string): RangeReply {
  const reply = partFields(fields, part.byteLength);
  reply["content-range"] = contentRangeText;
  return { status: 206, fields: reply, body: part };
}

/** Digests of the content that was stored: they are wrong for any other (RFC 9530 §2). `Repr-Digest` stays right. */
const BOUND_TO_CONTENT: ReadonlySet<string> = new Set([
  "content-digest",
  "content-length",
  "content-md5",
  "content-range",
]);

function partFields(fields: Fields, partBytes: number): Record<string, string | readonly string[]> {
  const kept = emptyFields();
  for (const name of Object.keys(fields)) {
    const value = fields[name];
    if (value !== undefined && !BOUND_TO_CONTENT.has(name)) kept[name] = value;
  }
  kept["content-length"] = String(partBytes);
  return kept;
}

/** What speaks of the stored response itself. A cache behind us must not take a 416 for fresh. */
const NOT_IN_416: ReadonlySet<string> = new Set([
  "age",
  "cache-groups",
  "content-location",
  "etag",
  "expires",
  "last-modified",
  "no-vary-search",
  "set-cookie",
]);

const NO_BODY = new Uint8Array(0);

function unsatisfiableReply(fields: Fields, lengthBytes: number): RangeReply {
  const kept = emptyFields();
  for (const [name, value] of Object.entries(notModifiedFields(fields))) {
    if (value !== undefined && !NOT_IN_416.has(name) && !name.endsWith("cache-control")) kept[name] = value;
  }
  kept["content-range"] = unsatisfiedContentRange(lengthBytes);
  kept["content-length"] = "0";
  return { status: 416, fields: kept, body: NO_BODY };
}
