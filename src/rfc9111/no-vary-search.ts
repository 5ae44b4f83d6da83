import type { Fields } from "../http.ts";
import { hasField } from "./fields.ts";
import { bareItem, dictionaryField, innerStrings } from "./structured-fields.ts";

/** Which differences between two queries a response does not depend on (draft-ietf-httpbis-no-vary-search-05). */
export interface NoVarySearch {
  /** Decoded names of the parameters that count: all but these, or only these. */
  readonly parameters: { readonly except: ReadonlySet<string> } | { readonly only: ReadonlySet<string> };
  /** False when parameters of different names may change places. Those of one name never may. */
  readonly orderMatters: boolean;
}

/**
 * Reads `No-Vary-Search`; `undefined` when it is absent, malformed or without effect, so that a query must be equal.
 *
 * `params=("a")` names parameters that do not count, `except=("a")` the only ones that do; both together are nothing.
 * The boolean `params` of earlier drafts is nothing either: `params, except=("a")` must now be `except=("a")`.
 *
 * @example parseNoVarySearch({ "no-vary-search": 'key-order, params=("utm_source")' })
 * // { parameters: { except: Set { "utm_source" } }, orderMatters: false }
 */
export function parseNoVarySearch(fields: Fields): NoVarySearch | undefined {
  if (!hasField(fields, "no-vary-search")) return undefined;
  const members = dictionaryField(fields, "no-vary-search");
  if (members === undefined) return undefined;

  const keyOrder = members.get("key-order");
  const ignoresOrder = keyOrder === undefined ? false : bareItem(keyOrder);
  if (typeof ignoresOrder !== "boolean") return undefined;

  const params = members.get("params");
  const except = members.get("except");
  const listed = params ?? except;
  // Algorithm 5.1 of the draft drops a `key-order` that stands alone; its introduction and its examples do not.
  if (listed === undefined)
    return ignoresOrder ? { parameters: { except: new Set() }, orderMatters: false } : undefined;
  if (params !== undefined && except !== undefined) return undefined;
  const keys = innerStrings(listed);
  if (keys === undefined) return undefined;
  const names = new Set(keys.map(decodedName));
  if (params === undefined) return { parameters: { only: names }, orderMatters: !ignoresOrder };
  if (names.size === 0 && !ignoresOrder) return undefined;
  return { parameters: { except: names }, orderMatters: !ignoresOrder };
}

/** A key is encoded as a name in a query is, so it is decoded by the same code. */
function decodedName(key: string): string {
  const [name] = new URLSearchParams("?" + key.replaceAll("&", "%26").replaceAll("=", "%3D")).keys();
  return name ?? "";
}

/**
 * True when a response to a request with query `a` may answer one with query `b`. Both are as sent, without their `?`;
 * no query is the empty text.
 *
 * @example searchEquivalent("b=1&a=2&utm=x", "a=2&b=1", rule) // with key-order, params=("utm"): true
 */
export function searchEquivalent(a: string, b: string, rule: NoVarySearch): boolean {
  return a === b || noVarySearchQuery(a, rule) === noVarySearchQuery(b, rule);
}

/**
 * The query text that all equivalent queries share, for a key: parameters that count, decoded and encoded in one way,
 * sorted by name where the order does not matter.
 *
 * A query with characters beyond ASCII stays as it is: what bytes they stand for is not known.
 *
 * @example noVarySearchQuery("b=%31&a=2&&utm=x", rule) // with key-order, params=("utm"): "a=2&b=1"
 */
export function noVarySearchQuery(query: string, rule: NoVarySearch): string {
  if (query === "" || !isAscii(query)) return query;
  // The constructor drops one question mark, and the query may begin with its own.
  const sent = new URLSearchParams("?" + query);
  const counting = new URLSearchParams();
  for (const [name, value] of sent) if (counts(name, rule)) counting.append(name, value);
  if (!rule.orderMatters) counting.sort();
  return counting.toString();
}

function counts(name: string, { parameters }: NoVarySearch): boolean {
  return "only" in parameters ? parameters.only.has(name) : !parameters.except.has(name);
}

function isAscii(text: string): boolean {
  for (let at = 0; at < text.length; at++) if (text.charCodeAt(at) > 0x7f) return false;
  return true;
}
