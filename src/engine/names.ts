import { cacheGroups, formatGroups } from "../rfc9111/cache-groups.ts";
import { fieldLines } from "../rfc9111/fields.ts";
import { MAX_TAG_LENGTH, MAX_TAGS, tagName } from "../tags.ts";
import type { CacheRequest, Fields } from "../types.ts";
import type { Engine } from "./engine.ts";
import { keyedPath, searchedRequest } from "./key.ts";
import { tagsOfRequest } from "./request-tags.ts";
import type { RouteRules } from "./route.ts";

/** True for the name of a tag among the names of a response. */
export function isTagName(name: string): boolean {
  return name.startsWith("#");
}

/** True when a response with these fields has tags, or its route may give it some. */
export function isTagged({ route, native }: Pick<NameSources, "route" | "native">, fields: Fields): boolean {
  if (route.tags !== undefined || tagsOfRequest(native).length > 0) return true;
  return taggedBy(fields).length > 0 || cacheGroups(fields).length > 0;
}

/** What a purge of this route names. */
export function routeName(route: string): string {
  return `@${route}`;
}

/** Groups of one origin mean nothing to another (RFC 9875 §2). */
export function groupName({ scheme, authority }: CacheRequest, group: string): string {
  return `"${scheme}://${authority} ${group}`;
}

/**
 * What all responses of a resource are called that do not vary by its whole query (No-Vary-Search), whatever of the query
 * is in their keys. `resource`: URI or path without the query.
 */
export function searchedName(resource: string): string {
  return `?${resource}`;
}

/** The URI that a purge names, with the query as it is in the key. */
export function purgeUri(engine: Engine, route: RouteRules, request: CacheRequest): string {
  const { scheme, authority } = request;
  return `${scheme}://${authority}${keyedPath(route, searchedRequest(engine, route, request).path)}`;
}

/** Where the names of a response come from. */
export interface NameSources {
  readonly route: RouteRules;
  readonly request: CacheRequest;
  readonly native: unknown;
  /** The route's pattern, where the framework tells it. */
  readonly pattern: string | undefined;
}

/**
 * What a response can be purged by: tags of the route, of the handler and of the fields `Cache-Tag` and `Surrogate-Key`,
 * cache groups, and the route itself.
 *
 * @throws what the developer's `tags` throws, and when there are more or longer tags than are kept
 */
export function namesOf({ route, request, native, pattern }: NameSources, fields: Fields): readonly string[] {
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
  names.push(...searchedNames(route, request, fields));
  if (route.name !== undefined) names.push(routeName(route.name));
  if (pattern !== undefined && pattern !== route.name) names.push(routeName(pattern));
  return names;
}

function searchedNames(
  route: RouteRules,
  { scheme, authority, path }: CacheRequest,
  fields: Fields,
): readonly string[] {
  const mark = path.indexOf("?");
  if (mark === -1 || !route.honoursNoVarySearch || fields["no-vary-search"] === undefined) return [];
  const resource = path.slice(0, mark);
  return [searchedName(`${scheme}://${authority}${resource}`), searchedName(resource)];
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
