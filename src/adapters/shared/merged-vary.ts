/** `Vary` with the names of `value` that it does not have yet, whatever their case; `*` covers all. */
export function mergedVary(known: string | null | undefined, value: string): string {
  if (known === null || known === undefined || known.trim() === "") return value;
  const has = new Set(membersOf(known).map((name) => name.toLowerCase()));
  if (has.has("*")) return known;
  const more = membersOf(value).filter((name) => !has.has(name.toLowerCase()));
  return more.length === 0 ? known : [...membersOf(known), ...more].join(", ");
}

function membersOf(list: string): string[] {
  return list
    .split(",")
    .map((name) => name.trim())
    .filter((name) => name !== "");
}
