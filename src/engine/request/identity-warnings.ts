/** What a developer is told of requests that take no part because of an identity. */

import type { CacheRequest } from "../../http.ts";
import type { RouteRules } from "../route-rules.ts";
import type { FirstWarnings } from "./first-warnings.ts";
import { speaksOfLogin } from "./harmless-cookies.ts";
import type { Identity } from "./identity.ts";

/** Warns of a request whose identity keeps it from taking part, where an option may be missing. */
export function warnOfIdentity(
  warnings: FirstWarnings,
  route: RouteRules,
  request: CacheRequest,
  identity: Identity,
): void {
  if (route.audience !== undefined) warnOfAudience(warnings, route, request, identity);
  else if (identity.detail === "cookie") warnOfCookie(warnings, route, request, identity.name);
}

const FOR_EACH_USER = "cached({ audience: (req) => req.user?.id })";
const FOR_ALL = 'cached({ audience: "public" })';

/** Warns of a response that is not stored because middleware in front gave its client the cookie `name`. */
export function warnOfNewLogin(warnings: FirstWarnings, route: RouteRules, request: CacheRequest, name: string): void {
  warnings.inDevelopment(
    route,
    `new cookie ${name}`,
    () =>
      `the response to ${withoutQuery(request)} is not cached: middleware in front of cached() gave its client the cookie ` +
      `${shown(name)}, and the page may show something that belongs to it, such as a token. Leave such a page uncached. ` +
      `${FOR_EACH_USER} keeps one for each user. Only if it shows nothing of a session, a token or a user: ${FOR_ALL}.`,
  );
}

function warnOfCookie(warnings: FirstWarnings, route: RouteRules, request: CacheRequest, name: string): void {
  warnings.inDevelopment(
    route,
    `cookie ${name}`,
    () =>
      `a request with ${cookieText(name)} on ${withoutQuery(request)} is not cached: its response may be for one user. ` +
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

function warnOfAudience(
  warnings: FirstWarnings,
  route: RouteRules,
  request: CacheRequest,
  { detail, name }: Identity,
): void {
  warnings.once(route, "audience", () => {
    const carried = detail === "cookie" ? cookieText(name) : fieldText(name);
    return (
      `audience gave no id for a request with ${carried} on ${withoutQuery(request)}; it is not cached. ` +
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
function withoutQuery({ method, path }: CacheRequest): string {
  const mark = path.indexOf("?");
  return `${method} ${mark === -1 ? path : path.slice(0, mark)}`;
}
