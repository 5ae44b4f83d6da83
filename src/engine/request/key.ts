import { primaryKey } from "../../rfc9111/cache-key.ts";
import { fieldValue } from "../../rfc9111/fields.ts";
import { parseNoVarySearch, type NoVarySearch } from "../../rfc9111/no-vary-search.ts";
import { presentedFields } from "../../rfc9111/vary.ts";
import type { CacheRequest, Fields } from "../../http.ts";
import type { Engine } from "../state.ts";
import { keyedPath, searchedPath } from "./keyed-path.ts";
import { ANONYMOUS } from "./identity.ts";
import type { RouteRules } from "../route-rules.ts";
import { routingPart } from "./routing-fields.ts";

/**
 * The primary key of a request. Calls the developer's `key`, and `audience` unless its part of the key is given; they may
 * throw.
 */
export function primaryKeyOf(
  engine: Engine,
  route: RouteRules,
  request: CacheRequest,
  native: unknown,
  member?: string,
): string {
  return keyWith(engine, route, request, keyParts(engine, route, request, native, member));
}

/** The primary key of a request whose further parts are known. */
export function keyWith(
  engine: Engine,
  route: RouteRules,
  request: CacheRequest,
  parts: readonly string[] | undefined,
): string {
  const { depth = 0 } = request;
  // Apart from what cached routes in front of this one would store: their options do not hold for it.
  const own = depth === 0 ? parts : [...(parts ?? []), `\\behind ${depth}`];
  return primaryKey(route.keyRules, searchedRequest(engine, route, request), own);
}

/** What is in the key besides method and URI. */
export function keyParts(
  engine: Engine,
  route: RouteRules,
  request: CacheRequest,
  native: unknown,
  knownMember?: string,
): readonly string[] | undefined {
  const routing = routingPart(request.fields) + rewrittenPart(route, request);
  const { vary, keyPart, audience } = route;
  const isPlain = routing === "" && vary.length === 0 && keyPart === undefined && typeof audience !== "function";
  if (isPlain && request.content === undefined) return undefined;
  const declared = vary.length === 0 ? "" : JSON.stringify(presentedFields(request.fields, vary, engine.languages));
  const member = typeof audience === "function" ? (knownMember ?? audience(native) ?? ANONYMOUS) : "";
  const parts = [routing, declared, keyPart?.(native) ?? "", member];
  return request.content === undefined ? parts : [...parts, contentPart(engine, request.fields, request.content)];
}

/** What was rewritten in front of the route. It begins with a bracket, with which no routing field does. */
function rewrittenPart(route: RouteRules, { otherPaths, replaced }: CacheRequest): string {
  if (otherPaths === undefined && replaced === undefined) return "";
  const paths = (otherPaths ?? []).map((path) => keyedPath(route, path));
  return JSON.stringify(replaced === undefined ? paths : [paths, replaced]);
}

/** The content of a QUERY and what says how to read it (RFC 10008 §2.7). */
function contentPart(engine: Engine, fields: Fields, content: Uint8Array): string {
  const metadata = ["content-type", "content-encoding", "content-language"].map(
    (name) => fieldValue(fields, name) ?? null,
  );
  return engine.contentHash(JSON.stringify(metadata), content);
}

/**
 * Remembers what a response says of its query (No-Vary-Search): true when that is news, so that the response belongs
 * under another key than the one it was asked for with.
 */
export function learnSearch(engine: Engine, route: RouteRules, request: CacheRequest, fields: Fields): boolean {
  if (!route.honoursNoVarySearch || !request.path.includes("?")) return false;
  const resource = resourceOf(request);
  const rule = parseNoVarySearch(fields);
  const known = engine.searchRules.get(resource);
  if (JSON.stringify(rule, asList) === JSON.stringify(known, asList)) return false;
  if (rule === undefined) engine.searchRules.delete(resource);
  else engine.searchRules.set(resource, rule);
  return true;
}

function asList(_name: string, value: unknown): unknown {
  return value instanceof Set ? [...(value as Set<string>)] : value;
}

/** The request without the query parameters that its responses are known not to vary by. */
export function searchedRequest(engine: Engine, route: RouteRules, request: CacheRequest): CacheRequest {
  const mark = request.path.indexOf("?");
  if (mark === -1) return request;
  const rule = route.searchRule?.rule ?? learnedRule(engine, route, request);
  if (rule === undefined) return request;
  return { ...request, path: searchedPath(request.path, rule) };
}

function learnedRule(engine: Engine, route: RouteRules, request: CacheRequest): NoVarySearch | undefined {
  if (!route.honoursNoVarySearch || engine.searchRules.size === 0) return undefined;
  return engine.searchRules.get(resourceOf(request));
}

function resourceOf({ scheme, authority, path }: CacheRequest): string {
  return `${scheme}://${authority}${path.slice(0, path.indexOf("?"))}`;
}
