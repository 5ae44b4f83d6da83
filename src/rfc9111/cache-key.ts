import type { CacheRequest, VaryField } from "../http.ts";

/*
 * The key of a stored response is one text:
 *
 *   <prefix> <method> <scheme://authority> <path> <query> <part>…
 *
 * Components are joined by one space; a space or backslash inside one gets a backslash before it. A reader could take
 * the text apart again, so two requests share a key only if all their components are equal. A variant key goes on with
 * the component `\vary`, which no escaped text can be, and a pair for each nominated field.
 */

/**
 * Which query parameters are in the key: all, none, only those named, or all but those named. Names are decoded.
 * `"as-sent"` is the query itself, in its own order, for origins of which nothing is known.
 */
export type QueryRule =
  | "all"
  | "as-sent"
  | "none"
  | { readonly only: ReadonlySet<string> }
  | { readonly except: ReadonlySet<string> };

/** How a route makes its keys. */
export interface KeyRules {
  /** Namespace of every key. */
  readonly prefix: string;
  readonly query: QueryRule;
}

/** Reading names must not become work a stranger can order: a query with more parameters is taken as it is, or cut. */
const MAX_PARAMETERS = 256;

/**
 * The key of a request: method, scheme, authority, path, query and the route's own parts, never confusable.
 *
 * `HEAD` has the key of `GET`. A path followed by an empty query has the key of the path alone.
 *
 * @example
 * primaryKey({ prefix: "api", query: "all" }, { method: "GET", scheme: "https", authority: "a.example", path: "/b?c=1", fields: {} })
 * // "api GET https://a.example /b c=1"
 */
export function primaryKey(rules: KeyRules, request: CacheRequest, parts?: readonly string[]): string {
  const { method, path } = request;
  const mark = path.indexOf("?");
  const query = mark === -1 ? "" : normaliseQuery(path.slice(mark + 1), rules.query);
  let key =
    escaped(rules.prefix) +
    " " +
    escaped(method === "HEAD" ? "GET" : method) +
    " " +
    escaped(request.scheme) +
    "://" +
    escaped(request.authority) +
    " " +
    escaped(mark === -1 ? path : path.slice(0, mark)) +
    " " +
    escaped(query);
  if (parts !== undefined) {
    for (const part of parts) key += " " + escaped(part);
  }
  return key;
}

/**
 * The key of one variant under a primary key (RFC 9111 §4.1). It never equals a primary key, and an absent field is
 * not an empty one.
 */
export function variantKey(primary: string, presented: readonly VaryField[]): string {
  let key = primary + " \\vary";
  for (const [name, value] of presented) {
    key += " " + escaped(name) + (value === null ? " -" : " =" + escaped(value));
  }
  return key;
}

function escaped(component: string): string {
  if (component.indexOf(" ") === -1 && component.indexOf("\\") === -1) return component;
  return component.replace(/[ \\]/g, "\\$&");
}

/**
 * The query text of the key, from the query as sent, without its `?`.
 *
 * Parameters are divided by `&` only (`;` is data), chosen by decoded name and sorted by it; they are kept as sent, and
 * those of one name keep their order. For the order, `a[]`, `a[x]` and `a.x` are the name `a`, because some parsers
 * merge them; for the same reason `only` keeps them where it names `a`, and `except` drops nothing but what it names.
 *
 * Of more than 256 parameters, `all` keeps every one in its order; `only` and `except` look at the first 256 and drop the
 * rest, which the handler is not shown either.
 *
 * @example normaliseQuery("b=1&a[]=2&%61=3", "all") // "a[]=2&%61=3&b=1"
 */
export function normaliseQuery(query: string, rule: QueryRule): string {
  if (query === "" || rule === "none") return "";
  if (rule === "as-sent") return query;
  if (query.indexOf("&") === -1) return isKeyed(parameterName(query), rule) ? query : "";

  if (rule === "all" && hasMoreParameters(query)) return query;
  const parameters: string[] = [];
  const names: string[] = [];
  let start = 0;
  let read = 0;
  let dropped = false;
  let sorted = true;
  for (;;) {
    const ampersand = query.indexOf("&", start);
    const parameter = query.slice(start, ampersand === -1 ? query.length : ampersand);
    const name = parameterName(parameter);
    if (isKeyed(name, rule)) {
      const base = baseName(name);
      const last = names[names.length - 1];
      if (last !== undefined && base < last) sorted = false;
      parameters.push(parameter);
      names.push(base);
    } else {
      dropped = true;
    }
    if (ampersand === -1) break;
    start = ampersand + 1;
    read += 1;
    if (read < MAX_PARAMETERS) continue;
    dropped = true;
    break;
  }

  if (sorted) return dropped ? parameters.join("&") : query;
  return sortedByName(parameters, names).join("&");
}

function hasMoreParameters(query: string): boolean {
  let count = 1;
  for (let at = query.indexOf("&"); at !== -1 && count <= MAX_PARAMETERS; at = query.indexOf("&", at + 1)) count += 1;
  return count > MAX_PARAMETERS;
}

function sortedByName(parameters: readonly string[], names: readonly string[]): string[] {
  const order = parameters.map((_, index) => index);
  order.sort((a, b) => compareText(names[a] ?? "", names[b] ?? ""));
  return order.map((index) => parameters[index] ?? "");
}

function compareText(a: string, b: string): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}

function isKeyed(name: string, rule: QueryRule): boolean {
  if (rule === "all" || rule === "as-sent") return true;
  if (rule === "none") return false;
  if ("only" in rule) return rule.only.has(name) || rule.only.has(baseName(name));
  return !rule.except.has(name);
}

/** Decoded name of a parameter; as sent where it does not decode. */
function parameterName(parameter: string): string {
  const equals = parameter.indexOf("=");
  const raw = equals === -1 ? parameter : parameter.slice(0, equals);
  if (raw.indexOf("%") === -1 && raw.indexOf("+") === -1) return raw;
  try {
    return decodeURIComponent(raw.replaceAll("+", " "));
  } catch {
    return raw;
  }
}

/** The name up to its first `[` or `.`. A leading bracket holds the name itself: some parsers read `[a]` as `a`. */
function baseName(name: string): string {
  const start = name.charCodeAt(0) === 0x5b ? 1 : 0;
  for (let at = start; at < name.length; at++) {
    const code = name.charCodeAt(at);
    if (code === 0x5b || code === 0x2e || (code === 0x5d && start === 1)) return name.slice(start, at);
  }
  return start === 0 ? name : name.slice(start);
}
