import type { Fill } from "../exchange.ts";

/** A copy of a request on its way through the application: its handler's response is for `fill`, not for a client. */
export interface Renewal {
  readonly fill: Fill;
  /** The cached route that asked for it. The copy passes every other one. */
  readonly route: object;
  /** How often the copy passes that route itself, where it stands in front more than once. */
  skips: number;
  /** True once the copy has reached the route. */
  isClaimed: boolean;
}

const renewals = new WeakMap<object, Renewal>();

/** Marks a copy of a request before it goes where requests come in. */
export function markRenewal(copy: object, renewal: Renewal): void {
  renewals.set(copy, renewal);
}

/** The renewal that this request is for; `undefined` for a client's own. */
export function renewalOf(request: object): Renewal | undefined {
  return renewals.get(request);
}

/** What a cached route does with a request: renews for a fill, lets a copy that is meant for another route pass, or serves. */
export type Reached = { readonly fill: Fill } | "passes" | undefined;

/** Tells whether a request that reached `route` is a copy, and for which fill. */
export function reachRoute(route: object, request: object): Reached {
  const renewal = renewals.get(request);
  if (renewal === undefined) return undefined;
  if (renewal.route !== route || renewal.isClaimed || renewal.skips-- > 0) return "passes";
  renewal.isClaimed = true;
  return { fill: renewal.fill };
}

/** What became of a copy that was answered before it reached its route. */
export function renewalNotReached(status: number): Error {
  return new Error(`the renewal was answered with ${status} before it reached cached()`);
}

/** What became of a copy that middleware in front made a request of another key. */
export function renewalOfAnother(): Error {
  return new Error(
    "the renewal reached cached() as a request of another key: its audience, key, when, Vary or URL is not that of the request it renews",
  );
}

/** What became of a copy whose response was replaced on its way out. */
export function renewalReplaced(status: number): Error {
  return new Error(`the renewal was answered with ${status} by middleware in front of cached()`);
}

/**
 * True for a request that the cache made to renew a stored response (`staleWhileRevalidate`, early refresh). It comes
 * through all middleware as a client's request does, so a logger counts it, and a rate limiter may want to let it pass.
 *
 * @param request what the framework gives: Express's or Node's request, Hono's context, a `Request`. On `@hono/node-server`
 *   not `c.req.raw`, but the context, or Node's request, `c.env.incoming`
 * @example app.use((request, response, next) => (isRenewal(request) ? next() : limiter(request, response, next)));
 */
export function isRenewal(request: unknown): boolean {
  if (typeof request !== "object" || request === null) return false;
  if (renewals.has(request)) return true;
  const { raw, req, env, runtime } = request as {
    raw?: unknown;
    req?: unknown;
    env?: { incoming?: unknown } | undefined;
    runtime?: { node?: { req?: unknown } | undefined } | undefined;
  };
  if (isMarked(raw) || isMarked(req) || isMarked(env?.incoming) || isMarked(runtime?.node?.req)) return true;
  return isMarked((req as { raw?: unknown } | undefined)?.raw);
}

function isMarked(request: unknown): boolean {
  return typeof request === "object" && request !== null && renewals.has(request);
}
