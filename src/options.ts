import { durationSeconds, type Duration } from "./duration.ts";
import { SESSION_COOKIES } from "./engine/bypass.ts";
import type { IdentityRules } from "./engine/engine.ts";
import { invalidOption } from "./errors.ts";
import type { AnyClass } from "./functions/contract.ts";
import { refuseUnknown } from "./known-options.ts";
import { directiveMode, isTexts, positiveInteger, requireBoolean, requireMethods } from "./option-checks.ts";
import { isFieldName } from "./rfc9111/fields.ts";
import { memoryStore } from "./stores/memory.ts";
import type { CacheStore, Logger, RequestDirectiveMode } from "./types.ts";

/** Options of {@link createCache}. */
export interface CacheOptions {
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
  /** What makes a request somebody's own. */
  readonly identity?: {
    /** False: `Authorization` does not count. Default true. */
    readonly authorization?: boolean;
    /** Names of the cookies that carry a session, instead of the built-in list. */
    readonly cookies?: readonly string[];
  };
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
  /** Wall clock in milliseconds; default `Date.now`. Tests pass their own. */
  readonly now?: () => number;
}

/** The options of a cache with every default filled in. */
export interface ResolvedCacheOptions {
  readonly store: CacheStore;
  readonly prefix: string;
  readonly responseHeader: string;
  readonly ignoreArgTypes: readonly AnyClass[];
  readonly logger: Logger | undefined;
  readonly requestDirectives: RequestDirectiveMode;
  readonly identity: IdentityRules;
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
  store: true,
  prefix: true,
  responseHeader: true,
  ignoreArgTypes: true,
  logger: true,
  requestDirectives: true,
  identity: true,
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
  refuseUnknown("createCache()", options, CACHE_OPTIONS);
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
  return {
    store: store ?? memoryStore(),
    prefix,
    responseHeader: responseHeader.toLowerCase(),
    ignoreArgTypes: classes(where("ignoreArgTypes"), options.ignoreArgTypes ?? []),
    logger,
    requestDirectives: directiveMode(where("requestDirectives"), options.requestDirectives ?? "bypass"),
    identity: identityRules(options.identity ?? {}),
    maxBodyBytes: positiveInteger(where("maxBodyBytes"), options.maxBodyBytes ?? DEFAULT_MAX_BODY_BYTES),
    maxVariants: positiveInteger(where("maxVariants"), options.maxVariants ?? DEFAULT_MAX_VARIANTS),
    collapseDeadlineMs: durationSeconds(options.collapseDeadline ?? "5s", where("collapseDeadline")) * 1000,
    refreshesEarly: options.earlyRefresh ?? true,
    fillDeadlineMs: durationSeconds(options.fillDeadline ?? "30s", where("fillDeadline")) * 1000,
    authority: authority?.toLowerCase(),
    languages: languagesOf(where("languages"), options.languages),
    now: options.now ?? (() => Date.now()),
  };
}

function identityRules(identity: NonNullable<CacheOptions["identity"]>): IdentityRules {
  refuseUnknown("createCache({ identity })", identity, { authorization: true, cookies: true });
  const { authorization = true, cookies = SESSION_COOKIES } = identity;
  if (!isTexts(cookies)) {
    throw invalidOption("createCache({ identity: { cookies } })", "names of cookies", cookies, 'For example ["sid"].');
  }
  if (typeof authorization !== "boolean") {
    throw invalidOption("createCache({ identity: { authorization } })", "true or false", authorization, "");
  }
  return { authorization, cookies: new Set(cookies.map((name) => name.toLowerCase())) };
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
