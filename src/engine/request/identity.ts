import type { CacheRequest } from "../../http.ts";
import { beginsLogin, nameOfCookie, tellingCookie } from "./harmless-cookies.ts";
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

/** The part of the key of requests that an `audience` function gives no id for. */
export const ANONYMOUS = "anonymous";

/** Who shares the response of a request, as a part of its key; or whose identity keeps it from taking part. */
export type Sharers = { readonly member: string } | { readonly unshared: Identity };

const ALL: Sharers = { member: "" };

/** Calls the developer's `audience`, which may throw. */
export function sharersOf(
  request: CacheRequest,
  rules: IdentityRules,
  route: SharedIdentities & Pick<RouteRules, "audience">,
  native: unknown,
): Sharers {
  const { audience } = route;
  if (audience === "public") return ALL;
  const member = audience?.(native);
  if (member !== undefined) return { member };
  const unshared = identityOf(request, rules, audience === undefined ? route : NONE_SHARED);
  if (unshared !== undefined) return { unshared };
  return audience === undefined ? ALL : { member: ANONYMOUS };
}

/**
 * The name of a cookie by which middleware in front of the handler gave this client a session or a token, where the response
 * would be given to others: the handler may have rendered it. Calls the developer's `audience`.
 */
export function newLoginOf(
  outerCookies: readonly string[],
  rules: IdentityRules,
  { audience, sharesSessions }: Pick<RouteRules, "audience" | "sharesSessions">,
  native: unknown,
): string | undefined {
  if (audience === "public" || sharesSessions) return undefined;
  const cookie = outerCookies.find((line) => beginsLogin(line, rules.isHarmlessCookie));
  return cookie === undefined || audience?.(native) !== undefined ? undefined : nameOfCookie(cookie);
}
