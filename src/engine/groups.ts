import { formatGroups, groupInvalidations } from "../rfc9111/cache-groups.ts";
import type { CacheRequest, Fields, ResponseHead, StoredResponse } from "../types.ts";
import type { Engine } from "./engine.ts";

/** Invalidates the groups that a successful response to an unsafe request names (RFC 9875 §3). */
export function invalidateGroups(engine: Engine, request: CacheRequest, head: ResponseHead): void {
  for (const group of groupInvalidations(request, head)) {
    engine.groupInvalidatedAtMs.set(groupOf(request, group), engine.now());
  }
}

/** True when a group of the stored response was invalidated after the origin was asked for it. */
export function isGroupInvalidated(engine: Engine, request: CacheRequest, stored: StoredResponse): boolean {
  if (engine.groupInvalidatedAtMs.size === 0) return false;
  return stored.tags.some(
    (tag) => (engine.groupInvalidatedAtMs.get(groupOf(request, tag)) ?? -1) >= stored.requestedAtMs,
  );
}

/** `Cache-Groups` of a response with these tags, beside the groups it has; `undefined` when there is none to add. */
export function withGroups(fields: Fields, tags: readonly string[]): string | undefined {
  if (tags.length === 0) return undefined;
  const own = fields["cache-groups"];
  const groups = formatGroups(tags);
  return own === undefined || groups === undefined ? groups : `${String(own)}, ${groups}`;
}

/** Groups of one origin mean nothing to another. */
function groupOf({ scheme, authority }: CacheRequest, group: string): string {
  return `${scheme}://${authority} ${group}`;
}
