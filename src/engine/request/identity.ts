import type { CacheRequest } from "../../http.ts";
import type { Engine } from "../state.ts";
import { beginsLogin, nameOfCookie, speaksOfLogin, tellingCookie } from "./harmless-cookies.ts";
import { tellsOfNobody } from "./login-fields.ts";
import type { RouteRules } from "../route-rules.ts";

/** What tells of a user. */
export interface IdentityRules {
  /** Of a lower-case name of a request field: it stands for a login. */
  readonly isLoginField: (name: string) => boolean;
  /** Of the name of a cookie, with its case: it tells nothing of a user. */
  readonly isHarmlessCookie: (name: string) => boolean;
  /** What `Vary` names where requests with an identity are answered apart from others. */
  readonly varyNames: readonly string[];
}

/** The first thing found in a request that tells of a user. */
export interface Identity {
  /** The `detail` of a bypass for its sake. */
  readonly detail: "authorization" | "cookie" | "client-certificate";
  /** Name of the field or cookie; empty for a cookie without a name. */
  readonly name: string;
}

/** Which identities a route lets take part, because it shares them or has them in its key. */
export interface SharedIdentities {
  readonly sharesAuthorized: boolean;
  readonly sharesSessions: boolean;
  /** Fields in the key. */
  readonly vary: readonly string[];
}

const NONE_SHARED: SharedIdentities = { sharesAuthorized: false, sharesSessions: false, vary: [] };
const CLIENT_CERTIFICATE: Identity = { detail: "client-certificate", name: "client certificate" };

/**
 * The identity that a request carries, but for those that are shared, or `undefined` (RFC 9111 §3.5 asks this of
 * `Authorization`; any cookie that is not known to be harmless, a field that stands for a login and a client certificate
 * say the same).
 */
export function identityOf(
  request: CacheRequest,
  rules: IdentityRules,
  { sharesAuthorized, sharesSessions, vary }: SharedIdentities = NONE_SHARED,
): Identity | undefined {
  const { fields } = request;
  if (!sharesAuthorized) {
    const name = loginFieldOf(fields, rules, vary);
    if (name !== undefined) return { detail: "authorization", name };
    if (request.clientCertificate === true) return CLIENT_CERTIFICATE;
  }
  const cookie = fields["cookie"];
  if (cookie === undefined || sharesSessions || vary.includes("cookie")) return undefined;
  const name = tellingCookie(cookie, rules.isHarmlessCookie);
  return name === undefined ? undefined : { detail: "cookie", name };
}

function loginFieldOf(
  fields: CacheRequest["fields"],
  { isLoginField }: IdentityRules,
  keyed: readonly string[],
): string | undefined {
  for (const name of Object.keys(fields)) {
    if (!isLoginField(name)) continue;
    const value = fields[name];
    if (value !== undefined && !keyed.includes(name) && !tellsOfNobody(name, value)) return name;
  }
  return undefined;
}

/** True when the request carries anything that stands for a login but a cookie, and that is not in the key. */
export function carriesLogin(request: CacheRequest, rules: IdentityRules, keyed: readonly string[]): boolean {
  return request.clientCertificate === true || loginFieldOf(request.fields, rules, keyed) !== undefined;
}

/** Who shares the response of a request, as a part of its key; or why the request takes no part. */
export type Sharers =
  | { readonly member: string; readonly bypass?: undefined }
  | { readonly bypass: string; readonly member?: undefined };

/** The part of the key of requests that an `audience` function gives no id for. */
export const ANONYMOUS = "anonymous";
const ALL: Sharers = { member: "" };

/** Calls the developer's `audience`, which may throw. */
export function sharersOf(engine: Engine, route: RouteRules, request: CacheRequest, native: unknown): Sharers {
  const { audience } = route;
  if (audience === "public") return ALL;
  if (audience === undefined) {
    const identity = identityOf(request, engine.identity, route);
    if (identity === undefined) return ALL;
    if (identity.detail === "cookie") warnOfCookie(engine, route, request, identity.name);
    return { bypass: identity.detail };
  }
  const member = audience(native);
  if (member !== undefined) return { member };
  const identity = identityOf(request, engine.identity);
  if (identity === undefined) return { member: ANONYMOUS };
  warnOfAudience(engine, route, request, identity);
  return { bypass: "audience" };
}

/**
 * The identity for whose sake the response of a request may not be given to others: the request would take no part, were it a
 * GET. Calls the developer's `audience`.
 */
export function unsharedIdentity(
  engine: Engine,
  route: RouteRules,
  request: CacheRequest,
  native: unknown,
): Identity | undefined {
  const { audience } = route;
  if (audience === "public") return undefined;
  const identity = identityOf(request, engine.identity, audience === undefined ? route : NONE_SHARED);
  return identity === undefined || (audience !== undefined && audience(native) !== undefined) ? undefined : identity;
}

/**
 * True where middleware in front of the handler gave this client a session or a token, and the response would be given to
 * others: the handler may have rendered it. Calls the developer's `audience`.
 */
export function showsNewLogin(
  engine: Engine,
  route: RouteRules,
  request: CacheRequest,
  native: unknown,
  outerCookies: readonly string[],
): boolean {
  const { audience } = route;
  if (audience === "public" || route.sharesSessions) return false;
  const cookie = outerCookies.find((line) => beginsLogin(line, engine.identity.isHarmlessCookie));
  if (cookie === undefined || audience?.(native) !== undefined) return false;
  warnOfNewLogin(engine, route, request, nameOfCookie(cookie));
  return true;
}

const FOR_EACH_USER = "cached({ audience: (req) => req.user?.id })";
const FOR_ALL = 'cached({ audience: "public" })';

function warnOfNewLogin(engine: Engine, route: RouteRules, request: CacheRequest, name: string): void {
  engine.warnings.inDevelopment(
    route,
    `new cookie ${name}`,
    () =>
      `the response to ${subjectOf(request)} is not cached: middleware in front of cached() gave its client the cookie ` +
      `${shown(name)}, and the page may show something that belongs to it, such as a token. Leave such a page uncached. ` +
      `${FOR_EACH_USER} keeps one for each user. Only if it shows nothing of a session, a token or a user: ${FOR_ALL}.`,
  );
}

function warnOfCookie(engine: Engine, route: RouteRules, request: CacheRequest, name: string): void {
  engine.warnings.inDevelopment(
    route,
    `cookie ${name}`,
    () =>
      `a request with ${cookieText(name)} on ${subjectOf(request)} is not cached: its response may be for one user. ` +
      (speaksOfLogin(name) ? CURE_FOR_LOGIN : cureForOther(name)),
  );
}

/** Shared by all, a page shows everyone the user whose session middleware in front has read. */
const CURE_FOR_LOGIN =
  `For one response per user: ${FOR_EACH_USER}. Only if the page shows nothing of a user: ${FOR_ALL}. ` +
  "The handler then sees no cookie, but middleware in front has read it (req.session, req.user, res.locals).";

function cureForOther(name: string): string {
  const declare =
    name === ""
      ? ""
      : `If its handlers do not read it: createCache({ identity: { harmlessCookies: [${shown(name)}] } }). ` +
        "What middleware in front read of it counts as well. ";
  return `${declare}If all users share the response: ${FOR_ALL}, and the handler sees no cookie.`;
}

function warnOfAudience(engine: Engine, route: RouteRules, request: CacheRequest, { detail, name }: Identity): void {
  engine.warnings.once(route, "audience", () => {
    const carried = detail === "cookie" ? cookieText(name) : fieldText(name);
    return (
      `audience gave no id for a request with ${carried} on ${subjectOf(request)}; it is not cached. ` +
      "That is right where nobody is logged in. If this user is: does cached() stand before your login middleware?"
    );
  });
}

function cookieText(name: string): string {
  return name === "" ? "a cookie without a name" : `the cookie ${shown(name)}`;
}

/** `Authorization`, `X-Api-Key`: names of fields as people write them. */
function fieldText(name: string): string {
  return name.includes(" ") ? `a ${name}` : name.replace(/(^|-)[a-z]/g, (letter) => letter.toUpperCase());
}

/** A name that a stranger chose, short and on one line. */
function shown(name: string): string {
  return JSON.stringify(name.length > 60 ? `${name.slice(0, 60)}…` : name);
}

/** Method and path, without a query that may hold what no log should. */
function subjectOf({ method, path }: CacheRequest): string {
  const mark = path.indexOf("?");
  return `${method} ${mark === -1 ? path : path.slice(0, mark)}`;
}
