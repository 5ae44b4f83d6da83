/** `Cache-Control` of layers around a cached route, beside that of a stored response. */

/** True for a `Cache-Control` that keeps shared caches from reusing a response. A word counts wherever it stands. */
export function restricts(cacheControl: string): boolean {
  return /private|no[-_]store|no[-_]cache/i.test(cacheControl);
}

/** A layer's restriction, with those members of the response's own `Cache-Control` that restrict as well. */
export function restrictedBy(outer: string, own: string): string {
  const known = outer.toLowerCase();
  const more = membersOf(own).filter((member) => restricts(member) && !known.includes(member.toLowerCase()));
  return [outer, ...more].join(", ");
}

/** Members of a list whose quoted parts may hold commas. */
function membersOf(list: string): string[] {
  const members = list.match(/(?:[^,"]|"[^"]*"?)+/g) ?? [];
  return members.map((member) => member.trim()).filter((member) => member !== "");
}
