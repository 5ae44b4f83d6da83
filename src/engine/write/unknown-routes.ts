import type { Engine } from "../state.ts";
import { isRouteName, routeName } from "../request/route-name.ts";
import { unknownRoute } from "../../errors.ts";
import { nearest } from "../../options/nearest.ts";
import type { PurgeTarget } from "../../http.ts";

/** Number of known routes that a message lists when none is like the unknown one. */
const MOST_LISTED = 5;
const PARAMETER = /:\w+/g;

interface UnknownRoute {
  readonly name: string;
  /** True where no route has this name for certain, or one differs in the names of its parameters alone. */
  readonly isMistake: boolean;
  readonly hint: string;
}

/**
 * Refuses, in development, a purge by a pattern that no route has. Warns only, while there may be routes that are not known:
 * of applications that cannot be read, or of other processes that share the store. But what differs from a known route in
 * nothing but the names of parameters is a mistake then too.
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
  if (!engine.isDevelopment() || !knownRoutes.isComplete) return [];
  const names = targets.flatMap((target) => (target.kind === "name" ? target.text : []));
  const unseen = names.filter((text) => isRouteName(text) && !knownRoutes.has(text));
  if (unseen.length === 0) return [];
  const { texts, isWhole } = knownRoutes.read();
  const known = [...texts.values()];
  const unknown: UnknownRoute[] = [];
  for (const text of unseen) {
    if (known.length === 0 || texts.has(text)) continue;
    const name = text.slice(1);
    const same = known.find((each) => hasSameShape(name, each));
    const like = same ?? routeLike(name, known);
    // Processes that share a store may have other routes.
    const isAlone = engine.fence.knowsAll;
    if (like === undefined && !isAlone) continue;
    const hint = like === undefined ? listOf(known) : `Did you mean "${like}"?`;
    unknown.push({ name, isMistake: same !== undefined || (isWhole && isAlone), hint });
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
  return `Known routes: ${listed.join(", ")}.`;
}
