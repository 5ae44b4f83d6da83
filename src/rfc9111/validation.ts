import type { Fields, ResponseHead, StoredResponse } from "../http.ts";
import { emptyFields, endToEndFields, fieldValue, hasField, parseEntityTag } from "./fields.ts";

const NO_FIELDS: Fields = Object.freeze(emptyFields());

/**
 * The fields that make a request to the origin conditional: `If-None-Match` and `If-Modified-Since`, from the stored
 * validators (RFC 9111 §4.3.1). None when the validator is one that we made ourselves, or when it is malformed.
 *
 * @example conditionalFields(stored) // { "if-none-match": '"v1"', "if-modified-since": "Sun, 06 Nov 1994 08:49:37 GMT" }
 */
export function conditionalFields(stored: StoredResponse): Fields {
  if (!stored.hasOriginValidator) return NO_FIELDS;
  const etag = fieldValue(stored.fields, "etag");
  const lastModified = fieldValue(stored.fields, "last-modified");
  const fields = emptyFields();
  if (etag !== undefined && parseEntityTag(etag) !== undefined) fields["if-none-match"] = etag;
  if (lastModified !== undefined && lastModified !== "") fields["if-modified-since"] = lastModified;
  return fields;
}

/** What says how the stored bytes are to be read: a 304 must not change it under them (RFC 9111 §3.2). */
const BOUND_TO_BODY: ReadonlySet<string> = new Set(["content-encoding", "content-length", "content-range"]);

/**
 * The stored fields after a 304: those of the 304 replace them, the others stay (RFC 9111 §3.2).
 *
 * Never taken from a 304: fields that end at the next hop, and `Content-Length`, `Content-Encoding` and `Content-Range`,
 * which belong to the stored bytes. The result has no prototype.
 */
export function freshenedFields(stored: Fields, received304: Fields): Fields {
  const fresh = emptyFields();
  for (const name of Object.keys(stored)) {
    const value = stored[name];
    if (value !== undefined) fresh[name] = value;
  }
  const received = endToEndFields(received304);
  for (const name of Object.keys(received)) {
    const value = received[name];
    if (value !== undefined && !BOUND_TO_BODY.has(name)) fresh[name] = value;
  }
  return fresh;
}

/**
 * True when a 304 speaks of this stored response (RFC 9111 §4.3.4).
 *
 * A strong entity tag in the 304 must match strongly, a weak one weakly, a `Last-Modified` without a tag exactly. A 304
 * without a validator answers our own conditional request, so it validates what that request named.
 */
export function validates(stored: StoredResponse, head304: ResponseHead): boolean {
  if (head304.status !== 304) return false;
  if (hasField(head304.fields, "etag")) return matchesTag(stored.fields, head304.fields);
  if (hasField(head304.fields, "last-modified")) {
    return fieldValue(stored.fields, "last-modified") === fieldValue(head304.fields, "last-modified");
  }
  return true;
}

function matchesTag(storedFields: Fields, receivedFields: Fields): boolean {
  const storedText = fieldValue(storedFields, "etag");
  const receivedText = fieldValue(receivedFields, "etag");
  if (storedText === receivedText) return true;
  const storedTag = parseEntityTag(storedText ?? "");
  const receivedTag = parseEntityTag(receivedText ?? "");
  if (storedTag === undefined || receivedTag === undefined) return false;
  if (storedTag.opaque !== receivedTag.opaque) return false;
  return !storedTag.weak || receivedTag.weak; // RFC 9110 §8.8.3.2
}
