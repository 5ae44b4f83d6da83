import { searchedNames } from "../engine/request/purge-names.ts";
import { routeName } from "../engine/request/route-name.ts";
import { originSpelling, pathSpellings, targetSpellings } from "../engine/request/spelling.ts";
import type { WriteRules } from "../engine/write/unsafe-request.ts";
import { invalidOption } from "../errors.ts";
import { refuseUnknown } from "./known-options.ts";
import { atOnce, isTexts, requireBoolean, requireFunction } from "./checks.ts";
import type { RouteOptions } from "./route-options.ts";
import { MAX_TAG_LENGTH, tagName } from "../tags.ts";
import type { PurgeTarget } from "../http.ts";

/**
 * What to purge; several of these purge all they name. A cache has its own: other prefixes are not touched.
 *
 * @example
 * await cache.purge({ tags: ["user:7", "team:2"], prefix: "/reports" });
 */
export interface PurgeSelection {
  /** Responses and function results with this tag: 1 to 256 characters. */
  readonly tag?: string;
  readonly tags?: readonly string[];
  /**
   * The responses of one URL, with all variants of `Vary`: path and query (`/users/7?lang=en`) on any host, or an absolute URL.
   * Parameters are in any order. Those that a route of this cache has not in its key (its `query`) may be there or not. A
   * cache without that route, as in a script, knows nothing of it: there the URL has the parameters of the key and no others.
   * Where middleware rewrote the URL, both are reached: what the client sent and what the handler was shown.
   *
   * Letter case of the path, a closing slash, percent-encoding and the default port make no difference to a purge.
   */
  readonly url?: string;
  readonly urls?: readonly string[];
  /**
   * The responses of one route: its `name` or, on Express and Hono, its pattern with the paths that routers and apps around
   * it are mounted on (`/api/users/:id`). Letter case and a closing slash make no difference. A regular expression is named
   * by its text or its source (`String(/^\/item/)`), middleware by the path it is mounted on. In development a name that is
   * not known yet is warned of, once; that is no error, because a pattern is known after its first response.
   */
  readonly route?: string;
  /** Responses whose path is this one or below it, on any host or, as an absolute URL, on one: `/users` covers `/users/7?x=1` and not `/usersAbc`. */
  readonly prefix?: string;
}

/** How to purge. */
export interface PurgeOptions {
  /** True keeps what is purged as stale, for `staleWhileRevalidate` and `staleIfError`. Default false. */
  readonly soft?: boolean;
}

/**
 * What a write route purges besides its own URL, once its handler has answered an unsafe method (POST, PUT, PATCH, DELETE)
 * with 2xx or 3xx. A function gets the framework's request.
 */
export type PurgesOptions<Request = unknown> = PurgeOptions & {
  /**
   * As on the route that reads the same URL, where that is in another process or has a cache of its own, so that the write
   * invalidates what is stored of it (RFC 9111 §4.4). The handler of the write sees all parameters. Routes of this cache are
   * known without it.
   */
  readonly query?: RouteOptions["query"];
} & {
  readonly [Name in keyof PurgeSelection]?:
    | PurgeSelection[Name]
    | ((request: Request) => NonNullable<PurgeSelection[Name]>);
};

const PROPERTIES: Readonly<Record<keyof PurgeSelection, true>> = {
  tag: true,
  tags: true,
  url: true,
  urls: true,
  route: true,
  prefix: true,
};
const EXAMPLE =
  'For example { tag: "user:7" }, { url: "/users/7" }, { route: "/users/:id" }, { prefix: "/users" } or "all".';

/**
 * What a selection names, checked.
 *
 * @throws when there is nothing in it or something that can name nothing, naming property, value and cure
 */
export function purgeTargets(caller: string, selection: "all" | PurgeSelection): readonly PurgeTarget[] {
  if (selection === "all") return [{ kind: "all" }];
  if (typeof selection !== "object" || selection === null || Array.isArray(selection)) {
    throw invalidOption(`${caller}(what)`, "what to purge", selection, EXAMPLE);
  }
  refuseUnknown(caller, selection, PROPERTIES, EXAMPLE);
  const { tag, tags = [], url, urls = [], route, prefix } = selection;
  const targets = [
    ...texts(`${caller}({ tags })`, tags).map((each) => tagTarget(`${caller}({ tags })`, each)),
    ...texts(`${caller}({ urls })`, urls).flatMap((each) => urlTargets(`${caller}({ urls })`, each)),
    ...(tag === undefined ? [] : [tagTarget(`${caller}({ tag })`, tag)]),
    ...(url === undefined ? [] : urlTargets(`${caller}({ url })`, url)),
    ...(route === undefined ? [] : [routeTarget(`${caller}({ route })`, route)]),
    ...(prefix === undefined ? [] : prefixTargets(`${caller}({ prefix })`, prefix)),
  ];
  // An empty list is what a program computed; nothing at all is a mistake.
  if (Object.values(selection).every((value) => value === undefined)) throw nothingToPurge(caller, selection);
  return targets;
}

/** The rules of a route that writes. What is not a function is checked at once. */
export function resolveWrites<Request>(options: PurgesOptions<Request>): WriteRules {
  const caller = "cached.purges";
  refuseUnknown(`${caller}()`, options, { ...PROPERTIES, soft: true, query: true }, '{ tag: "users" }');
  const { soft, query: _, ...selection } = options;
  requireBoolean(`${caller}({ soft })`, soft, "True keeps what is purged as stale.");
  const given = Object.entries(selection as Record<string, unknown>).filter(([, value]) => value !== undefined);
  const fixed = Object.fromEntries(given.filter(([, value]) => typeof value !== "function")) as PurgeSelection;
  const computed = given.filter((entry): entry is [string, Compute] => typeof entry[1] === "function");
  if (given.length === 0) requireOwnUrlAlone(caller, selection, soft);
  for (const [name, compute] of computed) requireFunction(`${caller}({ ${name} })`, compute);
  const always = Object.keys(fixed).length === 0 ? [] : purgeTargets(caller, fixed);
  return {
    soft: soft === true,
    through: false,
    targets: (native) => {
      if (computed.length === 0) return always;
      const now = Object.fromEntries(
        computed.map(([name, compute]) => [name, atOnce(`${caller}({ ${name} })`, "what to purge", compute(native))]),
      );
      return [...always, ...purgeTargets(caller, now)];
    },
  };
}

/** Nothing named means its own URL; a property without a value, or `soft` for nothing, is a mistake. */
function requireOwnUrlAlone(caller: string, selection: object, soft: boolean | undefined): void {
  if (Object.keys(selection).length > 0) throw nothingToPurge(caller, selection);
  if (soft !== true) return;
  const cure = "Name what is to be kept as stale. Its own URL is always purged for good.";
  throw invalidOption(`${caller}({ soft })`, "something else to purge", undefined, `${cure} ${EXAMPLE}`);
}

/** A property that is undefined mostly comes from a variable that is. */
function nothingToPurge(caller: string, selection: object): Error {
  const [name] = Object.keys(selection);
  return invalidOption(
    `${caller}(${name === undefined ? "what" : `{ ${name} }`})`,
    "what to purge",
    undefined,
    EXAMPLE,
  );
}

type Compute = (request: unknown) => unknown;

/** What a purge of this tag names, checked. */
export function tagTarget(where: string, tag: unknown): PurgeTarget {
  if (typeof tag === "string" && tag !== "" && tag.length <= MAX_TAG_LENGTH)
    return { kind: "name", text: tagName(tag) };
  throw invalidOption(where, `a text of 1 to ${MAX_TAG_LENGTH} characters`, tag, "For example `user:${id}`.");
}

function texts(where: string, list: unknown): readonly string[] {
  if (isTexts(list)) return list;
  throw invalidOption(where, "a list of texts", list, EXAMPLE);
}

/** Also what does not vary by its whole query, because it may have been stored for another one. */
function urlTargets(where: string, url: unknown): readonly PurgeTarget[] {
  const { origin, path } = splitUrl(where, url);
  const uris = targetSpellings(path).map((each): PurgeTarget => ({ kind: "uri", text: origin + each }));
  const mark = path.indexOf("?");
  if (mark === -1) return uris;
  const names = searchedNames(origin, path.slice(0, mark));
  return [...uris, ...names.map((text): PurgeTarget => ({ kind: "name", text }))];
}

function prefixTargets(where: string, prefix: unknown): readonly PurgeTarget[] {
  const { origin, path } = splitUrl(where, prefix);
  if (path.endsWith("/*")) {
    throw invalidOption(where, "a path without a wildcard", prefix, "A prefix covers its path and all below it.");
  }
  if (path.includes("?")) {
    throw invalidOption(where, "a path without a query", prefix, "A prefix covers its paths with every query.");
  }
  return pathSpellings(path).map((each) => ({ kind: "under", text: origin + each }));
}

function routeTarget(where: string, route: unknown): PurgeTarget {
  if (typeof route === "string" && route !== "") return { kind: "name", text: routeName(route) };
  throw invalidOption(where, "the name or pattern of a route", route, 'For example "/users/:id".');
}

function splitUrl(where: string, url: unknown): { readonly origin: string; readonly path: string } {
  const match = typeof url === "string" ? /^(https?:\/\/[^/?#]+)?(\/[^#]*)(#.*)?$/is.exec(url) : null;
  const path = match?.[2];
  if (path === undefined) {
    throw invalidOption(
      where,
      "a path or an absolute URL",
      url,
      'For example "/users/7" or "https://api.example/users/7".',
    );
  }
  return { origin: originSpelling(match?.[1] ?? ""), path };
}
