/** `Vary` of layers around a cached route. */

/** Names that layers deal with by themselves, for each response anew: CORS and compression. */
const OUTER_VARY: ReadonlySet<string> = new Set(["origin", "accept-encoding"]);

/** The part of a layer's `Vary` that counts like the handler's own; empty where none does. */
export function countedVary(vary: string): string {
  return countedMembers(vary).join(", ");
}

/** Names that count in `now` and were not in `known`, in lower case; `undefined` where there are none. */
export function addedVary(known: readonly string[], now: string): readonly string[] | undefined {
  const had = new Set(known.flatMap(membersOf));
  const added = countedMembers(now).filter((name) => !had.has(name));
  return added.length === 0 ? undefined : added;
}

function countedMembers(vary: string): string[] {
  return membersOf(vary).filter((name) => !OUTER_VARY.has(name));
}

function membersOf(vary: string): string[] {
  const members = vary.split(",").map((name) => name.trim().toLowerCase());
  return members.filter((name) => name !== "");
}
