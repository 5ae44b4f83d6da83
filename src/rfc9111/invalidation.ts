import type { CacheRequest, ResponseHead } from "../http.ts";
import { fieldLines } from "./fields.ts";

const SAFE_METHODS: ReadonlySet<string> = new Set(["GET", "HEAD", "OPTIONS", "TRACE", "QUERY"]);

const NO_URIS: readonly string[] = Object.freeze([]);

/** True for a method that asks for no change (RFC 9110 §9.2.1, RFC 10008). One that we do not know is not safe. */
export function isSafeMethod(method: string): boolean {
  return SAFE_METHODS.has(method);
}

/**
 * The URIs an unsafe request makes invalid when it succeeds with 2xx or 3xx: its own target, and what `Location` and
 * `Content-Location` name on the same origin (RFC 9111 §4.4).
 *
 * Each is absolute, without a fragment, and begins with the request's own `scheme://authority`. The first is the target
 * exactly as it was sent. Another origin's URI is never among them: nobody may empty a neighbour's cache.
 *
 * @example
 * invalidatedUris({ method: "POST", scheme: "https", authority: "a.example", path: "/users", fields: {} },
 *   { status: 201, fields: { location: "users/7" } })
 * // ["https://a.example/users", "https://a.example/users/7"]
 */
export function invalidatedUris(request: CacheRequest, head: ResponseHead): readonly string[] {
  if (isSafeMethod(request.method)) return NO_URIS;
  if (head.status < 200 || head.status > 399) return NO_URIS;
  const base = `${request.scheme}://${request.authority}`;
  const uris = new Set([base + request.path]);
  for (const name of ["location", "content-location"]) {
    for (const line of fieldLines(head.fields, name)) {
      const uri = resolveOnOrigin(line, base, request.path);
      if (uri !== undefined) uris.add(uri);
    }
  }
  return [...uris];
}

function resolveOnOrigin(reference: string, base: string, path: string): string | undefined {
  try {
    const target = new URL(base + path);
    const resolved = new URL(reference, target);
    if (resolved.origin !== target.origin || resolved.origin === "null") return undefined;
    // In the request's own words, since those are in the keys: URL drops a default port.
    return base + resolved.pathname + resolved.search;
  } catch {
    return undefined;
  }
}
