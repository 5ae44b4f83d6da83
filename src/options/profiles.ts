/** What the names of profiles mean: how far responses that state their own lifetime are followed. */

/**
 * - `"origin"`: the cache is part of the origin. Nothing is guessed, and what is somebody's own is never stored.
 * - `"proxy"`: a careful shared cache in front of an origin.
 * - `"rfc9111-shared"`: everything RFC 9111 allows a shared cache, for conformance tests and trusted origins.
 */
export type ProfileName = "origin" | "proxy" | "rfc9111-shared";

/** Every profile. */
export const PROFILE_NAMES: readonly ProfileName[] = ["origin", "proxy", "rfc9111-shared"];

/** The rules in which profiles differ. */
export interface ProfileRules {
  /** Targeted fields that are obeyed, in this order, before `Cache-Control` (RFC 9213). */
  readonly targets: readonly string[];
  /** A lifetime is guessed from `Last-Modified` where none is stated (RFC 9111 §4.2.2). */
  readonly heuristic: boolean;
  /** Every final status with a stated lifetime is stored, errors as well (RFC 9111 §3). */
  readonly allowAnyFinalStatus: boolean;
  /** Responses with `Set-Cookie` are stored (RFC 9111 §7.3). */
  readonly allowSetCookie: boolean;
  /** Responses that vary by `Cookie`, `Authorization` or an unnamed CORS origin are stored. */
  readonly allowVaryIdentity: boolean;
  /** Requests with `Authorization` take part; RFC 9111 §3.5 decides about storing. */
  readonly sharesAuthorized: boolean;
  /** Requests with a session cookie take part. */
  readonly sharesSessions: boolean;
  /** Parts (206) are stored and given again, POST responses stored for GET (RFC 9111 §3.3, RFC 9110 §9.3.3). */
  readonly allowPartial: boolean;
  readonly storesPosts: boolean;
  /** The order of query parameters makes no difference. */
  readonly sortsQuery: boolean;
  /** `No-Vary-Search` of a response decides which parameters its key has. */
  readonly honoursNoVarySearch: boolean;
  /** How long a stale response may stand in for an origin that cannot be reached, without `stale-if-error`. */
  readonly failureGraceSeconds: number;
}

const ORIGIN: ProfileRules = {
  targets: [],
  heuristic: false,
  allowAnyFinalStatus: false,
  allowSetCookie: false,
  allowVaryIdentity: false,
  sharesAuthorized: false,
  sharesSessions: false,
  allowPartial: false,
  storesPosts: false,
  sortsQuery: true,
  honoursNoVarySearch: false,
  failureGraceSeconds: 0,
};

const PROXY: ProfileRules = {
  ...ORIGIN,
  targets: ["cdn-cache-control"],
  allowAnyFinalStatus: true,
  sharesAuthorized: true,
  sortsQuery: false,
  honoursNoVarySearch: true,
  failureGraceSeconds: 60,
};

const SHARED: ProfileRules = {
  ...PROXY,
  heuristic: true,
  allowSetCookie: true,
  allowVaryIdentity: true,
  sharesSessions: true,
  allowPartial: true,
  storesPosts: true,
};

/** The rules behind a name. */
export function profileRules(name: ProfileName): ProfileRules {
  switch (name) {
    case "origin":
      return ORIGIN;
    case "proxy":
      return PROXY;
    case "rfc9111-shared":
      return SHARED;
  }
}
