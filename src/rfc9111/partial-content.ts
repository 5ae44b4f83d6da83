import type { Fields, RangeReply } from "../http.ts";
import { emptyFields, fieldLines, fieldValue, hasField, parseEntityTag, trimWhitespace } from "./fields.ts";
import { contentRange, parseContentRange, parseRangeField, rangeApplies, singlePart, sliceBody } from "./ranges.ts";
import type { ByteRange, ContentRange } from "./ranges.ts";
import { freshenedFields } from "./validation.ts";

/** A 206 with its content. */
export interface PartialContent {
  readonly fields: Fields;
  readonly body: Uint8Array;
}

/**
 * True when a 206 holds exactly the one part it announces: one valid `Content-Range` as long as the body, and a
 * `Content-Length`, if any, that says the same.
 *
 * Only such a response may be cut or combined. Where field and bytes disagree, nobody knows which bytes they are.
 */
export function isWellFormedPartial(fields: Fields, bodyBytes: number): boolean {
  return partOf(fields, bodyBytes) !== undefined;
}

function partOf(fields: Fields, bodyBytes: number): ContentRange | undefined {
  const part = announcedPart(fields);
  if (part === undefined || part.end - part.start + 1 !== bodyBytes) return undefined;
  const length = fieldValue(fields, "content-length");
  return length === undefined || length === String(bodyBytes) ? part : undefined;
}

/** Length of the whole representation of which a 206 holds one part; `undefined` where it does not say. */
export function announcedLength(fields: Fields): number | undefined {
  return announcedPart(fields)?.completeBytes;
}

function announcedPart(fields: Fields): ContentRange | undefined {
  const lines = fieldLines(fields, "content-range");
  const line = lines[0];
  if (line === undefined || lines.length > 1 || isMultipart(fields)) return undefined;
  return parseContentRange(trimWhitespace(line));
}

function isMultipart(fields: Fields): boolean {
  const type = fieldValue(fields, "content-type");
  return type !== undefined && /^multipart\/byteranges(?:[ \t;]|$)/i.test(type);
}

/**
 * True when the head of a 206 says which part it is, or that it has several (RFC 9110 §15.3.7). Whether the body keeps
 * that promise is the question of {@link isWellFormedPartial}.
 */
export function announcesPart(fields: Fields): boolean {
  return isMultipart(fields) ? !hasField(fields, "content-range") : announcedPart(fields) !== undefined;
}

/**
 * The answer to a GET with `Range` from a stored 206, or `undefined` when it cannot give all that is asked
 * (RFC 9111 §3.3).
 *
 * `stored.rangeField` is the `Range` that the origin answered: the same text gets the same bytes again, whatever they are.
 * Any other single range must lie within a well-formed part, and is cut from it.
 *
 * @example
 * partialReply({ range: "bytes=6-8" }, { fields: { "content-range": "bytes 5-9/10" }, body, rangeField: "bytes=-5", receivedAtMs }, nowMs)
 * // { status: 206, fields: { "content-range": "bytes 6-8/10", "content-length": "3" }, body }
 */
export function partialReply(
  requestFields: Fields,
  stored: PartialContent & { readonly rangeField: string; readonly receivedAtMs: number },
  nowMs: number,
): RangeReply | undefined {
  const asked = fieldValue(requestFields, "range");
  if (asked === undefined || !rangeApplies(requestFields, stored, nowMs)) return undefined;
  const { fields, body } = stored;
  if (asked === stored.rangeField) return sameAgain(fields, body);

  const part = partOf(fields, body.byteLength);
  if (part === undefined) return undefined;
  const range = onlyRange(asked, part.completeBytes);
  if (range === undefined || range.start < part.start || range.end > part.end) return undefined;
  const within = { start: range.start - part.start, end: range.end - part.start };
  return singlePart(fields, sliceBody(body, within), contentRange(range, part.completeBytes));
}

function sameAgain(fields: Fields, body: Uint8Array): RangeReply {
  const length = { "content-length": String(body.byteLength) };
  return { status: 206, fields: Object.assign(emptyFields(), fields, length), body };
}

function onlyRange(asked: string, completeBytes: number | undefined): ByteRange | undefined {
  // Where the end is not known it is far away, so a suffix or an open range lies in no part.
  const set = parseRangeField(asked, completeBytes ?? Number.MAX_SAFE_INTEGER);
  return set.kind === "ranges" && set.ranges.length === 1 ? set.ranges[0] : undefined;
}

/**
 * Two parts of one representation as one response: 200 when they are all of it, else 206 (RFC 9111 §3.4, RFC 9110
 * §15.3.7.3). `undefined` when they must not be combined.
 *
 * Both must be well formed, with the same strong entity tag and content coding, lengths of the whole that agree, no gap
 * between them, and the same bytes where they overlap. The received fields replace the stored ones, as with a 304.
 */
export function combinePartials(
  stored: PartialContent,
  received: PartialContent,
): (PartialContent & { readonly status: 200 | 206 }) | undefined {
  if (!haveSameStrongTag(stored.fields, received.fields)) return undefined;
  if (fieldValue(stored.fields, "content-encoding") !== fieldValue(received.fields, "content-encoding"))
    return undefined;
  const a = partOf(stored.fields, stored.body.byteLength);
  const b = partOf(received.fields, received.body.byteLength);
  if (a === undefined || b === undefined) return undefined;

  const completeBytes = a.completeBytes ?? b.completeBytes;
  if (b.completeBytes !== undefined && b.completeBytes !== completeBytes) return undefined;
  const union = { start: Math.min(a.start, b.start), end: Math.max(a.end, b.end) };
  if (completeBytes !== undefined && union.end >= completeBytes) return undefined;
  const shared = { start: Math.max(a.start, b.start), end: Math.min(a.end, b.end) };
  if (shared.start > shared.end + 1 || !agreeOn(shared, stored.body, a.start, received.body, b.start)) return undefined;

  const body = new Uint8Array(union.end - union.start + 1);
  body.set(stored.body, a.start - union.start);
  body.set(received.body, b.start - union.start);
  const fields = Object.assign(emptyFields(), freshenedFields(stored.fields, received.fields));
  fields["content-length"] = String(body.byteLength);
  if (body.byteLength === completeBytes) {
    delete fields["content-range"];
    return { status: 200, fields, body };
  }
  fields["content-range"] = contentRange(union, completeBytes);
  return { status: 206, fields, body };
}

function haveSameStrongTag(a: Fields, b: Fields): boolean {
  const tagA = parseEntityTag(fieldValue(a, "etag") ?? "");
  const tagB = parseEntityTag(fieldValue(b, "etag") ?? "");
  if (tagA === undefined || tagB === undefined || tagA.weak || tagB.weak) return false;
  return tagA.opaque === tagB.opaque;
}

function agreeOn(shared: ByteRange, a: Uint8Array, startA: number, b: Uint8Array, startB: number): boolean {
  for (let at = shared.start; at <= shared.end; at++) {
    if (a[at - startA] !== b[at - startB]) return false;
  }
  return true;
}
