import { variantKey } from "../rfc9111/cache-key.ts";
import { matchesVary, presentedFields } from "../rfc9111/vary.ts";
import type { CacheRequest, StoreEntry } from "../types.ts";
import type { Engine } from "./engine.ts";
import { guardStore } from "./store-guard.ts";
import { liveEntry, type LiveResponse } from "./stored-entry.ts";

/** What this process remembers of a resource whose responses vary. */
export interface VarySpec {
  readonly names: readonly string[];
  /** Until when the store keeps the record of `names`. */
  readonly keptUntilMs: number;
  /** Variants stored by this process, to bound them. */
  readonly variants: Set<string>;
}

/** The stored response that answers a request, if there is one (RFC 9111 §4.1). */
export interface Selected {
  /** The key the response to this request has, or will have as far as is known. */
  readonly key: string;
  readonly live: LiveResponse | undefined;
  /** The resource is stored, but not for the fields this request presents. */
  readonly varyMiss: boolean;
}

/** Looks a request up: at once where the store answers at once; one look-up once the resource's `Vary` is known. */
export function select(engine: Engine, primary: string, request: CacheRequest): Selected | Promise<Selected> {
  const spec = engine.varySpecs.get(primary);
  const key = spec === undefined ? primary : variantKey(primary, presentedFields(request.fields, spec.names));
  const found = guardStore(engine, "get", () => engine.store.get(key));
  if (found instanceof Promise) return found.then((entry) => fromEntry(engine, primary, key, entry, request));
  return fromEntry(engine, primary, key, found, request);
}

function fromEntry(
  engine: Engine,
  primary: string,
  key: string,
  entry: StoreEntry | undefined,
  request: CacheRequest,
): Selected | Promise<Selected> {
  const live = entry === undefined ? undefined : liveEntry(entry);
  if (live === undefined) return { key, live, varyMiss: key !== primary };
  if (live.kind === "response") {
    if (live.stored.varyFields.length === 0 || matchesVary(live.stored.varyFields, request.fields)) {
      return { key, live, varyMiss: false };
    }
    return { key, live: undefined, varyMiss: true };
  }
  // A variant's key cannot hold another record of names, so this goes one step deep.
  if (key !== primary) return { key, live: undefined, varyMiss: true };
  engine.varySpecs.set(primary, { names: live.names, keptUntilMs: 0, variants: new Set() });
  return select(engine, primary, request);
}
