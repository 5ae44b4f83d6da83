import type { Engine } from "./engine/engine.ts";
import { isRouteName, routeName } from "./engine/names.ts";
import { unknownRoute } from "./errors.ts";
import { nearest } from "./nearest.ts";
import type { PurgeTarget } from "./types.ts";

/** Number of known routes that a message lists when none is like the unknown one. */
const MOST_LISTED = 5;
const PARAMETER = /:\w+/g;

interface UnknownRoute {
  readonly name: string;
  /** True where a known route differs in the names of its parameters alone. */
  readonly isMistake: boolean;
  readonly hint: string;
}

/**
 * Refuses, in development, a purge by a pattern that differs from that of a known route only in the names of parameters. Warns
 * of other unknown patterns: a route tells its pattern when its first response is stored, and one middleware may stand on many
 * paths, so such a pattern may be right.
 *
 * @throws `ERR_UNKNOWN_ROUTE`
 */
export function refuseUnknownRoutes(engine: Engine, targets: readonly PurgeTarget[]): void {
  for (const unknown of unknownRoutes(engine, targets)) {
    if (unknown.isMistake) throw unknownRoute(unknown.name, unknown.hint);
    warn(engine, unknown);
  }
}

/** Warns, in development, of a purge by an unknown pattern: in front of a response, which must not fail because of it. */
export function warnOfUnknownRoutes(engine: Engine, targets: readonly PurgeTarget[]): void {
  for (const unknown of unknownRoutes(engine, targets)) warn(engine, unknown);
}

function warn(engine: Engine, { name, hint }: UnknownRoute): void {
  engine.warnOnce(
    `unknown route ${name}`,
    `purge({ route: "${name}" }): no response of a route called that has been stored by this process. ${hint}`,
  );
}

function unknownRoutes(engine: Engine, targets: readonly PurgeTarget[]): readonly UnknownRoute[] {
  const { knownRoutes } = engine;
  if (!engine.isDevelopment() || !knownRoutes.isComplete || knownRoutes.texts.length === 0) return [];
  const unknown: UnknownRoute[] = [];
  for (const target of targets) {
    if (target.kind !== "name" || !isRouteName(target.text) || knownRoutes.has(target.text)) continue;
    const name = target.text.slice(1);
    const same = knownRoutes.texts.find((known) => hasSameShape(name, known));
    const like = same ?? routeLike(name, knownRoutes.texts);
    // Processes that share a store may have other routes.
    if (like === undefined && !engine.knowsAllPurges) continue;
    const hint = like === undefined ? listOf(knownRoutes.texts) : `Did you mean "${like}"?`;
    unknown.push({ name, isMistake: same !== undefined, hint });
  }
  return unknown;
}

/** True where two patterns differ in nothing but the names of their parameters. */
function hasSameShape(name: string, known: string): boolean {
  const shape = name.replace(PARAMETER, ":");
  return shape !== name && routeName(known).slice(1).replace(PARAMETER, ":") === shape;
}

/** The pattern with the path that its router is mounted on, or else one that is spelt nearly the same. */
function routeLike(route: string, known: readonly string[]): string | undefined {
  const end = route.startsWith("/") ? route : `/${route}`;
  const patterns = known.map((text) => routeName(text).slice(1));
  const mounted = patterns.findIndex((pattern) => end !== "/" && pattern.endsWith(end));
  if (mounted !== -1) return known[mounted];
  const shape = end.replace(PARAMETER, ":");
  const isTelling = /[^/:]/.test(shape);
  const alike = patterns.findIndex((pattern) => isTelling && pattern.replace(PARAMETER, ":").endsWith(shape));
  if (alike !== -1) return known[alike];
  const folded = known.map((text) => text.toLowerCase());
  const like = nearest(route.toLowerCase(), folded);
  return like === undefined ? undefined : known[folded.indexOf(like)];
}

function listOf(known: readonly string[]): string {
  const listed = known.slice(0, MOST_LISTED).map((text) => `"${text}"`);
  return `Known so far: ${listed.join(", ")}.`;
}
