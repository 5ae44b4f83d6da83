import { describe, expect, it } from "vitest";

import { withPurgeLog } from "../../../src/stores/purging/judged-store.ts";
import { memoryStore } from "../../../src/stores/memory/index.ts";
import { storeContract } from "../../../src/testing.ts";
import type { CacheStore, PurgeTarget, StoreEntry } from "../../../src/http.ts";

const TAG: PurgeTarget = { kind: "name", text: "#a" };
const HARD = { soft: false };

function entry(generation?: string, names: readonly string[] = ["#a"]): StoreEntry {
  const plain: StoreEntry = { meta: { status: 200 }, body: new TextEncoder().encode("body"), names };
  return generation === undefined ? plain : { ...plain, generation };
}

/** A user's store that keeps bytes and knows nothing of purges; it may answer later. */
function bytesStore(isAsync: boolean): CacheStore & { readonly kept: Map<string, string> } {
  const kept = new Map<string, string>();
  const answer = <T>(value: T): T | Promise<T> => (isAsync ? Promise.resolve(value) : value);
  return {
    kept,
    name: "bytes",
    get(key) {
      const text = kept.get(key);
      if (text === undefined) return answer(undefined);
      const { meta, body, expiresAtMs } = JSON.parse(text) as {
        meta: StoreEntry["meta"];
        body: string;
        expiresAtMs: number;
      };
      if (expiresAtMs <= Date.now()) return answer(undefined);
      return answer({ meta, body: new Uint8Array(Buffer.from(body, "base64")) });
    },
    put(key, { meta, body }, retainMs) {
      if (!(retainMs > 0 && Number.isFinite(retainMs))) {
        kept.delete(key);
        return answer("failed" as const);
      }
      const expiresAtMs = Date.now() + retainMs;
      kept.set(key, JSON.stringify({ meta, body: Buffer.from(body).toString("base64"), expiresAtMs }));
      return answer("stored" as const);
    },
    delete(key) {
      kept.delete(key);
      return answer(undefined) as void;
    },
  };
}

for (const isAsync of [false, true]) {
  storeContract({
    describe,
    it,
    name: `a user's ${isAsync ? "asynchronous" : "synchronous"} store behind a purge log: contract`,
    createStore: () => withPurgeLog(bytesStore(isAsync)).store,
  });
}

describe("a store that keeps no log", () => {
  it.each([false, true])("gets one that all caches on it share, asynchronous: %s", async (isAsync) => {
    const inner = bytesStore(isAsync);
    const first = withPurgeLog(inner);
    const second = withPurgeLog(inner);
    expect(second.store).toBe(first.store);
    await first.store.put("p k", entry(first.purges.generation("p")), 60_000);
    await first.store.put("p other", entry(first.purges.generation("p"), ["#b"]), 60_000);
    await second.purges.purge("p", [TAG], HARD);
    expect(await first.store.get("p k")).toBeUndefined();
    expect(await first.store.get("p other")).toMatchObject({ names: ["#b"], meta: { status: 200 } });
  });

  it("is itself when it keeps one", () => {
    const store = memoryStore();
    expect(withPurgeLog(store)).toEqual({ store, purges: store.purges });
  });

  it("that keeps objects gives back the entry that was put, decoded form included", () => {
    const kept = new Map<string, StoreEntry>();
    const inner: CacheStore = {
      name: "objects",
      get: (key) => kept.get(key),
      put: (key, each) => {
        kept.set(key, each);
        return "stored";
      },
      delete: (key) => void kept.delete(key),
    };
    const { store, purges } = withPurgeLog(inner);
    const put = { ...entry(purges.generation("p")), live: { value: { decoded: true } } };
    void store.put("p k", put, 60_000);
    expect(store.get("p k")).toBe(put);
  });

  it.each([
    { what: "no meta", found: { body: new Uint8Array(0) } },
    { what: "meta of its own", found: { meta: { status: 200 }, body: new Uint8Array(0) } },
    { what: "names that are none", found: { meta: { meta: {}, names: [7] }, body: new Uint8Array(0) } },
    { what: "null", found: null },
  ])("and returns $what gives nothing", ({ found }) => {
    const inner = { name: "wrong", get: () => found, put: () => {}, delete: () => {} } as unknown as CacheStore;
    expect(withPurgeLog(inner).store.get("p k")).toBeUndefined();
  });
});
