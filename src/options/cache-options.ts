import { durationSeconds, type Duration } from "../duration.ts";
import { declaredLogins, harmlessCookies } from "../engine/request/harmless-cookies.ts";
import type { IdentityRules } from "../engine/request/identity.ts";
import { loginFields } from "../engine/request/login-fields.ts";
import { invalidOption, invalidSecret } from "../errors.ts";
import type { AnyClass } from "../functions/contract.ts";
import { refuseUnknown } from "./known-options.ts";
import { directiveMode, fieldNames, isTexts, positiveInteger, requireBoolean, requireMethods } from "./checks.ts";
import { wallClock } from "../real-time.ts";
import { isFieldName } from "../rfc9111/fields.ts";
import { memoryStore } from "../stores/memory/index.ts";
import type { CacheStore, Logger, RequestDirectiveMode } from "../http.ts";

/** Options of {@link createCache}. */
export interface CacheOptions {
  /**
   * False: no route and no function caches anything, as if there were no cache; purges resolve and do nothing, and the store
   * is not opened. For tests and development. Default true.
   */
  readonly enabled?: boolean;
  /** Where responses are kept. Default: `memoryStore()`, 64 MiB in this process. */
  readonly store?: CacheStore;
  /** Namespace of every key, letters, digits, `_`, `.` and `-`. Two prefixes in one store never meet. Default `"reprise"`. */
  readonly prefix?: string;
  /** Name of the hit/miss field, whose value is `Hit` or `Miss`. Default `"X-Reprise-Cache"`. */
  readonly responseHeader?: string;
  /** Classes whose instances never enter the key of a function or method call. */
  readonly ignoreArgTypes?: readonly AnyClass[];
  /** Where log lines go: anything with `debug`, `info` and `warn`. Silent by default. */
  readonly logger?: Logger;
  /** What `Cache-Control` of a request may do; default for all routes. Default `"bypass"`. */
  readonly requestDirectives?: RequestDirectiveMode;
  /**
   * What tells of a user. A request with a cookie, with `Authorization` or another field that stands for a login, or with a
   * client certificate takes no part, unless its route has an `audience`.
   */
  readonly identity?: IdentityOptions;
  /**
   * Secret of at least 16 bytes, the same in all processes: the id that `audience` returns enters keys as its HMAC, so that
   * nobody who reads the store can find out an id by trying. Default: its SHA-256. Given and `undefined` it throws.
   */
  readonly identityKey?: string | Uint8Array | undefined;
  /** A larger body is served, not stored. Bytes; default 4 MiB. */
  readonly maxBodyBytes?: number;
  /** Variants (by `Vary`) kept of one resource. Default 64. */
  readonly maxVariants?: number;
  /** A handler that takes longer no longer makes others wait for it. Default `"30s"`. */
  readonly fillDeadline?: Duration;
  /** How long a request waits while another process asks the origin for the same. Default `"5s"`; stores that are shared only. */
  readonly collapseDeadline?: Duration;
  /** False: busy responses are not renewed shortly before they turn stale. Default true; stores that are shared only. */
  readonly earlyRefresh?: boolean;
  /**
   * One authority (`"api.example.com"`) for all keys instead of each request's `Host`; handlers are shown it as `Host`.
   * For several names or ports that serve the same thing.
   */
  readonly authority?: string;
  /**
   * The languages the application has (`["en", "de"]`): where a response varies by `Accept-Language`, requests that
   * prefer the same one of them share it. Only right if the application chooses by RFC 4647 lookup, too.
   */
  readonly languages?: readonly string[];
  /** Wall clock in milliseconds, also of the store; default `Date.now()`. Tests pass their own. */
  readonly now?: () => number;
}

/** What tells of a user, besides and except the lists in `docs/security.md`. */
export interface IdentityOptions {
  /** False: `Authorization` does not count. Default true. */
  readonly authorization?: boolean;
  /**
   * Further request fields that stand for a login, with a `*` at the end for any text: `["x-acme-user", "x-sso-*"]`.
   * Responses name those without a `*` in `Vary`.
   */
  readonly fields?: readonly string[];
  /** Request fields of the list that stand for no login here, in the same form: a gateway adds them to every request, say. */
  readonly harmlessFields?: readonly string[];
  /**
   * Further cookies by which nobody is told apart: names, with their case, or patterns. Handlers whose response is shared
   * do not see them, but middleware in front of `cached()` does: the cookie of a session or a login is never harmless where
   * a page shows what was read of it. In development such a name is warned of when the cache is made.
   *
   * @example createCache({ identity: { harmlessCookies: ["theme", /^exp_/] } })
   */
  readonly harmlessCookies?: readonly (string | RegExp)[];
}

/** The options of a cache with every default filled in. */
export interface ResolvedCacheOptions {
  readonly enabled: boolean;
  readonly store: CacheStore;
  readonly prefix: string;
  readonly responseHeader: string;
  readonly ignoreArgTypes: readonly AnyClass[];
  readonly logger: Logger | undefined;
  readonly requestDirectives: RequestDirectiveMode;
  readonly identity: IdentityRules;
  /** The declared harmless cookies that may be the cookie of a login, for a warning. */
  readonly declaredLogins: readonly string[];
  readonly identityKey: string | Uint8Array | undefined;
  readonly maxBodyBytes: number;
  readonly maxVariants: number;
  readonly fillDeadlineMs: number;
  readonly collapseDeadlineMs: number;
  readonly refreshesEarly: boolean;
  readonly authority: string | undefined;
  readonly languages: readonly string[] | undefined;
  readonly now: () => number;
}

const DEFAULT_MAX_BODY_BYTES = 4 * 1024 * 1024;
const DEFAULT_MAX_VARIANTS = 64;
const CACHE_OPTIONS: Readonly<Record<keyof CacheOptions, true>> = {
  enabled: true,
  store: true,
  prefix: true,
  responseHeader: true,
  ignoreArgTypes: true,
  logger: true,
  requestDirectives: true,
  identity: true,
  identityKey: true,
  maxBodyBytes: true,
  maxVariants: true,
  fillDeadline: true,
  collapseDeadline: true,
  earlyRefresh: true,
  authority: true,
  languages: true,
  now: true,
};

/** Checks the options of a cache; every mistake throws here and names option, value and cure. */
export function resolveCacheOptions(options: CacheOptions): ResolvedCacheOptions {
  const where = (option: string): string => `createCache({ ${option} })`;
  if (typeof (options as Partial<CacheStore> | undefined)?.get === "function") {
    throw invalidOption("createCache(options)", "an object of options", options, "Pass a store as { store }.");
  }
  refuseUnknown("createCache()", options, CACHE_OPTIONS, '{ prefix: "shop" }');
  const prefix = options.prefix ?? "reprise";
  if (typeof prefix !== "string" || !/^[\w.-]{1,64}$/.test(prefix)) {
    throw invalidOption(where("prefix"), "1 to 64 letters, digits, _ . or -", prefix, 'For example "shop-cache".');
  }
  const responseHeader = options.responseHeader ?? "X-Reprise-Cache";
  if (typeof responseHeader !== "string" || !isFieldName(responseHeader)) {
    throw invalidOption(where("responseHeader"), "a field name", responseHeader, 'For example "X-MyAPI-Cache".');
  }
  const authority = options.authority;
  if (authority !== undefined && (typeof authority !== "string" || !/^[\w.:[\]-]+$/.test(authority))) {
    throw invalidOption(
      where("authority"),
      "a host, with a port if need be",
      authority,
      'For example "api.example.com".',
    );
  }
  const { store, logger } = options;
  requireBoolean(where("earlyRefresh"), options.earlyRefresh, "False renews nothing before it is stale.");
  if (store !== undefined)
    requireMethods(where("store"), store, ["get", "put", "delete"], "Pass memoryStore() or redisStore({ url }).");
  if (logger !== undefined)
    requireMethods(where("logger"), logger, ["debug", "info", "warn"], "console and pino() fit.");
  requireBoolean(where("enabled"), options.enabled, "False switches the cache off.");
  if (options.now !== undefined && typeof options.now !== "function") {
    throw invalidOption(
      where("now"),
      "a function",
      options.now,
      "It returns milliseconds since 1970: () => Date.now().",
    );
  }
  return {
    enabled: options.enabled !== false,
    store: store ?? memoryStore(),
    prefix,
    responseHeader: responseHeader.toLowerCase(),
    ignoreArgTypes: classes(where("ignoreArgTypes"), options.ignoreArgTypes ?? []),
    logger,
    requestDirectives: directiveMode(where("requestDirectives"), options.requestDirectives ?? "bypass"),
    ...identityRules(options.identity === undefined ? {} : options.identity),
    // Given and undefined: a variable that is not set must not turn a secret into none.
    identityKey: "identityKey" in options ? identityKeyOf(options.identityKey) : undefined,
    maxBodyBytes: positiveInteger(where("maxBodyBytes"), options.maxBodyBytes ?? DEFAULT_MAX_BODY_BYTES),
    maxVariants: positiveInteger(where("maxVariants"), options.maxVariants ?? DEFAULT_MAX_VARIANTS),
    collapseDeadlineMs: durationSeconds(options.collapseDeadline ?? "5s", where("collapseDeadline")) * 1000,
    refreshesEarly: options.earlyRefresh ?? true,
    fillDeadlineMs: durationSeconds(options.fillDeadline ?? "30s", where("fillDeadline")) * 1000,
    authority: authority?.toLowerCase(),
    languages: languagesOf(where("languages"), options.languages),
    now: options.now ?? wallClock,
  };
}

const IDENTITY_OPTIONS: Readonly<Record<keyof IdentityOptions, true>> = {
  authorization: true,
  fields: true,
  harmlessFields: true,
  harmlessCookies: true,
};

function identityRules(identity: IdentityOptions): Pick<ResolvedCacheOptions, "identity" | "declaredLogins"> {
  const where = (option: string): string => `createCache({ identity: { ${option} } })`;
  if (typeof identity === "object" && identity !== null && "cookies" in identity) {
    throw invalidOption(
      where("cookies"),
      "no list of session cookies",
      identity.cookies,
      'Every cookie counts as an identity. Name those that do not in identity: { harmlessCookies: ["theme"] }.',
    );
  }
  refuseUnknown("createCache({ identity })", identity, IDENTITY_OPTIONS, '{ harmlessCookies: ["theme"] }');
  requireBoolean(where("authorization"), identity.authorization, "False: Authorization does not count.");
  const fields = loginFieldNames(where("fields"), identity.fields ?? []);
  const harmlessFields = loginFieldNames(where("harmlessFields"), identity.harmlessFields ?? []);
  const without = identity.authorization === false ? [...harmlessFields, "authorization"] : harmlessFields;
  const cookies = declaredCookies(where("harmlessCookies"), identity.harmlessCookies ?? []);
  const inVary = fields.filter((name) => !name.endsWith("*") && name !== "authorization");
  return {
    identity: {
      isLoginField: loginFields(fields, without),
      isHarmlessCookie: harmlessCookies(cookies),
      varyNames: ["Cookie", "Authorization", ...inVary],
    },
    declaredLogins: declaredLogins(cookies),
  };
}

function loginFieldNames(where: string, names: unknown): readonly string[] {
  const listed = fieldNames(where, names, false);
  for (const name of listed) {
    if (name.slice(0, -1).includes("*") || name === "*") {
      throw invalidOption(where, "names with no * but one at their end", name, 'For example "x-acme-*".');
    }
    if (name === "cookie") {
      throw invalidOption(
        where,
        "fields other than Cookie",
        name,
        "Its cookies count one by one: see harmlessCookies.",
      );
    }
  }
  return listed;
}

/** What may stand in the name of a cookie (RFC 6265 §4.1.1), but for the `*` that most often is meant as a pattern. */
const COOKIE_NAME = /^[!#$%&'+\-.^`|~\w:@/?<>[\]{}()]+$/;

function declaredCookies(where: string, declared: unknown): readonly (string | RegExp)[] {
  const expected = "a list of names and patterns of cookies";
  if (!Array.isArray(declared)) throw invalidOption(where, expected, declared, 'For example ["theme", /^exp_/].');
  return declared.map((cookie: unknown) => {
    if (isRegExp(cookie)) return new RegExp(cookie.source, cookie.flags.replace(/[gy]/g, ""));
    if (typeof cookie === "string" && COOKIE_NAME.test(cookie)) return cookie;
    const cure =
      typeof cookie === "string" && cookie.includes("*")
        ? "A pattern is a RegExp: /^exp_/."
        : 'A name without its value, as in ["theme"], or a RegExp such as /^exp_/.';
    throw invalidOption(where, expected, cookie, cure);
  });
}

/** Of another realm too. */
function isRegExp(value: unknown): value is RegExp {
  return Object.prototype.toString.call(value) === "[object RegExp]";
}

const MIN_IDENTITY_KEY_BYTES = 16;

/** Never prints the key. */
function identityKeyOf(key: unknown): string | Uint8Array {
  const where = "createCache({ identityKey })";
  if (typeof key !== "string" && !(key instanceof Uint8Array)) {
    throw invalidSecret(where, key === null || key === undefined ? String(key) : `a value of type ${typeof key}`);
  }
  // A copy: bytes that are written to later must not change the keys.
  const bytes = typeof key === "string" ? new TextEncoder().encode(key) : Uint8Array.from(key);
  if (bytes.byteLength < MIN_IDENTITY_KEY_BYTES) throw invalidSecret(where, `${bytes.byteLength} bytes`);
  return bytes;
}

function languagesOf(where: string, languages: unknown): readonly string[] | undefined {
  if (languages === undefined) return undefined;
  if (
    isTexts(languages) &&
    languages.length > 0 &&
    languages.every((tag) => /^[a-z]{1,8}(-[a-z0-9]{1,8})*$/i.test(tag))
  ) {
    return [...languages];
  }
  throw invalidOption(where, "a list of language tags", languages, 'For example ["en", "de"].');
}

function classes(where: string, types: unknown): readonly AnyClass[] {
  if (Array.isArray(types) && types.every((type) => typeof type === "function")) return [...(types as AnyClass[])];
  throw invalidOption(where, "a list of classes", types, "For example [Session].");
}
