import { normaliseQuery } from "../../rfc9111/cache-key.ts";
import { noVarySearchQuery, type NoVarySearch } from "../../rfc9111/no-vary-search.ts";
import type { RouteRules } from "../route-rules.ts";

/** A path with its query as it is in the key by the route's own rules. */
export function keyedPath(route: Pick<RouteRules, "keyRules" | "searchRule">, path: string): string {
  if (route.searchRule !== undefined) return searchedPath(path, route.searchRule.rule);
  return withQuery(path, (query) => normaliseQuery(query, route.keyRules.query));
}

/** A path with the query that all equivalent queries share. */
export function searchedPath(path: string, rule: NoVarySearch): string {
  return withQuery(path, (query) => noVarySearchQuery(query, rule));
}

function withQuery(path: string, change: (query: string) => string): string {
  const mark = path.indexOf("?");
  if (mark === -1) return path;
  const query = change(path.slice(mark + 1));
  return query === "" ? path.slice(0, mark) : `${path.slice(0, mark)}?${query}`;
}
