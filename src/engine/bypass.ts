import type { CacheRequest } from "../types.ts";
import type { IdentityRules } from "./engine.ts";

/**
 * Cookies that commonly carry a session or a login, by lower-case name without `__Host-` or `__Secure-`.
 * A request that presents one of them belongs to somebody, so it bypasses unless the route declares its audience.
 */
export const SESSION_COOKIES: readonly string[] = [
  "session",
  "sessionid",
  "session_id",
  "_session_id",
  "session-token",
  "sid",
  "connect.sid",
  "express.sid",
  "express:sess",
  "koa.sess",
  "koa:sess",
  "jsessionid",
  "phpsessid",
  "asp.net_sessionid",
  ".aspxauth",
  ".aspnetcore.session",
  ".aspnetcore.identity.application",
  ".aspnetcore.cookies",
  "laravel_session",
  "next-auth.session-token",
  "authjs.session-token",
  "better-auth.session_token",
  "appsession",
  "nuxt-session",
  "h3",
  "auth",
  "auth_token",
  "authtoken",
  "token",
  "access_token",
  "id_token",
  "refresh_token",
  "jwt",
  "remember_token",
  "remember_user_token",
  "sb-access-token",
  "__session",
  "wordpress_logged_in",
];

/**
 * Why a request carries an identity, or `undefined` when it carries none (RFC 9111 §3.5 asks this of `Authorization`;
 * a session cookie says the same).
 */
export function identityOf(
  request: CacheRequest,
  rules: IdentityRules,
  shared: { readonly sharesAuthorized: boolean; readonly sharesSessions: boolean },
): "authorization" | "session-cookie" | undefined {
  const { fields } = request;
  if (rules.authorization && !shared.sharesAuthorized && fields["authorization"] !== undefined) return "authorization";
  const cookie = fields["cookie"];
  if (cookie === undefined || shared.sharesSessions || rules.cookies.size === 0) return undefined;
  if (typeof cookie === "string") return presentsCookie(cookie, rules.cookies) ? "session-cookie" : undefined;
  return cookie.some((line) => presentsCookie(line, rules.cookies)) ? "session-cookie" : undefined;
}

function presentsCookie(cookie: string, names: ReadonlySet<string>): boolean {
  let start = 0;
  while (start < cookie.length) {
    let end = cookie.indexOf(";", start);
    if (end === -1) end = cookie.length;
    const equals = cookie.indexOf("=", start);
    const nameEnd = equals === -1 || equals > end ? end : equals;
    if (names.has(bareName(cookie.slice(start, nameEnd).trim().toLowerCase()))) return true;
    start = end + 1;
  }
  return false;
}

function bareName(name: string): string {
  if (name.startsWith("__host-")) return name.slice(7);
  if (name.startsWith("__secure-")) return name.slice(9);
  return name;
}

/** Why a GET or HEAD must reach the handler untouched, or `undefined`. */
export function mustReachOrigin(request: CacheRequest): "request-body" | "precondition" | "range" | undefined {
  const { fields } = request;
  // Only bytes have a meaning that we know (RFC 9110 §14.1); others are between the client and the handler.
  if (fields["range"] !== undefined && !/^\s*bytes\s*=/i.test(String(fields["range"]))) return "range";
  // A body on GET can change the answer but is not in the key.
  const length = fields["content-length"];
  const hasContent = (length !== undefined && length !== "0") || fields["transfer-encoding"] !== undefined;
  if (hasContent && request.content === undefined) return "request-body";
  // These protect a change of the resource; only the origin knows its current state (RFC 9110 §13.1.1, §13.1.4).
  if (fields["if-match"] !== undefined || fields["if-unmodified-since"] !== undefined) return "precondition";
  return undefined;
}
