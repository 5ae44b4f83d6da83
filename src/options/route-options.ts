import { durationSeconds, isNoTime, ONE_YEAR_SECONDS, type Duration } from "../duration.ts";
import { carriesLogin } from "../engine/request/identity.ts";
import type { CandidateResponse, RouteRules } from "../engine/route-rules.ts";
import { invalidOption } from "../errors.ts";
import { canonicalText } from "../functions/canonical-text.ts";
import { refuseUnknown, requireOptions } from "./known-options.ts";
import {
  atOnce,
  directiveMode,
  fieldNames,
  isTexts,
  optionalSeconds,
  positiveInteger,
  requireBoolean,
  requireFunction,
  secondsOrNothing,
  yesOrNo,
} from "./checks.ts";
import type { ResolvedCacheOptions } from "./cache-options.ts";
import { PROFILE_NAMES, profileRules, type ProfileName, type ProfileRules } from "./profiles.ts";
import type { QueryRule } from "../rfc9111/cache-key.ts";
import { parseNoVarySearch } from "../rfc9111/no-vary-search.ts";
import { MAX_TAG_LENGTH, MAX_TAGS } from "../tags.ts";
import type { CacheRequest, RequestDirectiveMode } from "../http.ts";

/** Options of one route. `Request` is the framework's own request type. */
export interface RouteOptions<Request = unknown> {
  /** Freshness lifetime. Default, and most: one year. `0` switches the cache off on this route, as `enabled: false` does. */
  readonly expire?: Duration;
  /**
   * False: requests of this route reach the handler as if there were no cache, which `Cache-Status` calls `disabled`. For
   * tests and development. Writes still invalidate what other routes have stored. Default true.
   */
  readonly enabled?: boolean;
  /** How long after that a stale response is still served while one request renews it (RFC 5861 §3). Default: not at all. */
  readonly staleWhileRevalidate?: Duration;
  /** How long after that a stale response is served when the handler throws or answers 500, 502, 503 or 504 (RFC 5861 §4). */
  readonly staleIfError?: Duration;
  /** What `cache.purge({ route })` calls this route. Default: its pattern, where the framework tells it. */
  readonly name?: string;
  /**
   * Tags to purge responses by. A response's own `Cache-Tag`, `Surrogate-Key` and `Cache-Groups` count as well, and what
   * the handler adds with `cache.tag(request, …)`. Up to 64 of up to 256 characters.
   */
  readonly tags?: readonly string[] | ((request: Request) => readonly string[]);
  /**
   * Query parameters in the key: only those named, all `except` those named, or `"none"`. The handler does not see the
   * others. Default: all. `{ noVarySearch: 'key-order, params=("utm")' }` says it as the field `No-Vary-Search` does, and
   * the response tells it downstream.
   */
  readonly query?:
    | readonly string[]
    | { readonly except: readonly string[] }
    | { readonly noVarySearch: string }
    | "none";
  /** Request fields in the key; the response names them in `Vary`. */
  readonly vary?: readonly string[];
  /**
   * A part of the key of your own; it is added to method, host, path and query and takes nothing away. Like every callback
   * it answers at once: a promise is an error.
   */
  readonly key?: (request: Request) => unknown;
  /**
   * Who shares a response. Not given: a request with an identity (a cookie, `Authorization` or another login) bypasses the
   * cache. `"public"`: the identity makes no difference, and the handler sees no cookies. A function: the id of the user or
   * group, hashed into the key; browsers are told `private, no-cache` unless `browser` is given. For a request with an
   * identity and without an id (`undefined`, `null`, `""`) the cache is bypassed.
   *
   * What a handler reads from async context (`AsyncLocalStorage`) is in no key: a response that depends on it needs it here
   * or in `key`.
   */
  readonly audience?: "public" | ((request: Request) => string | number | bigint | null | undefined);
  /** False: this request takes no part. Anything but true and false is an error, and then it takes no part either. */
  readonly when?: (request: Request) => boolean;
  /** False: this response is not stored. Anything but true and false is an error, and then it is not stored either. */
  readonly storeWhen?: (response: CandidateResponse) => boolean;
  /** True caches QUERY requests too (RFC 10008), with up to 64 KiB of content, by a hash of it. Default false. */
  readonly queryMethod?: boolean;
  /** True sends the tags as `Cache-Groups` (RFC 9875), for caches downstream. Default false. */
  readonly cacheGroups?: boolean;
  /** Further statuses to store, for the route's lifetime or one of their own: `[404]`, `{ 404: "1m" }`. */
  readonly statuses?: readonly number[] | Readonly<Record<number, Duration>>;
  /** What `Cache-Control` of a request may do on this route. Default: the cache's. */
  readonly requestDirectives?: RequestDirectiveMode;
  /**
   * What browsers are told: at most this lifetime, or `"no-cache"` to ask each time. Default: the remaining lifetime, and
   * `"no-cache"` where the route has `tags` or an `audience` function.
   */
  // "no-cache" is a text like any Duration to the compiler, and named for people.
  // oxlint-disable-next-line typescript/no-redundant-type-constituents
  readonly browser?: Duration | "no-cache";
  /** Lifetime for CDNs, sent as `CDN-Cache-Control` (RFC 9213). Not with an `audience` function. */
  readonly cdn?: Duration;
  /** A larger body is served, not stored. Bytes; default: the cache's. */
  readonly maxBodyBytes?: number;
  /**
   * Targeted fields that come before `Cache-Control`, in this order (RFC 9213): `["shop-cache-control"]`. They are passed
   * on. Default: the profile's.
   */
  readonly targetedFields?: readonly string[];
  /** With `cached.byHeaders()`: how far the response's own fields are followed. Default `"origin"`. */
  readonly profile?: ProfileName;
}

/** RFC 9110 statuses whose meaning does not depend on the moment or the user; others only where a route asks. */
const DEFAULT_STATUSES: readonly number[] = [200, 203, 300, 301, 308];
const MAX_QUERY_CONTENT_BYTES = 64 * 1024;

const ROUTE_OPTIONS: Readonly<Record<keyof RouteOptions, true>> = {
  name: true,
  expire: true,
  enabled: true,
  staleWhileRevalidate: true,
  staleIfError: true,
  tags: true,
  query: true,
  vary: true,
  key: true,
  audience: true,
  when: true,
  storeWhen: true,
  cacheGroups: true,
  queryMethod: true,
  statuses: true,
  requestDirectives: true,
  browser: true,
  cdn: true,
  maxBodyBytes: true,
  targetedFields: true,
  profile: true,
};

/** Checks the options of a route. `hash` makes an identity unreadable before it enters a key. */
export function resolveRouteOptions<Request>(
  options: RouteOptions<Request>,
  cache: ResolvedCacheOptions,
  lifetimeFrom: "route" | "fields",
  hash: (id: string) => string,
): RouteRules {
  const caller = lifetimeFrom === "route" ? "cached" : "cached.byHeaders";
  const where = (option: string): string => `${caller}({ ${option} })`;
  refuseUnknown(`${caller}()`, options, ROUTE_OPTIONS);
  if (lifetimeFrom === "fields" && options.expire !== undefined) {
    throw invalidOption(
      where("expire"),
      "no lifetime",
      options.expire,
      "With byHeaders() the response's own fields decide; use cached() for a lifetime of yours.",
    );
  }
  for (const name of ["key", "when", "storeWhen"] as const) requireFunction(where(name), options[name]);
  for (const name of ["audience", "tags"] as const) {
    if (typeof options[name] === "function") requireFunction(where(name), options[name]);
  }
  requireBoolean(where("enabled"), options.enabled, "False switches the cache off on this route.");
  const { audience, tags, key, when, storeWhen, cacheGroups } = options;
  requireBoolean(where("cacheGroups"), cacheGroups, "True sends the tags as Cache-Groups.");
  requireBoolean(where("queryMethod"), options.queryMethod, "True caches QUERY requests too.");
  if (audience !== undefined && audience !== "public" && typeof audience !== "function") {
    throw invalidOption(
      where("audience"),
      '"public" or a function',
      audience,
      "A function returns the id of the user or group that shares the response.",
    );
  }
  const vary = fieldNames(where("vary"), options.vary ?? []);
  if (vary.includes("*")) {
    throw invalidOption(
      where("vary"),
      "names of request fields",
      "*",
      "A response that varies by everything is not cached.",
    );
  }
  // What is in the key may be somebody's own: a CDN that does not look at Vary would share it.
  const isKeyedByIdentity = vary.some((field) => field === "cookie" || cache.identity.isLoginField(field));
  const isPersonal = typeof audience === "function" || (isKeyedByIdentity && audience === undefined);
  if (isPersonal && options.cdn !== undefined) {
    throw invalidOption(
      where("cdn"),
      "no lifetime for CDNs beside an audience function, or an identity in vary",
      options.cdn,
      'A CDN would give one user\'s response to others. Leave cdn out, or share the response: audience: "public".',
    );
  }
  const { name } = options;
  if (name !== undefined && (typeof name !== "string" || name === "")) {
    throw invalidOption(where("name"), "a text", name, 'For example "users", for cache.purge({ route: "users" }).');
  }
  const profile = profileOf(where("profile"), options.profile, lifetimeFrom);
  const isOff = options.expire !== undefined && isNoTime(options.expire, where("expire"));
  const enabled = cache.enabled && options.enabled !== false && !isOff;
  const lifetimeSeconds = lifetimes(isOff ? { ...options, expire: ONE_YEAR_SECONDS } : options, where, lifetimeFrom);
  return Object.freeze({
    enabled,
    name,
    lifetimeSeconds,
    staleWhileRevalidateSeconds: optionalSeconds(options.staleWhileRevalidate, where("staleWhileRevalidate")),
    staleIfErrorSeconds: optionalSeconds(options.staleIfError, where("staleIfError")),
    browser: options.browser === "no-cache" ? "no-cache" : secondsOrNothing(options.browser, where("browser")),
    cdnSeconds: secondsOrNothing(options.cdn, where("cdn")),
    requestDirectives: directiveMode(where("requestDirectives"), options.requestDirectives ?? cache.requestDirectives),
    storing: {
      lifetimeFrom,
      statuses: new Set(lifetimeSeconds.keys()),
      sharedByDeclaration: audience !== undefined,
      keyedFields: new Set(vary),
      heuristic: profile.heuristic,
      allowSetCookie: profile.allowSetCookie,
      allowAnyFinalStatus: profile.allowAnyFinalStatus,
      allowVaryIdentity: profile.allowVaryIdentity,
      allowPartial: profile.allowPartial,
      // RFC 9111 §3.5 speaks of Authorization alone.
      ...(profile.allowVaryIdentity
        ? {}
        : { carriesLogin: (request: CacheRequest) => carriesLogin(request, cache.identity, vary) }),
    },
    targets:
      options.targetedFields === undefined
        ? profile.targets
        : fieldNames(where("targetedFields"), options.targetedFields, false),
    searchRule: searchRule(where("query"), options.query),
    sharesAuthorized: profile.sharesAuthorized,
    sharesSessions: profile.sharesSessions,
    queryContentBytes: enabled && options.queryMethod === true ? MAX_QUERY_CONTENT_BYTES : 0,
    emitsGroups: options.cacheGroups === true,
    storesPosts: enabled && profile.storesPosts,
    honoursNoVarySearch: profile.honoursNoVarySearch,
    failureGraceSeconds: profile.failureGraceSeconds,
    keyRules: { prefix: cache.prefix, query: queryRule(where("query"), options.query, profile) },
    vary,
    keyPart: key === undefined ? undefined : (native: unknown) => keyText(where("key"), key(native as Request)),
    audience:
      typeof audience === "function"
        ? (native: unknown) => memberOf(atOnce(where("audience"), AN_ID, audience(native as Request)), hash)
        : audience,
    variesByIdentity: audience === undefined && !isPersonal && !profile.sharesAuthorized,
    isPersonal,
    when: when === undefined ? undefined : (native: unknown) => yesOrNo(where("when"), when(native as Request)),
    storeWhen:
      storeWhen === undefined
        ? undefined
        : (response: CandidateResponse) => yesOrNo(where("storeWhen"), storeWhen(response)),
    tags: tags === undefined ? undefined : tagsOf(where("tags"), tags),
    maxBodyBytes: positiveInteger(where("maxBodyBytes"), options.maxBodyBytes ?? cache.maxBodyBytes),
  });
}

function lifetimes<Request>(
  options: RouteOptions<Request>,
  where: (option: string) => string,
  lifetimeFrom: "route" | "fields",
): Map<number, number> {
  const seconds = options.expire === undefined ? ONE_YEAR_SECONDS : durationSeconds(options.expire, where("expire"));
  const lifetimeSeconds = new Map(DEFAULT_STATUSES.map((status) => [status, seconds]));
  const { statuses } = options;
  if (statuses === undefined) return lifetimeSeconds;
  const example = '[404] or { 404: "1m" }';
  if (!Array.isArray(statuses)) requireOptions(where("statuses"), statuses, example, "a list or record of statuses");
  const pairs: [number, Duration | undefined][] = Array.isArray(statuses)
    ? (statuses as readonly number[]).map((status) => [status, undefined])
    : Object.entries(statuses).map(([status, expire]) => [Number(status), expire]);
  for (const [status, expire] of pairs) {
    if (!Number.isInteger(status) || status < 200 || status > 599 || NEVER_STORED.has(status)) {
      throw invalidOption(
        where("statuses"),
        "final statuses but 204, 205, 206 and 304",
        status,
        `A cache cannot answer with a stored ${status}.`,
      );
    }
    if (lifetimeFrom === "route" && REFUSALS.has(status)) {
      throw invalidOption(
        where("statuses"),
        "no 401, 403 or 407",
        status,
        "It turns one user away, and the next may be let in. With cached.byHeaders() a response can state a lifetime itself.",
      );
    }
    lifetimeSeconds.set(
      status,
      expire === undefined ? seconds : durationSeconds(expire, where(`statuses: { ${status} }`)),
    );
  }
  return lifetimeSeconds;
}

const NEVER_STORED: ReadonlySet<number> = new Set([204, 205, 206, 304]);
const REFUSALS: ReadonlySet<number> = new Set([401, 403, 407]);

function queryRule<Request>(where: string, query: RouteOptions<Request>["query"], profile: ProfileRules): QueryRule {
  if (query === undefined) return profile.sortsQuery ? "all" : "as-sent";
  if (query === "none") return "none";
  if (isTexts(query)) return query.length === 0 ? "none" : { only: new Set(query) };
  if (typeof query === "object" && query !== null && "noVarySearch" in query) return "as-sent";
  if (typeof query === "object" && query !== null && "except" in query && isTexts(query.except)) {
    return { except: new Set(query.except) };
  }
  throw invalidOption(
    where,
    'names, { except: names }, { noVarySearch } or "none"',
    query,
    'For example ["lang", "page"].',
  );
}

function searchRule<Request>(where: string, query: RouteOptions<Request>["query"]): RouteRules["searchRule"] {
  if (typeof query !== "object" || query === null || !("noVarySearch" in query)) return undefined;
  const text: unknown = query.noVarySearch;
  const rule = typeof text === "string" ? parseNoVarySearch({ "no-vary-search": text }) : undefined;
  if (typeof text === "string" && rule !== undefined) return { text, rule };
  throw invalidOption(where, "a value of No-Vary-Search", text, `For example 'key-order, params=("utm_source")'.`);
}

function profileOf(where: string, name: unknown, lifetimeFrom: "route" | "fields"): ProfileRules {
  const known = PROFILE_NAMES.find((candidate) => candidate === (name ?? "origin"));
  if (known === undefined) {
    throw invalidOption(where, PROFILE_NAMES.map((profile) => `"${profile}"`).join(", "), name, "See the README.");
  }
  if (name !== undefined && lifetimeFrom === "route") {
    throw invalidOption(where, "no profile", name, "A profile is for cached.byHeaders(); here the lifetime is yours.");
  }
  return profileRules(known);
}

function keyText(where: string, part: unknown): string {
  const expected = "a part of the key";
  // A function that forgot its `return` would make one key for all.
  if (part === undefined) throw invalidOption(where, expected, part, "Return a value; null where there is none.");
  return canonicalText(atOnce(where, expected, part));
}

const AN_ID = "the id of a user or group";

/** The part of the key for an id; `undefined` for none. Ids of different types are different: `"1"`, `1` and `1n`. */
function memberOf(id: unknown, hash: (id: string) => string): string | undefined {
  if (id === undefined || id === null || id === "") return undefined;
  // Text with its quotes, in which half a surrogate pair is escaped: no two ids have the same bytes.
  if (typeof id === "string") return hash(JSON.stringify(id));
  if (typeof id === "number" && Number.isFinite(id)) return hash(String(id));
  if (typeof id === "bigint") return hash(`${id}n`);
  throw invalidOption("cached({ audience })", AN_ID, id, "Return a text or a number.");
}

function tagsOf(
  where: string,
  tags: readonly string[] | ((native: never) => readonly string[]),
): (native: unknown) => readonly string[] {
  if (typeof tags === "function")
    return (native) => checkedTags(where, atOnce(where, "a list of texts", tags(native as never)));
  const fixed = Object.freeze([...checkedTags(where, tags)]);
  return () => fixed;
}

function checkedTags(where: string, tags: unknown): readonly string[] {
  const cure = `Up to ${MAX_TAGS} texts of up to ${MAX_TAG_LENGTH} characters, for example [\`user:\${id}\`].`;
  if (!isTexts(tags)) throw invalidOption(where, "a list of texts", tags, cure);
  if (tags.length > MAX_TAGS) throw invalidOption(where, `at most ${MAX_TAGS} tags`, tags, cure);
  for (const tag of tags) {
    if (tag === "" || tag.length > MAX_TAG_LENGTH) throw invalidOption(where, "texts of a tag's length", tag, cure);
  }
  return tags;
}
