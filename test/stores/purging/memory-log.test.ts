import { describe, expect, it } from "vitest";

import { inProcessLog, withPurgeLog } from "../../../src/stores/purging/memory-log.ts";
import { memoryStore } from "../../../src/stores/memory/index.ts";
import { storeContract } from "../../../src/testing.ts";
import type { CacheStore, PurgeTarget, StoreEntry } from "../../../src/http.ts";

const TAG: PurgeTarget = { kind: "name", text: "#a" };
const HARD = { soft: false };
const NOW_MS = 1_764_000_000_000;

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
      if (!(retainMs > 0 && Number.isFinite(retainMs))) kept.delete(key);
      else
        kept.set(
          key,
          JSON.stringify({ meta, body: Buffer.from(body).toString("base64"), expiresAtMs: Date.now() + retainMs }),
        );
      return answer(undefined) as void;
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

describe("purge log in a process", () => {
  it("gives a position at once and moves it with each purge", () => {
    const log = inProcessLog(() => NOW_MS);
    const first = log.generation("p");
    expect(first).toMatch(/^[0-9a-f]{32}:0-0$/);
    const receipt = log.purge("p", [TAG], HARD);
    expect(receipt.before).toBe(first);
    expect(receipt.after).toBe(log.generation("p"));
    expect(log.purge("p", [TAG], HARD).before).toBe(receipt.after);
    expect(log.generation("other")).toBe(first);
    expect(log.verify("p")).toBe(true);
    expect(log.verifiedAtMs("p")).toBe(Infinity);
  });

  it("goes on when the clock goes back", () => {
    let nowMs = NOW_MS;
    const log = inProcessLog(() => nowMs);
    const before = entry(log.purge("p", [TAG], HARD).after);
    nowMs -= 1_000_000;
    for (let round = 0; round < 5000; round += 1) log.purge("p", [TAG], HARD);
    expect(log.judge("p", "p k", before)).toBe("purged");
    expect(log.judge("p", "p k", entry(log.generation("p")))).toBe("valid");
  });

  it("a purge of nothing changes nothing", () => {
    const log = inProcessLog(() => NOW_MS);
    const { before, after } = log.purge("p", [], HARD);
    expect(before).toBe(after);
    expect(log.hasPurges).toBe(false);
  });

  it("counts what comes from another log as older than all purges", () => {
    const [log, other] = [inProcessLog(() => NOW_MS), inProcessLog(() => NOW_MS)];
    const foreign = entry(other.generation("p"));
    expect(log.judge("p", "p k", foreign)).toBe("valid");
    log.purge("p", [{ kind: "name", text: "#b" }], HARD);
    expect(log.judge("p", "p k", foreign)).toBe("valid");
    log.purge("p", [TAG], HARD);
    expect(log.judge("p", "p k", foreign)).toBe("purged");
    expect(log.judge("p", "p k", entry())).toBe("purged");
    expect(log.judge("p", "p k", entry("garbage"))).toBe("purged");
  });

  it("a soft purge has the time of its clock", () => {
    let nowMs = NOW_MS;
    const log = inProcessLog(() => nowMs);
    const kept = entry(log.generation("p"));
    log.purge("p", [TAG], { soft: true });
    nowMs += 60_000;
    expect(log.judge("p", "p k", kept)).toEqual({ outdatedAtMs: NOW_MS });
    log.purge("p", [TAG], HARD);
    expect(log.judge("p", "p k", kept)).toBe("purged");
  });
});

describe("purges of the memory store", () => {
  it("hold at once, also against what was asked for before and put after (T56)", () => {
    const store = memoryStore();
    const generation = store.purges.generation("p");
    store.put("p kept", entry(generation), 60_000);
    expect(store.purges.purge("p", [TAG], HARD)).not.toBeInstanceOf(Promise);
    expect(store.get("p kept")).toBeUndefined();
    expect(store.entryCount).toBe(0);
    store.put("p late", entry(generation), 60_000);
    expect(store.get("p late")).toBeUndefined();
    store.put("p fresh", entry(store.purges.generation("p")), 60_000);
    expect(store.get("p fresh")).toBeDefined();
  });

  it("a late put of what was purged leaves the newer entry where it is (T58)", () => {
    const store = memoryStore();
    const old = entry(store.purges.generation("p"));
    store.purges.purge("p", [{ kind: "key", text: "p k" }], HARD);
    const fresh = entry(store.purges.generation("p"));
    store.put("p k", fresh, 60_000);
    store.put("p k", old, 60_000);
    expect(store.get("p k")).toBe(fresh);
  });

  it("softly leave it with the time, and the decoded form", () => {
    const store = memoryStore({ now: () => NOW_MS });
    const live = { decoded: true };
    store.put("p k", { ...entry(store.purges.generation("p")), live }, 60_000);
    store.purges.purge("p", [TAG], { soft: true });
    expect(store.get("p k")).toMatchObject({ outdatedAtMs: NOW_MS, live });
    expect(store.get("p k")?.live).toBe(live);
  });
});

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
      put: (key, each) => void kept.set(key, each),
      delete: (key) => void kept.delete(key),
    };
    const { store, purges } = withPurgeLog(inner);
    const put = { ...entry(purges.generation("p")), live: { decoded: true } };
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
