import type { QueryRule } from "../../rfc9111/cache-key.ts";
import { keyedPath } from "./keyed-path.ts";
import type { RouteRules } from "../route-rules.ts";
import { querySpelling } from "./spelling.ts";

/** Routes are made in a loop somewhere, and each purge of a URL reads its query by each of these rules. */
const MOST_RULES = 200;
/** A purge is one small command. A URL that routes know by more queries is purged with every query. */
const MOST_QUERIES = 32;

type QueryRules = Pick<RouteRules, "keyRules" | "searchRule">;

/**
 * How the routes of this cache make the query of a key, where a part of it is dropped. A response is known by the query of
 * its key, and a purge names the URL that a client sent.
 */
export class KnownQueries {
  readonly #rules = new Map<string, QueryRules>();
  #hasMore = false;

  add({ keyRules, searchRule }: QueryRules): void {
    const text = searchRule?.text ?? textOf(keyRules.query);
    if (text === undefined || this.#rules.has(text)) return;
    if (this.#rules.size >= MOST_RULES) this.#hasMore = true;
    else this.#rules.set(text, { keyRules, searchRule });
  }

  /**
   * The other URIs by which a route may know what was asked for by this one; `"any query"` when these are too many. `uri` is
   * spelled as purges spell it.
   */
  urisOf(uri: string): readonly string[] | "any query" {
    if (!uri.includes("?")) return [];
    if (this.#hasMore) return "any query";
    const uris = new Set<string>();
    for (const rules of this.#rules.values()) {
      uris.add(spelled(keyedPath(rules, uri)));
      if (uris.size > MOST_QUERIES) return "any query";
    }
    uris.delete(uri);
    return [...uris];
  }
}

/** The same text for the same rule; `undefined` where the whole query is in the key. */
function textOf(rule: QueryRule): string | undefined {
  if (rule === "all" || rule === "as-sent") return undefined;
  if (rule === "none") return "none";
  const names = "only" in rule ? rule.only : rule.except;
  return JSON.stringify(["only" in rule, ...[...names].toSorted()]);
}

/** A rule may leave the parameters in another order or encoding. */
function spelled(uri: string): string {
  const mark = uri.indexOf("?");
  return mark === -1 ? uri : `${uri.slice(0, mark)}?${querySpelling(uri.slice(mark + 1))}`;
}
