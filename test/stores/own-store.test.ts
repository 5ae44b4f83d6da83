/** The example of `CacheStore` in its documentation: all that a store of one's own needs. */

import { describe, it } from "vitest";

import { storeContract } from "../../src/testing.ts";
import type { CacheStore, FoundEntry, PutResult, StoreEntry } from "../../src/http.ts";

class MapStore implements CacheStore {
  readonly name = "map";
  readonly #kept = new Map<string, { entry: StoreEntry; untilMs: number }>();

  get(key: string): FoundEntry | undefined {
    const kept = this.#kept.get(key);
    return kept !== undefined && kept.untilMs > Date.now() ? kept.entry : undefined;
  }

  put(key: string, entry: StoreEntry, retainMs: number): PutResult {
    this.#kept.delete(key);
    if (!(retainMs > 0 && Number.isFinite(retainMs))) return "failed";
    const [oldest] = this.#kept.keys();
    if (oldest !== undefined && this.#kept.size >= 1000) this.#kept.delete(oldest);
    this.#kept.set(key, { entry, untilMs: Date.now() + retainMs });
    return "stored";
  }

  delete(key: string): void {
    this.#kept.delete(key);
  }
}

storeContract({ describe, it, name: "the documented example: contract", createStore: () => new MapStore() });
