import { pathSpellings } from "./spelling.ts";

const ROUTE = "@";

/** True for what `routeName()` gives. */
export function isRouteName(name: string): boolean {
  return name.startsWith(ROUTE);
}

/** What limits a parameter of a pattern: `(\\d+)` in `/:id(\\d+)`, `{[0-9]+}` in `/:id{[0-9]+}`. */
const LIMIT = /:(\w+)(?:\((?:[^()]|\([^()]*\))*\)|\{(?:[^{}]|\{[^{}]*\})*\})/g;

/**
 * What a purge of this route names. Of a pattern, letter case, a closing slash and what limits a parameter make no
 * difference.
 */
export function routeName(route: string): string {
  if (!route.startsWith("/")) return ROUTE + route;
  return ROUTE + pathSpellings(route.replace(LIMIT, ":$1"))[0];
}
