import type { Fields } from "../types.ts";

/**
 * Request fields that frameworks and proxies let decide which resource is meant, or under which name. A stranger can send
 * any of them, so what they say is in the key: a response made under one of them answers only requests that say the same.
 */
const ROUTING_FIELDS: ReadonlySet<string> = new Set([
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
  "x-now-route-matches",
  "x-react-router-spa-mode",
  "x-react-router-prerender-data",
  "rsc",
  "next-router-prefetch",
  "next-router-state-tree",
]);

/** Host and scheme of RFC 7239 `Forwarded`; its `for` names the client and would give each its own key. */
const FORWARDED_PARAMETERS = /(?:^|[;,])\s*(?:host|proto)\s*=\s*(?:"[^"]*"|[^;,\s]*)/gi;

/** First letters of those names and of `forwarded`: one look tells that most fields are none of them. */
const FIRST_LETTERS: ReadonlySet<number> = new Set(["x", "f", "r", "n"].map((letter) => letter.charCodeAt(0)));

/** One text of all routing fields present, empty for a request without any. Runs on every hit. */
export function routingPart(fields: Fields): string {
  let parts: string[] | undefined;
  // Faster than Object.keys; a field that was inherited would be in the key, which does no harm.
  for (const name in fields) {
    if (!FIRST_LETTERS.has(name.charCodeAt(0))) continue;
    const value = ROUTING_FIELDS.has(name) ? fields[name] : name === "forwarded" ? forwardedNames(fields) : undefined;
    if (value === undefined) continue;
    parts ??= [];
    parts.push(pair(name, typeof value === "string" ? value : JSON.stringify(value)));
  }
  return parts === undefined ? "" : parts.toSorted().join("");
}

function forwardedNames(fields: Fields): string | undefined {
  return String(fields["forwarded"]).match(FORWARDED_PARAMETERS)?.join("");
}

/** Length-prefixed, so that no value can pass for another pair. */
function pair(name: string, value: string): string {
  return `${name}=${value.length}:${value};`;
}
