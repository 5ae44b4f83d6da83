import type { CacheRequest } from "../../http.ts";

/** Why a GET or HEAD must reach the handler untouched, or `undefined`. */
export function mustReachOrigin(request: CacheRequest): "request-body" | "precondition" | "range" | undefined {
  const { fields } = request;
  // Only bytes have a meaning that we know (RFC 9110 §14.1); others are between the client and the handler.
  if (fields["range"] !== undefined && !/^\s*bytes\s*=/i.test(String(fields["range"]))) return "range";
  // A body on GET can change the answer but is not in the key.
  const length = fields["content-length"];
  const hasContent = (length !== undefined && length !== "0") || fields["transfer-encoding"] !== undefined;
  if (hasContent && request.content === undefined) return "request-body";
  // These protect a change of the resource; only the origin knows its current state (RFC 9110 §13.1.1, §13.1.4).
  if (fields["if-match"] !== undefined || fields["if-unmodified-since"] !== undefined) return "precondition";
  return undefined;
}
