import { invalidOption } from "../../errors.ts";

/** Tags that handlers gave their request, by the framework's own request. */
const added = new WeakMap<object, Set<string>>();

/** Adds tags to the response of this request, from inside its handler. */
export function tagRequest(native: unknown, tags: readonly string[]): void {
  if (typeof native !== "object" || native === null) {
    throw invalidOption("cache.tag(request, …tags)", "the request the handler was given", native, "");
  }
  for (const tag of tags) {
    if (typeof tag === "string" && tag !== "") continue;
    throw invalidOption("cache.tag(request, …tags)", "texts that are not empty", tag, "For example `user:${id}`.");
  }
  const own = added.get(native) ?? new Set();
  for (const tag of tags) own.add(tag);
  added.set(native, own);
}

/** Makes a request that is shown to the handler in place of `original` share its tags. */
export function shareTags(shown: object, original: unknown): void {
  if (shown === original || typeof original !== "object" || original === null) return;
  const own = added.get(original) ?? new Set();
  added.set(original, own);
  added.set(shown, own);
}

export function tagsOfRequest(native: unknown): readonly string[] {
  const own = typeof native === "object" && native !== null ? added.get(native) : undefined;
  return own === undefined ? [] : [...own];
}
