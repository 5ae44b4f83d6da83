/** What the contract needs of an adapter: routes written once, run in each framework's own style. */

import type { Cache } from "../../../src/index.ts";
import type { Cached } from "../../../src/adapters/shared/cached.ts";
import type { RouteOptions } from "../../../src/options/route-options.ts";

/** What a handler can see of its request, through the framework's own means. */
export interface Seen {
  readonly method: string;
  /** Path and query, as the framework shows them. */
  readonly url: string;
  query(name: string): string | undefined;
  header(name: string): string | undefined;
  /** What `cache.tag()` takes. */
  readonly native: object;
}

type Content =
  | { readonly json: unknown }
  | { readonly text: string }
  | { readonly html: string }
  | { readonly bytes: Uint8Array }
  | { readonly stream: () => AsyncIterable<Uint8Array> }
  /** No body. */
  | { readonly empty: true };

/** What a handler answers; each driver writes it as a developer of that framework would. */
export type Given = Content & {
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string | readonly string[]>>;
};

export type Handler = (seen: Seen) => Given | Promise<Given>;

// Frameworks differ in what `cached` is called with and gives; the contract only hands it through.
export type AnyCached = Cached<unknown, unknown[], unknown>;

export interface RouteSpec {
  /** Path of the route, with `:name` for a segment. */
  readonly path: string;
  readonly handler: Handler;
  /** Options of `cached`; callbacks read the framework's own request through `header`. */
  readonly options?: RouteOptions | ((header: HeaderOf) => RouteOptions);
  /** Another way to make the route than `cached(options)`. */
  readonly make?: (cached: AnyCached, rest: unknown[]) => unknown;
  /** Options of another cached route, in front of this one. */
  readonly outer?: RouteOptions;
  /** False: the handler alone. */
  readonly isCached?: false;
}

/** A request field, read from what the framework gives to callbacks. */
export type HeaderOf = (native: unknown, name: string) => string | undefined;

/** What an application does around every request, before `cached()`. `header` reads the client's request. */
export type Around = <T>(header: (name: string) => string | undefined, next: () => T) => T;

export interface Served {
  readonly url: string;
  close(): Promise<void>;
}

export interface Driver {
  readonly name: string;
  /** Makes one route and throws what that throws; nothing is served. */
  make(cache: Cache, spec: RouteSpec): unknown;
  start(cache: Cache, routes: readonly RouteSpec[], around?: Around): Promise<Served>;
}

/** The methods every route of the contract is registered for. */
export const METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"] as const;

/** Makes one route: `cached(options, …rest)`, or as the route itself says. */
export function makeRoute(cached: AnyCached, spec: RouteSpec, header: HeaderOf, rest: unknown[]): unknown {
  if (spec.make !== undefined) return spec.make(cached, rest);
  const { options } = spec;
  if (options === undefined) return cached({}, ...rest);
  return cached(typeof options === "function" ? options(header) : options, ...rest);
}

/** A pattern for a path with `:name` segments, for the adapters that have no router of their own. */
export function pathPattern(path: string): RegExp {
  return new RegExp(`^${path.replaceAll(".", "\\.").replace(/:\w+/g, "[^/]+")}$`);
}
