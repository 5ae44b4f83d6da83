import type { Engine } from "./engine/engine.ts";
import { isRouteName } from "./engine/names.ts";
import { nearest } from "./nearest.ts";
import type { PurgeTarget } from "./types.ts";

/** So many of the known routes are listed where none is like the unknown one. */
const MOST_LISTED = 5;

/**
 * Warns a developer of a purge by a route that this process knows nothing of. No error: a pattern is known once the route
 * has answered, another process may have other routes, and a purge before the first request is nothing wrong. Where
 * processes share the store, only a name that is like a known one is told.
 */
export function warnOfUnknownRoutes(engine: Engine, targets: readonly PurgeTarget[]): void {
  const { knownRoutes } = engine;
  if (!engine.isDevelopment() || !knownRoutes.isComplete || knownRoutes.texts.length === 0) return;
  for (const target of targets) {
    if (target.kind !== "name" || !isRouteName(target.text) || knownRoutes.has(target.text)) continue;
    const route = target.text.slice(1);
    const like = routeLike(route, knownRoutes.texts);
    if (like === undefined && !engine.knowsAllPurges) continue;
    const listed = knownRoutes.texts.slice(0, MOST_LISTED).map((text) => `"${text}"`);
    const hint = like === undefined ? `Known so far: ${listed.join(", ")}.` : `Did you mean "${like}"?`;
    engine.warnOnce(
      `unknown route ${route}`,
      `purge({ route: "${route}" }): no response of a route called that has been stored by this process. ${hint}`,
    );
  }
}

/** A misspelling, or the pattern without the path that its router is mounted on. */
function routeLike(route: string, known: readonly string[]): string | undefined {
  const folded = known.map((text) => text.toLowerCase());
  const like = nearest(route.toLowerCase(), folded) ?? folded.find((text) => route.length > 2 && text.endsWith(route));
  return like === undefined ? undefined : known[folded.indexOf(like)];
}
