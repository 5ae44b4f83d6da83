import { serializeList } from "structured-headers";

import type { CacheRequest, Fields, ResponseHead } from "../http.ts";
import { hasField } from "./fields.ts";
import { isSafeMethod } from "./invalidation.ts";
import { stringListField } from "./structured-fields.ts";

/** The RFC asks for 32 of 32 characters at least. */
const MAX_GROUPS = 64;
const MAX_GROUP_LENGTH = 256;

const NO_GROUPS: readonly string[] = Object.freeze([]);

/**
 * The groups a response says it belongs to (RFC 9875 §2), in their order, without doubles. Names have a case.
 *
 * A group is one of the response's origin: the same name on another origin is another group. A malformed field has none.
 * Only the first 64 count, and none of more than 256 characters.
 *
 * @example cacheGroups({ "cache-groups": '"scripts", "v2"' }) // ["scripts", "v2"]
 */
export function cacheGroups(fields: Fields): readonly string[] {
  return groupsIn(fields, "cache-groups");
}

/**
 * The groups that a response makes invalid (RFC 9875 §3): those of `Cache-Group-Invalidation`, if it answers an unsafe
 * method with 2xx or 3xx. They are groups of the request's own origin, and invalidating one invalidates no other.
 */
export function groupInvalidations(request: CacheRequest, head: ResponseHead): readonly string[] {
  if (isSafeMethod(request.method)) return NO_GROUPS;
  if (head.status < 200 || head.status > 399) return NO_GROUPS;
  return groupsIn(head.fields, "cache-group-invalidation");
}

/**
 * The value of `Cache-Groups` or `Cache-Group-Invalidation` for these names, or `undefined` when there is none to send.
 *
 * A name that is not printable ASCII cannot be sent and is left out, as is whatever {@link cacheGroups} would not read.
 *
 * @example formatGroups(["user:7", 'a"b']) // '"user:7", "a\\"b"'
 */
export function formatGroups(groups: readonly string[]): string | undefined {
  const sendable = bounded(groups.filter((group) => /^[ -~]*$/.test(group)));
  if (sendable.length === 0) return undefined;
  return serializeList(sendable.map((group) => [group, new Map()]));
}

function groupsIn(fields: Fields, name: string): readonly string[] {
  if (!hasField(fields, name)) return NO_GROUPS;
  const groups = stringListField(fields, name);
  return groups === undefined ? NO_GROUPS : bounded(groups);
}

function bounded(groups: readonly string[]): readonly string[] {
  const kept = new Set<string>();
  for (const group of groups) {
    if (kept.size === MAX_GROUPS) break;
    if (group.length <= MAX_GROUP_LENGTH) kept.add(group);
  }
  return [...kept];
}
