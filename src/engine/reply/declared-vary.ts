import type { Fields } from "../../http.ts";
import { varyNames } from "../../rfc9111/vary.ts";

/** The response's `Vary` with the fields the developer put into the key; `undefined` when there is nothing to add. */
export function withDeclaredVary(declared: readonly string[], fields: Fields): string | undefined {
  if (declared.length === 0) return undefined;
  const names = new Set([...varyNames(fields), ...declared]);
  return [...names].join(", ");
}
