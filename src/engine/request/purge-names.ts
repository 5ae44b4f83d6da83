import { cacheGroups, formatGroups } from "../../rfc9111/cache-groups.ts";
import { fieldLines } from "../../rfc9111/fields.ts";
import { MAX_TAG_LENGTH, MAX_TAGS, tagName } from "../../tags.ts";
import type { CacheRequest, Fields, PurgeTarget, Purgeable, StoredResponse } from "../../http.ts";
import type { Engine } from "../state.ts";
import { searchedRequest } from "./key.ts";
import { keyedPath } from "./keyed-path.ts";
import { isRouteName, routeName } from "./route-name.ts";
import { originSpelling, pathSpellings, targetSpellings } from "./spelling.ts";
import { tagsOfRequest } from "./request-tags.ts";
import type { RouteRules } from "../route-rules.ts";

/** True for the name of a tag among the names of a response. */
export function isTagName(name: string): boolean {
  return name.startsWith("#");
}

/** True when a response with these fields has tags, or its route may give it some. */
export function isTagged({ route, native }: Pick<NameSources, "route" | "native">, fields: Fields): boolean {
  if (route.tags !== undefined || tagsOfRequest(native).length > 0) return true;
  return taggedBy(fields).length > 0 || cacheGroups(fields).length > 0;
}

/** Groups of one origin mean nothing to another (RFC 9875 §2). */
export function groupName({ scheme, authority }: CacheRequest, group: string): string {
  return `"${originSpelling(`${scheme}://${authority}`)} ${group}`;
}

/**
 * What all responses of a resource are called that do not vary by its whole query (No-Vary-Search), whatever of the query
 * is in their keys. `resource`: URI or path without the query.
 */
function searchedName(resource: string): string {
  return `?${resource}`;
}

/** These names of one resource, in each spelling of its path. */
export function searchedNames(origin: string, path: string): readonly string[] {
  const own = originSpelling(origin);
  return pathSpellings(path).map((each) => searchedName(own + each));
}

/** What a purge by URL or path names: one absolute URI, or several. */
export type PurgeUris = NonNullable<Purgeable["uri"]>;

/**
 * The URIs by which a purge reaches a response, in the one spelling of purges and with the query as it is in the key: of the
 * path that was sent, and of the others the request goes by.
 */
export function purgeUris(engine: Engine, route: RouteRules, request: CacheRequest): PurgeUris {
  const origin = originSpelling(`${request.scheme}://${request.authority}`);
  const keyed = keyedPath(route, searchedRequest(engine, route, request).path);
  const [first = "/", ...more] = targetSpellings(keyed);
  if (more.length === 0 && request.otherPaths === undefined) return origin + first;
  const others = (request.otherPaths ?? []).flatMap((path) => targetSpellings(keyedPath(route, path)));
  return [...new Set([first, ...more, ...others])].map((path) => origin + path);
}

/** The targets of a purge of this request's URI, as it was sent and as the route has it in its keys. */
export function uriTargets(engine: Engine, route: RouteRules, request: CacheRequest): readonly PurgeTarget[] {
  const origin = originSpelling(`${request.scheme}://${request.authority}`);
  const sent = [request.path, ...(request.otherPaths ?? [])].flatMap((path) => targetSpellings(path));
  const uris = new Set([...sent.map((path) => origin + path), ...[purgeUris(engine, route, request)].flat()]);
  return [...uris].map((text) => ({ kind: "uri", text }));
}

/** These targets, with the other URIs by which the routes of this cache may know a response of one that has a query. */
export function withKeyedUris({ knownQueries }: Engine, targets: readonly PurgeTarget[]): readonly PurgeTarget[] {
  const keyed = new Set<string>();
  const resources = new Set<string>();
  for (const target of targets) {
    if (target.kind !== "uri") continue;
    const uris = knownQueries.urisOf(target.text);
    if (uris === "any query") resources.add(target.text.split("?", 1)[0] ?? "/");
    else for (const uri of uris) keyed.add(uri);
  }
  for (const target of targets) if (target.kind === "uri") keyed.delete(target.text);
  if (keyed.size + resources.size === 0) return targets;
  return [
    ...targets,
    ...[...keyed].map((text): PurgeTarget => ({ kind: "uri", text })),
    ...[...resources].map((text): PurgeTarget => ({ kind: "under", text })),
  ];
}

/** Where the names of a response come from. */
export interface NameSources {
  readonly route: RouteRules;
  readonly request: CacheRequest;
  readonly native: unknown;
  /** The patterns of the routes that answer, where the framework tells them. */
  readonly patterns: () => readonly string[];
  /** The response that is renewed: it keeps the names of its routes, which a run in the background may not tell. */
  readonly stale?: { readonly stored: Pick<StoredResponse, "names"> } | undefined;
}

/**
 * What a response can be purged by: tags of the route, of the handler and of the fields `Cache-Tag` and `Surrogate-Key`,
 * cache groups, and the route itself.
 *
 * @throws what the developer's `tags` throws, and when there are more or longer tags than are kept
 */
export function namesOf({ route, request, native, patterns, stale }: NameSources, fields: Fields): readonly string[] {
  const own = [...(route.tags?.(native) ?? []), ...tagsOfRequest(native)];
  const groups = cacheGroups(fields);
  const tags = new Set([...own, ...groups, ...taggedBy(fields)]);
  if (tags.size > MAX_TAGS) throw new RangeError(`${tags.size} tags, and at most ${MAX_TAGS} are kept`);
  const names: string[] = [];
  for (const tag of tags) {
    if (tag.length > MAX_TAG_LENGTH) throw new RangeError(`a tag of ${tag.length} characters is too long`);
    names.push(tagName(tag));
  }
  for (const group of route.emitsGroups ? [...groups, ...own] : groups) names.push(groupName(request, group));
  names.push(...namesOfSearched(route, request, fields));
  const routes = new Set([...(route.name === undefined ? [] : [route.name]), ...patterns()].map(routeName));
  for (const name of stale?.stored.names ?? []) if (isRouteName(name)) routes.add(name);
  names.push(...routes);
  return names;
}

function namesOfSearched(
  route: RouteRules,
  { scheme, authority, path, otherPaths }: CacheRequest,
  fields: Fields,
): readonly string[] {
  const mark = path.indexOf("?");
  if (mark === -1 || !route.honoursNoVarySearch || fields["no-vary-search"] === undefined) return [];
  const resources = [path, ...(otherPaths ?? [])].map((each) => each.split("?", 1)[0] ?? "/");
  const origins = [`${scheme}://${authority}`, ""];
  return resources.flatMap((resource) => origins.flatMap((origin) => searchedNames(origin, resource)));
}

/** `Cache-Tag` is a list with commas, `Surrogate-Key` one with spaces. */
function taggedBy(fields: Fields): readonly string[] {
  return [...members(fields, "cache-tag", ","), ...members(fields, "surrogate-key", /\s+/)];
}

function members(fields: Fields, name: string, between: string | RegExp): readonly string[] {
  if (fields[name] === undefined) return [];
  return fieldLines(fields, name)
    .flatMap((line) => line.split(between))
    .map((member) => member.trim())
    .filter((member) => member !== "");
}

/** `Cache-Groups` of a response with these names, beside the groups it has; `undefined` when there is none to add. */
export function withGroups(fields: Fields, names: readonly string[]): string | undefined {
  const own = fields["cache-groups"];
  const known = new Set(cacheGroups(fields));
  const tags = names.filter((name) => name.startsWith("#")).map((name) => name.slice(1));
  const groups = formatGroups(tags.filter((tag) => !known.has(tag)));
  return own === undefined || groups === undefined ? groups : `${String(own)}, ${groups}`;
}
