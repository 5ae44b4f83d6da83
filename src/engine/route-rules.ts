import type { KeyRules } from "../rfc9111/cache-key.ts";
import type { NoVarySearch } from "../rfc9111/no-vary-search.ts";
import type { StoringRules } from "../rfc9111/storing.ts";
import type { Fields, RequestDirectiveMode } from "../http.ts";

/** A response as a developer's `storeWhen` and `tags` see it. */
export interface CandidateResponse {
  readonly status: number;
  readonly fields: Fields;
  readonly body: Uint8Array;
}

/** The resolved options of one route: every default filled in, every value checked, never changed afterwards. */
export interface RouteRules {
  /** False: its requests take no part. */
  readonly enabled: boolean;
  /** What `purge({ route })` calls it, besides its pattern. */
  readonly name: string | undefined;
  /** Seconds a response of this status stays fresh; a status that is missing is not stored. */
  readonly lifetimeSeconds: ReadonlyMap<number, number>;
  readonly staleWhileRevalidateSeconds: number;
  readonly staleIfErrorSeconds: number;
  /** What downstream caches are told instead of the remaining lifetime: seconds, or `"no-cache"`. */
  readonly browser: number | "no-cache" | undefined;
  readonly cdnSeconds: number | undefined;
  readonly requestDirectives: RequestDirectiveMode;
  readonly storing: StoringRules;
  readonly keyRules: KeyRules;
  /** Request fields the developer put into the key; the response says so in `Vary`. */
  readonly vary: readonly string[];
  /** The developer's own part of the key, as injective text. */
  readonly keyPart: ((native: unknown) => string) | undefined;
  /**
   * `undefined`: a request that carries an identity bypasses; `"public"`: it is ignored; a function: it is in the key, as a
   * hash of the id, or as the anonymous user's where there is no id.
   */
  readonly audience: "public" | ((native: unknown) => string | undefined) | undefined;
  /** Requests with an identity are answered apart from others, and the responses say so in `Vary`. */
  readonly variesByIdentity: boolean;
  /** Each response is for one user or group: downstream caches are told `private`. */
  readonly isPersonal: boolean;
  readonly when: ((native: unknown) => boolean) | undefined;
  readonly storeWhen: ((response: CandidateResponse) => boolean) | undefined;
  readonly tags: ((native: unknown) => readonly string[]) | undefined;
  readonly maxBodyBytes: number;
  /** Targeted fields that come before `Cache-Control` (RFC 9213), by lower-case name. */
  readonly targets: readonly string[];
  /** Requests that carry an identity take part although the route has no audience. */
  readonly sharesAuthorized: boolean;
  readonly sharesSessions: boolean;
  /** A POST's response that is a representation of its own URI is stored for GET (RFC 9110 §9.3.3). */
  readonly storesPosts: boolean;
  /** A QUERY with at most so much content is cached (RFC 10008); 0: none is. */
  readonly queryContentBytes: number;
  /** Tags go out as `Cache-Groups` (RFC 9875). */
  readonly emitsGroups: boolean;
  /** Which differences of the query make none, by the developer's word. */
  readonly searchRule: { readonly text: string; readonly rule: NoVarySearch } | undefined;
  /** A response's `No-Vary-Search` decides which query parameters are in its key. */
  readonly honoursNoVarySearch: boolean;
  /** How long a stale response may stand in for an origin that cannot be reached. */
  readonly failureGraceSeconds: number;
}
