import type { FunctionWrapper } from "../../src/decorators.ts";
import { wrapFunction } from "../../src/functions/wrap.ts";
import { harness, type Harness } from "../functions/harness.ts";

export class Session {
  readonly connection = Symbol("open");
}

/** The part of a cache that decorators use, with the store's keys in view. */
export function wrappingCache(): Harness & { readonly cache: FunctionWrapper; readonly keys: () => readonly string[] } {
  const parts = harness({ ignoreArgTypes: [Session] });
  return {
    ...parts,
    cache: { wrap: (name, fn, options) => wrapFunction(parts.context, name, fn, options) },
    keys: () => parts.events.filter((event) => event.type === "stored").map((event) => event.key),
  };
}
