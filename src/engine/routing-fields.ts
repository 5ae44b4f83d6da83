import type { Fields } from "../types.ts";

/**
 * Request fields that frameworks and proxies let decide which resource is meant, or under which name. A stranger can send
 * any of them, so what they say is in the key: a response made under one of them answers only requests that say the same.
 */
const ROUTING_FIELDS = [
  "x-forwarded-host",
  "x-forwarded-proto",
  "x-forwarded-protocol",
  "x-forwarded-port",
  "x-forwarded-prefix",
  "x-forwarded-path",
  "x-forwarded-uri",
  "x-forwarded-server",
  "x-forwarded-scheme",
  "x-forwarded-ssl",
  "front-end-https",
  "x-url-scheme",
  "x-scheme",
  "x-host",
  "x-original-host",
  "x-original-url",
  "x-original-uri",
  "x-rewrite-url",
  "x-http-host-override",
  "x-http-method-override",
  "x-http-method",
  "x-method-override",
  "x-http-path-override",
  "x-matched-path",
  "x-invoke-path",
  "x-middleware-prefetch",
  "x-nextjs-data",
  "rsc",
  "next-router-prefetch",
  "next-router-state-tree",
] as const;

/** Host and scheme of RFC 7239 `Forwarded`; its `for` names the client and would give each its own key. */
const FORWARDED_PARAMETERS = /(?:^|[;,])\s*(?:host|proto)\s*=\s*(?:"[^"]*"|[^;,\s]*)/gi;

/** One text of all routing fields present, empty for a request without any. */
export function routingPart(fields: Fields): string {
  let part = "";
  for (const name of ROUTING_FIELDS) {
    const value = fields[name];
    if (value !== undefined) part += pair(name, typeof value === "string" ? value : JSON.stringify(value));
  }
  const forwarded = fields["forwarded"];
  if (forwarded !== undefined) {
    const named = String(forwarded).match(FORWARDED_PARAMETERS);
    if (named !== null) part += pair("forwarded", named.join(""));
  }
  return part;
}

/** Length-prefixed, so that no value can pass for another pair. */
function pair(name: string, value: string): string {
  return `${name}=${value.length}:${value};`;
}
