import { fieldValue } from "../../rfc9111/fields.ts";
import type { Fields, ResponseHead, StoredResponse } from "../../http.ts";

/** True when the fields of a HEAD are about the response that is stored: same validators and length, as far as given. */
export function describesStored(fields: Fields, stored: StoredResponse): boolean {
  for (const name of ["etag", "last-modified"]) {
    const told = fieldValue(fields, name);
    if (told !== undefined && told !== fieldValue(stored.fields, name)) return false;
  }
  const lengthBytes = declaredLength(fields);
  return lengthBytes === undefined || lengthBytes === stored.body.byteLength;
}

/** An event stream has no end to wait for. */
export function isEndless(fields: Fields): boolean {
  return fieldValue(fields, "content-type")?.toLowerCase().startsWith("text/event-stream") === true;
}

/** What `Content-Length` says, if it says one number. */
export function declaredLength(fields: Fields): number | undefined {
  const declared = fieldValue(fields, "content-length");
  return declared === undefined || !/^\d{1,15}$/.test(declared) ? undefined : Number(declared);
}

/** `Cache-Status` of caches behind us, to which ours is added (RFC 9211 §2). */
export function upstreamStatus(head: ResponseHead): string | undefined {
  return fieldValue(head.fields, "cache-status");
}
