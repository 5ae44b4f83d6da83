import type { Fields } from "../../http.ts";

/*
 * Request fields that frameworks, servers and proxies act on by themselves: they decide which resource is meant, under
 * which name, or whether a page or a fragment of it is the answer. A stranger can send any of them, so what they say is in
 * the key: a response made under one of them answers only requests that say the same. docs/security.md lists them all.
 *
 * Not here is what differs from client to client and would give each its own key: addresses (`x-forwarded-for`), ids of
 * requests and traces, locations and devices (`cf-ipcountry`, `cloudfront-is-mobile-viewer`), hints (`save-data`). Nor what
 * only an application of its own acts on (`x-tenant`). A handler that reads one of those names it in `vary` or in `Vary`.
 */

/** Host, scheme and path as a proxy in front says they were. */
const SENT_TO_A_PROXY: readonly string[] = [
  "x-forwarded-host",
  "x-forwarded-proto",
  "x-forwarded-protocol",
  "x-forwarded-port",
  "x-forwarded-prefix",
  "x-forwarded-path",
  "x-forwarded-pathbase",
  "x-forwarded-uri",
  "x-forwarded-url",
  "x-forwarded-method",
  "x-forwarded-server",
  "x-forwarded-scheme",
  "x-forwarded-ssl",
  "x-forwarded-https",
  "front-end-https",
  "x-url-scheme",
  "x-scheme",
  "x-proto",
  "x-protocol",
  "x-host",
  "x-real-host",
  "x-backend-host",
  "x-proxy-host",
  "x-original-host",
  "x-original-proto",
  "x-original-scheme",
  "x-original-method",
  "x-original-prefix",
  "x-original-path",
  "x-original-url",
  "x-original-uri",
  "x-rewrite-url",
  "x-rewrite-uri",
  "x-rewrite-path",
  "x-replaced-path",
  "x-script-name",
  "x-base-path",
  "x-path-prefix",
  "x-ingress-path",
  "x-auth-request-redirect",
  "x-envoy-original-path",
  "x-envoy-original-host",
  "x-envoy-original-method",
  "x-arr-ssl",
  "x-appservice-proto",
  "x-ms-original-url",
  "x-waws-unencoded-url",
  "disguised-host",
  "cloudfront-forwarded-proto",
  "cf-visitor",
  "fastly-ssl",
  "fastly-orig-host",
  "x-fh-requested-host",
  "x-appengine-https",
  "x-netlify-original-pathname",
  "x-netlify-original-search",
  "wl-proxy-ssl",
];

/** Another host, method, path or version than those of the request line. */
const OVERRIDES: readonly string[] = [
  "x-http-host-override",
  "x-http-method-override",
  "x-http-method",
  "x-method-override",
  "x-http-path-override",
  "accept-version",
];

/** Parts of pages, data instead of pages, and what is fetched ahead. */
const FRAGMENTS: readonly string[] = [
  "x-matched-path",
  "x-now-route-matches",
  "x-prerender",
  "x-prerender-revalidate",
  "x-prerender-revalidate-if-generated",
  "x-server-id",
  "x-server-instance",
  "rsc",
  "turbo-frame",
  "datastar-request",
  "x-requested-with",
  "x-barba",
  "surrogate-capability",
  "purpose",
  "sec-purpose",
  "x-purpose",
  "x-moz",
];

/** Fields of one framework, all that begin like this. */
const FAMILIES: readonly string[] = [
  "hx-",
  "next-",
  "x-alpine-",
  "x-astro-",
  "x-inertia",
  "x-invoke-",
  "x-livewire",
  "x-middleware-",
  "x-next-",
  "x-nextjs-",
  "x-nitro-",
  "x-nuxt-",
  "x-october-request-",
  "x-pjax",
  "x-react-router-",
  "x-remix-",
  "x-sveltekit-",
  "x-tsr-",
  "x-up-",
  "x-winter-request-",
];

/** Only its host and scheme: its `for` names the client. */
const FORWARDED = "forwarded";

/** Host and scheme of RFC 7239 `Forwarded`. */
const FORWARDED_PARAMETERS = /(?:^|[;,])\s*(?:host|proto)\s*=\s*(?:"[^"]*"|[^;,\s]*)/gi;

const NAMES: readonly string[] = [...SENT_TO_A_PROXY, ...OVERRIDES, ...FRAGMENTS, FORWARDED];

/** Longer names count as this long. */
const LONGEST = 31;

/** By first letter, a bit for each length such a name can have: one look tells that most fields are none of them. */
const LENGTHS: Uint32Array = lengthsByFirstLetter();

function lengthsByFirstLetter(): Uint32Array {
  const lengths = new Uint32Array(128);
  const add = (name: string, length: number): void => {
    const letter = name.charCodeAt(0);
    lengths[letter] = (lengths[letter] ?? 0) | (1 << Math.min(length, LONGEST));
  };
  for (const name of NAMES) add(name, name.length);
  for (const family of FAMILIES) for (let length = family.length; length <= LONGEST; length += 1) add(family, length);
  return lengths;
}

const EXACT: ReadonlySet<string> = new Set(NAMES);

/** Names that passed the look at letter and length, and whether they are routing fields. Bounded: a client makes names up. */
const judged = new Map<string, boolean>();
const MOST_JUDGED = 500;

/** One text of all routing fields present, empty for a request without any. Runs on every hit. */
export function routingPart(fields: Fields): string {
  let parts: string[] | undefined;
  // Faster than Object.keys; a field that was inherited would be in the key, which does no harm.
  for (const name in fields) {
    const lengths = LENGTHS[name.charCodeAt(0)] ?? 0;
    if (((lengths >>> (name.length < LONGEST ? name.length : LONGEST)) & 1) === 0 || !isRouting(name)) continue;
    const value = name === FORWARDED ? forwardedNames(fields) : fields[name];
    if (value === undefined) continue;
    parts ??= [];
    parts.push(pair(name, typeof value === "string" ? value : JSON.stringify(value)));
  }
  return parts === undefined ? "" : parts.toSorted().join("");
}

function isRouting(name: string): boolean {
  const known = judged.get(name);
  if (known !== undefined) return known;
  const verdict = EXACT.has(name) || FAMILIES.some((family) => name.startsWith(family));
  if (judged.size < MOST_JUDGED) judged.set(name, verdict);
  return verdict;
}

function forwardedNames(fields: Fields): string | undefined {
  return String(fields[FORWARDED]).match(FORWARDED_PARAMETERS)?.join("");
}

/** Length-prefixed, so that no value can pass for another pair. */
function pair(name: string, value: string): string {
  return `${name}=${value.length}:${value};`;
}
