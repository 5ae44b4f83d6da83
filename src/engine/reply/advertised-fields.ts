/** Fields for browsers and CDNs: they share nothing that is for one user, and keep nothing that a purge must reach. */

import { responseDirectives } from "../../rfc9111/directives.ts";
import { fieldLines, fieldValue, listMembers } from "../../rfc9111/fields.ts";
import { formatHttpDate } from "../../rfc9111/http-date.ts";
import type { Fields, StoredResponse } from "../../http.ts";
import type { Engine } from "../state.ts";
import { isTagName } from "../request/purge-names.ts";
import type { RouteRules } from "../route-rules.ts";
import { withDeclaredVary } from "./declared-vary.ts";

/** Fields for downstream caches. */
export interface Downstream {
  /** Sent in any case: `Vary`, and what keeps a response for one user from others. */
  readonly always: readonly string[];
  /** What promises freshness: not sent beside a cookie of outer layers. */
  readonly freshness: readonly string[];
}

/** Everything about a stored response that is computed for downstream caches each time it is served. */
export function storedDownstreamFields(
  engine: Engine,
  route: RouteRules,
  stored: StoredResponse,
  ttlSeconds: number,
  nowMs: number,
): Downstream {
  const { fields, names, lifetimeFrom } = stored;
  const told =
    lifetimeFrom === "route"
      ? advertisedFields(route, fields, ttlSeconds, nowMs, route.tags !== undefined || names.some(isTagName))
      : ownLifetimeFields(route, fields);
  return downstream(route, told, varyFields(engine, route, fields, told));
}

function downstream(route: RouteRules, told: readonly string[], vary: readonly string[]): Downstream {
  if (route.isPersonal) return { always: [...told, ...vary], freshness: NOTHING };
  return { always: vary, freshness: told };
}

/**
 * What downstream caches are told of a route's lifetime. The handler's own `Cache-Control` lifetime stays as it is;
 * otherwise the remaining lifetime is advertised, and no `Age` with it: we answer as the origin.
 *
 * Unless the route has a lifetime for browsers, they are told `no-cache` where the response is for one user, or has tags it
 * can be purged by: a purge does not reach a browser.
 */
function advertisedFields(
  route: RouteRules,
  fields: Fields,
  ttlSeconds: number,
  nowMs: number,
  isTagged: boolean,
): string[] {
  const remaining = Math.max(0, ttlSeconds);
  const advertised = route.isPersonal ? withheldFromCdns(route, fields) : cdnFields(route, fields, remaining);
  const own = fieldValue(fields, "cache-control");
  const directives = responseDirectives(fields);
  const statesLifetime =
    directives.maxAgeSeconds !== undefined || directives.sMaxageSeconds !== undefined || directives.noCache !== false;
  if (statesLifetime && !route.isPersonal) return advertised;
  const members = route.isPersonal ? personalMembers(fields) : own === undefined || own.trim() === "" ? [] : [own];
  // A lifetime for shared caches alone is none of a browser's.
  const statesBrowserLifetime = directives.maxAgeSeconds !== undefined || directives.noCache !== false;
  if (statesBrowserLifetime) return [...advertised, "cache-control", members.join(", ")];
  const browser = route.browser ?? (route.isPersonal || isTagged ? "no-cache" : remaining);
  if (browser === "no-cache") return [...advertised, "cache-control", [...members, "no-cache"].join(", ")];
  const seconds = Math.min(remaining, browser);
  advertised.push("cache-control", [...members, `max-age=${seconds}`].join(", "));
  if (fieldValue(fields, "expires") === undefined) advertised.push("expires", formatHttpDate(nowMs + seconds * 1000));
  return advertised;
}

function cdnFields(route: RouteRules, fields: Fields, remaining: number): string[] {
  if (route.cdnSeconds === undefined || fieldValue(fields, "cdn-cache-control") !== undefined) return [];
  return ["cdn-cache-control", `max-age=${Math.min(remaining, route.cdnSeconds)}`];
}

/** A response with a lifetime of its own keeps it, but where it is for one user, only that one's browser may use it. */
function ownLifetimeFields(route: RouteRules, fields: Fields): string[] {
  if (!route.isPersonal) return [];
  return [...withheldFromCdns(route, fields), "cache-control", personalMembers(fields).join(", ")];
}

const FOR_SHARED_CACHES: ReadonlySet<string> = new Set(["public", "s-maxage", "private"]);

/** `Cache-Control` of a response that is for one user: `private`, and without what lets shared caches keep it. */
function personalMembers(fields: Fields): string[] {
  const own = listMembers(fieldLines(fields, "cache-control"));
  const kept = own.filter((member) => !FOR_SHARED_CACHES.has((member.split("=", 1)[0] ?? "").trim().toLowerCase()));
  return ["private", ...kept];
}

/** Fields that speak to CDNs, in their own languages, and how each is told to keep nothing. */
const CDN_FIELDS: readonly { readonly name: RegExp; readonly value: string }[] = [
  { name: /^(?:[a-z]+-)?cdn-cache-control$/, value: "private" },
  { name: /^(?:surrogate-control|edge-control|akamai-cache-control)$/, value: "no-store" },
  { name: /^x-accel-expires$/, value: "0" },
];

function withheldFromCdns(route: RouteRules, fields: Fields): string[] {
  const withheld: string[] = [];
  for (const name of Object.keys(fields)) {
    const value = route.targets.includes(name) ? "private" : CDN_FIELDS.find((field) => field.name.test(name))?.value;
    if (value !== undefined && fields[name] !== undefined) withheld.push(name, value);
  }
  return withheld;
}

/** `Vary` as it goes out with these fields, or nothing where it is as the response has it. */
function varyFields(engine: Engine, route: RouteRules, fields: Fields, told: readonly string[]): readonly string[] {
  if (route.variesByIdentity) return identityVaryFields(engine, route, fields);
  if (!route.isPersonal) return NOTHING;
  // A browser that asks each time needs no other sign of who its user is.
  const at = told.indexOf("cache-control");
  const asksEachTime = at !== -1 && (told[at + 1] ?? "").includes("no-cache");
  return asksEachTime ? NOTHING : varyWith(engine.identity.varyNames, fields);
}

/** What a response that is streamed tells, before all is known that would be stored. */
export function streamedDownstreamFields(
  engine: Engine,
  route: RouteRules,
  { status, fields }: { readonly status: number; readonly fields: Fields },
  nowMs: number,
  isTagged: boolean,
): Downstream {
  const lifetimeSeconds = route.lifetimeSeconds.get(status);
  const declared = withDeclaredVary(route.vary, fields);
  const seen = declared === undefined ? fields : { ...fields, vary: declared };
  let told: string[] = [];
  if (route.storing.lifetimeFrom === "fields") told = ownLifetimeFields(route, fields);
  else if (lifetimeSeconds !== undefined) told = advertisedFields(route, fields, lifetimeSeconds, nowMs, isTagged);
  const vary = varyFields(engine, route, seen, told);
  if (vary.length > 0 || declared === undefined) return downstream(route, told, vary);
  return downstream(route, told, ["vary", declared]);
}

const NOTHING: readonly string[] = [];

/**
 * `Vary` of a route that answers requests with an identity apart from others: a browser that shows an identity from now on
 * must not use what it has from before. `fields` are those of the response, where they are known.
 */
export function identityVaryFields(engine: Engine, route: RouteRules, fields: Fields = {}): readonly string[] {
  return route.variesByIdentity ? varyWith(engine.identity.varyNames, fields) : NOTHING;
}

/** `Vary` with further names, each once whatever its case, or nothing where it says as much already. */
function varyWith(names: readonly string[], fields: Fields): readonly string[] {
  const own = listMembers(fieldLines(fields, "vary"));
  if (own.length === 0) return ["vary", names.join(", ")];
  const known = new Set(own.map((member) => member.toLowerCase()));
  const more = names.filter((name) => !known.has(name.toLowerCase()));
  return more.length === 0 || known.has("*") ? NOTHING : ["vary", [...own, ...more].join(", ")];
}
