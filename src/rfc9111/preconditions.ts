import type { Fields } from "../http.ts";
import { emptyFields, fieldLines, fieldValue, hasField, parseEntityTag, parseEntityTagList } from "./fields.ts";
import { parseHttpDate } from "./http-date.ts";

/**
 * Whether a GET or HEAD that is answered by reusing a stored response gets a 304 (RFC 9110 §13.2.2, RFC 9111 §4.3.2).
 *
 * `If-None-Match` is compared weakly, and while it is present `If-Modified-Since` counts for nothing. Without
 * `Last-Modified` the date compared is `Date`, then `receivedAtMs`, and a date of the client in the future is ignored, as is
 * one that does not parse. Only a 200 is ever "not modified". `If-Match` and `If-Unmodified-Since` are the origin's business.
 *
 * @example
 * evaluatePreconditions({ "if-none-match": 'W/"a", "b"' }, { status: 200, fields: { etag: '"a"' } }, Date.now())
 * // "not-modified"
 */
export function evaluatePreconditions(
  requestFields: Fields,
  stored: { readonly status: number; readonly fields: Fields; readonly receivedAtMs?: number },
  nowMs: number,
): "not-modified" | "send" {
  const madeMs = (): number | undefined => dateField(stored.fields, "date", nowMs) ?? stored.receivedAtMs;
  return holds(requestFields, stored, madeMs, nowMs) ? "not-modified" : "send";
}

/**
 * Whether a 200 that has just been made gets a 304, because its client holds it already (RFC 9110 §13.2.2).
 *
 * Only what the response itself says counts: one without `Last-Modified` is never unmodified since a date (§13.1.3).
 *
 * @param frameworkEtag the tag that clients were given where the response's own fields have none.
 */
export function isUnmodified(
  requestFields: Fields,
  { status, fields }: { readonly status: number; readonly fields: Fields },
  frameworkEtag: string | undefined,
  nowMs: number,
): boolean {
  const known = frameworkEtag === undefined ? fields : { ...fields, etag: frameworkEtag };
  return holds(requestFields, { status, fields: known }, undefined, nowMs);
}

/** `madeMs` gives the time that stands in for a missing `Last-Modified`, if any may. */
function holds(
  requestFields: Fields,
  { status, fields }: { readonly status: number; readonly fields: Fields },
  madeMs: (() => number | undefined) | undefined,
  nowMs: number,
): boolean {
  const asksByTag = hasField(requestFields, "if-none-match");
  if (!asksByTag && !hasField(requestFields, "if-modified-since")) return false;
  if (status !== 200) return false;
  return asksByTag ? knowsTag(requestFields, fields) : isUnmodifiedSince(requestFields, fields, madeMs, nowMs);
}

function knowsTag(requestFields: Fields, storedFields: Fields): boolean {
  const known = parseEntityTagList(fieldLines(requestFields, "if-none-match"));
  if (known === "*") return true;
  const etag = fieldValue(storedFields, "etag");
  const current = etag === undefined ? undefined : parseEntityTag(etag);
  if (current === undefined) return false;
  return known.some((tag) => tag.opaque === current.opaque); // RFC 9110 §8.8.3.2
}

function isUnmodifiedSince(
  requestFields: Fields,
  fields: Fields,
  madeMs: (() => number | undefined) | undefined,
  nowMs: number,
): boolean {
  const lines = fieldLines(requestFields, "if-modified-since");
  const line = lines[0];
  if (line === undefined || lines.length > 1) return false; // RFC 9110 §13.1.3: not one date is no date
  const sinceMs = parseHttpDate(line, nowMs);
  if (sinceMs === undefined) return false;
  const modifiedMs = dateField(fields, "last-modified", nowMs);
  if (modifiedMs !== undefined) return modifiedMs <= sinceMs;
  // A client whose clock is ahead would be told that it has what was made after its own copy.
  if (sinceMs > nowMs) return false;
  const madeAtMs = madeMs?.();
  return madeAtMs !== undefined && madeAtMs <= sinceMs;
}

function dateField(fields: Fields, name: string, nowMs: number): number | undefined {
  const line = fieldLines(fields, name)[0];
  return line === undefined ? undefined : parseHttpDate(line, nowMs);
}

/**
 * The fields of a 304 made from those of a stored 200 (RFC 9110 §15.4.5).
 *
 * What describes the representation goes, since the client has it: `Content-Type`, `Content-Length` and the like, and
 * `Last-Modified` where an `ETag` does its work. `Content-Location`, `Cache-Control`, `Vary`, CORS and security fields
 * stay. The result has no prototype.
 */
export function notModifiedFields(fields: Fields): Fields {
  const hasTag = hasField(fields, "etag");
  const kept = emptyFields();
  for (const name of Object.keys(fields)) {
    const value = fields[name];
    if (value === undefined || describesRepresentation(name)) continue;
    if (name === "last-modified" && hasTag) continue;
    kept[name] = value;
  }
  return kept;
}

function describesRepresentation(name: string): boolean {
  if (!name.startsWith("content-")) return name === "repr-digest" || name === "digest" || name === "trailer";
  return name !== "content-location" && !name.startsWith("content-security-policy");
}
