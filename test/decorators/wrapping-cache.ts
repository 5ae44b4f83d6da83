import type { FunctionWrapper } from "../../src/decorators.ts";
import { wrapFunction } from "../../src/functions/wrap.ts";
import { harness, type Harness } from "../functions/harness.ts";

export class Session {
  readonly connection = Symbol("open");
}

interface WrappingCache extends Harness {
  readonly cache: FunctionWrapper;
  /** Another cache on the same store, as another process has it. */
  readonly sharing: () => FunctionWrapper;
  readonly keys: () => readonly string[];
}

/** The part of a cache that decorators use, with the store's keys in view. */
export function wrappingCache(): WrappingCache {
  const parts = harness({ ignoreArgTypes: [Session] });
  const over = (context: Harness["context"]): FunctionWrapper => ({
    wrap: (name, fn, options) => wrapFunction(context, name, fn, options) as never,
  });
  return {
    ...parts,
    cache: over(parts.context),
    sharing: () => over({ ...parts.context }),
    keys: () => parts.events.filter((event) => event.type === "stored").map((event) => event.key),
  };
}
